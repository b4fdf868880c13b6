"""Whole sweeps, from the command line to the best config."""

from __future__ import annotations

import pytest
from omegaconf import OmegaConf

from runner.cli import main
from runner.run.directory import RunDir
from runner.run.files import read_json
from runner.run.status import read_status
from runner.sweep.study import load_study

LR = "optimizer.lr=tag(log,interval(1e-4,1e-1))"


def test_command_line_to_best_config_and_continuation(bench, monkeypatch, capsys) -> None:
    monkeypatch.chdir(bench.folder)
    words = ["sweep.num_trials=3", "sweep.num_workers=2", "sweep.keep_checkpoints=1"]
    assert main(["sweep", *bench.tiny, LR, *words]) == 0
    sweep = bench.sweep
    trials = load_study(sweep, None).get_trials()
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 3
    assert trials[0].params == {"optimizer.lr": 0.001}  # the default configuration
    best = max(trials, key=lambda trial: trial.value)
    assert OmegaConf.load(sweep.best_path).optimizer.lr == best.params["optimizer.lr"]
    for trial in trials:
        run = sweep.trial(trial.number)
        assert read_status(run).state == "finished"
        assert read_json(run.results_path)["best"]["value"] == trial.value
        assert bool([*run.checkpoints.glob("*.ckpt")]) == (trial.number == best.number)
    # The same command continues up to the total; a different search of the same name is rejected.
    capsys.readouterr()
    assert main(["sweep", *bench.tiny, LR, "sweep.num_trials=4"]) == 0
    assert "sweep.num_trials was 3 and is 4" in capsys.readouterr().out
    assert read_json(sweep.status_path)["trials"] == {"complete": 4}
    assert main(["sweep", *bench.tiny, "optimizer.lr=interval(0.1,1)", "seed=3"]) == 2
    said = capsys.readouterr().err
    assert "the values of optimizer.lr were" in said and "seed was 0 and is 3" in said
    assert main(["sweep", "best", "s"]) == 0
    assert OmegaConf.create(capsys.readouterr().out).data._target_.endswith("DigitsDataModule")


@pytest.mark.slow
def test_checkpoints_are_kept_by_the_mean_over_folds(bench, monkeypatch) -> None:
    monkeypatch.chdir(bench.folder)
    words = ["folds=2", "optimizer.lr=0.001,0.0001", "sweep=grid", "sweep.keep_checkpoints=1"]
    assert main(["sweep", *bench.tiny, *words]) == 0
    for trial in load_study(bench.sweep, None).get_trials():
        run = bench.sweep.trial(trial.number)
        folds = [run, RunDir(run.path / "repeats" / "1")]
        values = [read_json(fold.results_path)["best"]["value"] for fold in folds]
        assert trial.value == pytest.approx(sum(values) / 2)
        assert [OmegaConf.load(fold.config_path).folds.index for fold in folds] == [0, 1]
        assert (
            read_json(folds[0].facts_path)["class_counts"] != read_json(folds[1].facts_path)["class_counts"]
        )
    best = OmegaConf.load(bench.sweep.best_path)
    assert best.folds == {"num_folds": 2}, "the best config is no single fold's"
    assert (
        main(["train", str(bench.sweep.best_path), "folds=null", "run.name=final", "trainer.max_epochs=1"])
        == 0
    )


def test_failed_trials_are_reported_and_the_sweep_continues(bench, monkeypatch) -> None:
    monkeypatch.chdir(bench.folder)
    words = ["optimizer=sgd", "optimizer.lr=0.1,1e38", "sweep=grid", "sweep.num_workers=2"]
    assert main(["sweep", *bench.tiny, *words, "trainer.limit_train_batches=1.0"]) == 0
    good, bad = load_study(bench.sweep, None).get_trials()
    assert (good.state.name, bad.state.name) == ("COMPLETE", "FAIL")
    assert "NonFinite" in bad.user_attrs["reason"]
    assert read_status(bench.sweep.trial(1)).state == "failed"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "nothing to search"),
        (["optimizer.lr=interval(1,0)"], "low below high"),
        (["optimizer.lr=interval(-1,1)"], "-1.0"),
        (["model=mlp,logistik"], "logistik"),
        (["model=mlp,logistic", "model.hiden_sizes=choice([1],[2])"], "model.hiden_sizes"),
        (["optimizer.lr=interval(0.1,1)", "sweep=grid"], "cannot be counted"),
        (["optimizer.lr=interval(0.1,1)", "sweep.sampler=tpee"], "tpe"),
        (["optimizer.lr=interval(0.1,1)", "sweep.objective=val/loss"], "sweep.mode"),
    ],
)
def test_errors_create_no_sweep(words, said, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["sweep", "data=digits", "hardware=cpu", *words]) == 2
    assert said in capsys.readouterr().err
    assert [*tmp_path.iterdir()] == []


def test_requested_pruner_prunes(bench, monkeypatch) -> None:
    """Successive halving ends the third trial after one epoch; Optuna's default would wait for five
    trials."""
    monkeypatch.chdir(bench.folder)
    words = ["sweep=asha", "sweep.num_trials=3", "sweep.try_default=false", "trainer.limit_train_batches=1.0"]
    words += ["optimizer.lr=tag(log,interval(1e-9,1))", "trainer.limit_val_batches=1.0"]
    words += ["sweep.points=[{optimizer.lr: 0.3},{optimizer.lr: 0.2},{optimizer.lr: 1e-9}]"]
    assert main(["sweep", *bench.tiny, *words]) == 0
    trials = load_study(bench.sweep).get_trials()
    assert [trials[number].state.name for number in (0, 2)] == ["COMPLETE", "PRUNED"]
    assert list(trials[2].intermediate_values) == [1]
    assert read_status(bench.sweep.trial(2)).state == "pruned"
