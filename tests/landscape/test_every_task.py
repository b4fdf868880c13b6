"""The centre of every task's landscape is the loss that its training reported."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from runner.cli import main
from runner.landscape.explore import Exploration, Explored
from runner.landscape.request import LandscapeRequest
from runner.run.directory import RunDir
from runner.run.files import read_json
from tests.overrides import QUIET, SMALL_FASTER_RCNN

COMMON = [
    *QUIET,
    "hardware=cpu",
    "trainer.max_epochs=1",
    "run.name=r",
]
SMALL = "model.hidden_size=8"
TASKS = {
    "regression": ["data=diabetes"],
    "binary": ["data=pass_fail", "model=perceptron"],
    "labelling": ["data=bracket_depth", "data.num_samples=60", "data.batch_size=8", "model=gru", SMALL],
    "language": ["data=text_file", "data.path=poem.txt", "data.window=16", "data.batch_size=4", SMALL],
    "forecasting": ["data=waves"],
    "seq2seq": [
        "data=dates",
        "data.num_train=40",
        "data.num_val=6",
        "data.num_test=6",
        "model.embed_dim=8",
        SMALL,
        "regularization.label_smoothing=0.1",
        "task.max_steps=4",
        "task.beam_size=1",
    ],
    "word vectors": ["data=word_pairs", "data.path=poem.txt", "model.embed_dim=5"],
}
IMAGES = ["data.num_train=6", "data.num_val=5", "data.num_test=0", "data.image_size=64", "data.batch_size=2"]
SEGMENTATION = [
    "data=shapes_segmentation",
    *IMAGES,
    "model.encoder_depth=3",
    "model.decoder_channels=[8,8,8]",
    "task.loss.dice=0.5",
]
DETECTORS = {
    "one stage": ["model=ssdlite", "model.size=64"],
    "two stages": [
        *SMALL_FASTER_RCNN,
    ],
}


@pytest.fixture
def explored_run(tmp_path, monkeypatch):
    """Trains, and explores five points of a line on all validation samples."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RUNNER_DATA", str(tmp_path / "cache"))
    Path("poem.txt").write_text("".join(f"Line {i} of a ballad that goes on\n\n" for i in range(60)))

    def explore(words: list[str]) -> tuple[Exploration, Explored]:
        assert main(["train", *COMMON, *words]) == 0
        request = LandscapeRequest(one_dimensional=True, resolution=5, samples=None)
        trip = Exploration(RunDir(tmp_path / "runs" / "r"), request)
        return trip, trip.explore()

    return explore


def assert_centre_is_the_reported_loss(trip: Exploration, explored: Explored) -> None:
    assert explored.centre == pytest.approx(read_json(trip.run.results_path)["val"]["val/loss"], rel=1e-4)
    assert explored.losses[2] == explored.centre and len(set(explored.losses.tolist())) == 5


@pytest.mark.parametrize("kind", TASKS)
def test_centre_equals_the_reported_loss(kind, explored_run):
    assert_centre_is_the_reported_loss(*explored_run(TASKS[kind]))


@pytest.mark.slow
def test_centre_of_a_segmenter(explored_run):
    assert_centre_is_the_reported_loss(*explored_run(SEGMENTATION))


@pytest.mark.slow
@pytest.mark.parametrize("kind", DETECTORS)
def test_detector_loss_on_held_out_images(kind, explored_run):
    """Although proposals are drawn in it; and its batch norms learn nothing by it."""
    trip, explored = explored_run(["data=shapes_detection", *IMAGES, *DETECTORS[kind]])
    assert np.isfinite(explored.losses).all() and len(set(explored.losses.tolist())) == 5
    state = {name: value.clone() for name, value in trip.trained.task.state_dict().items()}
    trip.known.clear()
    assert np.array_equal(trip.explore().losses, explored.losses)
    assert all(torch.equal(value, state[name]) for name, value in trip.trained.task.state_dict().items())
    assert not any(module.training for module in trip.trained.task.modules())
