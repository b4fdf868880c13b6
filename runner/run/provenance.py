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
from runner.run.flatten import flatten
from runner.run.format import FORMAT_VERSION
from runner.run.journal import read_points

__all__ = [
    "MetricsProof",
    "collect_provenance",
    "compare_metrics",
    "compare_results",
    "environment_differences",
    "git_state",
    "record_worker",
    "recorded_changes",
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


SECRET_FILES = (
    ".env*",
    "*.env",
    "*.pem",
    "*.key",
    "*.p12",
    "*.pfx",
    "*.jks",
    "*.kdbx",
    "*secret*",
    "*credential*",
    "*password*",
    "*token*.json",
    "id_rsa*",
    "id_ed25519*",
    "id_ecdsa*",
    ".netrc",
    ".pgpass",
    ".npmrc",
    ".pypirc",
    ".htpasswd",
)
"""Names of files that often hold secrets; ``git.diff`` leaves them out and the provenance lists them."""


def git_state(folder: str | Path = ".") -> tuple[dict[str, Any] | None, str]:
    """Return the state of a git work tree and its diff.

    Returns:
        ``revision``, ``branch``, ``dirty`` and ``untracked`` (at most 50 files), or None outside a
        repository; and the diff against the revision, without files that look like secrets, which
        ``excluded_from_diff`` lists.
    """

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True, timeout=20
        ).stdout

    try:
        revision = git("rev-parse", "HEAD").strip()
        branch = git("rev-parse", "--abbrev-ref", "HEAD").strip()
        diff = git(
            "diff", "HEAD", "--", ":/", *(f":(top,exclude,icase,glob)**/{name}" for name in SECRET_FILES)
        )
        changed = git("diff", "--name-only", "HEAD").split("\n")
        untracked = git("ls-files", "--others", "--exclude-standard").split("\n")
    except (OSError, subprocess.SubprocessError):
        return None, ""
    untracked = [name for name in untracked if name]
    state = {"revision": revision, "branch": branch, "dirty": any(changed), "untracked": untracked[:50]}
    excluded = [name for name in changed if name and f"b/{name}" not in diff]
    return state | ({"excluded_from_diff": excluded} if excluded else {}), diff


def hardware() -> dict[str, Any]:
    """Return cores, memory and CPU model; the worker adds devices, because it imports torch."""
    facts: dict[str, Any] = {"cpu_count": os.cpu_count(), "machine": platform.machine()}
    try:
        facts["memory_gib"] = round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
        model = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
        facts["cpu"] = model.group(1) if model else platform.processor()
    except (OSError, ValueError):
        facts["cpu"] = platform.processor()
    return facts


def collect_provenance(
    command: list[str] | None = None, seed: int | None = None
) -> tuple[dict[str, Any], str]:
    """Collect the provenance of a run that starts now.

    Args:
        command: the command line; None takes that of this process.
        seed: the run's seed.

    Returns:
        The content of ``provenance.json``, and the diff of uncommitted changes.
    """
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
    automatic: dict[str, Any] | None = None,
    fingerprint: str | None = None,
    changed: dict[str, list[Any]] | None = None,
) -> dict[str, Any]:
    """Write ``provenance.json`` and, if the work tree is dirty, ``git.diff``.

    Args:
        run: the run to write to.
        command: the command line; None takes that of this process.
        seed: the run's seed.
        choices: config group → selected option.
        automatic: key → value and reason, of settings chosen by rules.
        fingerprint: digest of the requested config; equal commands have the same.
        changed: key → default and value, of settings that differ from the default config.
    """
    provenance, diff = collect_provenance(command, seed)
    provenance["choices"] = choices or {}
    if automatic:
        provenance["automatic"] = automatic
    if changed:
        provenance["changed_settings"] = changed
    provenance["fingerprint"] = fingerprint
    provenance["format_version"] = FORMAT_VERSION
    if diff and provenance["git"] is not None:
        write_text(run.path / "git.diff", diff)
        provenance["git"]["diff_file"] = "git.diff"
    write_json(run.provenance_path, provenance)
    return provenance


def record_worker(run: RunDir, **facts: Any) -> None:
    """Record the worker's device, precision and threads."""
    provenance = read_json(run.provenance_path, {})
    if provenance:
        write_json(run.provenance_path, provenance | {"worker": facts})


def recorded_changes(run: RunDir) -> dict[str, object]:
    """Return the values changed when the run was resumed: key → newest value."""
    entries = read_json(run.provenance_path, {}).get("changed", [])
    return {key: now for entry in entries for key, (_, now) in entry["changes"].items()}


IGNORED = ("seconds", "best.checkpoint")


def environment_differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """List the differences in code, versions and hardware that may change the results, one line each.

    Args:
        before: content of the original's ``provenance.json``.
        now: content of the reproduction's.
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
    before: dict[str, Any] | None, now: dict[str, Any] | None, diff_before: str | None, diff_now: str | None
) -> list[str]:
    old, new = before or {}, now or {}
    lines = difference("code: revision", old.get("revision"), new.get("revision"))
    if bool(old.get("dirty")) != bool(new.get("dirty")) or (old.get("dirty") and diff_before != diff_now):
        states = [("uncommitted changes" if tree.get("dirty") else "a clean tree") for tree in (old, new)]
        note = ", different ones" if states[0] == states[1] else ""
        lines.append(f"code: {states[0]} → {states[1]}{note}")
    if set(old.get("untracked", ())) != set(new.get("untracked", ())):
        names = sorted(set(old.get("untracked", ())) ^ set(new.get("untracked", ())))
        lines.append(f"code: untracked files {', '.join(names[:5])}{' …' if len(names) > 5 else ''}")
    return lines


def difference(label: str, before: Any, now: Any) -> list[str]:
    return [] if before == now else [f"{label}: {before or 'none'} → {now or 'none'}"]


@dataclass
class MetricsProof:
    """The comparison of two metric journals.

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
        """Whether both journals hold the same values."""
        return self.num_points[0] == self.num_points[1] and self.num_different == 0


def compare_metrics(before: RunDir, now: RunDir) -> MetricsProof:
    """Compare the two journals value by value, in the order of writing."""
    old, new = numbers_of(before), numbers_of(now)
    proof = MetricsProof((len(old), len(new)))
    for position in old.keys() & new.keys():
        if same_number(old[position], new[position]):
            continue
        proof.num_different += 1
        key = position[2]
        proof.largest[key] = max(proof.largest.get(key, 0.0), abs(old[position] - new[position]))
    different = [
        position for position in old if position not in new or not same_number(old[position], new[position])
    ]
    if different:
        step, _, key, _ = different[0]
        proof.first = f"step {step}: {key} {old[different[0]]!r} → {new.get(different[0], 'nothing')!r}"
    return proof


def numbers_of(run: RunDir) -> dict[tuple[int, int, str, int], float]:
    """Return ``(step, epoch, metric, number of earlier occurrences)`` → value."""
    numbers: dict[tuple[int, int, str, int], float] = {}
    for point in read_points(run.metrics_path):
        for key, value in point.metrics.items():
            num_earlier = 0
            while (point.step, point.epoch, key, num_earlier) in numbers:
                num_earlier += 1
            numbers[point.step, point.epoch, key, num_earlier] = value
    return numbers


def compare_results(before: RunDir, now: RunDir) -> list[str]:
    """List the values of ``results.json`` that differ, except times, one line each."""
    old, new = (dict(flatten(read_json(run.results_path, {}), lists="nested")) for run in (before, now))
    keys = [key for key in {**old, **new} if not f".{key}".endswith(tuple(f".{name}" for name in IGNORED))]
    return [
        f"{key}: {old.get(key)!r} → {new.get(key)!r}"
        for key in keys
        if not same_number(old.get(key), new.get(key))
    ]


def same_number(first: Any, second: Any) -> bool:
    both_floats = isinstance(first, float) and isinstance(second, float)
    return first == second or (both_floats and math.isnan(first) and math.isnan(second))
