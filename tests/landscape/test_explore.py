"""The landscape of a run: its centre, and resuming."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from runner.errors import UserError
from runner.inference.evaluate import evaluate, set_up_split
from runner.landscape.explore import Exploration, Explored
from runner.landscape.plane import Plane, make_plane
from runner.landscape.request import LandscapeRequest
from runner.landscape.write import sharpness, write_landscape
from runner.run.checkpoints import file_digest, read_index
from runner.run.directory import RunDir
from runner.run.files import read_json
from runner.tracking.artifacts import files_of


@pytest.fixture
def run(digits: Path) -> RunDir:
    """The run without what other tests explored of it."""
    run = RunDir(digits)
    for path in run.landscape.glob("*"):
        path.unlink()
    return run


def trip(run: RunDir, **options) -> Exploration:
    return Exploration(run, LandscapeRequest(**{"resolution": 5, "samples": 60} | options))


class Ended(Exception):
    pass


def ending_at(count: int):
    def show(done: int) -> None:
        if done == count:
            raise Ended

    return show


def test_centre_equals_the_loss_of_the_checkpoint(run):
    explored = trip(run, samples=None).explore()
    assert explored.centre == pytest.approx(read_json(run.results_path)["val"]["val/loss"], rel=1e-5)
    assert explored.losses[2, 2] == explored.centre  # the middle of an odd number of points
    assert explored.losses.shape == (5, 5) and explored.losses.max() > explored.centre


def test_every_point_uses_the_same_evenly_spaced_samples(run):
    way = trip(run, samples=7)
    first, again = ([batch["index"] for batch in way.samples] for _ in range(2))
    assert [len(part) for part in first] == [7] and torch.equal(first[0], again[0])
    split = way.trained.data.splits["val"]
    assert first[0].tolist() == [int(split.indices[place * len(split) // 7]) for place in range(7)]


def test_uncached_samples_are_read_again(run):
    way = trip(run)
    kept = [batch["index"] for batch in way.samples]
    way.samples.kept_bytes, way.samples._kept, way.samples._bytes = 0, [], 0
    assert all(torch.equal(one, other["index"]) for one, other in zip(kept, way.samples, strict=True))
    assert not way.samples._kept


@pytest.mark.parametrize("options", [{}, {"directions": "pca"}, {"one_dimensional": True}, {"to": "last"}])
def test_interrupted_exploration_continues_bit_for_bit(run, options):
    options = {"checkpoint": read_index(run.checkpoints)[0].file} | options
    whole = trip(run, **options).explore()
    trip(run, **options).points_path.unlink()
    begun = trip(run, **options)
    with pytest.raises(Ended):
        begun.explore(ending_at(3))
    with open(begun.points_path, "ab") as file:
        file.write(b'{"step":4,"epoch":0,"ti')  # a kill in the middle of a line
    onward = trip(run, **options)
    assert len(onward.known) == 3
    measured: list[int] = []
    resumed = onward.explore(measured.append)
    assert measured == list(range(4, len(onward.points) + 1))
    for name in ("losses", "path"):
        assert np.array_equal(getattr(whole, name), getattr(resumed, name))
    assert whole.centre == resumed.centre
    assert trip(run, **options).known.keys() == set(range(len(onward.points)))


def test_points_are_not_shared_across_settings(run):
    trip(run).explore(lambda done: None)
    assert (
        not trip(run, seed=1).known and not trip(run, samples=59).known and not trip(run, distance=2.0).known
    )
    assert len(trip(run).known) == len(trip(run).points)


def test_points_are_not_shared_across_data(run, monkeypatch):
    """Those that are read now, and not those that the run was trained on."""
    trip(run).explore(lambda done: None)

    def changed(trained, *words):
        set_up_split(trained, *words)
        trained.data.facts = replace(trained.data.facts, digest="of other images")

    monkeypatch.setattr("runner.landscape.explore.set_up_split", changed)
    assert not trip(run).known


def test_run_is_unchanged(run):
    before = {entry.file: file_digest(entry.path) for entry in read_index(run.checkpoints)}
    state = torch.get_rng_state()
    way = trip(run)
    weights = {name: value.clone() for name, value in way.trained.task.state_dict().items()}
    write_landscape(way, way.explore())
    assert {entry.file: file_digest(entry.path) for entry in read_index(run.checkpoints)} == before
    assert all(torch.equal(value, weights[name]) for name, value in way.trained.task.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)


def test_path_ends_at_the_centre(run):
    way = trip(run, directions="pca", checkpoint="last")
    explored = way.explore()
    assert explored.plane.path[-1] == pytest.approx([0, 0], abs=1e-6)
    assert explored.path[-1] == pytest.approx(explored.centre, rel=1e-6)
    assert [entry.step for entry in way.checkpoints] == [entry.step for entry in read_index(run.checkpoints)]
    low, high = (np.array([axis[place] for axis in explored.plane.axes]) for place in (0, -1))
    assert (low < explored.plane.path.min(0)).all() and (explored.plane.path.max(0) < high).all()
    assert explored.plane.path_share > 0.9 > 0.01 > trip(run).plane.path_share


def test_interpolation_ends_at_the_losses_of_both_checkpoints(run):
    first = read_index(run.checkpoints)[0]
    way = trip(run, checkpoint=first.file, to="last", samples=None)
    explored = way.explore()
    assert explored.path[0] == pytest.approx(evaluate(run, "val", "last")["val/loss"], rel=1e-4)
    assert explored.plane.axes[0][[0, -1]] == pytest.approx([-0.25, 1.25])
    assert explored.centre > explored.path[0]


def test_files(run):
    for options in ({"directions": "pca"}, {"one_dimensional": True}):
        way = trip(run, **options)
        explored = way.explore()
        write_landscape(way, explored)
    names = {path.name for path in run.landscape.iterdir() if "points" not in path.name}
    assert names == {
        "pca.json", "pca.npz", "pca.csv", "landscape_pca_contours.png", "landscape_pca_surface.png",
        "random_line.json", "random_line.npz", "random_line.csv", "landscape_random_line.png",
    }  # fmt: skip
    with np.load(run.landscape / "random_line.npz") as arrays:
        assert np.array_equal(arrays["losses"], explored.losses) and np.array_equal(
            arrays["x"], explored.plane.axes[0]
        )
    lines = (run.landscape / "pca.csv").read_text().splitlines()
    assert lines[0] == "x,y,loss" and len(lines) == 26
    told = json.loads((run.landscape / "random_line.json").read_text())
    assert told["loss"] == explored.centre and told["num_not_finite"] == 0
    assert told["sharpness"] == sharpness(explored) == {}  # of five points only the middle one is near
    assert sharpness(trip(run, one_dimensional=True, resolution=9).explore())["highest"] > 0
    sent = {str(path) for path in files_of(run, has_ended=True, checkpoints=False)}
    assert {f"landscape/{name}" for name in names} <= sent


def test_sharpness_is_not_computed_from_finite_points_only():
    axis = np.linspace(-1, 1, 9)
    plane = Plane([{}, {}], [axis, axis], is_random=True)
    losses = 1 + axis[:, None] ** 2 + axis[None] ** 2
    found = sharpness(Explored(plane, losses, 1.0, np.zeros(0)))
    assert found["highest"] == pytest.approx((2 * 0.25**2) / 2) and found["reach"] == [0.25, 0.25]
    losses[4, 5] = np.inf
    assert sharpness(Explored(plane, losses, 1.0, np.zeros(0))) == {}


def test_plots_are_written_when_no_loss_is_finite(run):
    way = trip(run, distance=1e30)
    explored = way.explore()
    assert not np.isfinite(explored.losses).all() and np.isfinite(explored.centre)
    assert write_landscape(way, explored)[-1].is_file()
    assert json.loads((run.landscape / "random.json").read_text())["num_not_finite"] > 0


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"resolution": 0}, "--resolution 0: expected 3"),
        ({"distance": 0.0}, "--distance 0"),
        ({"distance": float("nan")}, "--distance nan"),
        ({"samples": 0}, "--samples 0"),
        ({"seed": -1}, "--seed -1"),
        ({"directions": "pca", "to": "last"}, "both define the direction"),
        ({"split": "tset"}, "train, val, test"),
        ({"checkpoint": "step-7.ckpt"}, "has step-.*ckpt, .*; best and last are also accepted"),
        ({"to": "absent.ckpt"}, "no checkpoint absent.ckpt"),
    ],
)
def test_invalid_input(run, options, told):
    with pytest.raises(UserError, match=told):
        trip(run, **options)


def test_checkpoint_of_another_model_is_rejected(run, tmp_path):
    torch.save({"state_dict": {"model.x": torch.ones(1)}}, tmp_path / "other.ckpt")
    (tmp_path / "text.ckpt").write_text("no checkpoint")
    for name in ("other.ckpt", "text.ckpt"):
        for key in ("checkpoint", "to"):
            with pytest.raises(UserError, match=name):
                trip(run, **{key: str(tmp_path / name)})


def test_model_without_movable_weights(run):
    class Shift(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.bias = torch.nn.Parameter(torch.ones(3))

    with pytest.raises(UserError, match="so there are no directions"):
        make_plane(run, Shift(), LandscapeRequest())
