"""``runner train -m``: Hydra's own multirun spreads the values out; each job is one of our runs.

Hydra's sweeper and launcher see the overrides, so ``hydra/launcher=joblib`` or another sweeper work as
everywhere. What a job trains is composed and checked by ours, from the overrides Hydra gave to it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

__all__ = ["combinations", "hydra_node", "multirun"]

RUN_FILE = "run.txt"
"""In Hydra's folder of a job: where its run is."""


def multirun(overrides: list[str], experiment: str | None, config_dirs: list[str]) -> int:
    """Runs every combination of the values; a run that fails does not keep the others from their turn.

    Raises:
        ConfigError: one of the combinations is wrong; nothing was started.
        RunnerError: the first of the runs that failed, after all had their turn.
    """
    from hydra._internal.hydra import Hydra
    from hydra._internal.utils import create_config_search_path
    from hydra.core.global_hydra import GlobalHydra

    from runner.config.compose import PRIMARY
    from runner.config.groups import find_groups, package_conf

    root = check_combinations(overrides, experiment, config_dirs)
    place = Path(root).expanduser() / ".multirun" / time.strftime("%Y-%m-%d_%H-%M-%S")
    groups = find_groups(config_dirs)
    # First, so that the user's own values for these win.
    own = [f"hydra.sweep.dir='{place}'", "hydra/job_logging=none", "hydra/hydra_logging=none"]
    lines = [*own, *(line_for_hydra(override, groups) for override in overrides)]
    job = partial(run_job, experiment=experiment, config_dirs=config_dirs)
    GlobalHydra.instance().clear()
    hydra = Hydra.create_main_hydra2("runner", create_config_search_path(str(package_conf())))
    try:
        hydra.multirun(PRIMARY, job, lines)
    finally:
        GlobalHydra.instance().clear()
        print_outcome(place)
    return 0


def run_job(_config: Any, experiment: str | None, config_dirs: list[str]) -> float | None:
    """One combination, in whatever process Hydra's launcher chose.

    Returns:
        The best value of the monitored metric, for sweepers that search.
    """
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.hydra_config import HydraConfig

    from runner.cli.failure import say_error
    from runner.config.check import check
    from runner.config.compose import compose
    from runner.errors import Interrupted, RunnerError
    from runner.launch import local
    from runner.launch.node_rendezvous import reject_nodes
    from runner.launch.resume import earlier_run, go_on, goes_on
    from runner.run.files import read_json

    hydra = HydraConfig.get()
    overrides = [line for line in hydra.overrides.task if not line.startswith("hydra")]
    print(f"\nrun {hydra.job.num + 1}: {hydra.job.override_dirname.replace('++', '')}", flush=True)
    GlobalHydra.instance().clear()  # ours composes once more, in a Hydra of its own
    try:
        composition = compose(overrides, experiment, config_dirs)
        check(composition)
        reject_nodes(composition.config, "runner train -m")
        command = ["runner", "train", *([experiment] if experiment else []), *overrides]
        run = earlier_run(composition) if goes_on(composition) else None
        if run is None:
            run = local.prepare(composition, command)
        elif not go_on(run, composition):
            (Path(hydra.runtime.output_dir) / RUN_FILE).write_text(str(run.path), encoding="utf-8")
            return (read_json(run.results_path, {}).get("best") or {}).get("value")
        (Path(hydra.runtime.output_dir) / RUN_FILE).write_text(str(run.path), encoding="utf-8")
        results = local.launch(run)
    except Interrupted as error:
        raise KeyboardInterrupt(str(error)) from error
    except RunnerError as error:
        say_error(error)
        raise
    return ((results or {}).get("best") or {}).get("value")


def print_outcome(place: Path) -> None:
    """The table of the runs that were started."""
    from runner.cli.show import console
    from runner.report.messages import short_path
    from runner.report.tables import next_commands, runs_table
    from runner.run.directory import RunDir
    from runner.run.status import read_status

    files = sorted(place.glob(f"*/{RUN_FILE}"), key=lambda file: int(file.parent.name))
    runs = [RunDir(file.read_text(encoding="utf-8")) for file in files]
    if not runs:
        return
    out = console()
    out.print()
    out.print(runs_table(runs))
    paths = [short_path(run.path) for run in runs]
    stopped = [path for run, path in zip(runs, paths, strict=True) if read_status(run).state == "interrupted"]
    commands = [(f"runner resume {path}", "go on where it stopped") for path in stopped]
    if len(runs) > 1:
        commands.append((f"runner compare {' '.join(paths)}", "what differs, what came out"))
    if commands:
        out.print(next_commands(commands))


def check_combinations(overrides: list[str], experiment: str | None, config_dirs: list[str]) -> str:
    """Checks every value once, all others at their first, so that the tenth run does not reveal a typo.

    Returns:
        The folder that keeps the runs.

    Raises:
        ConfigError: with every problem found.
    """
    from runner.config.check import check_config
    from runner.config.compose import compose
    from runner.config.no_effect import single_run_problems
    from runner.errors import ConfigError

    problems: dict[str, None] = {}
    root = "runs"
    for lines in combinations(overrides):
        composition = compose(lines, experiment, config_dirs, multirun=True)
        problems |= dict.fromkeys([*check_config(composition), *single_run_problems(composition)])
        root = str(composition.config.run.root)
    if problems:
        raise ConfigError(list(problems))
    return root


def combinations(overrides: list[str]) -> Iterator[list[str]]:
    """Override lists in which every value of every sweep occurs at least once."""
    values = [single_values(override) for override in overrides]
    first = [options[0] for options in values]
    yield first
    for place, options in enumerate(values):
        for option in options[1:]:
            yield [*first[:place], option, *first[place + 1 :]]


def single_values(override: str) -> list[str]:
    """The single overrides that a sweep stands for; itself when it is none, or nobody knows them yet."""
    from hydra.errors import HydraException

    from runner.config.quoting import parse_override

    try:
        parsed = parse_override(override)
        if parsed.is_choice_sweep() or parsed.is_range_sweep():
            return [f"{parsed.get_key_element()}={value}" for value in parsed.sweep_string_iterator()]
    except HydraException:
        return [override]  # composing it tells what is wrong
    if parsed.is_interval_sweep():
        return [f"{parsed.get_key_element()}={parsed.value().start}"]
    return [override]


def hydra_node(overrides: list[str]) -> Any:
    """Hydra's own part of the config."""
    from runner.config.compose import PRIMARY, run_hydra

    return run_hydra(PRIMARY, [line for line in overrides if line.startswith("hydra")]).hydra


def line_for_hydra(override: str, groups: dict[str, Any]) -> str:
    """A value's override so that Hydra takes it even where the key stands in a constructor only."""
    from runner.config.quoting import parse_override

    override = parse_override(override).input_line
    key = override.partition("=")[0]
    if key.startswith(("+", "~", "hydra")) or key.partition("@")[0] in groups:
        return override
    return f"++{override}"
