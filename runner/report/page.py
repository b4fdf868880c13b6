"""The HTML report of a run, rendered from its directory."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from runner.report.content import page_content
from runner.report.picture import load_pictures
from runner.report.summary import Summary, summarize
from runner.run.directory import RunDir
from runner.run.files import write_text
from runner.run.folds import has_folds

__all__ = ["render", "write_report"]

FOLDER = Path(__file__).parent


def render(template: str, variables: Mapping[str, Any], folder: Path = FOLDER) -> str:
    """Render a template.

    Args:
        template: file name of the template.
        variables: its variables; an undefined one is an error.
        folder: folder of the template, which may extend the templates of this package.
    """
    environment = Environment(
        loader=FileSystemLoader([folder, FOLDER]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    return environment.get_template(template).render(variables)


log = logging.getLogger("runner.report")


def write_report(run: RunDir) -> Path:
    """Write ``report.html``. Missing parts are omitted; the page of a failed run shows the reason.

    Returns:
        The path of the page.

    Raises:
        OSError: the file cannot be written.
    """
    if has_folds(run):
        from runner.report.folds import write_fold_report

        return write_fold_report(run)
    summary = summarize(run)
    _draw_missing_curves(summary)
    page = render("page.html", page_content(summary, load_pictures(run)))
    write_text(run.report_path, page)
    return run.report_path


def _draw_missing_curves(summary: Summary) -> None:
    """Draw the curves if they are missing or older than the journal."""
    run = summary.directory
    drawn = run.plots / "curves.png"
    if not run.metrics_path.is_file():
        return
    if drawn.is_file() and drawn.stat().st_mtime >= run.metrics_path.stat().st_mtime:
        return
    from runner.plots.style import to_png
    from runner.report.figures import curve_figures

    try:
        for name, figure in curve_figures(summary):
            to_png(figure, run.plots / f"{name}.png")
    except (OSError, ValueError, KeyError, TypeError):  # an incomplete journal, or a read-only folder
        log.exception("the curves could not be drawn")
