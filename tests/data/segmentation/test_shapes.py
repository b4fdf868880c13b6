import numpy as np
import pytest
import torch

from runner.data.images.augment import ImageAugment
from runner.data.segmentation.shapes import ShapesSegmentationDataModule, ShapesSource
from runner.data.shapes import draw_scene


def small(**given):
    data = ShapesSegmentationDataModule(
        **{"num_train": 6, "num_val": 3, "num_test": 2, "image_size": 48} | given
    )
    data.setup("fit")
    return data


def test_masks_are_those_of_the_scene():
    source = ShapesSource(4, seed=1, image_size=48, max_objects=5)
    for index in range(4):
        image, mask = source[index]
        scene = draw_scene(1, index, 48, 5)
        expected = np.zeros((48, 48), dtype=np.uint8)
        for label, where in zip(scene.labels, scene.masks, strict=True):
            expected[where] = label + 1
        assert mask.numpy().tolist() == expected.tolist() and mask.dtype == torch.uint8
        assert np.array_equal(image.numpy(), scene.image)


def test_facts_and_batches():
    data = small(batch_size=4)
    facts = data.facts
    assert (facts.task, facts.input_shape, facts.num_outputs) == ("segmentation", (3, 48, 48), 4)
    assert facts.class_names[0] == "background" and sum(facts.class_counts) == 6 * 48 * 48
    assert (facts.num_train, facts.num_val, facts.num_test) == (6, 3, 2)
    assert facts.get("ignore_index") == 255 and len(facts.get("class_weights")) == 4
    assert set(data.extra_facts) == set(facts.extra)
    batch = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)
    assert batch["inputs"].shape == (4, 3, 48, 48) and batch["inputs"].dtype == torch.float32
    assert batch["targets"].shape == (4, 48, 48) and batch["targets"].dtype == torch.int64


def test_splits_have_nothing_in_common_and_stay_the_same():
    data, again, other = small(), small(), small(scene_seed=1)
    first = data.splits["train"].source[0][0]
    assert torch.equal(first, again.splits["train"].source[0][0])
    assert not torch.equal(first, data.splits["val"].source[0][0])
    assert not torch.equal(first, other.splits["train"].source[0][0])
    assert data.facts.digest == again.facts.digest != other.facts.digest


def test_augmentation_is_of_training_only_and_drawn_by_epoch_and_index():
    data = small(augment=ImageAugment(min_scale=0.5))
    train, val = data.splits["train"], data.splits["val"]
    assert not torch.equal(train.sample(0, 1)[0], train.sample(1, 1)[0])
    assert torch.equal(
        train.sample(0, 1)[1], small(augment=ImageAugment(min_scale=0.5)).splits["train"].sample(0, 1)[1]
    )
    assert torch.equal(val.sample(0, 1)[0], val.source[1][0])


def test_pictures_of_samples():
    data = small()
    image, words = data.picture(*data.splits["val"].sample(0, 0))
    assert image.shape == (3, 48, 48) and image.dtype == torch.uint8
    assert words and "background" not in words
    ground = torch.zeros(48, 48, dtype=torch.uint8)
    assert data.picture(torch.zeros(3, 48, 48, dtype=torch.uint8), ground)[1] == "background"


@pytest.mark.parametrize("num_test", [0])
def test_without_a_test_split(num_test):
    assert set(small(num_test=num_test).splits) == {"train", "val"}
