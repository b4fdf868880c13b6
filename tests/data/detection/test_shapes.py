"""Generated scenes as data of detectors."""

import torch

from runner.data.detection.shapes import ShapesDetectionDataModule


def make(**options) -> ShapesDetectionDataModule:
    options = {"num_train": 6, "num_val": 3, "num_test": 2, "image_size": 64} | options
    data = ShapesDetectionDataModule(**options)
    data.setup()
    return data


def test_facts():
    facts = make().facts
    assert facts.task == "detection" and facts.class_names == ["circle", "square", "triangle"]
    assert (facts.num_train, facts.num_val, facts.num_test) == (6, 3, 2)
    assert facts.input_shape == (3, 64, 64) and facts.get("shorter_side") == facts.get("longer_side") == 64
    assert set(ShapesDetectionDataModule.extra_facts) <= set(facts.extra)


def test_class_counts_are_those_of_train():
    data = make()
    labels = torch.cat([data.splits["train"][i][1]["labels"] for i in range(6)])
    assert torch.bincount(labels, minlength=3).tolist() == data.facts.class_counts


def test_no_two_images_are_the_same():
    data = make()
    images = [part.source[i][0] for part in data.splits.values() for i in range(len(part))]
    assert len({image.numpy().tobytes() for image in images}) == 11
    assert data.sample_name("val", 2) == "scene 2"


def test_seed_of_the_scenes_decides():
    first, same, other = make(), make(seed=9), make(scene_seed=1)
    assert torch.equal(first.splits["train"][0][0], same.splits["train"][0][0])
    assert not torch.equal(first.splits["train"][0][0], other.splits["train"][0][0])
    assert first.facts.digest == same.facts.digest != other.facts.digest


def test_split_can_be_left_out():
    assert list(make(num_test=0).splits) == ["train", "val"]
