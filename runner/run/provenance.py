"""Provenance of a run: the command, the code, the packages and the machine."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

from runner.run.directory import RunDir
from runner.run.files import read_json, write_json, write_text

__all__ = ["collect_provenance", "git_state", "note_worker", "noted_changes", "write_provenance"]

PACKAGES = (
    "runner", "torch", "torchvision", "pytorch-lightning", "torchmetrics", "hydra-core", "omegaconf",
    "mlflow", "numpy", "pandas", "scikit-learn", "timm", "pillow", "segmentation-models-pytorch",
)  # fmt: skip


def package_versions() -> dict[str, str]:
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def git_state(folder: str | Path = ".") -> tuple[dict | None, str]:
    """Revision, branch and whether the tree is dirty, and the diff against the revision."""

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True, timeout=20
        ).stdout

    try:
        revision = git("rev-parse", "HEAD").strip()
        branch = git("rev-parse", "--abbrev-ref", "HEAD").strip()
        diff = git("diff", "HEAD")
        untracked = git("ls-files", "--others", "--exclude-standard").split("\n")
    except (OSError, subprocess.SubprocessError):
        return None, ""
    untracked = [name for name in untracked if name]
    return {"revision": revision, "branch": branch, "dirty": bool(diff), "untracked": untracked[:50]}, diff


def hardware() -> dict:
    """Cores, memory and CPU model; the worker adds devices, because it imports torch."""
    found: dict = {"cpu_count": os.cpu_count(), "machine": platform.machine()}
    try:
        found["memory_gib"] = round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
        model = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
        found["cpu"] = model.group(1) if model else platform.processor()
    except (OSError, ValueError):
        found["cpu"] = platform.processor()
    return found


def collect_provenance(command: list[str] | None = None, seed: int | None = None) -> tuple[dict, str]:
    git, diff = git_state()
    provenance = {
        "command": list(command if command is not None else sys.argv),
        "working_directory": os.getcwd(),
        "created_at": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "git": git,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": package_versions(),
        "hardware": hardware(),
        "seed": seed,
    }
    return provenance, diff


def write_provenance(
    run: RunDir,
    command: list[str] | None = None,
    seed: int | None = None,
    choices: dict[str, str] | None = None,
    fingerprint: str | None = None,
) -> dict:
    """Writes ``provenance.json`` and, where the tree is dirty, ``git.diff``.

    Args:
        choices: config group → selected option.
        fingerprint: digest of the requested config; equal commands have the same.
    """
    provenance, diff = collect_provenance(command, seed)
    provenance["choices"] = choices or {}
    provenance["fingerprint"] = fingerprint
    if diff and provenance["git"] is not None:
        write_text(run.path / "git.diff", diff)
        provenance["git"]["diff_file"] = "git.diff"
    write_json(run.provenance_path, provenance)
    return provenance


def note_worker(run: RunDir, **found) -> None:
    """Records the worker's device, precision and threads."""
    provenance = read_json(run.provenance_path, {})
    if provenance:
        write_json(run.provenance_path, provenance | {"worker": found})


def noted_changes(run: RunDir) -> dict[str, object]:
    """Values given when the run was resumed: key → the newest value."""
    entries = read_json(run.provenance_path, {}).get("changed", [])
    return {key: now for entry in entries for key, (_, now) in entry["changes"].items()}
