"""``runner list [GROUP]``: lists config groups, their options, and compatible combinations."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from runner.cli import completion
from runner.cli.arguments import set_completer

if TYPE_CHECKING:
    from runner.config.groups import Option

SUMMARY = "list config groups, their options, and the tasks of each model"

EVERY_TASK = "any"
OVERVIEW_WIDTH = 100
"""Width of the overview where the output is no terminal."""


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of the verb."""
    text = "a config group (model, data, optimizer …); all if omitted"
    set_completer(parser.add_argument("group", nargs="?", metavar="GROUP", help=text), completion.groups)
    parser.add_argument(
        "--config-dir",
        metavar="FOLDER",
        action="append",
        default=[],
        help="additional folder of config groups",
    )
    parser.add_argument(
        "--steps", type=int, metavar="N", help="with scheduler: number of steps to draw (1000)"
    )
    parser.add_argument(
        "--plot", metavar="FILE", help="with scheduler: draw all schedules into this PNG file"
    )


def run(args: Namespace) -> int:
    """Run the verb; return the exit code."""
    from runner.config.groups import find_groups
    from runner.errors import UserError
    from runner.suggest import did_you_mean

    groups = find_groups(args.config_dir)
    idle = [f"--{name}" for name in ("steps", "plot") if getattr(args, name) is not None]
    if idle and args.group != "scheduler":
        raise UserError(f"{', '.join(idle)} would have no effect: it is for `runner list scheduler`.")
    if args.group is None:
        _print_overview(groups)
        return 0
    if args.group not in groups:
        raise UserError(f"unknown config group {args.group!r}. {did_you_mean(args.group, groups)}")
    if args.group == "scheduler":
        from runner.cli.config.schedule import plot_schedules

        options, steps = groups["scheduler"], 1000 if args.steps is None else args.steps
        _print_schedules(options, plot_schedules(list(options), steps, args.plot, args.config_dir))
        return 0
    print_group(args.group, groups[args.group])
    return 0


def _print_schedules(options: dict[str, Option], curves: dict[str, str]) -> None:
    from runner.cli.show import console, table

    rows = [(name, option.summary, curves[name]) for name, option in options.items()]
    console().print(table("option", "description", "learning rate, start to end", rows=rows))


def _print_overview(groups: dict[str, dict[str, Option]]) -> None:
    from runner.cli.show import console, table
    from runner.config.groups import GROUPS

    order = [
        *(group for group in GROUPS if group in groups),
        *(group for group in groups if group not in GROUPS),
    ]
    out = console()
    rows = [(group, ", ".join(groups[group])) for group in order]
    title = "Config groups: runner train group=option"
    out.print(table("group", "options", title=title, rows=rows, max_width=OVERVIEW_WIDTH))
    tasks = groups.get("task", {})
    compatible = [
        (task, ", ".join(_models_for(task, groups)), ", ".join(_data_of(task, groups))) for task in tasks
    ]
    title, headers = "Compatible models and data sets", ("task", "models", "data sets")
    out.print(table(*headers, title=title, rows=compatible, max_width=OVERVIEW_WIDTH))
    out.print("`runner list GROUP` describes each option.", markup=False)


def print_group(group: str, options: dict[str, Option]) -> None:
    """Print the options of a group with their descriptions."""
    from runner.cli.show import console, table

    headers, rows = ["option", "description"], []
    for name, option in options.items():
        row = [name, option.summary]
        if group == "model":
            row.append(" ".join(option.tasks) or EVERY_TASK)
        if group == "data":
            row.append(_task_of(option))
        rows.append(tuple(row))
    if group in ("model", "data"):
        headers.append("tasks" if group == "model" else "task")
    console().print(table(*headers, rows=rows))


def _models_for(task: str, groups: dict[str, dict[str, Option]]) -> list[str]:
    models = groups.get("model", {}).values()
    return [model.name for model in models if not model.tasks or task in model.tasks]


def _data_of(task: str, groups: dict[str, dict[str, Option]]) -> list[str]:
    return [data.name for data in groups.get("data", {}).values() if _task_of(data) == task]


def _task_of(data: Option) -> str:
    """Return the task that a data set selects in its defaults list, or the default task."""
    import re

    text = data.path.read_text(encoding="utf-8", errors="replace")
    match = re.search(r"override\s+/task(?:@\S+)?:\s*([\w-]+)", text)
    return match.group(1) if match else "classification"
