"""Checks of folders and files: configs, runs, the tracking store, shared memory, and the git repository."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from runner.cli.doctor.finding import Finding

__all__ = ["configs", "disk", "git", "runs_folder", "shared_memory", "store"]

GIB = 2**30
LITTLE_DISK_GIB, NO_DISK_GIB = 5.0, 0.5
LITTLE_SHARED_MEMORY_GIB = 1.0


def configs() -> Iterator[Finding]:
    """Check that the config groups can be found."""
    from runner.config.groups import find_groups, package_conf, search_folders

    if not (package_conf() / "runner.yaml").is_file():
        yield Finding("fail", "configs", f"{package_conf()} lacks runner.yaml", "Reinstall `runner`.")
        return
    groups = find_groups()
    folders = " before ".join(str(folder) for folder in search_folders())
    yield Finding(
        "ok", "configs", f"{sum(map(len, groups.values()))} options in {len(groups)} groups, from {folders}"
    )


def shared_memory() -> Iterator[Finding]:
    """Check the free shared memory, which data loader workers use."""
    folder = Path("/dev/shm")
    if not folder.is_dir():
        return
    free_gib = shutil.disk_usage(folder).free / GIB
    if free_gib < LITTLE_SHARED_MEMORY_GIB:
        remedy = (
            "Data loader workers pass batches through it: set data.num_workers=0, or start the "
            "container with --shm-size=2g."
        )
        yield Finding("warn", "shared mem.", f"{free_gib:.2f} GiB free in {folder}", remedy)
    else:
        yield Finding("ok", "shared mem.", f"{free_gib:.1f} GiB free in {folder}")


def disk(root: Path) -> Iterator[Finding]:
    """Check the free disk space of the folder of the runs."""
    folder = _existing(root)
    free_gib = shutil.disk_usage(folder).free / GIB
    text = f"{free_gib:.1f} GiB free in the folder of the runs ({folder})"
    remedy = (
        "Checkpoints need space: delete runs that are no longer needed, or use another folder with "
        "run.root=FOLDER."
    )
    if free_gib < NO_DISK_GIB:
        yield Finding("fail", "disk", text, remedy)
    elif free_gib < LITTLE_DISK_GIB:
        yield Finding("warn", "disk", text, remedy)
    else:
        yield Finding("ok", "disk", text)


def runs_folder(root: Path) -> Iterator[Finding]:
    """Check that the folder of the runs is writable, and report runs that were stopped early."""
    from runner.run.directory import list_runs
    from runner.run.state import RunState

    folder = _existing(root)
    if not os.access(folder, os.W_OK | os.X_OK):
        yield Finding("fail", "runs", f"{folder} is not writable", "Use another folder with run.root=FOLDER.")
        return
    if folder != root.absolute():
        yield Finding("ok", "runs", f"none yet; they will be saved in {root.absolute()}")
        return
    runs = [RunState(run) for run in list_runs(root)]
    yield Finding("ok", "runs", f"{len(runs)} in {folder}")
    stopped = [run.name for run in runs if run.status.state in ("lost", "interrupted")]
    if stopped:
        remedy = f"`runner resume {stopped[-1]}` resumes it."
        yield Finding("warn", "runs", f"{len(stopped)} stopped before they were finished", remedy)


def store(root: Path) -> Iterator[Finding]:
    """Check that MLflow's SQLite file, if any, can be opened and is intact."""
    import sqlite3

    file = root / "mlflow.db"
    if not file.is_file():
        yield Finding("ok", "store", "no MLflow store yet; the first tracked run creates it")
        return
    remedy = (
        f"Move {file} to another folder: a new one is created, and `runner sync` fills it from the run "
        "directories."
    )
    try:
        with sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=5) as connection:
            broken = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            count = connection.execute("SELECT count(*) FROM runs").fetchone()[0]
        connection.close()
    except sqlite3.Error as error:
        yield Finding("fail", "store", f"{file}: {error}", remedy)
        return
    if broken != "ok":
        yield Finding("fail", "store", f"{file} is damaged: {broken}", remedy)
    else:
        yield Finding(
            "ok",
            "store",
            f"{file}: {count} runs, {file.stat().st_size / 2**20:.1f} MiB. `runner ui` shows it",
        )


def git() -> Iterator[Finding]:
    """Check whether runs can record the revision of the code."""
    from runner.run.provenance import git_state

    if shutil.which("git") is None:
        yield Finding(
            "warn",
            "git",
            "is not installed",
            "Without it, runs do not record the revision of the code: install git.",
        )
        return
    state, _diff = git_state()
    if state is None:
        yield Finding("ok", "git", "this folder is not a repository: runs do not record a revision")
    else:
        change = "with uncommitted changes (runs save the diff)" if state["dirty"] else "clean"
        yield Finding("ok", "git", f"{state['branch']} at {state['revision'][:10]}, {change}")


def _existing(folder: Path) -> Path:
    """Return the folder, or its nearest existing parent."""
    folder = folder.absolute()
    while not folder.is_dir():
        folder = folder.parent
    return folder
