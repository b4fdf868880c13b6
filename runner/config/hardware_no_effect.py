"""Checks for hardware settings that would have no effect or exclude each other."""

from __future__ import annotations

from typing import Any

__all__ = ["hardware_problems"]


def hardware_problems(plain: dict[str, Any]) -> list[str]:
    def node(name: str) -> dict[str, Any]:
        return plain[name] if isinstance(plain.get(name), dict) else {}

    hardware, data = node("hardware"), node("data")
    return [
        *device_number_problems(hardware),
        *share_problems(hardware, node("optimizer")),
        *pass_problems(hardware, data),
        *lr_scaling_problems(hardware, node("optimizer")),
        *measure_problems(hardware),
    ]


def device_number_problems(hardware: dict[str, Any]) -> list[str]:
    """Checks settings that require several devices or a certain kind of device."""
    problems = []
    devices, strategy = hardware.get("devices") or 1, hardware.get("strategy")
    is_alone = devices == 1 and (hardware.get("num_nodes") or 1) == 1
    if hardware.get("accelerator") == "mps" and devices != 1:
        problems.append(
            f"hardware.devices={devices}: Apple's GPU is a single device. Use hardware.devices=1."
        )
    if strategy == "fsdp" and is_alone:
        problems.append(
            "hardware.strategy=fsdp would have no effect on one device: the model cannot be sharded. Set "
            "hardware.devices, or use hardware=auto."
        )
    if strategy == "fsdp" and str(hardware.get("precision")) == "16":
        problems.append(
            "hardware.precision=16: loss scaling does not support sharded models. With "
            "hardware.strategy=fsdp use bf16 or 32."
        )
    if hardware.get("sync_batchnorm") is True and is_alone:
        problems.append(
            "hardware.sync_batchnorm=true would have no effect on one device, which has the whole batch. Remove it."
        )
    return problems


def share_problems(hardware: dict[str, Any], optimizer: dict[str, Any]) -> list[str]:
    """Checks optimizer settings that do not support sharded parameters."""
    fused = optimizer.get("_target_") == "torch.optim.SGD" and optimizer.get("fused") is True
    if hardware.get("strategy") != "fsdp" or not fused:
        return []
    return ["optimizer.fused=true: SGD's fused step does not support sharded parameters. With hardware.strategy=fsdp use "
            "optimizer.fused=false."]  # fmt: skip


def pass_problems(hardware: dict[str, Any], data: dict[str, Any]) -> list[str]:
    """Checks the micro-batch settings."""
    problems = []
    size, devices, batch = hardware.get("micro_batch"), hardware.get("devices") or 1, data.get("batch_size")
    if is_count(size) and is_count(batch) and is_count(devices) and size >= -(-batch // devices):
        share = f", each of {devices} devices' share of the batch" if devices > 1 else ", the whole batch"
        problems.append(
            f"hardware.micro_batch={size} would have no effect: data.batch_size={batch} gives {-(-batch // devices)} "
            f"samples{share}. Use a smaller value, or null."
        )
    if hardware.get("memory_gib") is not None and size != "auto":
        problems.append("hardware.memory_gib would have no effect without hardware.micro_batch=auto.")
    return problems


def lr_scaling_problems(hardware: dict[str, Any], optimizer: dict[str, Any]) -> list[str]:
    rule, reference = hardware.get("lr_scaling") or "none", hardware.get("reference_batch_size")
    if rule == "none":
        return [] if reference is None else [
            f"hardware.reference_batch_size={reference} would have no effect: hardware.lr_scaling is none. Use linear "
            "or sqrt."
        ]  # fmt: skip
    if reference is None:
        return [
            f"hardware.lr_scaling={rule}: the batch size that optimizer.lr applies to is unknown. Set hardware.reference_batch_size."
        ]
    lr = optimizer.get("lr")
    if not isinstance(lr, int | float) or isinstance(lr, bool):
        return [
            f"hardware.lr_scaling={rule}: optimizer.lr is not a number that could be scaled. Set it, or use lr_scaling=none."
        ]
    return []


def measure_problems(hardware: dict[str, Any]) -> list[str]:
    if (
        hardware.get("measure") is not True
        or hardware.get("precision") is None
        or hardware.get("channels_last") is None
    ):
        return []
    return [
        "hardware.measure=true would have no effect: hardware.precision and hardware.channels_last are set. Set one "
        "of them to null, or remove hardware.measure."
    ]


def is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
