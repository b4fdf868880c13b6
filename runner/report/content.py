"""The content of the report page about a run."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from runner.report.baselines import baseline_rows, baseline_verdict
from runner.report.class_table import class_table, is_class_metric
from runner.report.curves import curves_content, script, script_digest
from runner.report.details import Rows, changed_rows, class_rows, environment_rows, fact_rows, part_rows
from runner.report.format import count, duration, moment, number
from runner.report.picture import Picture
from runner.report.suggestions import predict_command
from runner.report.summary import Summary, lower_is_better
from runner.report.texts import read_texts
from runner.run.directory import RunDir

__all__ = ["page_content"]

LOG_LINES = 60


def page_content(summary: Summary, pictures: list[Picture]) -> dict[str, Any]:
    """Return the variables of the page's template: texts, rows of texts, and pictures in order of display.

    Args:
        summary: the run.
        pictures: its plots.
    """
    named = {picture.name: picture for picture in pictures}
    curves = [named.pop(name) for name in ("curves", "learning_rate") if name in named]
    samples = [named.pop(name) for name in list(named) if named[name].kind.startswith("samples")]
    return {
        "kind": "run",
        "name": summary.name,
        "title": " on ".join(part for part in (summary.model, summary.data) if part) or summary.name,
        "state": summary.status.state,
        "reason": summary.status.reason,
        "when": _when(summary),
        "tiles": _tiles(summary),
        "splits": list(summary.metrics),
        "metrics": _metric_rows(summary),
        "class_table": class_table(summary.metrics),
        "baselines": baseline_rows(
            summary.results, list(summary.metrics), _metric_names(summary), summary.monitor
        ),
        "verdict": baseline_verdict(summary.results, lower_is_better(summary.monitor)),
        "curves": curves,
        "interactive": curves_content(summary),
        "script": script(),
        "script_digest": script_digest(),
        "texts": read_texts(summary.directory),
        "changed": changed_rows(summary.provenance),
        "samples": samples,
        "plots": _by_split(named.values()),
        "facts": fact_rows(summary.facts),
        "classes": class_rows(summary.facts),
        "counted": summary.facts.get("class_counts_of", "samples"),
        "parts": part_rows(summary),
        "config": summary.config_text,
        "environment": environment_rows(summary),
        "packages": sorted((summary.provenance.get("packages") or {}).items()),
        "command": summary.command,
        "again": f"runner train {_short_path(summary)}/config.yaml",
        "next_commands": _next_commands(summary),
        "log": "" if summary.is_finished else _log_tail(summary.directory),
    }


def _when(summary: Summary) -> str:
    parts = [moment(summary.status.started_at)] if summary.status.started_at else []
    parts += [duration(summary.seconds)] if summary.seconds is not None else []
    parts += [f"attempt {summary.status.attempt}"] if summary.status.attempt > 1 else []
    return " · ".join(parts)


def _tiles(summary: Summary) -> Rows:
    """Return the main figures as pairs of label and value."""
    results, best = summary.results, summary.best
    tiles = []
    headline = summary.headline
    if headline:
        name = headline[0].partition("/")[2]
        tiles = [(f"{split} {name}", number(summary.metrics[split][name]))
                 for split in ("test", "val") if name in summary.metrics.get(split, {})]  # fmt: skip
    if best.get("epoch") is not None:
        tiles.append(("best epoch", f"{best['epoch'] + 1}"))
    elif summary.status.step:
        tiles.append(("steps done", number(summary.status.step)))
    if results.get("num_parameters"):
        tiles.append(("parameters", count(results["num_parameters"])))
    if summary.seconds is not None:
        tiles.append(("time", duration(summary.seconds)))
    return tiles


def _metric_rows(summary: Summary) -> list[dict[str, Any]]:
    """Return the rows of all metrics except those of single classes, which have their own table."""
    return [
        {
            "name": name,
            "monitored": name == summary.monitor,
            "cells": [
                (number(metrics.get(name)), str(metrics.get(name, "")))
                for metrics in summary.metrics.values()
            ],
        }
        for name in _metric_names(summary)
        if not is_class_metric(name)
    ]


def _metric_names(summary: Summary) -> list[str]:
    """Return all metrics without their split, the monitored one first, then the loss."""
    names = list(dict.fromkeys(name for metrics in summary.metrics.values() for name in metrics))
    return sorted(names, key=lambda name: (name != summary.monitor, name != "loss"))


def _by_split(pictures: Iterable[Picture]) -> dict[str, list[Picture]]:
    groups: dict[str, list[Picture]] = {}
    for picture in pictures:
        groups.setdefault(picture.split, []).append(picture)
    return groups


def _short_path(summary: Summary) -> str:
    """Return the run's folder relative to the working directory of its command."""
    path = str(summary.directory.path.absolute())
    start = summary.provenance.get("working_directory")
    return os.path.relpath(path, start) if start and path.startswith(f"{start}/") else path


def _next_commands(summary: Summary) -> Rows:
    path = _short_path(summary)
    run = summary.name if path == f"runs/{summary.name}" else path
    if summary.is_finished:
        has_explanations = summary.facts.get("task") != "word_vectors"
        explained = [(f"runner explain {run}", "explain predictions")] if has_explanations else []
        return [
            predict_command(run, summary.facts),
            (f"runner evaluate {run}", "compute the metrics again"),
            *explained,
            (f"runner compare {run} OTHER", "compare configs and results"),
        ]
    can_resume = any(summary.directory.checkpoints.glob("*.ckpt"))
    return [(f"runner resume {run}", "resume from the last checkpoint")] if can_resume else []


def _log_tail(run: RunDir) -> str:
    try:
        lines = (run.logs / "rank0.log").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return "\n".join(lines[-LOG_LINES:])
