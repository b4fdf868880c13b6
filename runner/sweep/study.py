"""The Optuna study of a sweep."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from contextlib import nullcontext

import optuna
from optuna.study import StudyDirection

from runner.errors import RunNotFoundError
from runner.sweep.directory import SweepDir
from runner.sweep.storage import lock_of, open_storage, url_without_password

__all__ = ["load_study", "open_study"]


def open_study(sweep: SweepDir, url: str | None, objectives: Mapping[str, str]) -> optuna.Study:
    """Open the study of a sweep, creating it if necessary.

    Args:
        sweep: the sweep; its name is that of the study.
        url: its storage; None for the journal in the sweep's folder.
        objectives: metric → ``min`` or ``max``.
    """
    quiet()
    directions = [
        StudyDirection.MINIMIZE if mode == "min" else StudyDirection.MAXIMIZE for mode in objectives.values()
    ]
    with lock_of(sweep, url)():
        return optuna.create_study(
            study_name=sweep.name,
            storage=open_storage(sweep, url),
            directions=directions,
            load_if_exists=True,
        )


def load_study(sweep: SweepDir, url: str | None = None) -> optuna.Study:
    """Load an existing study.

    Args:
        sweep: the sweep; its name is that of the study.
        url: its storage; None for the one in the plan of the sweep's folder.

    Raises:
        RunNotFoundError: the storage does not contain the study.
    """
    from runner.sweep.plan import read_plan

    quiet()
    if url is None and sweep.plan_path.is_file():
        url = read_plan(sweep)["settings"].get("storage")
    # An existing journal is read without the lock: a slow reader must not block the others.
    with nullcontext() if url is None and sweep.study_path.is_file() else lock_of(sweep, url)():
        storage = open_storage(sweep, url)
    try:
        return optuna.load_study(study_name=sweep.name, storage=storage)
    except KeyError:
        known = ", ".join(optuna.get_all_study_names(storage)) or "none"
        source = url_without_password(url) if url else str(sweep.study_path)
        raise RunNotFoundError(f"no study {sweep.name!r} in {source}. It contains: {known}.") from None


def quiet() -> None:
    """Silence Optuna's log, because the sweep's own table reports trials."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logging.getLogger("optuna").propagate = False
    warnings.filterwarnings("ignore", module="optuna")
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
