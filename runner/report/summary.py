"""A summary of a run, read from its directory once."""

from __future__ import annotations

import shlex
from functools import cached_property

from runner.run.directory import RunDir
from runner.run.state import RunState

__all__ = ["Summary", "bare_metrics", "lower_is_better", "summarize"]

LOWER_IS_BETTER = ("bits", "loss", "error", "rmse", "mse", "mae", "mape", "perplexity", "distance", "seconds")


class Summary(RunState):
    """The state of a run, prepared for tables and pages. Unreadable files read as empty.

    Args:
        directory: the run's directory.
    """

    def __init__(self, directory: RunDir) -> None:
        super().__init__(directory, tolerant=True)

    @cached_property
    def metrics(self) -> dict[str, dict[str, float]]:
        """Split → metric without the split's name → value."""
        return {
            split: bare_metrics(self.results[split]) for split in ("val", "test") if self.results.get(split)
        }

    @property
    def monitor(self) -> str:
        """The metric that selected the best checkpoint, without the split's name."""
        return str(self.best.get("monitor") or "").partition("/")[2]

    @property
    def model(self) -> str:
        """The selected option of the group ``model``, or the name of the constructor."""
        return self._option("model")

    @property
    def data(self) -> str:
        """The selected option of the group ``data``, or the name of the data set."""
        return self._option("data").removesuffix("DataModule") or str(self.facts.get("name", ""))

    def _option(self, group: str) -> str:
        choice = (self.provenance.get("choices") or {}).get(group)
        node = self.config.get(group)
        target = node.get("_target_", "") if isinstance(node, dict) else ""
        return str(choice or str(target).rpartition(".")[2])

    @property
    def headline(self) -> tuple[str, float] | None:
        """The main metric, such as ("test/accuracy", 0.97): test before val, monitored before others."""
        for split in ("test", "val"):
            values = self.metrics.get(split)
            if values:
                name = (
                    self.monitor
                    if self.monitor in values
                    else min(values, key=lambda key: (key == "loss", key))
                )
                return f"{split}/{name}", values[name]
        return None

    def std_of(self, key: str) -> float | None:
        """Return the standard deviation of a metric over the folds of the run, if any."""
        deviations: dict[str, float] = (self.results.get("std") or {}).get(key.partition("/")[0], {})
        return deviations.get(key)

    @property
    def seconds(self) -> float | None:
        """Duration of the run in seconds, if known."""
        if "seconds" in self.results:
            return float(self.results["seconds"])
        if self.status.seconds is not None:
            return self.status.seconds
        if self.status.started_at and self.status.ended_at:
            return max(self.status.ended_at - self.status.started_at, 0.0)
        return None

    @property
    def command(self) -> str:
        """The command line in a form that can be repeated, without the path of the program."""
        words = [str(word) for word in self.provenance.get("command") or []]
        if words and words[0].endswith(("/runner", "runner/__main__.py", "runner/cli/__init__.py")):
            words[0] = "runner"
        return shlex.join(words)


def summarize(run: RunDir) -> Summary:
    """Return the summary of a run; its files are read on first access."""
    return Summary(run)


def bare_metrics(metrics: dict[str, float]) -> dict[str, float]:
    """Return metrics without the split's name: ``{"test/accuracy": 0.9}`` → ``{"accuracy": 0.9}``."""
    return {
        key.partition("/")[2] if key.startswith(("val/", "test/")) else key: metrics[key] for key in metrics
    }


def lower_is_better(metric: str) -> bool:
    """Return whether lower values of a metric are better, judged by its name.

    A suffix, such as the class name in ``f1_class/error``, is ignored.
    """
    split, _, name = metric.lower().partition("/")
    words = (name if split in ("train", "val", "test") else split).partition("/")[0].split("_")
    return any(word in LOWER_IS_BETTER for word in words)
