"""An interrupted training of a detector equals an uninterrupted one."""

from __future__ import annotations

import pytest

from tests.overrides import QUIET, SMALL_FASTER_RCNN

COMMON = [
    "data=shapes_detection",
    "data.num_train=10",
    "data.num_val=3",
    "data.num_test=0",
    "data.image_size=64",
    "data.batch_size=2",
    "trainer.max_epochs=2",
    "trainer.log_every_n_steps=2",
    "checkpoint.every_n_steps=3",
    *QUIET,
    "hardware=cpu",
    "hardware.num_threads=1",
]
MODELS = {
    "faster_rcnn": [
        *SMALL_FASTER_RCNN,
    ],
    "ssdlite": ["model=ssdlite", "model.size=64", "data.num_workers=2"],
}


@pytest.mark.parametrize("kind", MODELS)
def test_resumed_equals_uninterrupted(kind, assert_resumed_equals_uninterrupted):
    """Killed in the first and in the second epoch, between checkpoints. Faster R-CNN draws in every step
    which regions it learns from; augmentation draws for every sample."""
    calm = assert_resumed_equals_uninterrupted([*COMMON, *MODELS[kind]], (4, 8))
    assert calm["points"][-1][0] == 10
    names = {key for _, _, metrics in calm["points"] for key in metrics}
    assert {"train/loss", "val/map", "val/map_50"} <= names and any(
        name.startswith("train/loss_") for name in names
    )
