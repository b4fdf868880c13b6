"""Rejects settings that would have no effect instead of ignoring them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from runner.config.checks.compatibility import constructor_of
from runner.config.composition import Composition
from runner.config.plain import interpolated_keys

__all__ = ["effect_problems", "hardware_problems", "lr_finder_problems", "single_run_problems"]


def hardware_problems(plain: dict[str, Any], explicit: Collection[str] = ()) -> list[str]:
    """Checks the ``hardware`` node.

    Args:
        plain: the config in plain containers.
        explicit: dotted keys set by the user.
    """

    def node(name: str) -> dict[str, Any]:
        return plain[name] if isinstance(plain.get(name), dict) else {}

    hardware, data = node("hardware"), node("data")
    return [
        *device_number_problems(hardware),
        *share_problems(hardware, node("optimizer")),
        *pass_problems(hardware, data),
        *lr_scaling_problems(hardware, node("optimizer")),
        *measure_problems(hardware, explicit),
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
            "hardware.sync_batchnorm=true would have no effect on one device, which has the whole batch. "
            "Remove it."
        )
    return problems


def share_problems(hardware: dict[str, Any], optimizer: dict[str, Any]) -> list[str]:
    """Checks optimizer settings that do not support sharded parameters."""
    fused = optimizer.get("_target_") == "torch.optim.SGD" and optimizer.get("fused") is True
    if hardware.get("strategy") != "fsdp" or not fused:
        return []
    return ["optimizer.fused=true: SGD's fused step does not support sharded parameters. With "
            "hardware.strategy=fsdp use "
            "optimizer.fused=false."]  # fmt: skip


def pass_problems(hardware: dict[str, Any], data: dict[str, Any]) -> list[str]:
    """Checks the micro-batch settings."""
    problems = []
    size, devices, batch = hardware.get("micro_batch"), hardware.get("devices") or 1, data.get("batch_size")
    if is_count(size) and is_count(batch) and is_count(devices) and size >= -(-batch // devices):
        share = f", each of {devices} devices' share of the batch" if devices > 1 else ", the whole batch"
        problems.append(
            f"hardware.micro_batch={size} would have no effect: data.batch_size={batch} gives "
            f"{-(-batch // devices)} "
            f"samples{share}. Use a smaller value, or null."
        )
    if hardware.get("memory_gib") is not None and size != "auto":
        problems.append("hardware.memory_gib would have no effect without hardware.micro_batch=auto.")
    return problems


def lr_scaling_problems(hardware: dict[str, Any], optimizer: dict[str, Any]) -> list[str]:
    rule, reference = hardware.get("lr_scaling") or "none", hardware.get("reference_batch_size")
    if rule == "none":
        return [] if reference is None else [
            f"hardware.reference_batch_size={reference} would have no effect: hardware.lr_scaling is none. "
            "Use linear "
            "or sqrt."
        ]  # fmt: skip
    if reference is None:
        return [
            f"hardware.lr_scaling={rule}: the batch size that optimizer.lr applies to is unknown. Set "
            "hardware.reference_batch_size."
        ]
    lr = optimizer.get("lr")
    if not isinstance(lr, int | float) or isinstance(lr, bool):
        return [
            f"hardware.lr_scaling={rule}: optimizer.lr is not a number that could be scaled. Set it, or use "
            "lr_scaling=none."
        ]
    return []


def measure_problems(hardware: dict[str, Any], explicit: Collection[str]) -> list[str]:
    """Rejects ``hardware.measure=true`` from the user; that of ``hardware=auto`` measures what is left open."""
    if (
        hardware.get("measure") is not True
        or "hardware.measure" not in explicit
        or hardware.get("precision") is None
        or hardware.get("channels_last") is None
    ):
        return []
    return [
        "hardware.measure=true would have no effect: hardware.precision and hardware.channels_last are set. "
        "Set one "
        "of them to null, or remove hardware.measure."
    ]


def is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


HANDED_ON = {
    "dropout": "",
    "spatial_dropout": "it drops channels of feature maps",
    "stochastic_depth": "it drops residual branches",
    "weight_decay": "",
    "label_smoothing": "",
    "augment": "",
}
"""Keys of ``regularization`` that only have an effect where another node refers to them, and what they do
there.
"""

FROZEN_TOO = ("spatial_dropout", "stochastic_depth")
"""Keys that act in the backbone, and are disabled by the evaluation mode of a frozen one."""


def effect_problems(composition: Composition, plain: dict[str, Any]) -> list[str]:
    return [
        *regularization_problems(composition, plain),
        *mixing_problems(composition, plain),
        *rivalry_problems(composition, plain),
        *noise_problems(composition),
        *closure_problems(plain),
        *sampling_problems(composition, plain),
        *start_problems(composition, plain),
        *tracking_problems(composition, plain),
    ]


def single_run_problems(composition: Composition) -> list[str]:
    """Checks for sweep settings in the command of a single run."""
    keys = [
        key
        for key in sorted(composition.explicit - composition.from_file)
        if key.partition(".")[0] == "sweep"
    ]
    option = composition.choices.get("sweep")
    return [
        f"{setting} would have no effect: one run is trained. Use `runner sweep`, or remove it."
        for setting in [*keys, *([f"sweep={option}"] if option else [])]
    ]


def lr_finder_problems(composition: Composition) -> list[str]:
    """Checks for settings of the learning-rate range test when none takes place."""
    wants_test = composition.config.get("optimizer", {}).get("lr") == "auto"
    if wants_test or composition.config.get("debug", {}).get("kind") == "find_lr" or composition.resolved:
        return []
    return [
        f"{key} would have no effect: no learning-rate range test takes place. Use optimizer.lr=auto or "
        "`runner find-lr`, or "
        "remove it."
        for key in sorted(composition.explicit - composition.from_file)
        if key.startswith("lr_finder.")
    ]


def regularization_problems(composition: Composition, plain: dict[str, Any]) -> list[str]:
    """Checks that values set by the user are used. Values of a preset may be unused."""
    used = interpolated_keys(composition.config)
    values = plain.get("regularization")
    problems = []
    for key in HANDED_ON if isinstance(values, dict) else ():
        place = f"regularization.{key}"
        is_set = any(f"{given}.".startswith(f"{place}.") for given in composition.explicit)
        if not is_set or not values.get(key) or place in used:
            continue
        if composition.resolved:
            problems.append(handed_on(place))
            continue
        users = ", ".join(f"{g}={composition.choices.get(g)}" for g in ("model", "data", "task", "optimizer"))
        why = f"{reason}, and none" if (reason := HANDED_ON[key]) else "none"
        problems.append(f"{place} would have no effect: {why} of {users} uses it. Remove it.")
    transfer = plain.get("transfer")
    if isinstance(transfer, dict) and str(transfer.get("_target_")).endswith("FrozenBackbone"):
        problems += [
            f"regularization.{key} would have no effect: with transfer=frozen the backbone is in evaluation "
            "mode. "
            "Remove it, or use transfer=finetune."
            for key in FROZEN_TOO
            if is_explicit(composition, f"regularization.{key}") and values.get(key)
        ]
    return problems


def is_explicit(composition: Composition, place: str) -> bool:
    """Whether the user set the key or one below it."""
    return any(f"{given}.".startswith(f"{place}.") for given in composition.explicit)


def mixing_problems(composition: Composition, plain: dict[str, Any]) -> list[str]:
    """Checks that MixUp and CutMix apply to the data and task, and that ``mix_epochs`` has something to
    limit.
    """
    values = plain.get("regularization")
    if not isinstance(values, dict):
        return []
    mixing = [key for key in ("mixup", "cutmix") if values.get(key)]
    problems = []
    if is_explicit(composition, "regularization.mix_epochs") and values.get("mix_epochs") and not mixing:
        problems.append(
            "regularization.mix_epochs would have no effect: neither mixup nor cutmix is on. Add "
            "regularization.mixup=0.2, or remove it."
        )
    task, data = constructor_of(plain.get("task")), composition.option("data")
    reason = ""
    if task is not None and not getattr(task, "mixes", False):
        reason = f"it blends images and their classes, and {task.__name__} does not have one class per input"
    elif data is not None and data.inputs and "image" not in data.inputs:
        reason = f"it blends images, and data={data.name} provides {' and '.join(data.inputs)}"
    if reason:
        problems += [
            f"regularization.{key} would have no effect: {reason}. Remove it."
            for key in mixing
            if is_explicit(composition, f"regularization.{key}")
        ]
    return problems


RIVALS = (("clip_norm", "clip_value"), ("ema", "swa"))


def rivalry_problems(composition: Composition, plain: dict[str, Any]) -> list[str]:
    """Checks for settings that exclude each other, and for an SWA average of a single epoch."""
    values, trainer = plain.get("regularization"), plain.get("trainer")
    if not isinstance(values, dict) or not isinstance(trainer, dict):
        return []
    problems = [
        f"regularization.{first} and regularization.{second} exclude each other. Set one of them to null."
        for first, second in RIVALS
        if values.get(first) is not None and values.get(second) is not None
    ]
    if trainer.get("gradient_clip_val") is not None:
        clips = [key for key in ("clip_norm", "clip_value") if values.get(key)]
        problems += [
            f"regularization.{key} and trainer.gradient_clip_val both clip. Give one of them."
            for key in clips
        ]
    start, epochs = values.get("swa"), trainer.get("max_epochs")
    if isinstance(start, int | float) and isinstance(epochs, int) and 0 < epochs - int(start * epochs) < 2:
        problems.append(
            f"regularization.swa={start:g} would have no effect: of {epochs} epochs it averages only the "
            "last one. "
            "Train for more epochs, or start earlier."
        )
    return problems


def noise_problems(composition: Composition) -> list[str]:
    """Checks for input noise on inputs that are not real numbers."""
    data = composition.option("data")
    tokens = {"text", "tokens"}
    if data is None or not data.inputs or not set(data.inputs) <= tokens:
        return []
    if not is_explicit(composition, "regularization.input_noise"):
        return []
    return [
        f"regularization.input_noise would have no effect: data={data.name} provides tokens, not real "
        "numbers."
    ]


def closure_problems(plain: dict[str, Any]) -> list[str]:
    """Checks for settings that are incompatible with LBFGS, which evaluates a batch several times per update.

    Weight noise is removed before the second evaluation, and the L1 penalty is only part of the gradient, so
    the line search would compare losses of different functions.
    """
    values, optimizer = plain.get("regularization"), plain.get("optimizer")
    if not isinstance(values, dict) or not isinstance(optimizer, dict):
        return []
    if str(optimizer.get("_target_")).rpartition(".")[2] != "LBFGS":
        return []
    return [
        f"regularization.{key}={values[key]} does not work with LBFGS, which evaluates each batch several "
        "times per "
        f"update: {reason}. Set regularization.{key}={off}, or choose another optimizer."
        for key, reason, off in (
            ("weight_noise", "the evaluations after the first would have no noise", "0"),
            ("l1", "the penalty is not part of the loss that its line search compares", "0"),
        )
        if values.get(key)
    ]


def sampling_problems(composition: Composition, plain: dict[str, Any]) -> list[str]:
    """Checks that samples have classes to balance."""
    task, sampling = constructor_of(plain.get("task")), plain.get("sampling")
    if not isinstance(sampling, dict) or not sampling.get("balance"):
        return []
    if task is None or getattr(task, "mixes", False):
        return []
    return [
        f"sampling.balance would have no effect: {task.__name__} does not have one class per sample. Remove "
        "it."
    ]


def handed_on(place: str) -> str:
    return (
        f"{place} would have no effect: in the config of a run its value has already been passed on. Set "
        "the keys "
        "that use it (model.dropout, optimizer.weight_decay …)."
    )


def start_problems(composition: Composition, plain: dict[str, Any]) -> list[str]:
    """Checks that pretrained weights exist, and that the initial weights have a single source."""
    problems = []
    if plain.get("pretrained") is True and "pretrained" not in interpolated_keys(composition.config):
        if composition.resolved and "pretrained" in composition.explicit:
            problems.append(handed_on("pretrained"))
        elif not composition.resolved:
            problems.append(
                f"pretrained=true would have no effect: model={composition.choices.get('model')} has no "
                "pretrained "
                "weights. Remove it, or choose a model that has them (resnet34, mobilenet_v2, timm …)."
            )
    if plain.get("pretrained") is True and plain.get("weights"):
        problems.append("pretrained=true and weights=FILE both set the initial weights; give one of them.")
    return problems


def tracking_problems(composition: Composition, plain: dict[str, Any]) -> list[str]:
    tracking = plain.get("tracking")
    if not isinstance(tracking, dict) or tracking.get("enabled") is not False:
        return []
    set_here = sorted(
        key for key in composition.explicit if key.startswith("tracking.") and key != "tracking.enabled"
    )
    return [
        f"{key} would have no effect: tracking is off. Remove it, or use tracking=mlflow." for key in set_here
    ]
