"""The content of the report page about a sweep."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from runner.config.schema import Sweep
from runner.report.format import duration, moment, number
from runner.report.picture import Picture
from runner.run.migrations import migrate_names
from runner.sweep.best import best_config
from runner.sweep.report.next import next_commands, short_path
from runner.sweep.sweep_summary import SweepRecord, TrialRecord, as_text

__all__ = ["page_content", "params_of", "trial_order"]

SECTIONS = (
    ("pareto_front", "Pareto front", "More of one objective costs some of another along the line."),
    ("history", "History", ""),
    ("importance", "Importances", "How much of the differences between complete trials each parameter "
                                  "explains, by "
     "fANOVA (Hutter et al. 2014) and by the mean decrease of impurity in a random forest; computed by "
     "Optuna."),
    ("parallel_coordinates", "Parallel coordinates", ""),
    ("slices", "Slices", ""),
    ("rank_correlation", "Rank correlation", "Of complete trials. What has no order, such as a choice of "
                                             "models, is left out."),
    ("intermediate_values", "Intermediate values", ""),
    ("timeline", "Time line of the workers", ""),
)  # fmt: skip
STATE_ORDER = ("complete", "running", "pruned", "failed")
OWN_SETTINGS = ("name", "space", "points")


def page_content(
    record: SweepRecord, pictures: Mapping[str, Picture], missing: Mapping[str, str]
) -> dict[str, Any]:
    """Return the variables of the page's template.

    Args:
        record: the sweep.
        pictures: file name → picture of a plot.
        missing: title of a plot → why it was not drawn.
    """
    best = record.best()
    return {
        "kind": "sweep",
        "name": record.sweep.name,
        "title": f"Search for {' and '.join(goals(record))}",
        "state": record.state,
        "when": when(record),
        "reason": record.status.get("reason") or failure(record),
        "tiles": tiles(record),
        "best": None if best is None else best_content(record, best),
        "front": front_content(record),
        "sections": sections(pictures),
        "missing": list(missing.items()),
        "trials": {
            "head": trial_head(record),
            "rows": [trial_row(record, t, best) for t in trial_order(record)],
        },
        "space": list(record.plan["space"].items()),
        "settings": setting_rows(record),
        "base": text_of(record.sweep.base_path),
        "next_commands": next_commands(record),
    }


def goals(record: SweepRecord) -> list[str]:
    words = ("largest", "smallest")
    return [
        f"the {words[low]} {metric}"
        for metric, low in zip(record.metrics, record.lower_is_better, strict=True)
    ]


def when(record: SweepRecord) -> str:
    starts = [trial.began_at for trial in record.trials if trial.began_at is not None]
    return moment(min(starts)) if starts else ""


def failure(record: SweepRecord) -> str | None:
    """Return why a sweep has no complete trial: the reason of the first trial."""
    if record.state != "failed":
        return None
    return next((f"trial {t.number}: {t.reason}" for t in record.trials if t.reason), None)


def tiles(record: SweepRecord) -> list[tuple[str, str]]:
    """Return the main figures as pairs of label and value."""
    counts, best = record.counts(), record.best()
    rows = []
    if best is not None:
        several = len(record.metrics) > 1
        rows += [(f"best {m}", number(min_or_max(record, i))) for i, m in enumerate(record.metrics)]
        rows.append(
            ("on the front", f"{len(record.front())} trials") if several else ("best trial", str(best.number))
        )
    done = sum(counts.values()) - counts["running"]
    rows.append(("trials ended", f"{done} of {record.total}"))
    rows += [(state, str(counts[state])) for state in STATE_ORDER if counts[state] and state != "complete"]
    spans = [(a.start, a.end) for trial in record.trials for a in trial.attempts if a.end is not None]
    if spans:
        rows.append(("time", duration(max(end for _, end in spans) - min(start for start, _ in spans))))
        rows.append(("worker time", duration(sum(end - start for start, end in spans))))
    return rows


def min_or_max(record: SweepRecord, objective: int) -> float:
    values = [trial.value(objective) for trial in record.of("complete")]
    return min(values) if record.lower_is_better[objective] else max(values)


def best_content(record: SweepRecord, best: TrialRecord) -> dict[str, Any]:
    several = len(record.metrics) > 1
    file = short_path(record.sweep.best_path)
    return {
        "title": f"Trial {best.number}: the best" + (f" by {record.metrics[0]}" if several else ""),
        "values": [f"{m} {number(v)}" for m, v in zip(record.metrics, best.values or (), strict=True)],
        "params": [(key, as_text(value)) for key, value in best.params.items()],
        "file": file,
        "command": f"runner train {file}",
        "config": best_config(record, best),
    }


def front_content(record: SweepRecord) -> dict[str, Any] | None:
    """Return a table of the Pareto front; None with a single objective."""
    front = record.front()
    if len(record.metrics) < 2 or not front:
        return None
    rows = [
        (trial.number, [number(value) for value in trial.values or ()] + params_of(record, trial))
        for trial in front
    ]
    return {"head": [*record.metrics, *record.keys], "rows": rows}


def sections(pictures: Mapping[str, Picture]) -> list[tuple[str, str, list[Picture]]]:
    """Return title, description and pictures of each section; the objectives share a section."""
    content = []
    for prefix, title, description in SECTIONS:
        matches = [picture for name, picture in pictures.items() if prefix in (name, name[: name.rfind("_")])]
        if matches:
            content.append((title, description, matches))
    return content


def trial_order(record: SweepRecord) -> list[TrialRecord]:
    """Sort the trials: complete ones with the best first, then running, pruned and failed ones."""
    sign = 1 if record.lower_is_better[0] else -1

    def key(trial: TrialRecord) -> tuple[int, bool, float, int]:
        value = trial.value()
        is_known = not math.isnan(value)
        return STATE_ORDER.index(trial.state), not is_known, sign * value if is_known else 0.0, trial.number

    return sorted(record.trials, key=key)


def trial_head(record: SweepRecord) -> list[str]:
    return [*record.metrics, *record.keys, "time", "epochs", "attempts", "reason"]


def trial_row(record: SweepRecord, trial: TrialRecord, best: TrialRecord | None) -> dict[str, Any]:
    values = [
        "–" if math.isnan(trial.value(i)) else number(trial.value(i)) for i in range(len(record.metrics))
    ]
    cells = [
        *values,
        *params_of(record, trial),
        "–" if trial.seconds is None else duration(trial.seconds),
        str(max(trial.intermediate_values, default="–")),
        str(len(trial.attempts) or "–"),
        " ".join((trial.reason or "").split()) if trial.state == "failed" else "",
    ]
    is_best = best is not None and trial.number == best.number
    return {"number": trial.number, "state": trial.state, "cells": cells, "best": is_best}


def params_of(record: SweepRecord, trial: TrialRecord) -> list[str]:
    """Return the trial's value of each key of the space as text; "–" for a key that it lacks."""
    return [as_text(trial.params[key]) if key in trial.params else "–" for key in record.keys]


def setting_rows(record: SweepRecord) -> list[tuple[str, str]]:
    """Return sampler, pruner and numbers, and every other setting that differs from its default."""
    defaults = {f.name: f.default for f in fields(Sweep)}
    named = ("sampler", "pruner", "num_trials", "num_workers", "seed")
    rows = [(key, as_text(record.settings[key])) for key in named if key in record.settings]
    rows += [
        (key, as_text(value))
        for key, value in record.settings.items()
        if key not in named + OWN_SETTINGS and value != defaults.get(key)
    ]
    if record.settings.get("points"):
        rows.append(("points", as_text(record.settings["points"])))
    return [(f"sweep.{key}", value) for key, value in rows]


def text_of(path: Path) -> str:
    try:
        return migrate_names(path.read_text(encoding="utf-8"))
    except OSError:
        return ""
