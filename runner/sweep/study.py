"""Optuna's part: the study of a sweep."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from contextlib import nullcontext

import optuna

from runner.errors import RunNotFoundError
from runner.sweep.directory import SweepDir
from runner.sweep.storage import open_storage, shown_url, turn_of

__all__ = ["load_study", "open_study"]


def open_study(sweep: SweepDir, url: str | None, objectives: Mapping[str, str]) -> optuna.Study:
    """The study of a sweep; made when there is none.

    Args:
        url: of its storage; None is the journal in the sweep's folder.
        objectives: metric → ``min`` or ``max``.
    """
    quiet()
    with turn_of(sweep, url)():
        return optuna.create_study(
            study_name=sweep.name,
            storage=open_storage(sweep, url),
            directions=[f"{mode}imize" for mode in objectives.values()],
            load_if_exists=True,
        )


def load_study(sweep: SweepDir, url: str | None = None) -> optuna.Study:
    """The study as it stands, to look at or to join in.

    Args:
        url: where the plan in the sweep's folder does not say.

    Raises:
        RunNotFoundError: the storage knows of no such study.
    """
    from runner.sweep.plan import read_plan

    quiet()
    if url is None and sweep.plan_path.is_file():
        url = read_plan(sweep)["settings"].get("storage")
    # An existing journal is read without the lock: a slow reader must not block the others.
    with nullcontext() if url is None and sweep.study_path.is_file() else turn_of(sweep, url)():
        storage = open_storage(sweep, url)
    try:
        return optuna.load_study(study_name=sweep.name, storage=storage)
    except KeyError:
        known = ", ".join(optuna.get_all_study_names(storage)) or "none"
        place = shown_url(url) if url else str(sweep.study_path)
        raise RunNotFoundError(f"no study {sweep.name!r} in {place}. There are: {known}.") from None


def quiet() -> None:
    """Silences Optuna's log: the sweep's own table reports trials."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logging.getLogger("optuna").propagate = False
    warnings.filterwarnings("ignore", module="optuna")
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
