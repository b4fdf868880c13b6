"""One self-contained HTML page about a run of several folds."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from runner.plots.png import to_png
from runner.report.content import page_content as run_content
from runner.report.fold_figures import fold_figures
from runner.report.folds import fold_rows, headlines, mean_rows, spread
from runner.report.format import count, duration, with_std
from runner.report.picture import load_picture
from runner.report.render import render
from runner.report.summary import Summary, summarize
from runner.run.directory import RunDir
from runner.run.files import read_json, write_text
from runner.run.folds import finished_folds, gather
from runner.run.status import read_status

__all__ = ["write_fold_report"]

log = logging.getLogger("runner.report")


def write_fold_report(run: RunDir) -> Path:
    """Draws the plots and writes ``report.html``; also of folds that are not all finished.

    Raises:
        OSError: the file cannot be written.
    """
    summary = summarize(run)
    done = finished_folds(run)
    results = summary.results or (gather(done) if done else {})
    pictures = []
    for name in draw(run, results) if results else []:
        picture = load_picture(run.plots / f"{name}.png")
        pictures += [] if picture is None else [picture]
    write_text(run.report_path, render("folds.html", page_content(summary, results, pictures)))
    return run.report_path


def draw(run: RunDir, results: dict[str, Any]) -> list[str]:
    names = []
    try:
        for name, figure in fold_figures(run, results):
            to_png(figure, run.plots / f"{name}.png")
            names.append(name)
    except (OSError, ValueError, KeyError, TypeError):  # a torn file, a folder that cannot be written
        log.exception("not all plots could be drawn")
    return names


def page_content(summary: Summary, results: dict[str, Any], pictures: list) -> dict[str, Any]:
    plan = read_json(summary.run.path / "folds.json", {})
    content = run_content(summary, [])
    if results:
        content["tiles"] = tiles(results)
    return content | {
        "kind": "cross-validation",
        "title": f"{content['title']}, cross-validated",
        "again": f"{content['again']} run.name=NAME",
        "next_commands": next_commands(summary.run),
        "means": mean_rows(results) if results else None,
        "folds": fold_rows(results) if results else None,
        "num_done": len(results["by_fold"]) if results else 0,
        "pictures": pictures,
        "cut": cut_rows(plan),
        "notes": plan.get("notes", []),
    }


def next_commands(run: RunDir) -> list[tuple[str, str]]:
    if read_status(run).state != "finished":
        return [(f"runner resume {run.name}", "continue with the unfinished folds")]
    return [
        (f"runner compare {run.name} OTHER", "means beside those of another run"),
        (f"runner predict {run.name}/0 INPUT", "use the model of a fold"),
    ]


def tiles(results: dict[str, Any]) -> list[tuple[str, str]]:
    found = []
    for key, mean in reversed(headlines(results).items()):
        split = key.partition("/")[0]
        found.append((key.replace("/", " "), with_std(mean, results["std"][split].get(key))))
    found.append(("folds", str(len(results["by_fold"]))))
    if results.get("num_parameters"):
        found.append(("parameters", count(results["num_parameters"])))
    return [*found, ("time", duration(results["seconds"]))]


def cut_rows(plan: dict[str, Any]) -> list[tuple[str, str]]:
    if not plan:
        return []
    rows = [
        ("data", plan["name"]),
        ("source", plan.get("source") or "-"),
        ("cut by", plan["kind"]),
        ("samples validated by a fold", spread(plan["sizes"])),
        ("samples tested by every fold", f"{plan['num_test']:,}" if plan["num_test"] else "none"),
    ]
    return [*rows, ("groups", f"{plan['num_groups']:,}")] if plan.get("num_groups") else rows
