"""Console output of a run: the plan before training, the results, and suggested commands."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from typing import Any

from rich.console import Console

from runner.distributed.hardware import ResolvedHardware, describe_device
from runner.report.baselines import baseline_verdict
from runner.report.folds import folds_table, headlines, spread
from runner.report.format import count, duration
from runner.report.format import number as figure
from runner.report.suggestions import predict_command, run_argument
from runner.report.summary import lower_is_better
from runner.report.tables import next_commands, plan_panel, results_table, suggestions_table
from runner.run.directory import RunDir
from runner.run.folds import PREDICTIONS
from runner.run.state import RunState

__all__ = ["fold", "folds", "plan", "range_test", "results", "text"]


def console() -> Console:
    return Console(highlight=False, soft_wrap=True)


def is_main_process() -> bool:
    return os.environ.get("RANK", "0") == "0"


def text(message: str | None) -> None:
    """Print a message, on the first rank only."""
    if message and is_main_process():
        console().print(message, markup=False)


def short_path(path: Any) -> str:
    """Return a path relative to the working directory, if it lies below it."""
    relative = os.path.relpath(path)
    return relative if not relative.startswith("..") else str(path)


def chosen_name(run: RunState, config: Mapping[str, Any], group: str) -> str:
    """Return the selected option of ``model`` or ``task``, or the name of its constructor."""
    choices = run.provenance.get("choices") or {}
    return str(choices.get(group) or config[group]["_target_"].rpartition(".")[2])


def plan(
    run: RunDir,
    config: dict[str, Any],
    data: Any,
    task: Any,
    hardware: ResolvedHardware,
    resumed: Any,
    steps: str = "",
) -> None:
    """Print the plan of a run: task, model, data and device.

    Args:
        run: the run's directory.
        config: the resolved config.
        data: the data module, set up.
        task: the task with its model.
        hardware: the chosen device and precision.
        resumed: the checkpoint that training resumes from, if any.
        steps: number of steps and their estimated duration.
    """
    if not is_main_process():
        return
    state, facts = RunState(run), data.facts
    parameters = list(task.model.parameters())
    splits = " / ".join(
        f"{len(data.splits[s])} {s}" for s in ("train", "val", "test") if len(data.splits.get(s, ()))
    )
    trainable = sum(p.numel() for p in parameters if p.requires_grad)
    total = sum(p.numel() for p in parameters)
    trained = f", {count(trainable)} of them trainable" if trainable < total else ""
    classes = f", {facts.num_classes} classes" if facts.num_classes else ""
    precision = {"32-true": "32-bit", "bf16-mixed": "bf16", "16-mixed": "fp16"}[hardware.precision]
    layout = ", channels-last" if hardware.channels_last else ""
    lines = {
        "task": chosen_name(state, config, "task"),
        "model": f"{chosen_name(state, config, 'model')}, {count(total)} parameters{trained}",
        "data": f"{facts.name}: {splits} samples of {'×'.join(map(str, facts.input_shape))}{classes}",
        "groups": groups_text(data),
        "device": f"{describe_device(hardware.accelerator)}, {precision}{layout}",
        "steps": steps or None,
        "run": short_path(run.path),
    }
    if hardware.reasons:
        lines["why"] = "; ".join(hardware.reasons)
    if resumed:
        lines["resumes"] = f"from {resumed.name}"
    console().print(plan_panel(lines))
    for message in data.dropped.messages():
        text(message)


def groups_text(data: Any) -> str | None:
    """Return the number of groups of each split, or None without groups."""
    sizes = " / ".join(f"{size} {split}" for split, size in getattr(data, "num_groups", {}).items())
    return f"{sizes} by {data.group}" if sizes else None


def folds(run: RunDir, config: Any, plan: dict[str, Any]) -> None:
    """Print how the data are split into folds.

    Args:
        run: the run's directory.
        config: the config.
        plan: the content of ``folds.json``.
    """
    state = RunState(run)
    groups = f" · {plan['num_groups']} groups, each in a single fold" if plan["num_groups"] else ""
    tested = f"{plan['num_test']} test samples in every fold" if plan["num_test"] else "no test samples"
    lines = {
        "task": chosen_name(state, config, "task"),
        "model": chosen_name(state, config, "model"),
        "folds": f"{len(plan['sizes'])} of {spread(plan['sizes'])} samples, split by {plan['kind']}{groups}",
        "data": f"{plan['name']}: {sum(plan['sizes'])} samples in the folds, {tested}",
        "run": short_path(run.path),
    }
    console().print(plan_panel(lines))
    for note in plan["notes"]:
        text(note)


def fold(number: int, values: dict[str, Any]) -> None:
    """Print the main results of one fold.

    Args:
        number: number of the fold.
        values: its results.
    """
    metrics = [f"{key} {figure(value)}" for key, value in headlines(values).items()]
    text(f"fold {number}: {' · '.join(metrics)} · {duration(values['seconds'])}")


def results(run: RunDir, values: dict[str, Any]) -> None:
    """Print the results of a run and suggested commands.

    Args:
        run: the run's directory.
        values: its results.
    """
    if not is_main_process():
        return
    out = console()
    if "by_fold" in values:
        out.print(folds_table(values))
        out.print(next_commands(after_folds(run, values)))
        return
    out.print(results_table(values))
    monitor = str((values.get("best") or {}).get("monitor") or "").partition("/")[2]
    text(baseline_verdict(values, lower_is_better(monitor)))
    out.print(next_commands(after_run(run, values)))


def after_run(run: RunDir, values: dict[str, Any]) -> list[tuple[str, str]]:
    name = run_argument(run)
    return [
        (f"runner report {name}", "a page with all plots"),
        (
            f"runner evaluate {name} --split {'test' if values.get('test') else 'val'}",
            "compute metrics again",
        ),
        predict_command(name, RunState(run).facts),
        ("runner ui", "compare runs in the dashboard"),
    ]


def after_folds(run: RunDir, values: dict[str, Any]) -> list[tuple[str, str]]:
    name = run_argument(run)
    commands = [
        (f"runner report {name}", "a page with all folds"),
        (f"runner evaluate {short_path(run.path)}/folds/0", "compute the metrics of one fold again"),
        (f"runner compare {name} OTHER", "compare the means with those of another run"),
    ]
    predictions = (
        f"less {short_path(run.path)}/{PREDICTIONS}",
        f"out-of-fold predictions of {values['num_predictions']} samples",
    )
    return [predictions, *commands] if values.get("num_predictions") else commands


IN_RANGE_TEST_ONLY = ("optimizer.lr=", "lr_finder.", "run.name=")
"""Beginnings of the overrides of a range test that the suggested training does not repeat."""


def range_test(run: RunDir, composition: Any, values: dict[str, Any], words: list[str]) -> None:
    """Print the learning rates that a range test suggests, and the path of its plot.

    Args:
        run: the run's directory.
        composition: the composed config.
        values: the results of the test.
        words: the overrides of the command line.
    """
    suggestion = (composition.config.get("lr_finder") or {}).get("suggestion", "steepest")
    out = console()
    out.print(suggestions_table(values["find_lr"], suggestion), markup=False)
    out.print(
        f"{values['step']} steps; {values['ended']}. {short_path(run.plots / 'lr_finder.png')}", markup=False
    )
    rate = values["find_lr"].get(suggestion)
    other = shlex.join(word for word in words if not word.startswith(IN_RANGE_TEST_ONLY))
    lr = "auto" if rate is None else f"{rate:.3g}"
    commands = [
        (" ".join(filter(None, ["runner train", other, f"optimizer.lr={lr}"])), "train with this rate"),
        ("runner ui", "show the test in the dashboard"),
    ]
    out.print(next_commands(commands))
