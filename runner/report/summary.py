"""A summary of a run, read from its directory.

Missing or incomplete files leave fields empty and raise no error.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass, field
from typing import Any

import yaml

from runner.run.directory import RunDir
from runner.run.files import read_json
from runner.run.migrations import migrate_names
from runner.run.status import Status, read_status

__all__ = ["Summary", "bare_metrics", "lower_is_better", "summarize"]

LOWER_IS_BETTER = ("bits", "loss", "error", "rmse", "mse", "mae", "mape", "perplexity", "distance", "seconds")


@dataclass
class Summary:
    """One run, read once.

    Attributes:
        metrics: split → metric without the split's name → value.
        monitor: the metric that picked the best checkpoint, without the split's name.
    """

    run: RunDir
    status: Status
    config: dict[str, Any] = field(default_factory=dict)
    config_text: str = ""
    provenance: dict[str, Any] = field(default_factory=dict)
    results: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, dict[str, float]] = field(default_factory=dict)

    @property
    def monitor(self) -> str:
        return str((self.results.get("best") or {}).get("monitor") or "").partition("/")[2]

    @property
    def model(self) -> str:
        return self._option("model")

    @property
    def data(self) -> str:
        return self._option("data").removesuffix("DataModule") or str(self.facts.get("name", ""))

    def _option(self, group: str) -> str:
        choice = (self.provenance.get("choices") or {}).get(group)
        node = self.config.get(group)
        target = node.get("_target_", "") if isinstance(node, dict) else ""
        return str(choice or str(target).rpartition(".")[2])

    @property
    def headline(self) -> tuple[str, float] | None:
        """The figure to show first, such as ("test/accuracy", 0.97): test before val, the monitored one
        before others.
        """
        for split in ("test", "val"):
            found = self.metrics.get(split)
            if found:
                name = (
                    self.monitor
                    if self.monitor in found
                    else min(found, key=lambda key: (key == "loss", key))
                )
                return f"{split}/{name}", found[name]
        return None

    def std_of(self, key: str) -> float | None:
        """Deviation of a metric over the folds of the run; None where it has none."""
        return (self.results.get("std") or {}).get(key.partition("/")[0], {}).get(key)

    @property
    def seconds(self) -> float | None:
        """How long it ran, as far as that is known."""
        if "seconds" in self.results:
            return self.results["seconds"]
        if self.status.seconds is not None:
            return self.status.seconds
        if self.status.started_at and self.status.ended_at:
            return max(self.status.ended_at - self.status.started_at, 0.0)
        return None

    @property
    def command(self) -> str:
        """The command line as it can be typed again; without the path of the program."""
        words = [str(word) for word in self.provenance.get("command") or []]
        if words and words[0].endswith(("/runner", "runner/__main__.py", "runner/cli/__init__.py")):
            words[0] = "runner"
        return shlex.join(words)


def summarize(run: RunDir) -> Summary:
    try:
        text = migrate_names(run.config_path.read_text(encoding="utf-8"))
        config = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (OSError, ValueError, yaml.YAMLError):
        text, config = "", {}
    results = _mapping(run.results_path)
    return Summary(
        run=run,
        status=read_status(run),
        config=config if isinstance(config, dict) else {},
        config_text=text,
        provenance=_mapping(run.provenance_path),
        results=results,
        facts=_mapping(run.facts_path),
        metrics={split: bare_metrics(results[split]) for split in ("val", "test") if results.get(split)},
    )


def _mapping(path: Any) -> dict[str, Any]:
    try:
        value = read_json(path, {})
    except (OSError, json.JSONDecodeError, UnicodeDecodeError):
        return {}
    return value if isinstance(value, dict) else {}


def bare_metrics(metrics: dict[str, float]) -> dict[str, float]:
    """``{"test/accuracy": 0.9}`` → ``{"accuracy": 0.9}``."""
    return {
        key.partition("/")[2] if key.startswith(("val/", "test/")) else key: metrics[key] for key in metrics
    }


def lower_is_better(metric: str) -> bool:
    """Whether a metric of this name measures how wrong something is. What it is a metric of, such as the
    class in ``f1_class/error``, says nothing.
    """
    split, _, name = metric.lower().partition("/")
    words = (name if split in ("train", "val", "test") else split).partition("/")[0].split("_")
    return any(word in LOWER_IS_BETTER for word in words)
