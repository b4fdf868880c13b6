"""Generated data: no sample of one split occurs in another."""

from __future__ import annotations

import hashlib
from itertools import combinations

import pytest

from runner.data.detection.shapes import ShapesDetectionDataModule
from runner.data.segmentation.shapes import ShapesSegmentationDataModule
from runner.data.tables.pass_fail import PassFailDataModule
from runner.data.text.brackets import BracketDepthDataModule, BracketsDataModule
from runner.data.text.dates import DatesDataModule
from runner.data.text.distinct import draw_distinct
from runner.errors import DataError


def texts_of(data):
    return {name: [data.text_of(name, int(i)) for i in split.indices] for name, split in data.splits.items()}


def arrays_of(data):
    samples = {name: [split.source[int(i)][0] for i in split.indices] for name, split in data.splits.items()}
    return {
        name: [hashlib.sha256(s.numpy().tobytes()).hexdigest() for s in part]
        for name, part in samples.items()
    }


@pytest.mark.parametrize(
    ("data", "read"),
    [
        (BracketsDataModule(), texts_of),
        (BracketsDataModule(num_samples=400, min_length=4, longest=8, data_seed=3), texts_of),
        (BracketDepthDataModule(), texts_of),
        (DatesDataModule(), texts_of),
        (DatesDataModule(data_seed=5), texts_of),
        (PassFailDataModule(), arrays_of),
        (
            ShapesDetectionDataModule(num_train=30, num_val=15, num_test=15, image_size=32, max_objects=1),
            arrays_of,
        ),
        (
            ShapesSegmentationDataModule(num_train=30, num_val=15, num_test=15, image_size=32, max_objects=1),
            arrays_of,
        ),
    ],
    ids=lambda value: getattr(type(value), "title", type(value).__name__) if not callable(value) else "",
)
def test_splits_share_no_sample(data, read):
    data.setup()
    parts = read(data)
    assert set(parts) == {"train", "val", "test"} and all(parts.values())
    for one, other in combinations(parts, 2):
        assert not set(parts[one]) & set(parts[other]), (one, other)


def test_classes_stay_balanced_and_texts_different():
    data = BracketsDataModule()
    data.setup()
    assert data.facts.class_counts == [2400, 2400] and len(set(data.texts)) == 6000


def test_only_repetitions_are_drawn_again():
    values = iter([1, 2, 1, 3, 2, 5])
    assert draw_distinct(lambda _: next(values), 4, int, "numbers", "") == [1, 2, 5, 3]


def test_too_few_different_samples_are_reported():
    with pytest.raises(DataError, match=r"only \d+ different samples.*Lower data.num_samples"):
        BracketsDataModule(num_samples=5000, min_length=2, longest=3).setup()
