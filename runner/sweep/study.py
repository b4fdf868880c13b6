"""Optuna's part: where a study is kept, what chooses its points, what prunes its trials."""

from __future__ import annotations

import logging
import os
import warnings
from pathlib import Path

import optuna
from filelock import FileLock
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, QMCSampler, RandomSampler, TPESampler
from optuna.storages import BaseStorage, JournalStorage, get_storage
from optuna.storages.journal import JournalFileBackend

from runner.config.schema import Sweep
from runner.sweep.directory import SweepDir

__all__ = ["load_study", "make_pruner", "make_sampler", "open_study"]


class ProcessLock:
    """A lock that goes with its process. Optuna's own stays behind a killed one, and costs the next 30 s."""

    def __init__(self, path: str):
        self._lock = FileLock(f"{path}.lock")

    def acquire(self) -> bool:
        self._lock.acquire()
        return True

    def release(self) -> None:
        self._lock.release()


def open_study(sweep: SweepDir, settings: Sweep, mode: str, max_epochs: int | None) -> optuna.Study:
    """The study of a sweep; made when there is none."""
    quiet()
    direction = "maximize" if mode == "max" else "minimize"
    return optuna.create_study(
        study_name=sweep.name,
        storage=storage_of(sweep, settings.storage),
        direction=direction,
        pruner=make_pruner(settings, max_epochs),
        load_if_exists=True,
    )


def load_study(sweep: SweepDir, storage: str | None) -> optuna.Study:
    """The study as it stands, to look at."""
    quiet()
    return optuna.load_study(study_name=sweep.name, storage=storage_of(sweep, storage))


def storage_of(sweep: SweepDir, url: str | None) -> BaseStorage:
    if url:
        return get_storage(url)
    drop_torn_line(sweep.study_path)
    path = str(sweep.study_path)
    return JournalStorage(JournalFileBackend(path, lock_obj=ProcessLock(path)))


def drop_torn_line(path: Path) -> None:
    """A process that was killed in the middle of a line leaves a journal that could not be read on."""
    if not path.is_file() or path.stat().st_size == 0:
        return
    with ProcessLock(str(path))._lock, open(path, "rb+") as file:
        file.seek(-1, os.SEEK_END)
        if file.read(1) != b"\n":
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)


def make_sampler(settings: Sweep, number: int) -> BaseSampler:
    """What chooses trial ``number``. A sampler of its own for each, so that a sweep that was stopped and started
    again draws what it would have drawn."""
    seed = (settings.seed + 7919 * number) % 2**31
    match settings.sampler:
        case "tpe":
            return TPESampler(seed=seed, multivariate=True, group=True, constant_liar=True)
        case "gp":
            return GPSampler(seed=seed, warn_independent_sampling=False)
        case "cmaes":
            return CmaEsSampler(seed=seed, warn_independent_sampling=False)
        case "qmc":  # one sequence for the whole study
            return QMCSampler(
                seed=settings.seed,
                scramble=True,
                warn_asynchronous_seeding=False,
                warn_independent_sampling=False,
            )
    return RandomSampler(seed=seed)


def make_pruner(settings: Sweep, max_epochs: int | None) -> BasePruner:
    match settings.pruner:
        case "median":
            return MedianPruner(n_startup_trials=5, n_warmup_steps=1)
        case "asha":
            return SuccessiveHalvingPruner(min_resource=1, reduction_factor=3)
        case "hyperband":
            return HyperbandPruner(min_resource=1, max_resource=max_epochs or "auto", reduction_factor=3)
    return NopPruner()


def quiet() -> None:
    """Optuna's news are told by the sweep's own table."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logging.getLogger("optuna").propagate = False
    warnings.filterwarnings("ignore", module="optuna")
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
