"""Provenance of a run, and its comparison with that of a reproduction."""

from __future__ import annotations

import math
import os
import platform
import re
import subprocess
import sys
import time
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from runner.run.directory import RunDir
from runner.run.files import read_json, write_json, write_text
from runner.run.journal import read_points

__all__ = [
    "MetricsProof",
    "collect_provenance",
    "compare_metrics",
    "compare_results",
    "differences_of_place",
    "git_state",
    "note_worker",
    "noted_changes",
    "write_provenance",
]

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


IGNORED = ("seconds", "best.checkpoint")


def differences_of_place(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """One line for each difference in code, versions or hardware that may change the results.

    Args:
        before, now: contents of ``provenance.json``.
    """
    lines = code_differences(before.get("git"), now.get("git"), before.get("diff"), now.get("diff"))
    for key in ("python", "platform"):
        lines += difference(key, before.get(key), now.get(key))
    for group in ("packages", "hardware"):
        old, new = before.get(group) or {}, now.get(group) or {}
        for key in sorted({*old, *new}):
            lines += difference(f"{group}: {key}", old.get(key), new.get(key))
    return lines


def code_differences(
    before: dict | None, now: dict | None, diff_before: str | None, diff_now: str | None
) -> list[str]:
    old, new = before or {}, now or {}
    lines = difference("code: revision", old.get("revision"), new.get("revision"))
    if bool(old.get("dirty")) != bool(new.get("dirty")) or (old.get("dirty") and diff_before != diff_now):
        states = [("uncommitted changes" if tree.get("dirty") else "a clean tree") for tree in (old, new)]
        lines.append(f"code: {states[0]} → {states[1]}" + (", others" if states[0] == states[1] else ""))
    if set(old.get("untracked", ())) != set(new.get("untracked", ())):
        names = sorted(set(old.get("untracked", ())) ^ set(new.get("untracked", ())))
        lines.append(f"code: untracked files {', '.join(names[:5])}{' …' if len(names) > 5 else ''}")
    return lines


def difference(what: str, before: Any, now: Any) -> list[str]:
    return [] if before == now else [f"{what}: {before or 'none'} → {now or 'none'}"]


@dataclass
class MetricsProof:
    """
    Attributes:
        num_points: number of values in both journals.
        num_different: number of values that differ at the same position.
        largest: the largest absolute difference of each metric that differs.
        first: the first difference: ``step 17: train/loss 0.31 → 0.32``.
    """

    num_points: tuple[int, int] = (0, 0)
    num_different: int = 0
    largest: dict[str, float] = field(default_factory=dict)
    first: str | None = None

    @property
    def same(self) -> bool:
        return self.num_points[0] == self.num_points[1] and self.num_different == 0


def compare_metrics(before: RunDir, now: RunDir) -> MetricsProof:
    """Compares the two journals value by value, in the order of writing."""
    old, new = numbers_of(before), numbers_of(now)
    proof = MetricsProof((len(old), len(new)))
    for position in old.keys() & new.keys():
        if same_number(old[position], new[position]):
            continue
        proof.num_different += 1
        key = position[2]
        proof.largest[key] = max(proof.largest.get(key, 0.0), abs(old[position] - new[position]))
    parted = [
        position for position in old if position not in new or not same_number(old[position], new[position])
    ]
    if parted:
        step, _, key, _ = parted[0]
        proof.first = f"step {step}: {key} {old[parted[0]]!r} → {new.get(parted[0], 'nothing')!r}"
    return proof


def numbers_of(run: RunDir) -> dict[tuple[int, int, str, int], float]:
    """``(step, epoch, metric, number of earlier occurrences)`` → value."""
    found: dict[tuple[int, int, str, int], float] = {}
    for point in read_points(run.metrics_path):
        for key, value in point.metrics.items():
            again = 0
            while (point.step, point.epoch, key, again) in found:
                again += 1
            found[point.step, point.epoch, key, again] = value
    return found


def compare_results(before: RunDir, now: RunDir) -> list[str]:
    """One line for each value of ``results.json`` that differs, except times."""
    old, new = (flat(read_json(run.results_path, {})) for run in (before, now))
    keys = [key for key in {**old, **new} if not f".{key}".endswith(tuple(f".{name}" for name in IGNORED))]
    return [
        f"{key}: {old.get(key)!r} → {new.get(key)!r}"
        for key in keys
        if not same_number(old.get(key), new.get(key))
    ]


def flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        value = {str(place): item for place, item in enumerate(value)}
    if not isinstance(value, dict):
        return {prefix: value}
    found: dict[str, Any] = {}
    for key, item in value.items():
        found |= flat(item, f"{prefix}.{key}".lstrip("."))
    return found


def same_number(one: Any, other: Any) -> bool:
    both_nan = isinstance(one, float) and isinstance(other, float) and math.isnan(one) and math.isnan(other)
    return both_nan or one == other
