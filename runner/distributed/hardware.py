"""Selects the device, precision and memory format of a run, with reasons."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from runner.errors import ConfigError, Problem

__all__ = ["ResolvedHardware", "choose_hardware", "describe_device"]

SMALL_MODEL = 500_000
"""Minimum number of parameters for which bf16 or a second thread speeds up training on a CPU."""

HINT_NAMES = {"precision": "precision", "channels_last": "memory format"}
"""Keys that a model's ``hardware_hint`` may set if the config leaves them open."""


@dataclass
class ResolvedHardware:
    """The hardware settings of a run.

    Attributes:
        accelerator: ``cpu``, ``gpu`` or ``mps``.
        devices: number of devices.
        precision: precision in Lightning's notation.
        channels_last: whether convolutions use the channels-last memory format.
        compile: whether the model is compiled with ``torch.compile``.
        num_threads: number of CPU threads per operation; None keeps torch's default.
        reasons: one short phrase per choice.
    """

    accelerator: str
    devices: int
    precision: str
    channels_last: bool
    compile: bool
    num_threads: int | None = None
    reasons: list[str] = field(default_factory=list)


def choose_hardware(hardware: dict[str, Any], model: nn.Module) -> ResolvedHardware:
    """Resolve the settings that the config leaves open.

    Args:
        hardware: the config node ``hardware``.
        model: the model, on the CPU.

    Raises:
        ConfigError: the requested device is not available.
    """
    reasons: list[str] = []
    accelerator = hardware.get("accelerator") or "auto"
    if accelerator == "auto":
        accelerator = available_accelerator()
        reasons.append(f"{accelerator}: the available device")
    elif accelerator == "gpu" and not torch.cuda.is_available():
        text = "hardware.accelerator=gpu, but PyTorch finds no CUDA device on this machine."
        raise ConfigError(Problem("hardware.accelerator", text, "unavailable", "Use hardware=auto."))
    convolutional = any(isinstance(m, nn.Conv2d) for m in model.modules())
    num_parameters = sum(parameter.numel() for parameter in model.parameters())
    hint = getattr(model, "hardware_hint", {}) if accelerator == "cpu" else {}
    hinted = [HINT_NAMES[key] for key in HINT_NAMES if key in hint and hardware.get(key) is None]
    if hinted:
        reasons.append(f"{' and '.join(hinted)}: measured to be fastest for this model")
    precision = hardware.get("precision") or hint.get("precision")
    if precision is None:
        precision, reason = choose_precision(accelerator, num_parameters)
        reasons.append(reason)
    channels_last = hardware.get("channels_last")
    if channels_last is None:
        channels_last = hint.get("channels_last")
    if channels_last is None:
        channels_last = convolutional and accelerator != "mps" and num_parameters >= SMALL_MODEL
        if channels_last:
            reasons.append("channels-last: faster convolutions")
    num_threads = hardware.get("num_threads")
    if (
        num_threads is None
        and accelerator == "cpu"
        and num_parameters < SMALL_MODEL
        and torch.get_num_threads() > 1
    ):
        num_threads = 1
        reasons.append("one thread: the operations are too small to gain from more")
    lightning_precision = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}[str(precision)]
    return ResolvedHardware(
        accelerator,
        hardware.get("devices") or 1,
        lightning_precision,
        channels_last,
        bool(hardware.get("compile")),
        num_threads,
        reasons,
    )


def available_accelerator() -> str:
    """Return the accelerator of this machine: ``gpu``, ``mps`` or ``cpu``."""
    if torch.cuda.is_available():
        return "gpu"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def choose_precision(accelerator: str, num_parameters: int) -> tuple[str, str]:
    """Choose the precision by rule.

    Returns:
        ``32``, ``bf16`` or ``16``, and the reason.
    """
    if num_parameters < SMALL_MODEL:
        return "32", "32-bit: the model is small"
    if accelerator == "gpu":
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return "bf16", "bf16: supported by the GPU"
        return "16", "fp16 with loss scaling: the GPU does not support bf16"
    return "32", "32-bit: bf16 is used on this device only where a measurement shows that it is faster"


def cpu_has_bf16() -> bool:
    """Return whether the CPU has bf16 instructions."""
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, lambda: False)() for name in checks)


def describe_device(accelerator: str) -> str:
    """Return a description such as ``CPU, 2 threads``, or the name of the GPU."""
    if accelerator == "gpu":
        return torch.cuda.get_device_name()
    if accelerator == "mps":
        return "Apple GPU"
    threads = torch.get_num_threads()
    return f"CPU, {threads} thread{'s' if threads != 1 else ''}"
