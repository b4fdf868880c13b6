"""Checks of Hydra's own node and of overrides of its keys."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, cast

from hydra.core.override_parser.types import Override
from hydra.core.utils import setup_globals as register_default_resolvers
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from runner.errors import Problem

__all__ = ["hydra_key_problem", "hydra_problems", "is_hydra_key"]

EFFECTIVE = (
    "hydra/launcher",
    "hydra/sweeper",
    "hydra/callbacks",
    "hydra/job_logging",
    "hydra/hydra_logging",
    "hydra.launcher",
    "hydra.sweeper",
    "hydra.callbacks",
    "hydra.job_logging",
    "hydra.hydra_logging",
    "hydra.verbose",
    "hydra.job.env_set",
    "hydra.job.env_copy",
)
"""Keys that have an effect with ``-m``."""

ALTERNATIVES = {
    "hydra.run": "use run.root=FOLDER and run.name=NAME",
    "hydra.sweep": "use run.root=FOLDER and run.name=NAME",
    "hydra.job.chdir": "remove it: a run always works in the directory in which the command was typed",
    "hydra.job.name": "use run.name=NAME",
    "hydra.output_subdir": "use run.root=FOLDER",
    "hydra.searchpath": "use --config-dir FOLDER",
    "hydra.mode": "use -m",
}
"""Key without effect → what to do instead."""


def is_hydra_key(key: str) -> bool:
    """Return whether an override, with or without a sign, is meant for Hydra's own node."""
    return key.lstrip("+~").replace("/", ".").partition(".")[0] == "hydra"


def hydra_key_problem(key: str, text: str, multirun: bool) -> Problem | None:
    """Return why an override of Hydra's own node would have no effect, or None.

    Args:
        key: the key of the override, without a sign.
        text: the override as typed.
        multirun: whether the command has ``-m``.
    """
    if below(key, EFFECTIVE):
        if multirun:
            return None
        message = f"{text} would have no effect without -m: Hydra does not run a single run."
        return Problem(key, message, "no_effect", "Remove it.")
    instead = next((remedy for name, remedy in ALTERNATIVES.items() if below(key, (name,))), "remove it")
    message = f"{text} would have no effect: runner makes the run directories and Hydra only composes."
    return Problem(key, message, "no_effect", f"Instead, {instead}.")


def below(key: str, names: tuple[str, ...]) -> bool:
    return any(key == name or key.startswith((f"{name}.", f"{name}@")) for name in names)


CONSTRUCTORS = ("_target_", "()", "class")
"""Keys whose values are constructors: Hydra's, and those of ``logging.config``."""

PLUGINS = "hydra_plugins"
ALLOWED = frozenset({
    "hydra._internal.core_plugins.basic_launcher.BasicLauncher",
    "hydra._internal.core_plugins.basic_sweeper.BasicSweeper",
    "hydra.experimental.callbacks.LogJobReturnCallback",
    "hydra.experimental.callbacks.PickleJobInfoCallback",
    f"{PLUGINS}.hydra_joblib_launcher.joblib_launcher.JoblibLauncher",
    f"{PLUGINS}.hydra_submitit_launcher.submitit_launcher.LocalLauncher",
    f"{PLUGINS}.hydra_submitit_launcher.submitit_launcher.SlurmLauncher",
    f"{PLUGINS}.hydra_ray_launcher.ray_launcher.RayLauncher",
    f"{PLUGINS}.hydra_rq_launcher.rq_launcher.RQLauncher",
    f"{PLUGINS}.hydra_ax_sweeper.ax_sweeper.AxSweeper",
    f"{PLUGINS}.hydra_nevergrad_sweeper.nevergrad_sweeper.NevergradSweeper",
    f"{PLUGINS}.hydra_optuna_sweeper.optuna_sweeper.OptunaSweeper",
    *(
        f"optuna.samplers.{name}"
        for name in (
            "CmaEsSampler", "GridSampler", "MOTPESampler", "NSGAIISampler", "RandomSampler", "TPESampler"
        )
    ),
    "colorlog.ColoredFormatter",
    "logging.FileHandler",
    "logging.Formatter",
    "logging.NullHandler",
    "logging.StreamHandler",
    "logging.handlers.RotatingFileHandler",
    "logging.handlers.TimedRotatingFileHandler",
})  # fmt: skip
"""The launchers, sweepers, callbacks and logging classes that Hydra's node may construct. A prefix such as
``hydra.`` would include ``hydra.utils.instantiate``, which constructs anything."""

STREAMS = ("ext://sys.stdout", "ext://sys.stderr")
"""Allowed references to Python objects; ``logging.config`` imports the module of any other."""

KNOWN_LATER = frozenset({
    "hydra.job.id", "hydra.job.name", "hydra.job.num", "hydra.job.override_dirname",
    "hydra.runtime.output_dir", "hydra.sweep.subdir",
})  # fmt: skip
"""Keys that Hydra sets when a job starts."""

MAX_DEPTH, MAX_NODES = 16, 10_000


def hydra_problems(config: DictConfig, typed: Iterable[Override] = ()) -> list[Problem]:
    """Return a problem for everything in Hydra's node that could run foreign code.

    The values are inspected after their interpolations are resolved, because ``${oc.create:…}`` and
    references to other parts of the config may contain constructors.

    Args:
        config: a composed config with its ``hydra`` node.
        typed: the overrides of the command line, which may set environment variables.
    """
    inspection = Inspection()
    with time_is_unknown():
        inspection.inspect(config, "hydra", "hydra")
    return [*inspection.problems, *environment_problems(config, typed)]


@contextmanager
def time_is_unknown() -> Iterator[None]:
    """Let the resolver ``now`` of Hydra 1.3 fail within the context.

    A reference that depends on the time could lead to another constructor when Hydra resolves it later. What
    fails is only accepted where it cannot lead to a constructor.
    """

    def fail(pattern: str) -> str:
        raise ValueError(f"the time {pattern!r} is not known before the runs start")

    OmegaConf.register_new_resolver("now", fail, replace=True)
    try:
        yield
    finally:
        OmegaConf.clear_resolver("now")
        register_default_resolvers()


def environment_problems(config: DictConfig, typed: Iterable[Override]) -> list[Problem]:
    """Return a problem for each environment variable that a config file would set."""
    key = "hydra.job.env_set"
    names: set[str] = set()
    for override in typed:
        parent, _, name = override.key_or_group.rpartition(".")
        value = override.value()
        if parent == key:
            names.add(name)
        elif override.key_or_group == key and isinstance(value, dict):
            names |= set(map(str, value))
    return [
        Problem(
            f"{key}.{name}",
            f"{key}.{name} is set by a config file: environment variables can allow packages and run code.",
            "not_allowed",
            f"Set it with the command: +{key}.{name}=VALUE.",
        )
        for name in OmegaConf.select(config, key, default={})
        if str(name) not in names
    ]


class Inspection:
    """A walk through Hydra's node.

    Attributes:
        problems: the problems found so far.
    """

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.num_nodes = 0
        self.is_too_large = False

    def inspect(self, parent: DictConfig | ListConfig, name: Any, key: str, depth: int = 0) -> None:
        """Inspect a child of a container, after resolving it.

        Args:
            parent: the container.
            name: key or position of the child.
            key: dotted key of the child.
            depth: number of containers above.
        """
        self.num_nodes += 1
        if depth > MAX_DEPTH or self.num_nodes > MAX_NODES:
            if not self.is_too_large:
                message = f"{key} is nested too deeply or refers to itself."
                self.problems.append(Problem(key, message, "out_of_bounds"))
            self.is_too_large = True
            return
        if OmegaConf.is_missing(parent, name):
            return
        try:
            value = parent[name]
        except (OmegaConfBaseException, RecursionError) as error:
            self.unresolved(parent, name, key, error)
            return
        if isinstance(value, dict | list):  # of a resolver
            value = OmegaConf.create(value)
        if isinstance(value, DictConfig | ListConfig):
            children: Iterable[Any] = value if isinstance(value, DictConfig) else range(len(value))
            for child in [] if value._is_none() else children:
                below = f"{key}.{child!s}" if isinstance(value, DictConfig) else f"{key}[{child}]"
                self.inspect(value, child, below, depth + 1)
        is_text = isinstance(value, str)
        is_foreign = name in CONSTRUCTORS and not (is_text and value in ALLOWED)
        if is_foreign or (is_text and "://" in value[:6] and value not in STREAMS):
            self.reject(key, value)

    def unresolved(self, parent: DictConfig | ListConfig, name: Any, key: str, error: Exception) -> None:
        """Reject an interpolation that fails, unless it refers to what Hydra sets when a job starts."""
        text = str(OmegaConf.to_container(parent, resolve=False)[name])  # type: ignore[index]
        if name in CONSTRUCTORS or not is_scalar_text(parent, text):
            reason = " ".join(str(error).split()) or type(error).__name__
            message = f"{key}={text!r} cannot be resolved before the runs start: {reason}"
            self.problems.append(Problem(key, message, "not_allowed"))

    def reject(self, key: str, value: Any) -> None:
        text = (
            f"{key}={value!r} is not allowed: Hydra's node may only refer to Hydra's launchers, sweepers and "
            "callbacks, and to handlers and formatters of logging."
        )
        self.problems.append(Problem(key, text, "not_allowed"))


def is_scalar_text(node: DictConfig | ListConfig, text: str, depth: int = 0) -> bool:
    """Return whether a text with references is a scalar whatever their values are.

    It is if no reference contains another one, and each refers to a scalar, to what Hydra sets when a job
    starts, or to another such text.
    """
    if "${" in REFERENCE.sub("", text) or depth > MAX_DEPTH:
        return False
    return all(is_known_later(node, reference, depth) for reference in REFERENCE.findall(text))


def is_known_later(node: DictConfig | ListConfig, reference: str, depth: int) -> bool:
    if reference.startswith("now:") or reference.replace("hydra:", "hydra.", 1) in KNOWN_LATER:
        return True
    if ":" in reference:
        return False
    root = cast(DictConfig, node._get_root())
    try:
        return isinstance(OmegaConf.select(root, reference), str | int | float)
    except OmegaConfBaseException:
        raw: Any = OmegaConf.to_container(root, resolve=False)
        for part in reference.split("."):
            raw = raw.get(part) if isinstance(raw, dict) else None
        return isinstance(raw, str) and is_scalar_text(root, raw, depth + 1)


REFERENCE = re.compile(r"\$\{([^{}]*)\}")
