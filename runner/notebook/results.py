"""Results of sweeps, range tests, comparisons and explanations as objects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from runner.errors import RunNotFoundError, UserError
from runner.notebook.figures import Figures
from runner.notebook.run import Run
from runner.report.summary import summarize
from runner.run.directory import RunDir
from runner.run.flatten import flatten
from runner.sweep.directory import SweepDir
from runner.sweep.sweep_summary import SweepRecord, read_record

__all__ = ["RangeTest", "Report", "Sweep", "comparison"]


class Sweep:
    """A sweep: ``sweep.trials`` is a DataFrame, ``sweep.best`` the run of the best trial.

    Args:
        directory: the sweep's folder.
    """

    def __init__(self, directory: SweepDir) -> None:
        self.directory = directory

    def __repr__(self) -> str:
        return f"Sweep({self.directory.name!r}, {len(self.record.trials)} trials)"

    def _repr_html_(self) -> str:
        table: str = self.trials.to_html()
        return table

    @property
    def record(self) -> SweepRecord:
        """The plan and the trials, reread on each access."""
        return read_record(self.directory)

    @property
    def trials(self) -> pd.DataFrame:
        """A row per trial, the best first: objectives, values, state and duration in seconds."""
        record = self.record
        ranked = record.ranked()
        rows = [
            {"trial": trial.number}
            | dict(zip(record.metrics, trial.values or (), strict=False))
            | trial.params
            | {"state": trial.state, "seconds": trial.seconds}
            for trial in [*ranked, *(trial for trial in record.trials if trial not in ranked)]
        ]
        return pd.DataFrame(rows).set_index("trial") if rows else pd.DataFrame()

    @property
    def best(self) -> Run:
        """The run of the best trial.

        Raises:
            RunNotFoundError: no trial is complete.
        """
        best = self.record.best()
        if best is None:
            raise RunNotFoundError(f"no trial of {self.directory.name} is complete yet.")
        return Run(best.run)

    @property
    def figures(self) -> Figures:
        """The plots of the sweep by name."""
        return Figures.of_folder(self.directory.path / "plots")


class RangeTest:
    """The result of a learning-rate range test (Smith, 2017).

    Args:
        directory: the run of the test.
        suggestions: learning rates by the rule that suggests them.
    """

    def __init__(self, directory: RunDir, suggestions: dict[str, float | None]) -> None:
        self.directory = directory
        self.suggestions = suggestions

    def __repr__(self) -> str:
        return f"RangeTest({', '.join(f'{name}={rate}' for name, rate in self.suggestions.items())})"

    def plot(self) -> Image.Image:
        """Return the loss against the learning rate, with the suggestions.

        Raises:
            UserError: the test was run with ``plots=false``.
        """
        path = self.directory.plots / "lr_finder.png"
        if not path.is_file():
            raise UserError("the range test has no plot: it was run with plots=false.")
        with Image.open(path) as image:
            image.load()
            return image


class Report:
    """A report page; a notebook shows a link.

    Args:
        path: the HTML file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __fspath__(self) -> str:
        return str(self.path)

    def __repr__(self) -> str:
        return f"Report({str(self.path)!r})"

    def _repr_html_(self) -> str:
        return f"<a href='{self.path.absolute().as_uri()}' target='_blank'>{self.path}</a>"


def comparison(runs: list[RunDir]) -> pd.DataFrame:
    """Return a column for each run, with the config values that differ and all metrics.

    Args:
        runs: two runs or more.
    """
    summaries = [summarize(run) for run in runs]
    configs = [dict(flatten(summary.config)) for summary in summaries]
    keys = sorted({key for config in configs for key in config})
    differing = [key for key in keys if len({repr(config.get(key)) for config in configs}) > 1]
    columns: dict[str, dict[str, Any]] = {}
    for summary, config in zip(summaries, configs, strict=True):
        values: dict[str, Any] = {key: config.get(key) for key in differing if not key.startswith("run.")}
        for split, metrics in summary.metrics.items():
            values |= {f"{split}/{name}": value for name, value in metrics.items()}
        columns[summary.name] = values
    return pd.DataFrame(columns)
