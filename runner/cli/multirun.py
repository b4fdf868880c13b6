"""``runner train -m``: uses Hydra's multirun to train a run for each combination of values.

Hydra's sweeper and launcher receive the overrides, so ``hydra/launcher=joblib`` and other sweepers work as
usual. The config of each job is composed and checked by runner, from the overrides that Hydra passes to the
job.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

__all__ = ["combinations", "hydra_node", "multirun"]

RUN_FILE = "run.txt"
"""File in Hydra's folder of a job that holds the path of its run."""


def multirun(overrides: list[str], experiment: str | None, config_dirs: list[str]) -> int:
    """Run every combination of the values. A failed run does not prevent the others.

    Raises:
        ConfigError: a combination has problems; no run was started.
        RunnerError: the error of the first failed run, after all runs have ended.
    """
    from hydra._internal.hydra import Hydra
    from hydra._internal.utils import create_config_search_path
    from hydra.core.global_hydra import GlobalHydra

    from runner.config.compose import PRIMARY
    from runner.config.groups import find_groups, package_conf

    root = check_combinations(overrides, experiment, config_dirs)
    folder = Path(root).expanduser() / ".multirun" / time.strftime("%Y-%m-%d_%H-%M-%S")
    groups = find_groups(config_dirs)
    # First, so that the user's own values take precedence.
    own = [f"hydra.sweep.dir='{folder}'", "hydra/job_logging=none", "hydra/hydra_logging=none"]
    lines = [*own, *(line_for_hydra(override, groups) for override in overrides)]
    job = partial(run_job, experiment=experiment, config_dirs=config_dirs)
    GlobalHydra.instance().clear()
    hydra = Hydra.create_main_hydra2("runner", create_config_search_path(str(package_conf())))
    try:
        reject_foreign_code(hydra, lines)
        hydra.multirun(PRIMARY, job, lines)
    finally:
        GlobalHydra.instance().clear()
        print_outcome(folder)
    return 0


def reject_foreign_code(hydra: Any, lines: list[str]) -> None:
    """Check the node from which Hydra will construct its launcher, sweeper, callbacks and logging.

    Args:
        hydra: Hydra's instance.
        lines: the overrides that it receives.

    Raises:
        ConfigError: the node refers to anything else.
    """
    from hydra.types import RunMode

    from runner.config.checks.hydra_node import hydra_problems
    from runner.config.compose import PRIMARY
    from runner.config.overrides import parse_override
    from runner.errors import ConfigError

    config = hydra.compose_config(PRIMARY, lines, RunMode.MULTIRUN, with_log_configuration=False)
    problems = hydra_problems(config, [parse_override(line) for line in lines])
    if problems:
        raise ConfigError(problems)


def run_job(_config: Any, experiment: str | None, config_dirs: list[str]) -> float | None:
    """Train one combination, in the process that Hydra's launcher started for it.

    Returns:
        The best value of the monitored metric, for sweepers that optimize it.
    """
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.hydra_config import HydraConfig

    from runner.cli.show import print_error
    from runner.config.checks.check import check
    from runner.config.compose import compose
    from runner.errors import Interrupted, RunnerError
    from runner.launch import local
    from runner.launch.node_rendezvous import reject_nodes
    from runner.launch.resume import earlier_run, prepare_resume, resumes_earlier_run
    from runner.run.state import RunState

    hydra = HydraConfig.get()
    overrides = [line for line in hydra.overrides.task if not line.startswith("hydra")]
    print(f"\nrun {hydra.job.num + 1}: {hydra.job.override_dirname.replace('++', '')}", flush=True)
    GlobalHydra.instance().clear()  # runner composes again, with a separate Hydra instance
    try:
        composition = compose(overrides, experiment, config_dirs)
        check(composition)
        reject_nodes(composition.config, "runner train -m")
        command = ["runner", "train", *([experiment] if experiment else []), *overrides]
        run = earlier_run(composition) if resumes_earlier_run(composition) else None
        if run is None:
            run = local.prepare(composition, command)
        elif not prepare_resume(run, composition):
            (Path(hydra.runtime.output_dir) / RUN_FILE).write_text(str(run.path), encoding="utf-8")
            return RunState(run).best.get("value")
        (Path(hydra.runtime.output_dir) / RUN_FILE).write_text(str(run.path), encoding="utf-8")
        results = local.launch(run)
    except Interrupted as error:
        raise KeyboardInterrupt(str(error)) from error
    except RunnerError as error:
        print_error(error)
        raise
    return ((results or {}).get("best") or {}).get("value")


def print_outcome(folder: Path) -> None:
    """Print a table of the runs that were started."""
    from runner.cli.show import console
    from runner.report.console import short_path
    from runner.report.summary import summarize
    from runner.report.tables import next_commands, runs_table
    from runner.run.directory import RunDir

    files = sorted(folder.glob(f"*/{RUN_FILE}"), key=lambda file: int(file.parent.name))
    runs = [summarize(RunDir(file.read_text(encoding="utf-8"))) for file in files]
    if not runs:
        return
    out = console()
    out.print()
    out.print(runs_table(runs))
    paths = [short_path(run.directory.path) for run in runs]
    stopped = [path for run, path in zip(runs, paths, strict=True) if run.status.state == "interrupted"]
    commands = [(f"runner resume {path}", "resume it") for path in stopped]
    if len(runs) > 1:
        commands.append((f"runner compare {' '.join(paths)}", "compare configs and results"))
    if commands:
        out.print(next_commands(commands))


def check_combinations(overrides: list[str], experiment: str | None, config_dirs: list[str]) -> str:
    """Check every value once, combined with the first of all others, before the first run starts.

    Returns:
        The folder of the runs.

    Raises:
        ConfigError: the combinations have problems; the error lists all of them.
    """
    from runner.config.checks.check import check_config
    from runner.config.checks.no_effect import single_run_problems
    from runner.config.compose import compose
    from runner.errors import ConfigError, Problem

    problems: dict[Problem, None] = {}
    root = "runs"
    for lines in combinations(overrides):
        composition = compose(lines, experiment, config_dirs, multirun=True)
        problems |= dict.fromkeys([*check_config(composition), *single_run_problems(composition)])
        root = str(composition.config.run.root)
    if problems:
        raise ConfigError(list(problems))
    return root


def combinations(overrides: list[str]) -> Iterator[list[str]]:
    """Yield lists of overrides in which every value of every sweep occurs at least once."""
    values = [single_values(override) for override in overrides]
    first = [options[0] for options in values]
    yield first
    for index, options in enumerate(values):
        for option in options[1:]:
            yield [*first[:index], option, *first[index + 1 :]]


def single_values(override: str) -> list[str]:
    """Expand a sweep into single overrides; return other overrides and unknown values unchanged."""
    from hydra.core.override_parser.types import IntervalSweep
    from hydra.errors import HydraException

    from runner.config.overrides import parse_override

    try:
        parsed = parse_override(override)
        if parsed.is_choice_sweep() or parsed.is_range_sweep():
            return [f"{parsed.get_key_element()}={value}" for value in parsed.sweep_string_iterator()]
    except HydraException:
        return [override]  # reported when it is composed
    interval = parsed.value()
    if isinstance(interval, IntervalSweep):
        return [f"{parsed.get_key_element()}={interval.start}"]
    return [override]


def hydra_node(overrides: list[str]) -> Any:
    """Return Hydra's own node of the config."""
    from runner.config.compose import PRIMARY, run_hydra

    return run_hydra(PRIMARY, [line for line in overrides if line.startswith("hydra")]).hydra


def line_for_hydra(override: str, groups: dict[str, Any]) -> str:
    """Rewrite an override so that Hydra accepts keys that are only in a constructor's signature."""
    from runner.config.overrides import parse_override

    line = str(parse_override(override).input_line)
    key = line.partition("=")[0]
    if key.startswith(("+", "~", "hydra")) or key.partition("@")[0] in groups:
        return line
    return f"++{line}"
