"""The nodes of a config that have no constructor of their own, as dataclasses.

A node with ``_target_`` is checked against that constructor's signature; one without against the dataclass
here. Both are read from the same annotations.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le

__all__ = ["Config", "EarlyStoppingOptions", "Hardware", "Launcher", "Regularization", "Tracking"]

Fraction = Annotated[float, Ge(0), Le(1)]


@dataclass
class RunOptions:
    """Where a run is kept and what it is called."""

    root: str = "runs"
    name: str | None = None
    tags: list[str] = field(default_factory=list)


@dataclass
class EarlyStoppingOptions:
    """Stop when the monitored metric has not improved by ``min_delta`` for ``patience`` validations."""

    patience: Annotated[int, Ge(0)] = 10
    min_delta: Annotated[float, Ge(0)] = 0.0


@dataclass
class Regularization:
    """What holds a model back from learning by heart; other nodes take their values from here."""

    dropout: Annotated[float, Ge(0), Le(0.99)] = 0.0
    weight_decay: Annotated[float, Ge(0)] = 0.0
    label_smoothing: Fraction = 0.0
    augment: Any = None
    early_stopping: EarlyStoppingOptions | None = None


@dataclass
class Hardware:
    """What a run needs. ``None`` is chosen for the device at hand."""

    accelerator: Literal["auto", "cpu", "gpu", "mps"] = "auto"
    devices: Annotated[int, Gt(0)] = 1
    precision: Literal["32", "bf16", "16"] | None = None
    channels_last: bool | None = None
    compile: bool = False
    num_threads: Annotated[int, Gt(0)] | None = None
    deterministic: bool = True


@dataclass
class Launcher:
    kind: Literal["local"] = "local"


@dataclass
class Tracking:
    """The MLflow mirror of the run."""

    enabled: bool = True
    uri: str | None = None
    experiment: str = "runner"
    log_model: bool = True
    log_checkpoints: bool = False
    system_metrics: bool = True
    wait_s: Annotated[float, Ge(0)] = 30.0


@dataclass
class Debug:
    kind: Literal["one_batch", "overfit", "profile"] | None = None


@dataclass
class Config:
    """The whole of a composed config."""

    task: Any
    data: Any
    model: Any
    optimizer: Any
    trainer: Any
    checkpoint: Any
    run: RunOptions
    regularization: Regularization
    hardware: Hardware
    launcher: Launcher
    tracking: Tracking
    debug: Debug
    scheduler: Any = None
    transfer: Any = None
    callbacks: dict[str, Any] | None = None
    seed: Annotated[int, Ge(0), Le(2**31 - 1)] = 0
    pretrained: bool = False
    weights: str | None = None
    plots: bool = True
    report: bool = True
