"""Checks the ``hardware`` node, and the settings of data and optimizer that depend on it."""

from __future__ import annotations

from runner.config.checks.context import CheckContext
from runner.config.checks.values import is_count, is_number
from runner.errors import Problem

__all__ = [
    "benchmark_problems",
    "device_number_problems",
    "lr_scaling_problems",
    "micro_batch_problems",
    "sharding_problems",
]


def device_number_problems(context: CheckContext) -> list[Problem]:
    """Checks settings that require several devices or a certain kind of device."""
    hardware, problems = context.node("hardware"), []
    devices, strategy = hardware.get("devices") or 1, hardware.get("strategy")
    is_single = devices == 1 and (hardware.get("num_nodes") or 1) == 1
    if hardware.get("accelerator") == "mps" and devices != 1:
        text = f"hardware.devices={devices}: Apple's GPU is a single device."
        problems.append(Problem("hardware.devices", text, "out_of_bounds", "Use hardware.devices=1."))
    if strategy == "fsdp" and is_single:
        text = "hardware.strategy=fsdp would have no effect on one device: the model cannot be sharded."
        remedy = "Set hardware.devices, or use hardware=auto."
        problems.append(Problem("hardware.strategy", text, "no_effect", remedy))
    if strategy == "fsdp" and str(hardware.get("precision")) == "16":
        text = "hardware.precision=16: loss scaling does not support sharded models."
        remedy = "With hardware.strategy=fsdp use bf16 or 32."
        problems.append(Problem("hardware.precision", text, "incompatible", remedy))
    if hardware.get("sync_batchnorm") is True and is_single:
        text = "hardware.sync_batchnorm=true would have no effect on one device, which has the whole batch."
        problems.append(Problem("hardware.sync_batchnorm", text, "no_effect", "Remove it."))
    return problems


def sharding_problems(context: CheckContext) -> list[Problem]:
    """Checks optimizer settings that do not support sharded parameters."""
    optimizer = context.node("optimizer")
    fused = optimizer.get("_target_") == "torch.optim.SGD" and optimizer.get("fused") is True
    if context.node("hardware").get("strategy") != "fsdp" or not fused:
        return []
    text = "optimizer.fused=true: SGD's fused step does not support sharded parameters."
    remedy = "With hardware.strategy=fsdp use optimizer.fused=false."
    return [Problem("optimizer.fused", text, "incompatible", remedy)]


def micro_batch_problems(context: CheckContext) -> list[Problem]:
    """Checks the micro-batch settings."""
    hardware, problems = context.node("hardware"), []
    size, devices = hardware.get("micro_batch"), hardware.get("devices") or 1
    batch = context.node("data").get("batch_size")
    if is_count(size) and is_count(batch) and is_count(devices) and size >= -(-batch // devices):
        share = f", each of {devices} devices' share of the batch" if devices > 1 else ", the whole batch"
        text = (
            f"hardware.micro_batch={size} would have no effect: data.batch_size={batch} gives "
            f"{-(-batch // devices)} samples{share}."
        )
        remedy = "Use a smaller value, or null."
        problems.append(Problem("hardware.micro_batch", text, "no_effect", remedy))
    if hardware.get("memory_gib") is not None and size != "auto":
        text = "hardware.memory_gib would have no effect without hardware.micro_batch=auto."
        problems.append(Problem("hardware.memory_gib", text, "no_effect"))
    return problems


def lr_scaling_problems(context: CheckContext) -> list[Problem]:
    """Checks that the learning rate can be scaled with the batch size."""
    hardware = context.node("hardware")
    rule, reference = hardware.get("lr_scaling") or "none", hardware.get("reference_batch_size")
    if rule == "none":
        if reference is None:
            return []
        text = f"hardware.reference_batch_size={reference} would have no effect: hardware.lr_scaling is none."
        return [Problem("hardware.reference_batch_size", text, "no_effect", "Use linear or sqrt.")]
    if reference is None:
        text = f"hardware.lr_scaling={rule}: the batch size that optimizer.lr applies to is unknown."
        remedy = "Set hardware.reference_batch_size."
        return [Problem("hardware.reference_batch_size", text, "missing", remedy)]
    if not is_number(context.node("optimizer").get("lr")):
        text = f"hardware.lr_scaling={rule}: optimizer.lr is not a number that could be scaled."
        return [Problem("hardware.lr_scaling", text, "incompatible", "Set it, or use lr_scaling=none.")]
    return []


def benchmark_problems(context: CheckContext) -> list[Problem]:
    """Rejects ``hardware.measure=true`` from the user, if precision and memory format are both set.

    That of ``hardware=auto`` measures what is left open.
    """
    if "hardware.measure" not in context.composition.explicit:
        return []
    hardware = context.node("hardware")
    chosen = [hardware.get(name) is not None for name in ("precision", "channels_last")]
    if hardware.get("measure") is not True or not all(chosen):
        return []
    text = (
        "hardware.measure=true would have no effect: hardware.precision and hardware.channels_last are set."
    )
    remedy = "Set one of them to null, or remove hardware.measure."
    return [Problem("hardware.measure", text, "no_effect", remedy)]
