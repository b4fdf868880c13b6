"""The view of an experiment in MLflow's dashboard: order of the runs, columns and charts.

MLflow 3.17 stores views that users share as tags of the experiment and opens one by the query parameter
``viewStateShareKey``. Without a view, its list of runs has no column for a metric, and every metric has a
line chart of its own, even if it has a single value.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from runner.run.state import RunState
from runner.tracking.store import KIND, MODEL_TRAINING
from runner.tracking.tags import headline, params_of, valid_key

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["VIEW", "set_view", "view_of"]

VIEW = "runner"
"""Key of the view in the page's address."""
TAG = f"mlflow.sharedViewState.{VIEW}"
MAX_TAG_LENGTH = 20_000
MAX_METRICS, MAX_PARAMETERS = 6, 8
"""Numbers of columns."""
USUAL_PARAMETERS = ("optimizer.lr", "data.batch_size", "trainer.max_epochs", "seed")
SECTIONS = ("training", "results")


def set_view(client: MlflowClient, experiment_id: str, runs: Sequence[RunState]) -> bool:
    """Store the view of an experiment; return whether there is one.

    Args:
        client: client of the store.
        experiment_id: the experiment.
        runs: its newest runs, the newest last.
    """
    if client.get_experiment(experiment_id).tags.get(KIND) is None:
        client.set_experiment_tag(experiment_id, KIND, MODEL_TRAINING)
    view = view_of(runs)
    if view is None:
        return False
    packed = base64.b64encode(zlib.compress(json.dumps(view).encode(), 9)).decode()
    value = f"deflate;{packed}"
    if len(value) > MAX_TAG_LENGTH:
        return False
    client.set_experiment_tag(experiment_id, TAG, value)
    return True


def view_of(runs: Sequence[RunState]) -> dict[str, Any] | None:
    """Return the view in MLflow's format; None if no run has results.

    Args:
        runs: the newest runs, the newest last.
    """
    measured = [run for run in runs if headline(run.results)]
    if not measured:
        return None
    best = measured[-1].results.get("best") or {}
    metrics = _metrics_of(measured)
    monitor = str(best.get("monitor") or metrics[0])
    main = list(dict.fromkeys([monitor, *headline(measured[-1].results)]))[:MAX_METRICS]
    columns = [f"metrics.`{valid_key(key)}`" for key in main]
    columns += [f"params.`{valid_key(key)}`" for key in _parameters_of(measured)]
    return {
        "orderByKey": f"metrics.`{valid_key(monitor)}`",
        "orderByAsc": _is_ascending(monitor, best.get("mode")),
        "selectedColumns": ["attributes.`Dataset`", *columns],
        "compareRunCharts": list(_charts(metrics)),
        "compareRunSections": [
            {"uuid": name, "name": name, "display": True, "isReordered": True, "deleted": False}
            for name in SECTIONS
        ],
        "isAccordionReordered": True,
    }


def _is_ascending(monitor: str, mode: str | None) -> bool:
    """Return whether low values are the best ones; without a mode, judged by the metric's name."""
    if mode is not None:
        return mode == "min"
    return any(word in monitor for word in ("loss", "error", "perplexity", "rmse", "mse", "mae"))


def _metrics_of(runs: Iterable[RunState]) -> list[str]:
    """Return the names of all metrics except those of single classes, the newest run's first."""
    names: dict[str, None] = {}
    for run in reversed(list(runs)):
        for split in ("val", "test"):
            names |= dict.fromkeys(
                key if "/" in key else f"{split}/{key}" for key in run.results.get(split) or {}
            )
    return [name for name in names if "_class/" not in name]


def _parameters_of(runs: Sequence[RunState]) -> list[str]:
    """Return the parameters that differ between the runs, and some usual ones."""
    configs = [params_of(run.config) for run in runs]
    keys = [key for key in configs[-1] if not key.startswith(("run.", "tracking.", "hardware."))]
    differing = [key for key in keys if len({config.get(key) for config in configs}) > 1]
    known = ["model._target_", *(key for key in USUAL_PARAMETERS if key in configs[-1])]
    return list(dict.fromkeys([*known, *differing]))[:MAX_PARAMETERS]


def _charts(metrics: Sequence[str]) -> Iterable[dict[str, Any]]:
    """Yield a line chart for train and val of each metric, and a bar chart for each metric of the test split.

    A metric that is in a chart of another one has a deleted chart, so that MLflow does not add one.
    """
    names = dict.fromkeys(key.partition("/")[2] for key in metrics if key.startswith("val/"))
    for name in names:
        keys = [valid_key(f"{split}/{name}") for split in ("train", "val")]
        yield _chart("LINE", keys[1], name, "training", selectedMetricKeys=keys)
        yield _chart("LINE", keys[0], name, "training", deleted=True)
    for key in metrics:
        if key.startswith("test/"):
            yield _chart("BAR", valid_key(key), key, "results")
    yield _chart("LINE", "train/lr", "learning rate", "training", selectedMetricKeys=["train/lr"])


def _chart(kind: str, metric: str, title: str, section: str, **options: Any) -> dict[str, Any]:
    chart = {
        "uuid": f"{kind}-{metric}",
        "type": kind,
        "metricKey": metric,
        "displayName": title,
        "metricSectionId": section,
        "runsCountToCompare": 10,
        "deleted": False,
        "isGenerated": False,
    }
    if kind == "LINE":
        chart |= {"xAxisKey": "step", "lineSmoothness": 0, "scaleType": "linear", "useGlobalXaxisKey": True,
                  "xAxisScaleType": "linear", "useGlobalLineSmoothing": True, "ignoreOutliers": False,
                  "yAxisKey": "metric", "yAxisExpressions": [], "range": {}}  # fmt: skip
    return chart | options
