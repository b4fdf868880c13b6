import torch

from runner.data.segmentation.batch import IGNORE, MEAN_COLOR, keep_sizes, pad, pad_to_largest


def sample(height: int, width: int, value: int = 1):
    image = torch.full((3, height, width), 7, dtype=torch.uint8)
    return image, torch.full((height, width), value, dtype=torch.uint8)


def test_equal_sizes_are_stacked():
    batch = keep_sizes([sample(4, 6), sample(4, 6, 2)])
    assert batch["inputs"].shape == (2, 3, 4, 6) and batch["targets"].shape == (2, 4, 6)
    assert batch["targets"].dtype == torch.uint8


def test_other_sizes_stay_lists():
    batch = keep_sizes([sample(4, 6), sample(5, 3)])
    assert [tuple(image.shape) for image in batch["inputs"]] == [(3, 4, 6), (3, 5, 3)]
    assert [tuple(mask.shape) for mask in batch["targets"]] == [(4, 6), (5, 3)]


def test_training_pads_with_what_does_not_count():
    batch = pad_to_largest([sample(4, 6), sample(5, 3)])
    assert batch["inputs"].shape == (2, 3, 5, 6) and batch["targets"].shape == (2, 5, 6)
    assert (batch["targets"][0, 4] == IGNORE).all() and (batch["targets"][1, :, 3:] == IGNORE).all()
    assert (batch["targets"] != IGNORE).sum() == 4 * 6 + 5 * 3
    assert tuple(batch["inputs"][1, :, 0, 5].tolist()) == MEAN_COLOR


def test_pad_at_a_position():
    image, mask = pad(*sample(2, 2), 4, 5, top=1, left=2)
    assert mask.tolist() == [[255] * 5, [255, 255, 1, 1, 255], [255, 255, 1, 1, 255], [255] * 5]
    assert (image[0] == 7).tolist() == (mask == 1).tolist()
