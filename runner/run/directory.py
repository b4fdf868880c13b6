"""Run directories: their paths, creation and lookup, and the paths in their configs."""

from __future__ import annotations

import difflib
import re
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

from runner.errors import DamagedFileError, RunNotFoundError, UserError
from runner.run.files import read_json
from runner.run.format import reject_newer_format
from runner.run.small_files import parse_yaml

__all__ = [
    "FOLDS",
    "PATHS_FROM",
    "REPEATS",
    "RunDir",
    "absolute_paths",
    "find_run",
    "is_fold",
    "is_trial",
    "list_runs",
    "root_of",
    "start_directory",
]

PATHS_FROM = "paths_from"
"""Provenance key of a reproduced run: the directory that the original's paths are relative to."""

PATH_KEY = re.compile(r"(?:\w+_)?(?:path|paths|root|dir|file)")
"""Names of settings that hold a path relative to the working directory."""


def start_directory(run: RunDir) -> Path | None:
    """Return the directory in which the run or sweep was started; None if unrecorded or missing here."""
    provenance = read_json(run.provenance_path, {})
    if not provenance and (run.path / SWEEP).is_file():
        provenance = parse_yaml(run.path / SWEEP) or {}
    folder = provenance.get(PATHS_FROM) or provenance.get("working_directory")
    return Path(folder) if folder and Path(folder).is_dir() else None


def absolute_paths(run: RunDir, config: dict[str, Any], given: Collection[str] = ()) -> dict[str, Any]:
    """Return the config of a run with absolute paths of its data and weights.

    The stored config keeps the relative paths. A path that exists only in the current directory is kept, as
    for a run that was copied together with its data.

    Args:
        run: the run whose start directory the relative paths refer to.
        config: the run's config in plain containers; it is not modified.
        given: dotted keys set by the current command, whose paths are relative to the current directory.
    """
    start = start_directory(run)
    if start is None or start == Path.cwd():
        return config
    located = {
        key: with_absolute(config[key], key, start, given) for key in ("data", "weights") if config.get(key)
    }
    return config | located


def with_absolute(value: Any, key: str, start: Path, given: Collection[str]) -> Any:
    if key in given:
        return value
    if isinstance(value, dict):
        return {name: with_absolute(inner, f"{key}.{name}", start, given) for name, inner in value.items()}
    if isinstance(value, list):
        return [with_absolute(inner, key, start, given) for inner in value]
    name = key.rpartition(".")[2]
    if isinstance(value, str) and (name == "weights" or PATH_KEY.fullmatch(name)):
        return absolute(value, start)
    return value


def absolute(value: str, start: Path) -> str:
    if not value or "://" in value or value == "???" or value.startswith("~") or Path(value).is_absolute():
        return value
    path = start / value
    return str(path) if path.exists() or not Path(value).exists() else value


CONFIG = "config.yaml"
SWEEP = "sweep.yaml"
TRIALS = "trials"
REPEATS = "repeats"
FOLDS = "folds"


class RunDir:
    """The paths of one run directory. The constructor does not access the disk."""

    def __init__(self, path: str | Path) -> None:
        self.path = path = Path(path)
        self.config_path = path / CONFIG
        self.provenance_path = path / "provenance.json"
        self.status_path = path / "status.json"
        self.metrics_path = path / "metrics.jsonl"
        self.results_path = path / "results.json"
        self.facts_path = path / "facts.json"
        self.tracking_path = path / "tracking.json"
        self.report_path = path / "report.html"
        self.checkpoints = path / "checkpoints"
        self.plots = path / "plots"
        self.landscape = path / "landscape"
        self.explanations = path / "explanations"
        self.logs = path / "logs"

    @property
    def name(self) -> str:
        """The folder's name, prefixed by its parent for parts of a larger run.

        ``NAME/3`` for a sweep's trial or a fold, ``SWEEP/3/repeats/1`` for a repeat of a trial.
        """
        path = self.path
        if path.parent.name == REPEATS:
            return f"{RunDir(path.parents[1]).name}/{REPEATS}/{path.name}"
        return f"{path.parents[1].name}/{path.name}" if path.parent.name in (TRIALS, FOLDS) else path.name

    def __repr__(self) -> str:
        return f"RunDir({str(self.path)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RunDir) and self.path == other.path

    def __hash__(self) -> int:
        return hash(self.path)

    @classmethod
    def create(cls, root: str | Path, name: str) -> RunDir:
        """Create ``root/name`` or, if that exists, ``root/name-2`` and so on.

        ``mkdir`` is atomic, so two runs that start at the same time get different directories.

        Raises:
            UserError: the folder is not writable.
        """
        root = Path(root).expanduser().absolute()
        try:
            root.mkdir(parents=True, exist_ok=True)
            for attempt in range(1, 10_000):
                path = root / (name if attempt == 1 else f"{name}-{attempt}")
                try:
                    path.mkdir()
                except FileExistsError:
                    continue
                run = cls(path)
                for folder in (run.checkpoints, run.plots, run.logs):
                    folder.mkdir()
                return run
        except OSError as error:
            raise UserError(
                f"no run directory can be created in {root}: {error.strerror or error}. "
                "Choose a writable folder with run.root=FOLDER."
            ) from error
        raise UserError(f"{root} already holds 10000 runs named {name!r}; choose another with run.name=NAME.")

    def created_at(self) -> float:
        """Return the time of creation in seconds since the Unix epoch."""
        try:
            return self.provenance_path.stat().st_mtime
        except OSError:
            return self.path.stat().st_mtime


def run_name(model: str, data: str) -> str:
    """Return a name such as ``mlp_digits_2026-11-21_10-04-59``.

    Model and data come first, so that truncated names remain distinguishable.
    """
    label = re.sub(r"[^A-Za-z0-9._+-]+", "-", f"{model}_{data}")
    return f"{label}_{time.strftime('%Y-%m-%d_%H-%M-%S')}"


def is_trial(run: RunDir) -> bool:
    """Return whether the run is a trial of a sweep."""
    return run.path.parent.name == TRIALS


def is_fold(run: RunDir) -> bool:
    """Return whether the run is a fold of another run."""
    return run.path.parent.name == FOLDS


def root_of(run: RunDir) -> Path:
    """Return the root folder of all runs; sweep trials, folds and repeats are in deeper folders."""
    path = run.path.absolute()
    if path.parent.name in (REPEATS, FOLDS):
        return root_of(RunDir(path.parents[1]))
    return path.parents[2] if path.parent.name == TRIALS else path.parent


def is_run(path: Path) -> bool:
    return (path / CONFIG).is_file()


def list_runs(root: str | Path = "runs") -> list[RunDir]:
    """List the runs in ``root``, oldest first, including sweep trials and folds (one level deeper)."""
    root = Path(root)
    if not root.is_dir():
        return []
    children = [child for child in root.iterdir() if child.is_dir() and not child.name.startswith(".")]
    runs = [RunDir(child) for child in children if is_run(child)]
    for folder in [child / kind for child in children for kind in (TRIALS, FOLDS)]:
        if folder.is_dir():
            runs += [RunDir(path) for path in folder.iterdir() if path.is_dir() and is_run(path)]
    return sorted(runs, key=lambda run: (run.created_at(), run.name))


def find_run(reference: str | Path, root: str | Path = "runs") -> RunDir:
    """Return the run with the given directory, name, unique part of a name or MLflow run id, or ``latest``.

    Args:
        reference: a run directory, its ``config.yaml``, a name, part of a name, an MLflow run id, or
            ``latest``.
        root: folder of the runs.

    Raises:
        RunNotFoundError: no run or several runs match; the message lists the closest names.
        UserError: a later version of runner has written the run.
    """
    run = _locate_run(reference, root)
    reject_newer_format(run.path)
    return run


def _locate_run(reference: str | Path, root: str | Path) -> RunDir:
    path = Path(reference)
    if path.name == CONFIG and path.is_file():
        path = path.parent
    if is_run(path):
        return RunDir(path.absolute())
    _reject_sweep(path)
    runs = list_runs(root)
    reference = str(reference)
    if not runs:
        raise RunNotFoundError(
            f"no run {reference!r}: there are no runs in {Path(root).absolute()}. "
            "Start one with `runner train`, or give their folder with --root FOLDER."
        )
    if reference == "latest":
        return [run for run in runs if not is_fold(run)][-1]
    for run in runs:
        if run.name == reference:
            return run
        with suppress(DamagedFileError):  # of another run
            if read_json(run.tracking_path, {}).get("run_id") == reference:
                return run
    _reject_sweep(Path(root) / reference)
    partial = [run for run in runs if reference and reference in run.name]
    partial = [run for run in partial if not is_fold(run)] or partial
    if len(partial) == 1:
        return partial[0]
    if partial:
        names = ", ".join(run.name for run in partial[-5:])
        raise RunNotFoundError(
            f"{reference!r} matches {len(partial)} runs ({names} …); give more of the name."
        )
    if len(difflib.get_close_matches(reference, ["latest"], cutoff=0.75)):
        raise RunNotFoundError(f"no run {reference!r} in {Path(root).absolute()}. Did you mean latest?")
    matches = difflib.get_close_matches(reference, [run.name for run in runs], n=3, cutoff=0.4)
    hint = f"Did you mean {', '.join(matches)}?" if matches else "`runner runs` lists them."
    raise RunNotFoundError(f"no run {reference!r} in {Path(root).absolute()}. {hint}")


def _reject_sweep(path: Path) -> None:
    """Reject the name of a sweep, since it does not identify a single run."""
    if not (path / SWEEP).is_file():
        return
    best = read_json(path / "status.json", {}).get("best")
    hint = f"{path.name}/{best}, the best trial" if best is not None else f"{path.name}/0"
    raise RunNotFoundError(f"{path.name} is a sweep. Name one of its trials, such as {hint}.")
