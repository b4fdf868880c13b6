"""Assignment of the windows of each series to train, val and test."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from runner.data.dropped import MAX_EXAMPLES, DroppedSamples
from runner.data.series.file import Series
from runner.data.series.window import VALUES_PER_PIECE
from runner.errors import DataError

__all__ = ["Plan", "SplitWindows", "plan_windows"]

SPLITS = ("train", "val", "test")


@dataclass
class SplitWindows:
    """The windows of one split.

    Attributes:
        starts: first row of each window ``(W,)``.
        series: number of the series of each window ``(W,)``.
        first, end: first row and last row + 1 of all windows.
    """

    starts: np.ndarray
    series: np.ndarray
    first: int
    end: int


@dataclass
class Plan:
    """The windows of all splits.

    Attributes:
        names: ids of the series that are used; one empty id for a file of one series.
        spans: for each series, the first row and last row + 1 of each split in the file.
        windows: the windows of each split.
    """

    names: list[str] = field(default_factory=list)
    spans: list[dict[str, tuple[int, int]]] = field(default_factory=list)
    windows: dict[str, SplitWindows] = field(default_factory=dict)


def plan_windows(
    series: Series,
    cut: Callable[[int], dict[str, tuple[int, int]]],
    input_steps: int,
    horizon_steps: int,
    columns: Sequence[int],
    dropped: DroppedSamples,
    source: str = "",
) -> Plan:
    """Split each series in the order of time into windows that span neither two series nor a gap.

    Args:
        series: one or several series.
        cut: maps a number of steps to the first step and last step + 1 of each split; raises a DataError if
            these are too few for a window.
        input_steps: number of input steps of a window.
        horizon_steps: number of steps to forecast.
        columns: the K columns to forecast.
        dropped: receives the windows and series that are left out.
        source: name of the data, for messages.

    Raises:
        DataError: a split has no window, or no known value to forecast.
    """
    plan = Plan()
    failures: dict[str, DataError] = {}
    unknown: list[str] = []
    for name, begin, end in series.parts or [("", 0, len(series.values))]:
        try:
            spans = cut(end - begin)
        except DataError as error:
            if not series.parts:
                raise
            failures[name] = error
            continue
        spans = {split: (begin + first, begin + last) for split, (first, last) in spans.items()}
        if series.parts and not has_values(series.values, spans["train"], columns):
            unknown.append(name)
            continue
        plan.names.append(name)
        plan.spans.append(spans)
    total = len(series.parts)
    window = f"a window of {input_steps} input and {horizon_steps} forecast steps in each split"
    dropped.add("series", len(failures), f"too short for data.rows or for {window}", total, source, failures)
    dropped.add("series", len(unknown), "no training step has a value to forecast", total, source, unknown)
    if not plan.names:
        reason = next(map(str, failures.values()), "no training step has a value to forecast")
        raise DataError(
            f"none of the {total} series of {source} can be used. {(list(failures) or unknown)[0]!r}: "
            f"{reason}"
        )
    reject_constant_targets(series, plan, columns, source)
    lows = {name: begin for name, begin, _ in series.parts}
    for split in SPLITS:
        of_series = [
            windows_of(spans[split], lows.get(name, 0), input_steps, horizon_steps, series.breaks)
            for name, spans in zip(plan.names, plan.spans, strict=True)
        ]
        starts = np.concatenate([kept for kept, _ in of_series])
        num_windows = sum(count for _, count in of_series)
        dropped.add("windows", num_windows - len(starts), "they span a gap in time", num_windows, split)
        if not len(starts):
            raise DataError(
                f"{source}: each of the {num_windows} windows of {input_steps} + {horizon_steps} steps in "
                f"{split} spans a gap in time. Lower data.input_steps or data.horizon_steps, or add the "
                "missing steps as rows with empty cells."
            )
        if not any(has_values(series.values, spans[split], columns) for spans in plan.spans):
            named = ", ".join(repr(series.names[column]) for column in columns[:MAX_EXAMPLES])
            raise DataError(f"{source}: no step of {split} has a value in {named}, the target.")
        numbers = np.repeat(np.arange(len(of_series)), [len(kept) for kept, _ in of_series])
        end = max(spans[split][1] for spans in plan.spans)
        plan.windows[split] = SplitWindows(starts, numbers, int(starts.min()), end)
    report_missing(series, columns, dropped, source)
    return plan


def reject_constant_targets(series: Series, plan: Plan, columns: Sequence[int], source: str) -> None:
    """Rejects targets that never change.

    Raises:
        DataError: every target has a single value in the training steps of every series.
    """
    rows = max(1, VALUES_PER_PIECE // len(series.names))
    for spans in plan.spans:
        first, last = spans["train"]
        low, high = np.full(len(columns), np.inf), np.full(len(columns), -np.inf)
        for begin in range(first, last, rows):
            piece = series.values[begin : min(begin + rows, last)][:, columns]
            low, high = np.fmin(low, np.fmin.reduce(piece)), np.fmax(high, np.fmax.reduce(piece))
            if (low < high).any():
                return
    named = ", ".join(repr(series.names[column]) for column in columns[:MAX_EXAMPLES])
    precision = " Numbers of 32 bits may have lost the differences." if is_float32(series.values) else ""
    raise DataError(
        f"{source}: the target ({named}) has the same value in every training step: there is nothing to "
        f"learn.{precision}"
    )


def is_float32(values: np.ndarray) -> bool:
    return values.dtype.kind == "f" and values.dtype.itemsize < 8


def windows_of(
    span: tuple[int, int], low: int, input_steps: int, horizon_steps: int, breaks: np.ndarray
) -> tuple[np.ndarray, int]:
    """Return the first rows of the windows that forecast steps of a span and contain no gap.

    Args:
        span: first row and last row + 1 of the split.
        low: first row of the series; input steps may lie before the span.
        input_steps: number of input steps of a window.
        horizon_steps: number of steps to forecast.
        breaks: rows directly after a gap, sorted.

    Returns:
        The first rows, and the number of windows including those with gaps.
    """
    begin, end = span
    length = input_steps + horizon_steps
    starts = np.arange(max(low, begin - input_steps), end - length + 1)
    if not len(breaks):
        return starts, len(starts)
    following = np.append(breaks, np.iinfo(np.int64).max)[np.searchsorted(breaks, starts, side="right")]
    return starts[following >= starts + length], len(starts)


def has_values(values: np.ndarray, span: tuple[int, int], columns: Sequence[int]) -> bool:
    return any((~np.isnan(piece)).any() for piece in pieces(values, span, columns))


def pieces(values: np.ndarray, span: tuple[int, int], columns: Sequence[int]) -> Iterator[np.ndarray]:
    rows = max(1, VALUES_PER_PIECE // values.shape[1])
    for begin in range(*span, rows):
        yield np.asarray(values[begin : min(begin + rows, span[1])])[:, list(columns)]


def report_missing(series: Series, columns: Sequence[int], dropped: DroppedSamples, source: str) -> None:
    """Count the missing target and input values."""
    whole = (0, len(series.values))
    missing = np.zeros(len(series.names), dtype=np.int64)
    for piece in pieces(series.values, whole, range(len(series.names))):
        missing += np.isnan(piece).sum(0)
    reason = "they are missing, so they count in neither loss nor metrics"
    num_targets = int(missing[list(columns)].sum())
    dropped.add("values to forecast", num_targets, reason, whole[1] * len(columns), source)
    if missing.any():
        named = [
            f"{missing[column]} in {series.names[column]!r}"
            for column in np.argsort(-missing)[:MAX_EXAMPLES]
            if missing[column]
        ]
        series.notes.append(
            f"{missing.sum()} of {whole[1] * len(missing)} values are missing ({', '.join(named)}); in "
            "inputs, they are replaced by the last known value before them in the window"
        )
