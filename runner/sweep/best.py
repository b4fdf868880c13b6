"""The best config of a sweep, as a file that ``runner train`` takes."""

from __future__ import annotations

from typing import Any

from omegaconf import OmegaConf

from runner.config.checks.folds import of_all_folds
from runner.config.compose import compose
from runner.config.plain import to_plain, to_yaml
from runner.run.files import write_text
from runner.run.format import read_stored_config
from runner.sweep.sweep_summary import SweepRecord, TrialRecord

__all__ = ["best_config", "write_best"]

OF_THE_SWEEP = ("plots", "report")
"""Keys that a trial has otherwise than a run of its own."""


def best_config(record: SweepRecord, trial: TrialRecord) -> str:
    """A trial's whole config as YAML, made a run of its own: a name of its own, with plots and page as the
    user has them.
    """
    config = config_of(record, trial)
    base = OmegaConf.to_container(read_stored_config(record.sweep.base_path), resolve=False)
    config["run"]["name"] = f"{record.sweep.name}_best"
    for key in OF_THE_SWEEP:
        config[key] = base[key]
    return head_of(record, trial) + to_yaml(config)


def config_of(record: SweepRecord, trial: TrialRecord) -> dict[str, Any]:
    """The config as it was executed; composed again if another machine keeps the trial's directory, or if
    that is one fold's.
    """
    if trial.run.config_path.is_file() and not of_all_folds(read_stored_config(record.sweep.base_path)):
        return OmegaConf.to_container(read_stored_config(trial.run.config_path), resolve=False)
    plan = record.plan
    made = compose([*plan["overrides"], *trial.given], plan["experiment"], plan.get("config_dirs") or [])
    made.config.pop("sweep", None)
    return to_plain(made.config, [])


def head_of(record: SweepRecord, trial: TrialRecord) -> str:
    values = ", ".join(f"{m} {v:.6g}" for m, v in zip(record.metrics, trial.values or (), strict=False))
    lines = [
        f"trial {trial.number} of the sweep {record.sweep.name}: {values or trial.state}",
        *trial.overrides(),
    ]
    return "".join(f"# {' '.join(line.split())}\n" for line in lines)


def write_best(record: SweepRecord) -> None:
    """Writes ``best.yaml`` into the sweep's folder; leaves it alone where no trial is complete."""
    trial = record.best()
    if trial is not None:
        write_text(record.sweep.best_path, best_config(record, trial))
