"""Cross-validation runs: each fold has its own run directory, and the folds are trained in turn."""

from __future__ import annotations

import gc
import hashlib
import math
import shutil
import time
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf

from runner.callbacks.preemption import interruptible
from runner.config.plain import to_plain, to_yaml
from runner.config.trust import reject_untrusted, sign
from runner.distributed.heartbeat import Heartbeat
from runner.distributed.process_info import ProcessInfo
from runner.errors import ControlSignal, Interrupted, RunFailedError, RunnerError, UserError
from runner.launch.local import launch
from runner.launch.resume import apply_changes
from runner.report import console
from runner.run.directory import RunDir
from runner.run.files import read_json, write_json, write_text
from runner.run.folds import FOLD_PLAN, aggregate_folds, finished_folds, fold_of, join_predictions
from runner.run.format import read_stored_config
from runner.run.journal import Journal, load_metrics
from runner.run.state import RunState
from runner.run.status import read_status, write_status
from runner.tracking import start as start_mirror
from runner.training.folds import plan_folds
from runner.training.recording import recorded

__all__ = ["launch_folds"]

OF_CONFIG = "of_config"
"""Key in a fold's provenance: digest of the parent run's config that the fold was last created from."""


def launch_folds(run: RunDir, config: DictConfig) -> dict[str, Any]:
    """Train the unfinished folds and aggregate the results of all.

    Returns:
        The content of ``results.json``: means and standard deviations over the folds, and the results of each
        fold.

    Raises:
        RunnerError: a fold failed; the folds after it are not started.
    """
    numbers = range(config.folds.get("num_folds", 5))
    state = RunState(run)
    if state.is_finished and not any(has_work(run, config, number) for number in numbers):
        console.text(f"{run.name} is finished; use another run.name to train all folds again.")
        return state.results
    process_info = ProcessInfo.here()
    if process_info.world_size > 1:
        raise UserError(
            f"folds need a single process, but {process_info.starter} has started {process_info.world_size}."
        )
    with recorded(run, config, start_mirror, Heartbeat.of(process_info)), interruptible():
        plan = plan_folds(fold_config(run, config, 0), run)
        write_json(run.path / FOLD_PLAN, plan)
        console.folds(run, config, plan)
        for number in numbers:
            if has_work(run, config, number):
                train_fold(run, number, len(numbers))
            record_metrics(run, number, 0, fold_metrics(RunState(fold_of(run, number)).results))
        results = aggregate_folds(finished_folds(run))
        reject_change(run, numbers)
        results["num_predictions"] = join_predictions(run)
        write_json(run.results_path, results)
        stds = {f"{key}_std": value for by_name in results["std"].values() for key, value in by_name.items()}
        record_metrics(
            run, results["step"], results["epoch"], results["val"] | results.get("test", {}) | stds
        )
    return results


def fold_config(run: RunDir, config: DictConfig, number: int) -> DictConfig:
    """Return the config of one fold of the run."""
    values: dict[str, Any] = to_plain(config, [])
    copy = OmegaConf.create(values)
    copy.folds.index = number
    copy.run.name = f"{run.name}_{number}"
    return copy


def has_work(run: RunDir, config: DictConfig, number: int) -> bool:
    """Create or update the directory of a fold from the run's config.

    Returns:
        Whether the fold must be trained.
    """
    fold, wanted = fold_of(run, number), fold_config(run, config, number)
    text = to_yaml(to_plain(wanted, []))
    digest = hashlib.sha256(text.encode()).hexdigest()
    if not fold.config_path.is_file():
        prepare_fold(run, fold, number, text, digest)
        return True
    reject_untrusted(fold.path, read_stored_config(fold.config_path))
    known = read_json(fold.provenance_path, {})
    if known.get(OF_CONFIG) != digest:
        apply_changes(fold, wanted)
        write_json(fold.provenance_path, read_json(fold.provenance_path, {}) | {OF_CONFIG: digest})
    return read_status(fold).state != "finished"


def prepare_fold(run: RunDir, fold: RunDir, number: int, config: str, digest: str) -> None:
    """Write a fold's directory.

    The config is written last, so that an interrupted call can be repeated safely.
    """
    for folder in (fold.checkpoints, fold.plots, fold.logs):
        folder.mkdir(parents=True, exist_ok=True)
    provenance = read_json(run.provenance_path, {})
    provenance.pop("fingerprint", None)
    own = {
        "command": [*provenance.get("command", []), f"folds.index={number}"],
        "created_at": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        OF_CONFIG: digest,
    }
    write_json(fold.provenance_path, provenance | own)
    if (run.path / "git.diff").is_file():
        shutil.copy(run.path / "git.diff", fold.path)
    write_status(fold, state="created")
    sign(fold.path, cast(DictConfig, OmegaConf.create(config)))
    write_text(fold.config_path, config, durable=True)


def train_fold(run: RunDir, number: int, num_folds: int) -> None:
    """Train one fold and print its results.

    Raises:
        RunnerError: the fold did not finish; the message contains its number.
    """
    fold = fold_of(run, number)
    console.text(f"\nfold {number}, {number + 1} of {num_folds}")
    try:
        launch(fold)
    except Interrupted:
        raise
    except (RunnerError, ControlSignal) as error:
        error.args = (f"fold {number}: {error}",)
        raise
    state = RunState(fold)
    status = state.status
    if not state.is_finished:
        raise RunFailedError(
            f"fold {number} ended as {status.state}: {status.reason or 'no reason was recorded'}."
        )
    gc.collect()  # frees the memory of this fold's model before the next fold
    console.fold(number, state.results)


def fold_metrics(results: dict[str, Any]) -> dict[str, float]:
    """Return a fold's metrics, renamed so that they differ from those of the parent run."""
    return {
        f"fold/{key}": value for split in ("val", "test") for key, value in (results.get(split) or {}).items()
    }


def record_metrics(run: RunDir, step: int, epoch: int, metrics: dict[str, float]) -> None:
    """Add a point to the parent run's journal, unless the journal already contains it."""
    known = {
        key: {at: value for at, _, value in points} for key, points in load_metrics(run.metrics_path).items()
    }
    if all(same(known.get(key, {}).get(step), value) for key, value in metrics.items()):
        return
    journal = Journal(run.metrics_path)
    journal.log(step, epoch, metrics)
    journal.close()


def same(first: float | None, second: float) -> bool:
    return first == second or (first is not None and math.isnan(first) and math.isnan(second))


def reject_change(run: RunDir, numbers: range) -> None:
    """Compare the data digests of the folds.

    Raises:
        RunFailedError: the data changed between two folds.
    """
    digests = {RunState(fold_of(run, number)).facts.get("digest") for number in numbers}
    if len(digests) > 1:
        raise RunFailedError(
            "the data have changed since the first fold was trained, so the folds do not belong to the same "
            "split. Train all of them again with another run.name."
        )
