from __future__ import annotations

from pathlib import Path

import pytest

from runner.cli.multirun import combinations
from runner.run.directory import list_runs
from runner.run.files import read_json
from runner.run.status import read_status

QUICK = [
    "tracking=none",
    "hardware=cpu",
    "trainer.max_epochs=1",
    "trainer.limit_train_batches=2",
    "plots=false",
    "baselines=false",
    "report=false",
]


def test_every_value_occurs_once() -> None:
    lines = [
        "model=mlp,logistic",
        "seed=range(1,4)",
        "optimizer.lr=0.1",
        "data.tags=[a,b]",
        "x=interval(0,1)",
    ]
    found = [*combinations(lines)]
    rest = ["optimizer.lr=0.1", "data.tags=[a,b]", "x=0.0"]
    assert found == [
        ["model=mlp", "seed=1", *rest],
        ["model=logistic", "seed=1", *rest],
        ["model=mlp", "seed=2", *rest],
        ["model=mlp", "seed=3", *rest],
    ]


def test_non_overrides_are_left_to_composition() -> None:
    assert [*combinations(["model=", "=3"])] == [["model=", "=3"]]


def test_grid_is_one_run_each(say, here: Path) -> None:
    said = say("train", "-m", "model=mlp,logistic", "optimizer.amsgrad=true", "seed=0,1", *QUICK)
    assert said.code == 0, said.err
    runs = list_runs()
    assert len(runs) == 4
    assert {read_status(run).state for run in runs} == {"finished"}
    assert sorted(run.name.split("_")[0] for run in runs) == ["logistic", "logistic", "mlp", "mlp"]
    commands = [read_json(run.provenance_path)["command"] for run in runs]
    assert all(command[:2] == ["runner", "train"] for command in commands)
    assert len({tuple(command) for command in commands}) == 4
    table = said.out[said.out.rindex("run ") :]
    assert all(run.name in table for run in runs)
    assert sorted(path.name for path in here.iterdir()) == ["runs"]  # Hydra's own folders lie inside


def test_invalid_last_value_starts_no_run(say, here: Path) -> None:
    said = say("train", "-m", "model=mlp,logistik", "seed=0,fast", *QUICK)
    assert said.code == 2
    assert "'logistic'" in said.err and "seed" in said.err
    assert not (here / "runs").exists()


def test_failed_run_does_not_stop_the_others(say, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import runner.launch.local
    from runner.errors import RunFailedError

    launch = runner.launch.local.launch

    def fail_first(run):
        if "mlp" in run.name:
            raise RunFailedError("the loss is not finite")
        return launch(run)

    monkeypatch.setattr(runner.launch.local, "launch", fail_first)
    said = say("train", "-m", "model=mlp,logistic", *QUICK)
    assert said.code == 1
    assert "the loss is not finite" in said.err
    assert [read_status(run).state for run in list_runs() if "logistic" in run.name] == ["finished"]


@pytest.mark.slow
def test_submitit_launcher(say, here: Path) -> None:
    """Hydra's own plug-in for SLURM, with processes of this machine instead of jobs."""
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="needs hydra-submitit-launcher")
    said = say(
        "train", "-m", "hydra/launcher=submitit_local", "hydra.launcher.timeout_min=20", "seed=0,1", *QUICK
    )
    assert said.code == 0, said.err
    assert [read_status(run).state for run in list_runs()] == ["finished", "finished"]


@pytest.mark.slow
def test_joblib_launcher(say, here: Path) -> None:
    said = say("train", "-m", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "seed=0,1", *QUICK)
    assert said.code == 0, said.err
    assert [read_status(run).state for run in list_runs()] == ["finished", "finished"]
