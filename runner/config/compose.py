"""Composes a config from overrides. Problems with overrides are collected instead of raised one by one."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from runner.config import facts as _facts  # noqa: F401 - registers the resolver
from runner.config.checks.folds import expand_override, expand_shorthand
from runner.config.checks.hydra_node import hydra_key_problem, hydra_problems, is_hydra_key
from runner.config.checks.option_files import option_file_problems
from runner.config.composition import Composition
from runner.config.experiment import Experiment, load_config, read_experiment
from runner.config.groups import find_groups, package_conf, search_folders
from runner.config.overrides import apply_value, choice_problems, chooses, dotted_values, parse_overrides
from runner.config.replaced import drop_replaced_arguments
from runner.config.wrapped_dataset import wrap_dataset
from runner.errors import ConfigError, Problem

__all__ = ["PRIMARY", "Composition", "compose", "load_config", "run_hydra", "search_in"]


class RunnerSearchPath(SearchPathPlugin):
    """Adds ``./conf`` before runner's own config folder, and the ``--config-dir`` folders after it.

    Attributes:
        folders: a class attribute, because Hydra creates the instances.
    """

    folders: ClassVar[list[Path]] = []

    def manipulate_search_path(self, search_path: Any) -> None:
        own = package_conf().resolve()
        after_own = False
        for folder in self.folders:
            if folder.resolve() == own:
                after_own = True
            elif after_own:
                search_path.append("runner-config-dir", f"file://{folder}")
            else:
                search_path.prepend("runner-here", f"file://{folder}", SearchPathQuery(provider="main"))


def search_in(config_dirs: list[str] | tuple[str, ...]) -> None:
    """Registers the config folders with Hydra for all following compositions.

    Raises:
        ConfigError: one of them is not a folder.
    """
    folders = search_folders(config_dirs)
    problems = [
        Problem("", f"--config-dir {folder} is not a folder.", "not_found")
        for folder in folders
        if not folder.is_dir()
    ]
    if problems:
        raise ConfigError(problems)
    RunnerSearchPath.folders = folders
    Plugins.instance().register(RunnerSearchPath)


PRIMARY = "runner"
"""Name of the primary config, conf/runner.yaml, whose defaults list includes all groups."""

FROM_FILE = "from_file"
"""Name of the option under which an experiment's file is registered with Hydra."""

UNREADABLE = (HydraException, OmegaConfBaseException, YAMLError, ValueError, TypeError, AttributeError)
"""Errors that Hydra raises for an invalid option file."""


def compose(
    overrides: list[str] | tuple[str, ...] = (),
    experiment: str | Path | None = None,
    config_dirs: list[str] | tuple[str, ...] = (),
    multirun: bool = False,
) -> Composition:
    """Composes a config with Hydra.

    Hydra composes the chosen options. Values are set afterwards by the same rules, but one by one, so that
    all problems are reported, and so that a key that is only in a constructor's signature needs no ``+``.

    Args:
        overrides: in Hydra's override grammar: ``model=mlp optimizer.lr=1e-3``.
        experiment: a YAML file with values and, optionally, a ``defaults`` list of ``override /group:
            option``; or the ``config.yaml`` of a run.
        config_dirs: further folders of config groups.
        multirun: whether overrides of Hydra's own node have an effect.

    Raises:
        ConfigError: nothing can be composed at all. Other problems are collected in ``problems``.
    """
    search_in(config_dirs)
    composition = Composition(OmegaConf.create(), find_groups(config_dirs))
    parsed = parse_overrides(overrides, composition.problems, composition.unreadable)
    parsed = without_idle_hydra_keys(parsed, composition.problems, multirun)
    choosing = [override for override in parsed if chooses(override, composition.groups)]
    file = None
    if experiment is not None:
        file = read_experiment(Path(experiment), composition.groups, composition.problems)
    if file is not None and file.resolved:
        use_resolved(composition, file, [override.input_line or "" for override in choosing])
    else:
        choose_options(composition, file, choosing)
        if config_dirs:
            typed = {override.key_or_group for override in parsed}
            option = composition.option("launcher")
            composition.problems += option_file_problems(composition.config, config_dirs, option, typed)
    expand_shorthand(composition.config)
    for override in parsed:
        if override not in choosing:
            setting = expand_override(override)
            problem = apply_value(setting, composition.config)
            composition.problems += [problem] if problem else []
            composition.explicit |= set(dotted_values(setting.key_or_group, setting.value()))
    wrap_dataset(composition)
    drop_replaced_arguments(composition)
    return composition


def without_idle_hydra_keys(
    parsed: list[Override], problems: list[Problem], multirun: bool
) -> list[Override]:
    """Drops overrides of Hydra's own node that would have no effect, and adds a problem for each."""
    kept = []
    for override in parsed:
        key, text = override.key_or_group, override.input_line or ""
        problem = hydra_key_problem(key, text, multirun) if is_hydra_key(key) else None
        problems += [problem] if problem else []
        kept += [] if problem else [override]
    return kept


def use_resolved(composition: Composition, file: Experiment, choosing: list[str]) -> None:
    """Uses the config of a run unchanged: its options were chosen when the run was started."""
    composition.config = file.values
    composition.resolved = True
    for line in choosing:
        if line.startswith("hydra"):
            continue
        group = line.lstrip("+~").partition("=")[0]
        text = (
            f"{line}: the config of a run is already composed; {group} cannot be replaced, but its values "
            f"can be changed ({group}.KEY=VALUE)."
        )
        composition.problems.append(Problem(group, text, "incompatible"))


def choose_options(composition: Composition, file: Experiment | None, choosing: list[Override]) -> None:
    """Composes the options chosen by the experiment and the command line with Hydra.

    Raises:
        ConfigError: composition failed; includes the problems found so far.
    """
    lines = []
    if file is not None:
        ConfigStore.instance().store(
            name=FROM_FILE, group="experiment", node=file.node(), package="_global_", provider="runner"
        )
        lines.append(f"experiment={FROM_FILE}")
        composition.explicit |= file.explicit
        composition.from_file |= file.explicit
        composition.chosen_groups |= file.chosen_groups()
    for override in choosing:
        problems = choice_problems(override, composition.groups)
        composition.problems += problems
        lines += [] if problems else [override.input_line or ""]
        composition.chosen_groups.add(override.key_or_group.partition("@")[0])
    try:
        config = run_hydra(PRIMARY, lines)
    except ConfigError as error:
        raise ConfigError([*composition.problems, *error.problems]) from error
    OmegaConf.set_struct(config, False)
    composition.problems += hydra_problems(config, choosing)
    hydra = config.pop("hydra")
    composition.choices = {
        group: str(option)
        for group, option in hydra.runtime.choices.items()
        if option and group != "experiment" and not group.startswith("hydra/")
    }
    composition.config = config


def run_hydra(primary: str, overrides: list[str]) -> DictConfig:
    """Composes with Hydra, including its ``hydra`` node.

    Hydra's global state is restored for programs that use it too.

    Args:
        primary: name of the primary config.
        overrides: in Hydra's grammar.

    Raises:
        ConfigError: Hydra rejected the config or an override.
    """
    before = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(package_conf()), version_base="1.3"):
            return hydra_compose(primary, overrides=overrides, return_hydra_config=True)
    except UNREADABLE as error:
        text = " ".join(str(error).split()) or repr(error)
        raise ConfigError(Problem("", text, "unreadable")) from error
    finally:
        GlobalHydra.instance().hydra = before
