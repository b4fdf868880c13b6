import pytest
import torch

from runner.data.images.augment import ImageAugment
from runner.data.segmentation.batch import IGNORE
from runner.data.segmentation.transform import MaskAugment, resized, window


def sample(height: int = 48, width: int = 64):
    """A mask of large blocks, and an image that says the same in its red channel."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    mask = ((rows // 16 + 2 * (columns // 16)) % 5).to(torch.uint8)
    return torch.stack([mask * 40, mask, mask]), mask


def agreement(image, mask) -> float:
    """Share of the counted pixels whose image says what the mask says."""
    counted = mask != IGNORE
    return float(((image[0].float() / 40).round() == mask)[counted].float().mean())


@pytest.mark.parametrize(
    "augment",
    [
        ImageAugment(flip=True, min_scale=1.0),
        ImageAugment(flip=True, min_scale=0.3),
        ImageAugment(flip=False, min_scale=0.5, degrees=30),
        ImageAugment(flip=False, min_scale=1.0, erase=1.0),
    ],
)
@pytest.mark.parametrize("size", [(32, 32), (80, 40)])
def test_mask_moves_with_the_pixels(augment, size):
    torch.manual_seed(0)
    change = MaskAugment(augment, size)
    for _ in range(20):
        image, mask = change(*sample())
        assert image.shape == (3, *size) and mask.shape == size and image.dtype == mask.dtype == torch.uint8
        assert agreement(image, mask) > 0.85  # but for blurred edges
    assert (mask != IGNORE).any()


def test_colour_leaves_the_mask():
    torch.manual_seed(0)
    image, mask = sample(32, 32)
    changed, same = MaskAugment(ImageAugment(flip=False, min_scale=1.0, color=0.5), (32, 32))(image, mask)
    assert torch.equal(mask, same) and not torch.equal(image, changed)


def test_flipping_only_for_symmetric_classes():
    torch.manual_seed(0)
    image, mask = sample(32, 32)

    def flipped(can_flip: bool) -> set[bool]:
        change = MaskAugment(ImageAugment(min_scale=1.0), (32, 32), can_flip)
        return {torch.equal(change(image, mask)[1], mask) for _ in range(20)}

    assert flipped(False) == {True} and flipped(True) == {True, False}


def test_erased_pixels_do_not_count():
    torch.manual_seed(0)
    image, mask = sample(32, 32)
    changed, counted = MaskAugment(ImageAugment(flip=False, min_scale=1.0, erase=1.0), (32, 32))(image, mask)
    gone = counted == IGNORE
    assert 0 < gone.float().mean() < 0.5
    assert torch.equal(changed[:, ~gone], image[:, ~gone]) and (mask != IGNORE).all()


def test_scales_are_as_often_larger_as_smaller(monkeypatch):
    zooms = []

    def note(image, mask, size, zoom):
        zooms.append(zoom)
        return image, mask

    monkeypatch.setattr("runner.data.segmentation.transform.window", note)
    torch.manual_seed(0)
    change = MaskAugment(ImageAugment(min_scale=0.25), (32, 32))
    for _ in range(500):
        change(*sample(8, 8))
    zooms = torch.tensor(zooms)
    assert 0.5 <= zooms.min() < 0.55 and 1.8 < zooms.max() <= 2.0
    assert (zooms > 1).float().mean() == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize(
    ("size", "zoom"), [((20, 30), 1.0), ((20, 30), 0.4), ((64, 96), 1.0), ((20, 200), 2.0)]
)
def test_windows(size, zoom):
    torch.manual_seed(1)
    image, mask = window(*sample(48, 64), size, zoom)
    assert mask.shape == size and agreement(image, mask) > 0.85
    covered = min(1.0, 48 * zoom / size[0]) * min(1.0, 64 * zoom / size[1])
    assert float((mask != IGNORE).float().mean()) == pytest.approx(covered, abs=0.05)


def test_window_is_a_function_of_the_random_state():
    found = []
    for _ in range(2):
        torch.manual_seed(5)
        found.append(
            MaskAugment(ImageAugment(min_scale=0.5, degrees=10, color=0.2, erase=0.5), (24, 24))(*sample())
        )
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


def test_resized_takes_the_nearest_class():
    mask = torch.tensor([[0, 3], [1, 2]], dtype=torch.uint8)
    _, larger = resized(mask[None].repeat(3, 1, 1), mask, (4, 6))
    assert larger.tolist() == [[0, 0, 0, 3, 3, 3]] * 2 + [[1, 1, 1, 2, 2, 2]] * 2
