"""Augmentation moves the boxes with the pixels."""

import pytest
import torch

from runner.data.detection.shapes import ShapesDetectionDataModule
from runner.data.detection.source import make_target
from runner.data.detection.transform import BoxAugment, without_crowd
from runner.data.images.augment import ImageAugment

KINDS = {
    "nothing": {"flip": False, "min_scale": 1.0},
    "flip": {"flip": True, "min_scale": 1.0},
    "zoom": {"flip": False, "min_scale": 0.3},
    "all but rotation": {"flip": True, "min_scale": 0.4, "color": 0.3, "erase": 0.3},
}


def painted(boxes, size=(60, 80)):
    """A grey image with one rectangle of its own brightness a box."""
    image = torch.full((3, *size), 100, dtype=torch.uint8)
    for value, (x1, y1, x2, y2) in zip((200, 30, 250), boxes, strict=False):
        image[:, y1:y2, x1:x2] = value
    return image, make_target([list(map(float, box)) for box in boxes], range(len(boxes)))


def extent(image, value):
    rows, columns = torch.nonzero((image[0].int() - value).abs() <= 3, as_tuple=True)
    return [int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1]


@pytest.mark.parametrize("kind", ["nothing", "flip", "zoom"])
def test_every_box_is_still_around_its_pixels(kind):
    boxes = [(5, 8, 25, 30), (40, 20, 70, 55), (30, 2, 38, 12)]
    augment = BoxAugment(ImageAugment(**KINDS[kind]))
    num_seen = 0
    for seed in range(60):
        torch.manual_seed(seed)
        image, target = augment(*painted(boxes))
        assert image.dtype == torch.uint8 and type(image) is torch.Tensor
        for box, label in zip(target["boxes"].tolist(), target["labels"].tolist(), strict=True):
            found = extent(image, (200, 30, 250)[label])
            assert all(abs(a - b) <= 1 for a, b in zip(box, found, strict=True)), (seed, box, found)
            num_seen += 1
    assert num_seen == 180 if kind != "zoom" else 60 <= num_seen < 180


@pytest.mark.parametrize("kind", KINDS)
def test_remaining_targets_are_valid(kind):
    augment = BoxAugment(ImageAugment(**KINDS[kind], degrees=20))
    for seed in range(40):
        torch.manual_seed(seed)
        image, target = augment(*painted([(5, 8, 25, 30), (40, 20, 70, 55)]))
        boxes = target["boxes"]
        height, width = image.shape[-2:]
        assert (boxes[:, 2:] - boxes[:, :2] >= 2).all() and (boxes >= 0).all()
        assert (boxes[:, 0::2] <= width).all() and (boxes[:, 1::2] <= height).all()
        assert {len(value) for value in target.values()} == {len(boxes)}
        assert type(boxes) is torch.Tensor and target["area"].tolist() == pytest.approx(
            (boxes[:, 2:] - boxes[:, :2]).prod(1).tolist()
        )


def test_rotated_box_holds_its_pixels():
    augment = BoxAugment(ImageAugment(flip=False, min_scale=1.0, degrees=30))
    for seed in range(20):
        torch.manual_seed(seed)
        image, target = augment(*painted([(30, 20, 50, 40)]))
        (box,) = target["boxes"].tolist()
        found = extent(image, 200)
        assert (
            box[0] <= found[0] + 1
            and box[1] <= found[1] + 1
            and box[2] >= found[2] - 1
            and box[3] >= found[3] - 1
        )


def test_zooms_stay_within_their_scale():
    augment = BoxAugment(ImageAugment(flip=False, min_scale=0.25))
    shapes = []
    for seed in range(100):
        torch.manual_seed(seed)
        shapes.append(augment(*painted([(30, 20, 50, 40)]))[0].shape[-2:])
    assert min(h for h, _ in shapes) >= 30 and max(h for h, _ in shapes) <= 120
    assert len(set(shapes)) > 30


def test_image_without_boxes_stays_one():
    for seed in range(10):
        torch.manual_seed(seed)
        _, target = BoxAugment(ImageAugment(min_scale=0.3, degrees=10))(*painted([]))
        assert target["boxes"].shape == (0, 4)


def test_mirroring_can_be_ruled_out():
    image, target = painted([(5, 8, 25, 30)])
    augment = BoxAugment(ImageAugment(flip=True, min_scale=1.0), can_flip=False)
    for seed in range(10):
        torch.manual_seed(seed)
        assert augment(image, target)[1]["boxes"].tolist() == [[5, 8, 25, 30]]


def test_crowds_are_left_out_of_training():
    target = make_target([[0, 0, 9, 9], [1, 1, 5, 5]], [0, 1], crowd=[True, False])
    assert without_crowd(torch.zeros(3, 20, 20), target)[1]["labels"].tolist() == [1]


def test_augmentation_depends_on_seed_epoch_and_index_only():
    def batches(num_workers):
        data = ShapesDetectionDataModule(
            num_train=8, num_val=1, num_test=0, image_size=48, augment=ImageAugment(min_scale=0.4, color=0.2),
            batch_size=4, num_workers=num_workers, seed=5,
        )  # fmt: skip
        data.setup()
        loader = data.train_dataloader()
        loader.batch_sampler.set_epoch(3)
        return list(loader)

    here, there = batches(0), batches(2)
    torch.rand(3)
    again = batches(0)
    for first, second, third in zip(here, there, again, strict=True):
        for other in (second, third):
            assert all(torch.equal(a, b) for a, b in zip(first["inputs"], other["inputs"], strict=True))
            for a, b in zip(first["targets"], other["targets"], strict=True):
                assert torch.equal(a["boxes"], b["boxes"])
