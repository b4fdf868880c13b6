"""A run as an object, for notebooks and scripts."""

from __future__ import annotations

import html
import tempfile
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
from PIL.Image import Image

from runner.inference.load import Trained, Which, load_trained, plain_config
from runner.notebook.figures import Figures, displayed
from runner.run.directory import RunDir, find_run
from runner.run.format import read_stored_config
from runner.run.journal import load_metrics
from runner.run.state import RunState
from runner.run.status import Status

__all__ = ["Run", "load_run"]


class Run:
    """A run: ``run = load_run("latest"); run.metrics(); run.predict(["cat.jpg"]); run.figures``.

    Args:
        directory: the run directory.
    """

    def __init__(self, directory: RunDir) -> None:
        self.directory = directory
        self.state = RunState(directory)

    def __repr__(self) -> str:
        return f"Run({self.directory.name!r}, {self.status.state})"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{html.escape(name)}</td>"
            + "".join(
                f"<td>{values.get(split, ''):.4g}</td>" if split in values else "<td></td>"
                for split in SPLITS
            )
            + "</tr>"
            for name, values in self._by_metric().items()
        )
        head = "<tr><th>metric</th><th>val</th><th>test</th></tr>" if rows else ""
        title = f"<b>{html.escape(self.directory.name)}</b> · {html.escape(self.status.state)}"
        return f"<div>{title}<table>{head}{rows}</table></div>"

    def _by_metric(self) -> dict[str, dict[str, float]]:
        """Metric without its split → split → value; without the metrics of single classes."""
        table: dict[str, dict[str, float]] = {}
        for split in SPLITS:
            for key, value in (self.results.get(split) or {}).items():
                if isinstance(value, int | float) and "_class/" not in key:
                    table.setdefault(key.removeprefix(f"{split}/"), {})[split] = float(value)
        return table

    @property
    def config(self) -> dict[str, Any]:
        """Config of the run."""
        return plain_config(read_stored_config(self.directory.config_path), resolve=False)

    @property
    def status(self) -> Status:
        """State of the run."""
        return self.state.reload().status

    @property
    def results(self) -> dict[str, Any]:
        """Metrics of the best checkpoint; empty before the run has finished."""
        return self.state.reload().results

    @property
    def figures(self) -> Figures:
        """The plots of the run by name, as in its report: ``run.figures["curves"]``."""
        return Figures.of_folder(self.directory.plots)

    def metrics(self) -> dict[str, list[tuple[int, int, float]]]:
        """Returns the history of each metric as ``(step, epoch, value)``."""
        return load_metrics(self.directory.metrics_path)

    @cached_property
    def trained(self) -> Trained:
        """Task and data module with the best checkpoint."""
        return load_trained(self.directory)

    def predict(self, inputs: Any, which: Which = "best") -> list[dict[str, Any]]:
        """Returns one row per input; see ``runner predict``.

        Args:
            inputs: one input or a sequence of them: paths, texts, PIL images, image arrays or tensors (uint8,
                or floats from 0 to 1), DataFrames, or rows of features ``(N, F)``.
            which: the checkpoint, ``best`` or ``last``.

        Raises:
            DataError: the data set of the run cannot read such inputs.
        """
        from runner.inference.predict import predict
        from runner.notebook.inputs import as_arguments

        with tempfile.TemporaryDirectory(prefix="runner-inputs-") as folder:
            arguments = as_arguments(inputs, self.trained.data, Path(folder))
            rows = predict(self.directory, arguments, which)
        prefix = f"{folder}/"
        return [row | {"input": str(row["input"]).removeprefix(prefix)} for row in rows]

    def evaluate(self, split: str = "test", overrides: dict[str, Any] | None = None) -> dict[str, float]:
        """Returns the metrics of the best checkpoint on a split."""
        from runner.inference.evaluate import evaluate

        return evaluate(self.directory, split, overrides=overrides)

    def show_results(self, count: int = 12, split: str = "val") -> Image | pd.DataFrame:
        """Returns samples of a split with targets and predictions, as an image or a table.

        Raises:
            UserError: the split does not exist.
        """
        from runner.notebook.samples import predicted_samples

        return displayed(predicted_samples(self.directory, self.trained, split, count))

    def top_losses(self, count: int = 12, split: str = "val") -> Image | pd.DataFrame:
        """Returns the samples of a split with the highest loss, with targets and predictions.

        Raises:
            UserError: the split does not exist.
        """
        from runner.notebook.samples import losing_samples

        return displayed(losing_samples(self.directory, self.trained, split, count))


SPLITS = ("val", "test")


def load_run(reference: str | Path = "latest", root: str | Path = "runs") -> Run:
    """Returns a run.

    Args:
        reference: directory, name, MLflow run id or ``latest``.
        root: folder of the runs.

    Raises:
        RunNotFoundError: the run does not exist.
    """
    return Run(find_run(reference, root))
