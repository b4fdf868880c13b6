"""Cross-validation from the command line: every fold a run, one result of all, and no fold trained twice."""

from __future__ import annotations

import csv
import os
import shutil
import signal
import statistics
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.cli import main
from runner.run.directory import RunDir, is_fold, list_runs
from runner.run.files import read_json, write_json
from runner.run.folds import fold_of
from runner.run.journal import load_metrics
from runner.run.status import read_status, write_status
from tests.overrides import QUIET

QUICK = [
    "model=logistic",
    "data=digits",
    *QUIET,
    "hardware=cpu",
    "hardware.num_threads=1",
    "trainer.max_epochs=2",
    "trainer.limit_train_batches=6",
    "checkpoint.every_n_steps=2",
    "folds=3",
]

KILL = """
import os, signal
from pathlib import Path
import pytorch_lightning as pl

class Kill(pl.Callback):
    def __init__(self, fold: int, step: int, signum: int = signal.SIGKILL):
        self.fold, self.step, self.signum = fold, step, signum

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        is_there = any(Path("runs").glob(f"*/folds/{self.fold}/status.json"))
        if is_there and trainer.global_step == self.step and "GO_ON" not in os.environ:
            os.kill(os.getpid(), self.signum)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an uninterrupted run of three folds, ``runs/whole``."""
    made = tmp_path_factory.mktemp("folds")
    before = Path.cwd()
    os.chdir(made)
    try:
        assert main(["train", *QUICK, "run.name=whole"]) == 0
    finally:
        os.chdir(before)
    return made


@pytest.fixture
def whole(folder: Path, monkeypatch: pytest.MonkeyPatch) -> RunDir:
    monkeypatch.chdir(folder)
    return RunDir(folder / "runs" / "whole")


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Runs ``runner WORDS…``; exit code and all it said."""

    def run(*words: str) -> tuple[int, str]:
        capsys.readouterr()
        code = main(list(words))
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    return run


@pytest.fixture
def stop(whole: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Overrides that end the second of three folds in its second epoch; in an empty folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "kill.py").write_text(KILL)
    monkeypatch.delitem(sys.modules, "kill", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    return ["+callbacks.kill._target_=kill.Kill", "+callbacks.kill.fold=1", "+callbacks.kill.step=9"]


def table(run: RunDir) -> list[dict[str, str]]:
    with open(run.path / "predictions.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_means_and_deviations_are_those_of_the_folds(whole: RunDir) -> None:
    results = read_json(whole.results_path)
    each = [read_json(fold_of(whole, number).results_path) for number in range(3)]
    for split in ("val", "test"):
        for key in ("accuracy", "loss"):
            values = [result[split][f"{split}/{key}"] for result in each]
            assert results[split][f"{split}/{key}"] == pytest.approx(statistics.mean(values), abs=1e-12)
            assert results["std"][split][f"{split}/{key}"] == pytest.approx(
                statistics.stdev(values), abs=1e-12
            )
    assert [entry["fold"] for entry in results["by_fold"]] == [0, 1, 2]
    history = load_metrics(whole.metrics_path)
    assert [value for _, _, value in history["fold/val/accuracy"]] == [r["val"]["val/accuracy"] for r in each]
    assert history["val/accuracy"][-1][2] == results["val"]["val/accuracy"]
    assert read_status(whole).state == "finished"


def test_predictions_are_out_of_fold(whole: RunDir) -> None:
    rows = table(whole)
    facts = [read_json(fold_of(whole, number).facts_path) for number in range(3)]
    assert len(rows) == sum(fact["num_val"] for fact in facts)
    assert len({row["index"] for row in rows}) == len(rows)
    for number, fact in enumerate(facts):
        own = [row for row in rows if row["fold"] == str(number)]
        assert len(own) == fact["num_val"]
        right = sum(row["target"] == row["prediction"] for row in own) / len(own)
        accuracy = read_json(fold_of(whole, number).results_path)["val"]["val/accuracy"]
        assert right == pytest.approx(accuracy, abs=1e-6)
        probs = [float(own[0][f"probs.{digit}"]) for digit in range(10)]
        assert sum(probs) == pytest.approx(1, abs=1e-5)


def test_repeated_command_trains_nothing_and_prints_the_results(whole: RunDir, say) -> None:
    before = whole.status_path.read_bytes()
    code, said = say("train", *QUICK, "run.name=whole")
    assert code == 0 and "mean ± standard deviation of 3 folds" in said and "epoch 1/2" not in said
    assert "whole is finished; use another run.name" in said
    assert whole.status_path.read_bytes() == before
    code, said = say("resume", "whole")
    assert code == 0 and "mean ± standard deviation of 3 folds" in said and "epoch 1/2" not in said


def test_other_settings_under_the_same_name_are_rejected(whole: RunDir, say) -> None:
    code, said = say("train", *QUICK, "run.name=whole", "folds.seed=1")
    assert code == 2 and "folds.seed" in said


def test_kill_in_the_second_fold_does_not_change_the_result(
    whole: RunDir, say, stop: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, same
) -> None:
    from runner.inference.load import digests_of
    from runner.run.checkpoints import best_checkpoint, last_checkpoint

    words = [*QUICK, *stop]
    assert killed(["train", *words]) == -signal.SIGKILL
    (run,) = [run for run in list_runs(tmp_path / "runs") if not is_fold(run)]
    assert read_status(run).state == "lost"
    assert [read_status(fold_of(run, number)).state for number in (0, 1)] == ["finished", "lost"]
    first = fold_of(run, 0).results_path.stat().st_mtime_ns
    monkeypatch.setenv("GO_ON", "1")
    code, said = say("train", *words)  # the name is of the time: it is found by its config
    assert code == 0, said
    assert fold_of(run, 0).results_path.stat().st_mtime_ns == first, "a finished fold was trained again"
    assert read_status(fold_of(run, 1)).attempt == 2
    for number in range(3):
        pair = [fold_of(one, number) for one in (whole, run)]
        for find in (last_checkpoint, best_checkpoint):
            assert digests_of(find(pair[0])) == digests_of(find(pair[1]))
    assert table(run) == table(whole)
    mine, theirs = (read_json(one.results_path) for one in (run, whole))
    for key in ("val", "test", "std"):
        assert same(mine[key], theirs[key])


def test_signal_saves_and_reports_it(
    say, stop: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [*QUICK, *stop, f"+callbacks.kill.signum={int(signal.SIGTERM)}", "run.name=stopped"]
    code, said = say("train", *words)
    assert code == 128 + signal.SIGTERM and "runner resume runs/stopped" in said
    run = RunDir(tmp_path / "runs" / "stopped")
    states = [read_status(one).state for one in (run, fold_of(run, 0), fold_of(run, 1))]
    assert states == ["interrupted", "finished", "interrupted"]
    assert "1/3 folds" in say("runs")[1]
    monkeypatch.setenv("GO_ON", "1")
    assert say("resume", "stopped")[0] == 0
    assert read_status(run).state == "finished" and len(read_json(run.results_path)["by_fold"]) == 3


def killed(words: list[str]) -> int:
    """The exit code of a command in a process of its own, forked from this one."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        main(words)
    finally:
        os._exit(1)


@pytest.mark.slow
def test_extended_training_continues_all_folds(
    whole: RunDir, say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = RunDir(shutil.copytree(whole.path, tmp_path / "runs" / "copy"))
    code, said = say("resume", "copy", "trainer.max_epochs=3")
    assert code == 0, said
    for number in range(3):
        results = read_json(fold_of(run, number).results_path)
        assert results["epoch"] == 3 and results["step"] == 18
    assert read_json(run.results_path)["step"] == 54


def test_folds_of_changed_data_are_not_combined(
    whole: RunDir, say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = RunDir(shutil.copytree(whole.path, tmp_path / "runs" / "copy"))
    other = fold_of(run, 0)
    write_json(other.facts_path, read_json(other.facts_path) | {"digest": "of other images"})
    write_status(fold_of(run, 2), state="interrupted", reason="by hand")
    code, said = say("resume", "copy")
    assert code == 1 and "have changed since the first fold" in said and read_status(run).state == "failed"


def test_lists_and_comparisons_omit_single_folds(whole: RunDir, say) -> None:
    _, said = say("runs")
    assert "3/3 folds" in said and " ± " in said and "whole/0" not in said
    assert "whole/2" in say("runs", "--trials")[1]
    _, said = say("compare", "whole", "whole/1")
    assert " ± " in said
    code, said = say("evaluate", "whole")
    assert code == 2 and "Name one, such as whole/0" in said
    assert say("evaluate", "whole/1", "--split", "val")[0] == 0


def test_single_fold_equals_the_fold_of_a_full_run(whole: RunDir, say) -> None:
    code, said = say("train", *QUICK, "run.name=alone", "folds.index=1")
    assert code == 0, said
    alone, among = RunDir(whole.path.parent / "alone"), fold_of(whole, 1)
    assert (alone.path / "predictions.csv").is_file()
    assert not (alone.path / "folds").exists()
    assert read_json(alone.facts_path) == read_json(among.facts_path)
    assert read_json(alone.results_path)["val"] == read_json(among.results_path)["val"]


@pytest.mark.slow
def test_reproduced_fold_by_fold(whole: RunDir, say) -> None:
    code, said = say("reproduce", "whole")
    assert code == 0 and "reproduced: bit-identical" in said, said
    assert "fold 2: weights of the best" in said and "DIFFERENT" not in said


def test_unsplittable_data_is_rejected_before_training(say, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    code, said = say("train", *[word for word in QUICK if word != "folds=3"], "folds=2000")
    assert code == 2 and "there are 1438 samples to cut" in said and "epoch" not in said
