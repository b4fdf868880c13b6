"""What a run says to the person who started it: what is about to run, what came out, what to do next."""

from __future__ import annotations

import os
import shlex
from typing import Any

from rich.console import Console

from runner.distributed.hardware import ResolvedHardware, describe_device
from runner.report.baselines import baseline_verdict
from runner.report.folds import folds_table, headlines, spread
from runner.report.format import count, duration
from runner.report.format import number as figure
from runner.report.summary import lower_is_better
from runner.report.tables import next_commands, plan_panel, results_table, suggestions_table
from runner.run.directory import RunDir
from runner.run.files import read_json
from runner.run.folds import PREDICTIONS

__all__ = ["fold", "folds", "plan", "range_test", "results", "text"]


def console() -> Console:
    return Console(highlight=False, soft_wrap=True)


def is_main_process() -> bool:
    return os.environ.get("RANK", "0") == "0"


def text(message: str | None) -> None:
    if message and is_main_process():
        console().print(message, markup=False)


def short_path(path: Any) -> str:
    relative = os.path.relpath(path)
    return relative if not relative.startswith("..") else str(path)


def chosen_name(run: RunDir, config: dict[str, Any], group: str) -> str:
    """The option of ``model`` or ``task`` that was taken, or the constructor's name."""
    chosen = read_json(run.provenance_path, {}).get("choices") or {}
    return chosen.get(group) or config[group]["_target_"].rpartition(".")[2]


def plan(
    run: RunDir, config: dict[str, Any], data: Any, task: Any, hardware: ResolvedHardware, resumed: Any
) -> None:
    """What is about to run."""
    if not is_main_process():
        return
    facts = data.facts
    parameters = list(task.model.parameters())
    splits = " / ".join(
        f"{len(data.splits[s])} {s}" for s in ("train", "val", "test") if len(data.splits.get(s, ()))
    )
    trainable = sum(p.numel() for p in parameters if p.requires_grad)
    trained = (
        f", {count(trainable)} of them trained" if trainable < sum(p.numel() for p in parameters) else ""
    )
    classes = f", {facts.num_classes} classes" if facts.num_classes else ""
    precision = {"32-true": "32-bit", "bf16-mixed": "bf16", "16-mixed": "fp16"}[hardware.precision]
    layout = ", channels-last" if hardware.channels_last else ""
    lines = {
        "task": chosen_name(run, config, "task"),
        "model": f"{chosen_name(run, config, 'model')}, {count(sum(p.numel() for p in parameters))} "
        f"parameters{trained}",
        "data": f"{facts.name}: {splits} samples of {'×'.join(map(str, facts.input_shape))}{classes}",
        "device": f"{describe_device(hardware.accelerator)}, {precision}{layout}",
        "run": short_path(run.path),
    }
    if hardware.reasons:
        lines["why"] = "; ".join(hardware.reasons)
    if resumed:
        lines["resumes"] = f"from {resumed.name}"
    console().print(plan_panel(lines))
    for message in data.dropped.messages():
        text(message)


def folds(run: RunDir, config: Any, plan: dict[str, Any]) -> None:
    """How the data are cut into folds, and what is to be known of it."""
    groups = f" · {plan['num_groups']} groups, none of them in two folds" if plan["num_groups"] else ""
    lines = {
        "task": chosen_name(run, config, "task"),
        "model": chosen_name(run, config, "model"),
        "folds": f"{len(plan['sizes'])} of {spread(plan['sizes'])} samples, cut by {plan['kind']}{groups}",
        "data": f"{plan['name']}: {sum(plan['sizes'])} samples are validated on"
        + (
            f", {plan['num_test']} tested on in every fold"
            if plan["num_test"]
            else ", none is set apart for test"
        ),
        "run": short_path(run.path),
    }
    console().print(plan_panel(lines))
    for note in plan["notes"]:
        text(note)


def fold(number: int, values: dict[str, Any]) -> None:
    """What came out of one fold."""
    shown = [f"{key} {figure(value)}" for key, value in headlines(values).items()]
    text(f"fold {number}: {' · '.join(shown)} · {duration(values['seconds'])}")


def results(run: RunDir, values: dict[str, Any]) -> None:
    """What came out, and the commands worth typing next."""
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
    name = short_path(run.path)
    has_test = bool(values.get("test"))
    commands = [
        (f"runner report {name}", "the page with every plot"),
        (f"runner evaluate {name} --split {'test' if has_test else 'val'}", "the metrics again"),
        (f"runner predict {name} INPUT", "use the model"),
        ("runner ui", "compare runs in the dashboard"),
    ]
    out.print(next_commands(commands))


def after_folds(run: RunDir, values: dict[str, Any]) -> list[tuple[str, str]]:
    name = short_path(run.path)
    commands = [
        (f"runner report {name}", "the page with every fold"),
        (f"runner evaluate {name}/folds/0", "one fold's metrics again"),
        (f"runner compare {name} OTHER", "means beside those of another run"),
    ]
    kept = (
        f"less {name}/{PREDICTIONS}",
        f"what was predicted of {values['num_predictions']} samples, each by its fold",
    )
    return [kept, *commands] if values.get("num_predictions") else commands


def range_test(run: RunDir, composition: Any, values: dict[str, Any], words: list[str]) -> None:
    """The learning rates that a range test suggests, and where its plot is."""
    way = (composition.config.get("lr_finder") or {}).get("suggestion", "steepest")
    out = console()
    out.print(suggestions_table(values["find_lr"], way), markup=False)
    out.print(
        f"{values['step']} steps; {values['ended']}. {short_path(run.plots / 'lr_finder.png')}", markup=False
    )
    rate = values["find_lr"].get(way)
    again = shlex.join(word for word in words if not word.startswith(("optimizer.lr=", "lr_finder.")))
    lr = "auto" if rate is None else f"{rate:.3g}"
    commands = [
        (" ".join(filter(None, ["runner train", again, f"optimizer.lr={lr}"])), "train with it"),
        ("runner ui", "the test in the dashboard"),
    ]
    out.print(next_commands(commands))
