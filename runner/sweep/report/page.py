"""The self-contained HTML page about a sweep, rendered from its folder and its study."""

from __future__ import annotations

from pathlib import Path

from runner.report.page import render
from runner.report.picture import load_picture
from runner.run.files import write_text
from runner.sweep.best import write_best
from runner.sweep.directory import SweepDir
from runner.sweep.report.content import page_content
from runner.sweep.report.figures import draw_figures
from runner.sweep.sweep_summary import SweepRecord, read_record

__all__ = ["write_sweep_report"]


def write_sweep_report(sweep: SweepDir, record: SweepRecord | None = None) -> Path:
    """Draw the plots and write ``best.yaml`` and ``report.html``, also of a running or empty sweep.

    Args:
        sweep: the sweep's folder.
        record: the sweep as read from it; None reads it.

    Returns:
        The path of the page.

    Raises:
        OSError: a file cannot be written.
        UserError: the study cannot be read.
    """
    record = record or read_record(sweep)
    write_best(record)
    drawn = draw_figures(record)
    pictures = {
        name: picture for name, path in drawn.paths.items() if (picture := load_picture(path)) is not None
    }
    page = render("sweep.html", page_content(record, pictures, drawn.missing), Path(__file__).parent)
    write_text(sweep.report_path, page)
    return sweep.report_path
