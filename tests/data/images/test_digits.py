"""The digits of scikit-learn."""

from __future__ import annotations

import torch

from runner.data.images.digits import DigitsDataModule


def test_digits_are_cut_by_class_into_train_val_and_test():
    data = DigitsDataModule()
    assert data.check() == []
    data.setup()
    facts = data.facts
    assert (facts.num_train, facts.num_val, facts.num_test) == (1079, 359, 359)
    assert (
        facts.input_shape == (1, 8, 8) and facts.num_outputs == 10 and facts.class_names == list("0123456789")
    )
    assert min(facts.class_counts) >= 104 and max(facts.class_counts) <= 110
    parts = [set(split.indices.tolist()) for split in data.splits.values()]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 1797


def test_cut_depends_on_its_own_seed():
    cuts = []
    for options in ({"seed": 1}, {"seed": 2}, {"split_seed": 1}):
        data = DigitsDataModule(**options)
        data.setup()
        cuts.append(data.splits["test"].indices)
    assert torch.equal(cuts[0], cuts[1]) and not torch.equal(cuts[0], cuts[2])


def test_gray_values_fill_eight_bits_and_are_normalised():
    data = DigitsDataModule()
    data.setup()
    images, _ = data.splits["train"].source.gather(data.splits["train"].indices)
    assert images.dtype == torch.uint8 and (images.min(), images.max()) == (0, 255)
    normalised = data.normalize(images)
    assert abs(normalised.mean()) < 0.02 and abs(normalised.std() - 1) < 0.02


def test_images_are_named():
    data = DigitsDataModule()
    data.setup()
    assert data.sample_name("val", 17) == "digit 17"
