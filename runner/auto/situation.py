"""Facts that the rules of automatic choices read."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from omegaconf import OmegaConf

from runner.auto.weights import WeightsFile, find_weights
from runner.config.composition import Composition
from runner.data.base import DataModule
from runner.data.facts import Facts
from runner.data.measurements import Measurements
from runner.distributed.hardware import available_accelerator

__all__ = ["Machine", "Situation"]


@dataclass(frozen=True)
class Machine:
    """The machine that trains.

    Attributes:
        accelerator: ``cpu``, ``gpu`` or ``mps``.
        num_cores: CPU cores that this process may use.
    """

    accelerator: str
    num_cores: int

    @classmethod
    def of_config(cls, config: Any) -> Machine:
        """Return the machine as the config uses it."""
        accelerator = OmegaConf.select(config, "hardware.accelerator") or "auto"
        if accelerator == "auto":
            accelerator = available_accelerator()
        return cls(accelerator, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1)

    @property
    def is_slow(self) -> bool:
        """Whether training on images is limited by computation, as on a CPU."""
        return self.accelerator == "cpu"


@dataclass(frozen=True)
class Situation:
    """A config, the data it reads and the machine.

    Attributes:
        composition: the config and how it was composed.
        facts: facts of the data set.
        measurements: sizes and lengths of its samples.
        machine: the machine.
        data_arguments: names of the constructor arguments of the data module.
        weights: files of ImageNet weights that suit the inputs, the preferred model first.
        chosen: values chosen by the rules so far: key → value.
    """

    composition: Composition
    facts: Facts
    measurements: Measurements
    machine: Machine
    data_arguments: frozenset[str] = frozenset()
    weights: tuple[WeightsFile, ...] = ()
    chosen: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, composition: Composition, data: DataModule) -> Situation:
        """Return the situation of a composition whose data module is set up."""
        names = frozenset(argument for kind in type(data).__mro__ for argument in arguments_of(kind))
        machine = Machine.of_config(composition.config)
        facts, measurements = data.require_facts(), data.measurements()
        return cls(
            composition, facts, measurements, machine, names, suitable_weights(facts, measurements, machine)
        )

    @property
    def task(self) -> str:
        """Kind of task, such as ``classification``; the option of the group ``task`` if it is one."""
        return self.composition.choices.get("task", self.facts.task)

    @property
    def inputs(self) -> str:
        """Kind of inputs: ``image``, ``sound``, ``tokens``, ``sequence`` or ``features``."""
        return self.measurements.kind or kind_of_inputs(self.facts)

    @property
    def num_train(self) -> int:
        return max(1, self.facts.num_train)

    def value(self, key: str) -> Any:
        """Return the value of a key: the one chosen by a rule, or else that of the config."""
        if key in self.chosen:
            return self.chosen[key]
        try:
            return OmegaConf.select(self.composition.config, key)
        except Exception:  # interpolations of facts have no value before the training
            return None

    def is_open(self, key: str) -> bool:
        """Return whether the user set neither a key, nor one above or below it."""
        return not any(
            f"{given}.".startswith(f"{key}.") or f"{key}.".startswith(f"{given}.")
            for given in self.composition.explicit
        )

    def leaves_group_open(self, group: str) -> bool:
        """Return whether the user neither chose an option of a group nor set one of its values."""
        return group not in self.composition.chosen_groups and self.is_open(group)


def suitable_weights(facts: Facts, measurements: Measurements, machine: Machine) -> tuple[WeightsFile, ...]:
    """Return files of ImageNet weights for photographs; none for gray or very small images."""
    sizes = measurements.image_sizes
    if len(facts.input_shape) != 3 or facts.in_channels != 3:
        return ()
    if sizes is None or np.median(sizes.min(1)) < MIN_PHOTOGRAPH_SIDE:
        return ()
    names = SMALL_MODELS if machine.is_slow else LARGE_MODELS
    files = find_weights(frozenset(names))
    return tuple(files[name] for name in names if name in files)


SMALL_MODELS = ("mobilenet_v2", "resnet18", "resnet34", "resnet50")
"""Models with ImageNet weights, in the order in which they are preferred on a CPU."""
LARGE_MODELS = ("resnet50", "resnet34", "resnet18", "mobilenet_v2")
MIN_PHOTOGRAPH_SIDE = 28
"""Images with a shorter side, in pixels, gain nothing from ImageNet features."""


def arguments_of(kind: type) -> list[str]:
    """Return the names of the arguments that a class's own constructor declares."""
    init = vars(kind).get("__init__")
    code = getattr(init, "__code__", None)
    return list(code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount]) if code else []


def kind_of_inputs(facts: Facts) -> str:
    """Return the kind of inputs that the shape and the facts show."""
    if facts.extra.get("vocab_size"):
        return "tokens"
    if len(facts.input_shape) == 3:
        return "image"
    return "sequence" if len(facts.input_shape) == 2 else "features"
