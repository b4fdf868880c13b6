"""Prepares a reproduction of a run: same config, seeds and thread count, and optionally the same code."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from omegaconf import DictConfig, OmegaConf

from runner.config.diff import Change
from runner.config.plain import to_plain
from runner.config.trust import reject_untrusted, write_config
from runner.errors import RunFailedError, UserError
from runner.run.child_process import SAFE_PATH, module_command
from runner.run.directory import PATHS_FROM, RunDir, root_of
from runner.run.files import write_json
from runner.run.format import read_stored_config
from runner.run.provenance import write_provenance
from runner.run.state import RunState
from runner.run.status import write_status

DIFF = "git.diff"
"""File of a run directory with the uncommitted changes."""

__all__ = ["changed_files", "check_out_code", "prepare_reproduction", "recorded_revision", "run_with_code"]


def prepare_reproduction(run: RunDir, command: list[str], with_old_code: bool = False) -> RunDir:
    """Create the directory of a run that repeats ``run``.

    Args:
        run: the finished run to repeat.
        command: the command line, recorded in the provenance.
        with_old_code: whether the original code will execute it, which expects the names of its own format.

    Raises:
        UserError: the run is not finished, or its config was changed during the run.
    """
    state = RunState(run)
    if not state.is_finished:
        raise UserError(
            f"{run.name} is {state.status.state}, so its results cannot be compared yet. `runner resume "
            f"{run.path}` finishes it."
        )
    provenance = state.provenance
    changes = [
        Change(key, *values)
        for entry in provenance.get("changed", [])
        for key, values in entry["changes"].items()
    ]
    if acting := [str(change) for change in changes if change.acts]:
        raise UserError(
            f"{run.name} was changed between its attempts ({'; '.join(acting)}), so no single config "
            "reproduces it."
        )
    stored = OmegaConf.load(run.config_path) if with_old_code else read_stored_config(run.config_path)
    config = cast("DictConfig", stored)
    num_threads = (provenance.get("worker") or {}).get("num_threads")
    if num_threads and config.hardware.get("num_threads") is None:
        config.hardware.num_threads = num_threads  # the thread count determines the order of summation
    reject_untrusted(run.path, config)
    config.resume = None
    reproduction = RunDir.create(root_of(run), f"{run.name.replace('/', '_')}_again")
    write_config(reproduction.path, to_plain(config, []))
    paths_from = provenance.get(PATHS_FROM) or provenance.get("working_directory")
    written = write_provenance(reproduction, command, seed=config.seed, choices=provenance.get("choices"))
    write_json(reproduction.provenance_path, written | {"reproduces": str(run.path), PATHS_FROM: paths_from})
    write_status(reproduction, state="created")
    return reproduction


@contextmanager
def check_out_code(run: RunDir) -> Iterator[Path]:
    """Check out the revision that made the run, with its uncommitted changes, into a temporary folder.

    Raises:
        UserError: this repository does not contain the revision.
    """
    revision = recorded_revision(run)
    with tempfile.TemporaryDirectory(prefix="runner-code-") as folder:
        tree = Path(folder) / "tree"
        call(["git", "worktree", "add", "--detach", str(tree), revision])
        try:
            if changed_files(run):
                call(["git", "-C", str(tree), "apply", str((run.path / DIFF).absolute())])
            yield tree
        finally:
            subprocess.run(
                ["git", "worktree", "remove", "--force", str(tree)], capture_output=True, check=False
            )


def recorded_revision(run: RunDir) -> str:
    """Return the revision of the code that made the run.

    Raises:
        UserError: none is recorded, or what is recorded is not the name of a commit.
    """
    revision = (RunState(run).provenance.get("git") or {}).get("revision")
    if not revision:
        raise UserError(f"{run.name} has no recorded revision: it was started outside a repository.")
    if not re.fullmatch(r"[0-9a-f]{7,64}", str(revision)):
        raise UserError(f"{run.provenance_path}: {revision!r} is not the name of a commit.")
    return str(revision)


def changed_files(run: RunDir) -> list[str]:
    """Return the paths in the recorded changes of a run, as ``git apply`` would change them.

    Raises:
        UserError: the changes are not a file, or cannot be read.
    """
    diff = run.path.absolute() / DIFF
    if not os.path.lexists(diff):
        return []
    if diff.is_symlink() or not diff.is_file():
        raise UserError(f"{diff} is not a file. Omit --checkout to use the current code.")
    if not diff.stat().st_size:
        return []
    # Without -z, git quotes names with control characters.
    lines = call(["git", "apply", "--numstat", str(diff)]).splitlines()
    return [name for line in lines for name in line.split("\t", 2)[2:]]


def call(command: list[str]) -> str:
    """Run a command of git and return its output.

    Raises:
        UserError: it failed.
    """
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise UserError(
            f"`{' '.join(command)}` failed: {result.stderr.strip()}. Omit --checkout to use the current code."
        )
    return result.stdout


def run_with_code(run: RunDir, tree: Path) -> None:
    """Execute a run directory in a process that imports the code of ``tree``.

    Raises:
        RunFailedError: the run did not finish; its own output contains the reason.
    """
    path = os.pathsep.join(filter(None, [str(tree), os.environ.get("PYTHONPATH")]))
    environment = os.environ | SAFE_PATH | {"PYTHONPATH": path}
    code = subprocess.call(module_command("runner", "resume", str(run.path)), env=environment)
    if code:
        raise RunFailedError(f"the old code exited with code {code}; see {run.logs / 'rank0.log'}.")
