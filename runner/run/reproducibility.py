"""Compares a run with its reproduction: differences of the environment, and whether the results are bit-identical."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from runner.run.directory import RunDir
from runner.run.files import read_json
from runner.run.journal import read_points

__all__ = ["MetricsProof", "compare_metrics", "compare_results", "differences_of_place"]

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
