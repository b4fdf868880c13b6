"""The best config of a sweep, as a file for ``runner train``."""

from __future__ import annotations

from typing import Any

from runner.config.checks.folds import of_all_folds
from runner.config.compose import compose
from runner.config.plain import to_plain, to_yaml
from runner.run.files import write_text
from runner.run.format import read_stored_config
from runner.sweep.plan import load_plain
from runner.sweep.sweep_summary import SweepRecord, TrialRecord

__all__ = ["best_config", "write_best"]

RESTORED_KEYS = ("plots", "report")
"""Keys that a sweep turns off in its trials."""


def best_config(record: SweepRecord, trial: TrialRecord) -> str:
    """Return a trial's whole config as YAML, for a separate run.

    The run gets its own name, and plots and report as the user has set them.
    """
    config = config_of(record, trial)
    base = load_plain(record.sweep.base_path)
    config["run"]["name"] = f"{record.sweep.name}_best"
    for key in RESTORED_KEYS:
        config[key] = base[key]
    return header_of(record, trial) + to_yaml(config)


def config_of(record: SweepRecord, trial: TrialRecord) -> dict[str, Any]:
    """Return the config as it was executed.

    It is composed again if the trial's directory is on another machine or belongs to a single fold.
    """
    if trial.run.config_path.is_file() and not of_all_folds(read_stored_config(record.sweep.base_path)):
        return load_plain(trial.run.config_path)
    plan = record.plan
    composition = compose(
        [*plan["overrides"], *trial.given], plan["experiment"], plan.get("config_dirs") or []
    )
    composition.config.pop("sweep", None)
    values: dict[str, Any] = to_plain(composition.config, [])
    return values


def header_of(record: SweepRecord, trial: TrialRecord) -> str:
    values = ", ".join(f"{m} {v:.6g}" for m, v in zip(record.metrics, trial.values or (), strict=False))
    lines = [
        f"trial {trial.number} of the sweep {record.sweep.name}: {values or trial.state}",
        *trial.overrides(),
    ]
    return "".join(f"# {' '.join(line.split())}\n" for line in lines)


def write_best(record: SweepRecord) -> None:
    """Write ``best.yaml`` into the sweep's folder, unless no trial is complete yet."""
    trial = record.best()
    if trial is not None:
        write_text(record.sweep.best_path, best_config(record, trial))
