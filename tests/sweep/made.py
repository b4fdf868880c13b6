"""A sweep's folder as a search would have left it, made without training anything."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import optuna
from omegaconf import OmegaConf
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial

from runner.run.files import write_json
from runner.sweep.directory import SweepDir
from runner.sweep.storage import open_storage

SPACE = {
    "model": CategoricalDistribution(["mlp", "logistic"]),
    "optimizer.lr": FloatDistribution(1e-5, 1.0, log=True),
    "model.hidden_sizes": CategoricalDistribution(["[64]", "[128,64]"]),
}
STATES = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL,
          "running": TrialState.RUNNING}  # fmt: skip
BEGAN = 1_700_000_000.0
CONFIG = {
    "seed": 0,
    "plots": True,
    "report": True,
    "run": {"root": "runs", "name": None, "tags": []},
    "model": {"_target_": "runner.models.linear.Logistic"},
    "data": {"_target_": "runner.data.images.digits.DigitsDataModule"},
    "optimizer": {"lr": 0.001},
    "tracking": {"enabled": True, "log_model": False, "system_metrics": False},
}


def made_sweep(
    root: Path,
    trials: list[tuple],
    objectives: dict[str, str] | None = None,
    name: str = "s",
    state: str = "finished",
) -> SweepDir:
    """
    Args:
        trials: (state, values or None, params) of each; or with a fourth entry, its user attributes.
    """
    objectives = objectives or {"val/accuracy": "max"}
    sweep = SweepDir(root / name)
    for folder in (sweep.trials, sweep.plots, sweep.logs):
        folder.mkdir(parents=True)
    settings = {
        "sampler": "random",
        "pruner": "none",
        "num_trials": 20,
        "num_workers": 2,
        "seed": 0,
        "storage": None,
    }
    space = {"model": "mlp,logistic", "optimizer.lr": "tag(log,interval(1e-5,1))",
             "model.hidden_sizes": "choice([64],[128,64])"}  # fmt: skip
    plan = {
        "settings": settings,
        "space": space,
        "objectives": objectives,
        "overrides": [],
        "experiment": None,
    }
    OmegaConf.save(OmegaConf.create(plan), sweep.plan_path)
    OmegaConf.save(OmegaConf.create(CONFIG), sweep.base_path)
    directions = ["maximize" if mode == "max" else "minimize" for mode in objectives.values()]
    study = optuna.create_study(study_name=name, storage=open_storage(sweep, None), directions=directions)
    for number, (trial_state, values, params, *notes) in enumerate(trials):
        study.add_trial(trial_of(number, trial_state, values, params, notes[0] if notes else {}))
        made_run(sweep, number, trial_state, values, next(iter(objectives)))
    complete = [(values[0], number) for number, (s, values, *_) in enumerate(trials) if s == "complete"]
    best = max(complete, key=lambda pair: (pair[0], -pair[1]))[1] if complete else None
    status = {
        "state": state,
        "pid": 1,
        "pid_started_at": -1.0,
        "total": len(trials),
        "trials": {},
        "best": best,
    }
    write_json(sweep.status_path, status)
    return sweep


def trial_of(number: int, state: str, values: Any, params: dict[str, Any], notes: dict[str, Any]):
    start, end = BEGAN + 10 * number, BEGAN + 10 * number + 8
    attempt = {"attempt": 1, "worker": f"here:7/{number % 2}", "devices": [], "start": start, "end": end,
               "outcome": state, "reason": None}  # fmt: skip
    reported = {} if values is None else {1: values[0] / 2, 2: values[0]}
    trial = create_trial(
        state=STATES[state],
        values=values if state == "complete" else None,
        params=params,
        distributions={key: SPACE[key] for key in params},
        intermediate_values=reported if state in ("complete", "pruned") and len(values or ()) == 1 else {},
        user_attrs={"attempts": [attempt], "seconds": 8.0} | notes,
    )
    trial.datetime_start = datetime.datetime.fromtimestamp(start)
    trial.datetime_complete = None if state == "running" else datetime.datetime.fromtimestamp(end)
    return trial


def made_run(sweep: SweepDir, number: int, state: str, values: Any, metric: str) -> None:
    run = sweep.trial(number)
    for folder in (run.checkpoints, run.plots, run.logs):
        folder.mkdir(parents=True)
    config = CONFIG | {
        "run": {"root": "runs", "name": str(number), "tags": []},
        "plots": False,
        "report": False,
    }
    OmegaConf.save(OmegaConf.create(config), run.config_path)
    write_json(run.provenance_path, {"command": ["runner", "train"]})
    run.metrics_path.write_text("")
    ended = {"complete": "finished"}.get(state, state)
    write_json(run.status_path, {
        "state": ended, "attempt": 1, "started_at": BEGAN, "ended_at": BEGAN + 8, "reason": None, "pid": 1,
        "pid_started_at": -1.0, "host": None,
    })  # fmt: skip
    if values is not None and state == "complete":
        best = {"monitor": metric, "value": values[0], "step": 4, "epoch": 1}
        write_json(run.results_path, {"best": best, "val": {metric: values[0]}, "test": {}})


def mlp(lr: float, hidden: str = "[64]") -> dict[str, Any]:
    return {"model": "mlp", "optimizer.lr": lr, "model.hidden_sizes": hidden}


def logistic(lr: float) -> dict[str, Any]:
    return {"model": "logistic", "optimizer.lr": lr}


TRIALS = [
    ("complete", [0.90], mlp(1e-3)),
    ("complete", [0.95], logistic(1e-2), {"origin": "default"}),
    ("pruned", [0.30], mlp(1e-5, "[128,64]")),
    ("failed", None, logistic(0.9), {"reason": "the loss is not finite at step 3. Lower the learning rate."}),
    ("complete", [0.93], mlp(3e-3, "[128,64]")),
    ("complete", [0.91], mlp(2e-3, "[128,64]")),
    ("complete", [0.85], mlp(3e-4)),
]
"""Every state, a conditional parameter, and the best (trial 1) neither first nor last."""
