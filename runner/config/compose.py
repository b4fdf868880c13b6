"""From overrides to a composed config. Mistakes in overrides are collected, not raised one by one."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from runner.config import facts as _facts  # noqa: F401 - registers the resolver
from runner.config.groups import Option, find_groups, package_conf, search_folders
from runner.config.nearest import did_you_mean
from runner.errors import ConfigError

__all__ = ["Composition", "compose", "load_config"]

PRIMARY = "runner"
RESOLVED = "resolved_run"


@dataclass
class Composition:
    """A composed config and how it came about.

    Attributes:
        config: facts of the data still stand in it as ``${facts:KEY}``.
        choices: config group → the option taken.
        explicit: dotted keys that the user set, on the command line or in an experiment file.
        problems: mistakes found so far; ``check`` adds its own and raises all together.
    """

    config: DictConfig
    overrides: list[str]
    choices: dict[str, str] = field(default_factory=dict)
    explicit: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)
    groups: dict[str, dict[str, Option]] = field(default_factory=dict)


class RunnerSearchPath(SearchPathPlugin):
    """Puts ``./conf`` before the program's own folder and ``--config-dir`` folders behind it."""

    folders: list[Path] = []

    def manipulate_search_path(self, search_path: Any) -> None:
        own = package_conf().resolve()
        behind = False
        for folder in self.folders:
            if folder.resolve() == own:
                behind = True
            elif behind:
                search_path.append("runner-config-dir", f"file://{folder}")
            else:
                search_path.prepend("runner-here", f"file://{folder}", SearchPathQuery(provider="main"))


def compose(
    overrides: list[str] | tuple[str, ...] = (),
    experiment: str | Path | None = None,
    config_dirs: list[str] | tuple[str, ...] = (),
) -> Composition:
    """Composes a config in Hydra's way.

    Args:
        overrides: Hydra's override grammar: ``model=mlp optimizer.lr=1e-3``.
        experiment: a YAML file with values and, optionally, a ``defaults`` list of ``override /group: option``;
            or the ``config.yaml`` of a run.
        config_dirs: further folders of config groups.

    Raises:
        ConfigError: nothing can be composed at all. Other mistakes are kept in ``problems``.
    """
    folders = search_folders(config_dirs)
    for folder in folders:
        if not folder.is_dir():
            raise ConfigError(f"--config-dir {folder} is not a folder.")
    groups = find_groups(config_dirs)
    plugins = Plugins.instance()
    RunnerSearchPath.folders = folders
    plugins.register(RunnerSearchPath)

    composition = Composition(OmegaConf.create(), list(overrides), groups=groups)
    parsed = parse_overrides(overrides, composition.problems)
    primary, group_overrides = PRIMARY, []
    if experiment is not None:
        primary, group_overrides = read_experiment(Path(experiment), composition)
    values: list[Override] = []
    for override in parsed:
        (group_overrides if is_group(override, groups) else values).append(override)
    kept = [o for o in group_overrides if group_exists(o, groups, composition.problems, primary == RESOLVED)]
    lines = [o if isinstance(o, str) else o.input_line for o in kept]
    base = run_hydra(primary, lines)
    lines += [line for o in values if (line := value_line(o, base, groups, composition)) is not None]
    try:
        config = run_hydra(primary, lines)
    except ConfigError as error:
        composition.problems.append(str(error))
        config = base
    choices = OmegaConf.select(config, "hydra.runtime.choices") or {}
    composition.choices = {k: str(v) for k, v in choices.items() if not k.startswith("hydra/") and v}
    OmegaConf.set_struct(config, False)
    config.pop("hydra", None)
    config.pop("experiment", None)
    composition.config = config
    return composition


def parse_overrides(overrides: list[str] | tuple[str, ...], problems: list[str]) -> list[Override]:
    parser, parsed = OverridesParser.create(), []
    for text in overrides:
        try:
            override = parser.parse_override(text)
        except HydraException as error:
            reason = str(error).strip().splitlines()[0]
            problems.append(f"{text!r} is not an override: {reason}. Expected key=value; quote what has spaces.")
            continue
        if override.is_sweep_override():
            problems.append(
                f"{text!r} gives several values: one run takes one. Use -m for a grid, or `runner sweep`."
            )
            continue
        parsed.append(override)
    return parsed


def is_group(override: Override, groups: dict[str, dict[str, Option]]) -> bool:
    key = override.key_or_group
    return (key in groups or key.startswith("hydra/")) and not isinstance(override.value(), dict)


def group_exists(
    override: Override | str, groups: dict[str, dict[str, Option]], problems: list[str], resolved: bool
) -> bool:
    if isinstance(override, str):
        return True
    group, option = override.key_or_group, override.value()
    if group.startswith("hydra/"):
        return True
    if resolved:
        problems.append(
            f"{group}={option}: the config of a run is composed already; {group} cannot be exchanged in it, "
            f"only its values ({group}.KEY=VALUE)."
        )
        return False
    if option is None or override.is_delete():
        return True
    if str(option) in groups[group]:
        return True
    hint = did_you_mean(str(option), groups[group])
    problems.append(f"{group}={option}: there is no {group} {str(option)!r}. {hint}")
    return False


def value_line(
    override: Override, base: DictConfig, groups: dict[str, dict[str, Option]], composition: Composition
) -> str | None:
    """The override as Hydra takes it, or None when it names nothing; whether a new key of a node is valid is
    decided by that node's constructor, later."""
    key = override.key_or_group
    if key.startswith("hydra"):
        return override.input_line
    top, _, rest = key.partition(".")
    if rest and top not in base:
        hint = did_you_mean(top, [str(k) for k in base if k not in ("hydra", "experiment")])
        composition.problems.append(f"{override.input_line}: there is no {top!r}. {hint}")
        return None
    if key not in base and not rest:
        everywhere = [*(str(k) for k in base if k not in ("hydra", "experiment")), *dotted_keys(base)]
        composition.problems.append(f"{override.input_line}: there is no {key!r}. {did_you_mean(key, everywhere)}")
        return None
    composition.explicit.add(key)
    if override.is_delete() or override.is_force_add():
        return override.input_line
    return "++" + override.input_line.lstrip("+")


def dotted_keys(config: Any, prefix: str = "") -> list[str]:
    """Every key of a config as a path."""
    keys = []
    for key in config if isinstance(config, DictConfig) else ():
        if prefix == "" and key in ("hydra", "experiment"):
            continue
        path = f"{prefix}.{key}" if prefix else str(key)
        keys.append(path)
        node = config._get_node(key)
        if isinstance(node, DictConfig) and not node._is_none() and not node._is_interpolation():
            keys += dotted_keys(node, path)
    return keys


def run_hydra(primary: str, overrides: list[str]) -> DictConfig:
    try:
        with initialize_config_dir(str(package_conf()), version_base="1.3"):
            return hydra_compose(primary, overrides=overrides, return_hydra_config=True)
    except (HydraException, OmegaConfBaseException) as error:
        lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()]
        raise ConfigError(" ".join(lines) if lines else repr(error)) from error


def load_config(path: Path) -> DictConfig:
    """A YAML file as a config.

    Raises:
        ConfigError: it is missing, is not YAML, or holds no mapping.
    """
    if not path.is_file():
        siblings = [p.name for p in path.parent.glob("*.yaml")] if path.parent.is_dir() else []
        raise ConfigError(f"there is no file {path}. {did_you_mean(path.name, siblings) if siblings else ''}".strip())
    try:
        config = OmegaConf.load(path)
    except Exception as error:
        raise ConfigError(f"{path} is not readable YAML: {' '.join(str(error).split())}") from error
    if not isinstance(config, DictConfig):
        raise ConfigError(f"{path} must hold keys and values, got a {type(config).__name__}.")
    return config


def read_experiment(path: Path, composition: Composition) -> tuple[str, list[str]]:
    """Puts the file where Hydra finds it; tells the primary config and the overrides to compose it with."""
    config = load_config(path)
    store = ConfigStore.instance()
    if "task" in config and "model" in config and "trainer" in config and "defaults" not in config:
        store.store(name=RESOLVED, node=config, provider="runner")
        return RESOLVED, []
    problems = composition.problems
    defaults = []
    for entry in config.get("defaults") or []:
        if check_default(entry, path, composition.groups, problems):
            defaults.append(entry)
    known = {f"{key}" for key in config if key != "defaults"}
    base_keys = {str(key) for key in OmegaConf.load(package_conf() / f"{PRIMARY}.yaml")} | set(composition.groups)
    for key in sorted(known - base_keys):
        problems.append(f"{path.name}: there is no {key!r}. {did_you_mean(key, base_keys - {'defaults'})}")
        config.pop(key)
    composition.explicit |= set(dotted_keys(OmegaConf.masked_copy(config, [k for k in config if k != "defaults"])))
    body = {key: config._get_node(key) for key in config if key != "defaults"}
    node = OmegaConf.create({"defaults": [*defaults, "_self_"]})
    for key, value in body.items():
        node[key] = value
    store.store(name="from_file", group="experiment", node=node, package="_global_", provider="runner")
    return PRIMARY, ["experiment=from_file"]


def check_default(entry: Any, path: Path, groups: dict[str, dict[str, Option]], problems: list[str]) -> bool:
    if entry == "_self_":
        return False
    if not isinstance(entry, DictConfig) or len(entry) != 1:
        problems.append(f"{path.name}: defaults entry {entry!r}: expected `override /GROUP: OPTION`.")
        return False
    key, option = next(iter(entry.items()))
    group = str(key).replace("override", "").strip().lstrip("/").partition("@")[0]
    if not str(key).startswith("override"):
        problems.append(f"{path.name}: defaults entry {key!r}: write `override /{group}: {option}`.")
        return False
    if group not in groups:
        problems.append(f"{path.name}: there is no group {group!r}. {did_you_mean(group, groups)}")
        return False
    if option is not None and str(option) not in groups[group]:
        hint = did_you_mean(str(option), groups[group])
        problems.append(f"{path.name}: there is no {group} {str(option)!r}. {hint}")
        return False
    return True
