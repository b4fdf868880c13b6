"""All plots of a sweep, and for each plot that cannot be drawn yet the reason."""

from __future__ import annotations

import logging
import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from optuna.distributions import FloatDistribution, IntDistribution

from runner.plots.parallel_coordinates import parallel_coordinates
from runner.plots.parameters import Parameter, importance_bars, parameter_slices, rank_correlation
from runner.plots.pareto import pareto_front
from runner.plots.style import to_png
from runner.plots.trials import intermediate_values, objective_history, worker_timeline
from runner.sweep.report.importance import MIN_TRIALS, importances
from runner.sweep.sweep_summary import SweepRecord, TrialRecord, as_text, choices_of

__all__ = ["Drawn", "draw_figures"]

log = logging.getLogger("runner.sweep")

WORKER = re.compile(r"^(.*):\d+/(.*)$")
"""``HOST:PID/SLOT``: a sweep resumed in another process keeps the same rows."""
MAX_PARAMETERS = 12
NO_VALUE = "no trial has a value yet"


class NotYet(Exception):
    """Signals that a plot cannot be drawn yet, with the reason."""


@dataclass
class Drawn:
    """The plots of a sweep.

    Attributes:
        paths: name → file, in order of display.
        missing: title of a plot → why it was not drawn.
    """

    paths: dict[str, Path] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)


def draw_figures(record: SweepRecord) -> Drawn:
    """Write ``plots/*.png`` of the sweep's folder. A failure is logged, and the other plots are drawn."""
    drawn = Drawn()
    for name, title, draw in plan_of(record):
        path = record.sweep.plots / f"{name}.png"
        try:
            drawn.paths[name] = to_png(draw(), path)
        except NotYet as reason:
            drawn.missing[title] = str(reason)
            path.unlink(missing_ok=True)  # of an earlier state of the sweep
        except Exception as error:
            log.exception("%s could not be drawn", name)
            drawn.missing[title] = f"could not be drawn: {error}"
    return drawn


def plan_of(record: SweepRecord) -> list[tuple[str, str, Callable[[], Figure]]]:
    """Return file name, title and function of each plot."""
    several = len(record.metrics) > 1
    plan: list[tuple[str, str, Callable[[], Figure]]] = []
    if several:
        plan.append(("pareto_front", "Pareto front", lambda: draw_front(record)))
    for i, metric in enumerate(record.metrics):
        of = f" of {metric}" if several else ""
        end = f"_{i}" if several else ""
        plan += [
            (f"history{end}", f"History{of}", partial(draw_history, record, i)),
            (f"importance{end}", f"Importances{of}", partial(draw_importance, record, i, of)),
            (f"parallel_coordinates{end}", f"Parallel coordinates{of}", partial(draw_parallel, record, i)),
            (f"slices{end}", f"Slices{of}", partial(draw_slices, record, i)),
        ]
    plan.append(("rank_correlation", "Rank correlation", lambda: draw_correlation(record)))
    if not several:
        plan.append(("intermediate_values", "Intermediate values", lambda: draw_intermediate(record)))
    plan.append(("timeline", "Time line of the workers", lambda: draw_timeline(record)))
    return plan


def parameters_of(record: SweepRecord, trials: list[TrialRecord]) -> list[Parameter]:
    """Return the parameters that vary among the trials, as axes of plots."""
    found = []
    for key in record.keys:
        kinds = [trial.distributions[key] for trial in trials if key in trial.params]
        if not kinds:
            continue
        choices = choices_of(kinds[0])
        values = [trial.params.get(key) for trial in trials]
        if choices is not None:
            values = [as_text(trial.params[key]) if key in trial.params else None for trial in trials]
        log_scale = isinstance(kinds[0], FloatDistribution | IntDistribution) and kinds[0].log
        found.append(Parameter(key, values, choices, log_scale))
    return found[:MAX_PARAMETERS]


def values_of(trials: list[TrialRecord], objective: int) -> np.ndarray:
    """Return the values of an objective, shape (N,); NaN for a trial without one."""
    return np.array([trial.value(objective) for trial in trials], dtype=float)


def draw_history(record: SweepRecord, objective: int) -> Figure:
    if not record.trials:
        raise NotYet("no trial was started yet")
    return objective_history(
        [trial.number for trial in record.trials],
        values_of(record.trials, objective),
        [trial.state for trial in record.trials],
        record.metrics[objective],
        record.lower_is_better[objective],
    )


def draw_importance(record: SweepRecord, objective: int, of: str) -> Figure:
    if (num := len(record.of("complete"))) < MIN_TRIALS:
        raise NotYet(f"requires {MIN_TRIALS} complete trials, but the sweep has {num}")
    groups = importances(record, objective)
    if not groups:
        raise NotYet(
            "the complete trials do not differ in a parameter that all of them have, or have the same value"
        )
    return importance_bars(groups, f"Importance of the parameters{of}")


def draw_parallel(record: SweepRecord, objective: int) -> Figure:
    trials = with_value(record, objective)
    if len(trials) < 2:
        raise NotYet(f"requires 2 trials with a value, but the sweep has {len(trials)}")
    parameters = parameters_of(record, trials)
    metric, lower = record.metrics[objective], record.lower_is_better[objective]
    return parallel_coordinates(parameters, values_of(trials, objective), metric, lower)


def draw_slices(record: SweepRecord, objective: int) -> Figure:
    if not with_value(record, objective):
        raise NotYet(NO_VALUE)
    return parameter_slices(
        parameters_of(record, record.trials),
        values_of(record.trials, objective),
        [trial.state for trial in record.trials],
        record.metrics[objective],
        record.lower_is_better[objective],
    )


def with_value(record: SweepRecord, objective: int) -> list[TrialRecord]:
    return [trial for trial in record.trials if math.isfinite(trial.value(objective))]


def draw_correlation(record: SweepRecord) -> Figure:
    complete = record.of("complete")
    if len(complete) < MIN_TRIALS:
        raise NotYet(f"requires {MIN_TRIALS} complete trials, but the sweep has {len(complete)}")
    columns = {metric: values_of(complete, i) for i, metric in enumerate(record.metrics)}
    for parameter in parameters_of(record, complete):
        numbers = [as_number(trial.params.get(parameter.name)) for trial in complete]
        if len({value for value in numbers if math.isfinite(value)}) > 1:
            columns[parameter.name] = np.array(numbers)
    columns["seconds"] = np.array([math.nan if t.seconds is None else t.seconds for t in complete])
    return rank_correlation(columns, len(record.metrics))


def as_number(value: object) -> float:
    """Return a number; NaN for an option that has no order."""
    return float(value) if isinstance(value, bool | int | float) else math.nan


def draw_front(record: SweepRecord) -> Figure:
    complete = record.of("complete")
    if not complete:
        raise NotYet("no trial is complete yet")
    numbers = [trial.number for trial in complete]
    values = np.array([trial.values for trial in complete], dtype=float)
    return pareto_front(numbers, values, record.metrics, record.lower_is_better)


def draw_intermediate(record: SweepRecord) -> Figure:
    trials = [trial for trial in record.trials if trial.intermediate_values]
    if not trials:
        raise NotYet("no trial has reported an intermediate value yet")
    best = record.best()
    return intermediate_values(
        {trial.number: trial.intermediate_values for trial in trials},
        [trial.state for trial in trials],
        best.number if best else None,
        record.metrics[0],
        record.lower_is_better[0],
        step="seed" if record.settings.get("repeats", 1) > 1 else "epoch",
    )


def draw_timeline(record: SweepRecord) -> Figure:
    spans = [(trial, attempt) for trial in record.trials for attempt in trial.attempts]
    if not spans:
        raise NotYet("no trial was started yet")
    # In a sweep that was killed, attempts without an end ended with it: at the latest recorded time.
    last = max(attempt.end or attempt.start for _, attempt in spans)
    now = time.time() if record.state == "running" else last
    hosts = {WORKER.sub(r"\1", attempt.worker) for _, attempt in spans}
    name = r"\1 \2" if len(hosts) > 1 else r"worker \2"
    return worker_timeline(
        [trial.number for trial, _ in spans],
        [attempt.start for _, attempt in spans],
        [max(attempt.end or now, attempt.start) for _, attempt in spans],
        [attempt.outcome for _, attempt in spans],
        [WORKER.sub(name, attempt.worker) for _, attempt in spans],
    )
