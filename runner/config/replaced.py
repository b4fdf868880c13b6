"""Removes arguments of a constructor that the user replaced by another one."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from omegaconf import DictConfig, Node, OmegaConf

from runner.config.allow_list import resolve_target
from runner.config.build import HYDRA_KEYS
from runner.config.composition import Composition
from runner.config.groups import package_conf
from runner.config.introspect import named_parameters, parameters_of
from runner.config.plain import dotted_keys
from runner.errors import ConfigError

__all__ = ["accepted_names", "drop_replaced_arguments", "target_of"]


def drop_replaced_arguments(composition: Composition) -> None:
    """Remove the arguments that a node inherits from the constructor that the user replaced.

    ``task.loss._target_=my.HalfMSE`` replaces the cross-entropy of the task's option file, and HalfMSE has no
    ``label_smoothing``. Arguments that the new constructor accepts are kept. Arguments that the user set are
    kept in any case, so that the check of the node reports those that have no effect. Each removal is
    recorded in ``composition.notes``.
    """
    written = composition.explicit | keys_of_own_options(composition)
    for path, node in nodes_with_target(composition.config):
        if f"{path}._target_" not in written:
            continue
        accepted = accepted_names(target_of(node))
        if accepted is None:
            continue
        inherited = [
            key
            for key in map(str, node)
            if key not in accepted | HYDRA_KEYS
            and not any(f"{other}.".startswith(f"{path}.{key}.") for other in written)
        ]
        for key in inherited:
            del node[key]
        if inherited:
            composition.notes.append(
                f"{path}: {', '.join(inherited)} of the option file is not passed to {node._target_}, which "
                "has no such parameter."
            )


def keys_of_own_options(composition: Composition) -> set[str]:
    """Return the dotted keys in the user's own option files, without those that the files inherit."""
    keys: set[str] = set()
    for group in composition.choices:
        option = composition.option(group)
        if option is None or option.path.is_relative_to(package_conf()):
            continue
        config = OmegaConf.load(option.path)
        if isinstance(config, DictConfig):
            keys |= {f"{group}.{key}" for key in dotted_keys(config)}
    return keys


def nodes_with_target(config: DictConfig, prefix: str = "") -> Iterator[tuple[str, DictConfig]]:
    """Yield ``(dotted key, node)`` for every mapping with a ``_target_``, outermost first."""
    for key in list(config):
        node = config._get_node(key)
        if not isinstance(node, DictConfig) or node._is_none() or node._is_interpolation():
            continue
        path = f"{prefix}.{key}".lstrip(".")
        if "_target_" in node:
            yield path, node
        yield from nodes_with_target(node, path)


def target_of(node: DictConfig) -> Any:
    """Return the ``_target_`` of a node without resolving interpolations; None without one."""
    target = node._get_node("_target_") if "_target_" in node else None
    return target._value() if isinstance(target, Node) else None


def accepted_names(target: object) -> set[str] | None:
    """Return the names of the arguments that a constructor accepts; None if they are unknown.

    A class that takes ``**kwargs`` is assumed to pass them to its base classes.
    """
    try:
        constructor = resolve_target(target)
    except ConfigError:  # reported by the check of the node
        return None
    parameters = parameters_of(constructor)
    if parameters is None:
        return None
    names = set(named_parameters(parameters))
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return names
    if not inspect.isclass(constructor):
        return None
    for base in inspect.getmro(constructor):
        if "__init__" not in vars(base):
            continue
        own = dict(inspect.signature(vars(base)["__init__"]).parameters)
        names |= set(named_parameters(own)) - {"self"}
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in own.values()):
            break
    return names
