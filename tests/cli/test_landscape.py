"""``runner landscape``: what it prints and leaves, what it refuses."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import pytest

from runner.cli import completion
from runner.cli.examples import EXAMPLES
from runner.landscape.explore import Exploration
from runner.run.checkpoints import read_index

SMALL = ["--resolution", "3", "--samples", "40"]


@pytest.fixture
def landscape(say, trained: Path):
    return lambda *words: say("landscape", "first", "--root", str(trained), *words)


def test_plane(landscape, trained: Path):
    page = trained / "first" / "report.html"
    said = landscape(*SMALL)
    assert said.code == 0, said.err
    assert "random directions · 3 × 3 points · 40 samples of val · cpu" in said.out
    assert "The run keeps 2 checkpoints: too few for a path. Train with checkpoint.keep_last=20" in said.out
    folder = trained / "first" / "landscape"
    for name in ("random.json", "landscape_random_contours.png", "landscape_random_surface.png"):
        assert str(folder / name) in said.out and (folder / name).is_file()
    assert "Loss landscape" in page.read_text() and "landscape random contours" in page.read_text()
    assert "already done" in landscape(*SMALL).err


def test_line_between_two_checkpoints(landscape, trained: Path):
    said = landscape(
        *SMALL, "--to", "last", "--checkpoint", read_index(trained / "first" / "checkpoints")[0].file
    )
    assert said.code == 0, said.err
    assert "3 points" in said.out and (trained / "first" / "landscape" / "landscape_between.png").is_file()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--resolution", "0"], "--resolution 0: expected 3"),
        (["--resolution", "many"], "invalid int value"),
        (["--samples", "some"], "expected a number or `all`, not 'some'"),
        (["--distance", "-1"], "--distance -1"),
        (["--split", "tset"], "train, val, test"),
        (["--checkpoint", "absent.ckpt"], "no checkpoint absent.ckpt"),
        (["--directions", "pca"], "keeps 2 of the 3 that are needed. Train with checkpoint.keep_last=20"),
        (["--directions", "up"], "invalid choice: 'up'"),
        (["--device", "mps"], "--device mps"),
    ],
)
def test_invalid_input(words, told, landscape):
    said = landscape(*words)
    assert (said.code, said.out) == (2, "")
    assert told in said.err and "Traceback" not in said.err and said.err.startswith("error: ")


def test_no_such_run_and_a_run_without_a_checkpoint(say, trained: Path, here: Path):
    assert say("landscape", "nowhere", "--root", str(trained)).code == 2
    (here / "runs" / "bare").mkdir(parents=True)
    (here / "runs" / "bare" / "config.yaml").write_text((trained / "first" / "config.yaml").read_text())
    said = say("landscape", "bare")
    assert said.code == 2 and "has no checkpoint yet" in said.err


def test_ctrl_c_prints_how_to_resume(landscape, monkeypatch):
    measure = Exploration.explore

    def interrupted(trip, show):
        def once(done: int) -> None:
            raise KeyboardInterrupt

        return measure(trip, once)

    monkeypatch.setattr(Exploration, "explore", interrupted)
    said = landscape(*SMALL, "--seed", "5")
    assert said.code == 130
    assert "1 of 12 points are saved; the same command resumes from there." in said.err
    monkeypatch.undo()
    assert "1 points already done" in landscape(*SMALL, "--seed", "5").err


def test_checkpoints_are_proposed(trained: Path, here: Path):
    asked = Namespace(run_ref="first", root=str(trained))
    files = [entry.file for entry in read_index(trained / "first" / "checkpoints")]
    assert completion.checkpoints("", asked) == ["best", "last", *files]
    assert completion.checkpoints("", Namespace(run_ref="absent", root=str(here))) == ["best", "last"]
    assert any("--directions pca" in command for command, _ in EXAMPLES["landscape"])
