"""Runs of format 0 still work with every verb.

``runs_format_0.tar.xz`` holds small runs of every task, made with revision 033113c, the last before modules
were moved, the files they were trained on, and, in ``expected.json``, what that revision answered.
"""

from __future__ import annotations

import io
import json
import tarfile
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from runner.callbacks.checkpoint_io import RunCheckpointIO
from runner.cli import main
from runner.run.checkpoints import last_checkpoint
from runner.run.directory import RunDir
from runner.run.files import read_json
from runner.run.format import FORMAT_VERSION

ARCHIVE = Path(__file__).parent / "runs_format_0.tar.xz"

INPUTS = {
    "averaged": ["photos/dark/0.png"],
    "classification": ["photos/dark/0.png"],
    "detection": ["photos/dark/0.png"],
    "folds/0": ["prices.csv"],
    "forecasting": ["sales.csv"],
    "gradual": ["photos/dark/0.png"],
    "interrupted": ["photos/dark/0.png"],
    "interrupted_table": ["prices.csv"],
    "labelling": ["a([b])"],
    "language": ["--prompt", "the cat", "--length", "10"],
    "photos": ["photos/dark/0.png"],
    "regression": ["prices.csv"],
    "reviews": ["the film was good"],
    "search/1": ["sales.csv"],
    "segmentation": ["photos/dark/0.png"],
    "seq2seq": ["3 may 2020"],
    "sequence": ["a([b])"],
    "sounds": ["sounds/dark/0.wav"],
    "word_vectors": ["cat"],
}
RUNS = [
    "averaged",
    "binary",
    "classification",
    "detection",
    "folds",
    "forecasting",
    "forecasting_lstm",
    "gradual",
    "interrupted",
    "interrupted_table",
    "labelling",
    "language",
    "photos",
    "regression",
    "reviews",
    "segmentation",
    "seq2seq",
    "sequence",
    "sounds",
    "word_vectors",
]
SIMILAR = ("binary", "forecasting_lstm", "gradual", "photos", "sequence", "sounds")
"""Runs that other runs resemble."""
TABLES = ("binary", "folds/0", "interrupted_table", "regression")
RESUMED_BY = {"interrupted": [], "interrupted_table": ["trainer.max_epochs=5"]}
CLOSE = {"rel": 1e-4, "abs": 1e-5}
"""Statistics and some metrics are computed in float64 since format 1."""
CHANGED = ("balanced_accuracy", "f1_", "recall_", "precision_")
"""Since format 1, averages over classes leave out classes that are absent from a split."""


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory of the archive's runs."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(*words: str, code: int = 0) -> str:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        result = main(list(words))
    assert result == code, f"{words}: {out.getvalue()[-500:]} {err.getvalue()}"
    return out.getvalue() if code == 0 else err.getvalue()


def expected(name: str) -> dict[str, Any]:
    return json.loads(Path("expected.json").read_text(encoding="utf-8"))[name]


def assert_close(now: Any, before: Any) -> None:
    if isinstance(before, dict):
        assert now.keys() == before.keys()
        for key in before:
            assert_close(now[key], before[key])
    elif isinstance(before, list):
        assert len(now) == len(before)
        for one, other in zip(now, before, strict=True):
            assert_close(one, other)
    else:
        assert now == (pytest.approx(before, **CLOSE) if isinstance(before, float) else before)


def assert_same_metrics(now: dict[str, float], before: dict[str, float]) -> None:
    for key, value in before.items():
        if not key.partition("/")[2].startswith(CHANGED):
            assert now[key] == pytest.approx(value, **CLOSE), key


def test_predictions_match_the_training_revision(old: Path) -> None:
    for name, words in INPUTS.items():
        rows = json.loads(call("predict", name, *words, "--json"))
        assert_close(rows, expected(name.partition("/")[0])["predict"])


def test_metrics_match_the_training_revision(old: Path) -> None:
    for name in RUNS:
        if name != "folds":
            metrics = json.loads(call("evaluate", name, "--split", "val", "--json"))
            assert_same_metrics(metrics.get("metrics", metrics), expected(name)["evaluate"])


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in SIMILAR else ()) for name in RUNS]
)
def test_resumed_run_matches_the_starting_revision(name: str, old: Path) -> None:
    run = RunDir(Path("runs") / name)
    before = None if name == "folds" else last_checkpoint(run)
    stored = None if before is None else RunCheckpointIO().load_checkpoint(before.path)
    call("resume", name, *RESUMED_BY.get(name, ["trainer.max_epochs=2"]))
    results, wanted = read_json(run.results_path), expected(name)["resumed"]
    assert results["step"] == wanted["step"]
    assert_same_metrics(results["val"], wanted["val"])
    assert_same_metrics(results.get("test", {}), wanted.get("test", {}))
    if stored is not None:
        assert read_json(run.status_path)["format_version"] == FORMAT_VERSION
        assert "runner.callbacks.guards" not in run.config_path.read_text(encoding="utf-8")
        last = last_checkpoint(run)
        assert last is not None
        now = RunCheckpointIO().load_checkpoint(last.path)
        assert stored.keys() <= now.keys(), "a state of the checkpoint was renamed"
        assert stored["callbacks"].keys() <= now["callbacks"].keys(), "a state of a callback was renamed"
        assert stored["recovery"].keys() <= now["recovery"].keys()


def test_second_resume_keeps_the_parameter_groups(old: Path) -> None:
    """DLinear's biases have two dimensions, and were decayed in format 0."""
    for epochs in (2, 3):
        call("resume", "forecasting", f"trainer.max_epochs={epochs}")
    last = last_checkpoint(RunDir(Path("runs/forecasting")))
    assert last is not None
    saved = torch.load(last.path, weights_only=True)
    assert [len(group["params"]) for group in saved["optimizer_states"][0]["param_groups"]] == [2]


def test_explanations_landscapes_and_embeddings(old: Path) -> None:
    for name in ("classification", "forecasting", "regression", "reviews", "segmentation"):
        call("explain", name, *([] if name in TABLES else ["--samples", "2"]))
        assert list((old / "runs" / name / "explanations").iterdir())
        call("landscape", name, "--resolution", "3", "--samples", "4", "--one-dimensional")
        assert list((old / "runs" / name / "landscape").glob("*.json"))
    for name in ("averaged", "search/1"):
        call("explain", name, "--samples", "2")
    for name in ("classification", "reviews", "language"):
        call("embed", name, "--limit", "4")
        assert (old / "runs" / name / "embedding" / "metadata.tsv").is_file()


def test_reports_and_comparisons(old: Path) -> None:
    for name in ("detection", "folds", "language", "search"):
        call("report", name)
        page = (old / "runs" / name / "report.html").read_text(encoding="utf-8")
        assert name in page and "runner.callbacks.guards" not in page
    text = call("compare", "runs/classification", "runs/averaged", "runs/photos")
    assert "runner.models.small_cnn.SmallCNN" in text
    listed = {row["name"] for row in json.loads(call("runs", "--json", "--trials", "--last", "0"))}
    assert {*RUNS, "search/0", "search/1", "folds/0"} <= listed


def test_run_is_repeated_from_its_config(old: Path) -> None:
    assert "reproduced: bit-identical" in call("reproduce", "labelling")
    stored = yaml.safe_load((old / "runs/labelling_again/config.yaml").read_text(encoding="utf-8"))
    assert stored["data"]["_target_"] == "runner.data.text.brackets.BracketDepthDataModule"
    call("train", "runs/gradual/config.yaml", "run.name=repeated")
    before, now = (read_json(old / "runs" / name / "results.json") for name in ("gradual", "repeated"))
    assert now["val"]["val/loss"] == before["val"]["val/loss"]


def test_changed_data_set_is_still_noticed(old: Path) -> None:
    table = old / "prices.csv"
    table.write_text(table.read_text(encoding="utf-8").replace("blue", "pink"), encoding="utf-8")
    error = call("resume", "regression", "trainer.max_epochs=2", code=2)
    assert "the data have changed" in error
    assert "An earlier version of runner started this run" in error


def test_old_sweep_is_shown_and_continued(old: Path) -> None:
    assert "val/mse" in call("sweep", "show", "search")
    best = yaml.safe_load(call("sweep", "best", "search"))
    assert best["guard"]["_target_"] == "runner.callbacks.non_finite_guard.NonFiniteGuard"
    plan = yaml.safe_load((old / "runs/search/sweep.yaml").read_text(encoding="utf-8"))
    words = [*plan["overrides"], "sweep=random", "sweep.num_workers=1", "sweep.name=search"]
    words.append("optimizer.lr=tag(log,interval(0.001,0.1))")
    other = call("sweep", *words, "data.input_steps=20", "sweep.num_trials=3", code=2)
    assert "was 14 and is 20" in other and "data.input_steps" in other
    call("sweep", *words, "sweep.num_trials=3")
    assert read_json(old / "runs/search/status.json")["trials"] == {"complete": 3}


def test_same_command_continues_a_run_without_newer_defaults(old: Path) -> None:
    words = read_json(old / "runs/forecasting/provenance.json")["command"][2:]
    for epochs in (2, 3):  # the second time, the run has the current format
        call("train", *words, "resume=auto", f"trainer.max_epochs={epochs}")
        assert read_json(old / "runs/forecasting/results.json")["epoch"] == epochs
    stored = yaml.safe_load((old / "runs/forecasting/config.yaml").read_text(encoding="utf-8"))
    assert "baselines" not in stored and "id_column" not in stored["data"]
    rejected = call("train", *words, "resume=auto", "baselines=true", "trainer.max_epochs=4", code=2)
    assert "baselines" in rejected
