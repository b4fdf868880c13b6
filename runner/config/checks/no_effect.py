"""Rejects settings that would have no effect, instead of ignoring them, or that exclude each other."""

from __future__ import annotations

from collections.abc import Iterable

from runner.config.allow_list import constructor_of
from runner.config.checks.context import CheckContext
from runner.config.composition import Composition
from runner.config.plain import interpolated_keys
from runner.errors import Problem

__all__ = [
    "closure_problems",
    "initial_weights_problems",
    "lr_finder_problems",
    "mixing_problems",
    "noise_problems",
    "regularization_problems",
    "rivalry_problems",
    "sampling_problems",
    "single_run_problems",
    "tracking_problems",
]

PASSED_ON = {
    "dropout": "",
    "spatial_dropout": "it drops channels of feature maps",
    "stochastic_depth": "it drops residual branches",
    "weight_decay": "",
    "label_smoothing": "",
    "augment": "",
}
"""Keys of ``regularization`` that only act where another node refers to them → what they do there."""

IN_BACKBONE = ("spatial_dropout", "stochastic_depth")
"""Keys that act in the backbone, and are disabled by the evaluation mode of a frozen one."""


def no_effect(key: str, reason: str, remedy: str = "Remove it.") -> Problem:
    return Problem(key, f"{key} would have no effect: {reason}.", "no_effect", remedy)


def single_run_problems(composition: Composition) -> list[Problem]:
    """Checks for sweep settings in the command of a single run."""
    keys = [
        key
        for key in sorted(composition.explicit - composition.from_file)
        if key.partition(".")[0] == "sweep"
    ]
    option = composition.choices.get("sweep")
    settings = [(key, key) for key in keys] + ([("sweep", f"sweep={option}")] if option else [])
    return [
        Problem(
            key,
            f"{setting} would have no effect: one run is trained.",
            "no_effect",
            "Use `runner sweep`, or remove it.",
        )
        for key, setting in settings
    ]


def lr_finder_problems(composition: Composition) -> list[Problem]:
    """Checks for settings of the learning-rate range test when none takes place."""
    wants_test = composition.config.get("optimizer", {}).get("lr") == "auto"
    if wants_test or composition.config.get("debug", {}).get("kind") == "find_lr" or composition.resolved:
        return []
    remedy = "Use optimizer.lr=auto or `runner find-lr`, or remove it."
    return [
        no_effect(key, "no learning-rate range test takes place", remedy)
        for key in sorted(composition.explicit - composition.from_file)
        if key.startswith("lr_finder.")
    ]


def regularization_problems(context: CheckContext) -> list[Problem]:
    """Checks that values set by the user are used. Values of a preset may be unused."""
    composition, values = context.composition, context.node("regularization")
    used = interpolated_keys(composition.config)
    problems = []
    for name, action in PASSED_ON.items():
        key = f"regularization.{name}"
        if not context.is_explicit(key) or not values.get(name) or key in used:
            continue
        if composition.resolved:
            problems.append(already_passed_on(key))
            continue
        users = ", ".join(f"{g}={composition.choices.get(g)}" for g in ("model", "data", "task", "optimizer"))
        problems.append(no_effect(key, f"{f'{action}, and none' if action else 'none'} of {users} uses it"))
    if str(context.node("transfer").get("_target_")).endswith("FrozenBackbone"):
        problems += [
            no_effect(
                f"regularization.{name}",
                "with transfer=frozen the backbone is in evaluation mode",
                "Remove it, or use transfer=finetune.",
            )
            for name in explicit_values(context, IN_BACKBONE)
        ]
    return problems


def explicit_values(context: CheckContext, names: Iterable[str]) -> list[str]:
    """Return those keys of ``regularization`` that the user set to another value than null, 0 or false."""
    values = context.node("regularization")
    return [name for name in names if values.get(name) and context.is_explicit(f"regularization.{name}")]


def mixing_problems(context: CheckContext) -> list[Problem]:
    """Checks that MixUp and CutMix suit data and task, and that ``mix_epochs`` has something to limit."""
    values = context.node("regularization")
    mixing = [name for name in ("mixup", "cutmix") if values.get(name)]
    problems = []
    if not mixing:
        problems += [
            no_effect(
                "regularization.mix_epochs",
                "neither mixup nor cutmix is on",
                "Add regularization.mixup=0.2, or remove it.",
            )
            for _ in explicit_values(context, ["mix_epochs"])
        ]
    task, data = constructor_of(context.plain.get("task")), context.composition.option("data")
    reason = ""
    if task is not None and not getattr(task, "mixes", False):
        reason = f"it blends images and their classes, and {task.__name__} does not have one class per input"
    elif data is not None and data.inputs and "image" not in data.inputs:
        reason = f"it blends images, and data={data.name} provides {' and '.join(data.inputs)}"
    if reason:
        problems += [no_effect(f"regularization.{name}", reason) for name in explicit_values(context, mixing)]
    return problems


RIVALS = (("clip_norm", "clip_value"), ("ema", "swa"))
"""Pairs of keys of ``regularization`` that exclude each other."""


def rivalry_problems(context: CheckContext) -> list[Problem]:
    """Checks for settings that exclude each other, and for an SWA average of a single epoch."""
    values, trainer = context.node("regularization"), context.node("trainer")
    problems = [
        Problem(
            f"regularization.{second}",
            f"regularization.{first} and regularization.{second} exclude each other.",
            "incompatible",
            "Set one of them to null.",
        )
        for first, second in RIVALS
        if values.get(first) is not None and values.get(second) is not None
    ]
    if trainer.get("gradient_clip_val") is not None:
        problems += [
            Problem(
                f"regularization.{name}",
                f"regularization.{name} and trainer.gradient_clip_val both clip.",
                "incompatible",
                "Give one of them.",
            )
            for name in ("clip_norm", "clip_value")
            if values.get(name)
        ]
    start, epochs = values.get("swa"), trainer.get("max_epochs")
    if isinstance(start, int | float) and isinstance(epochs, int) and 0 < epochs - int(start * epochs) < 2:
        text = (
            f"regularization.swa={start:g} would have no effect: of {epochs} epochs it averages only the "
            "last one."
        )
        remedy = "Train for more epochs, or start earlier."
        problems.append(Problem("regularization.swa", text, "no_effect", remedy))
    return problems


def noise_problems(context: CheckContext) -> list[Problem]:
    """Checks for input noise on inputs that are not real numbers."""
    data, key = context.composition.option("data"), "regularization.input_noise"
    if data is None or not data.inputs or not set(data.inputs) <= {"text", "tokens"}:
        return []
    if not context.is_explicit(key):
        return []
    text = f"{key} would have no effect: data={data.name} provides tokens, not real numbers."
    return [Problem(key, text, "no_effect")]


def closure_problems(context: CheckContext) -> list[Problem]:
    """Checks for settings that are incompatible with LBFGS, which evaluates a batch several times per update.

    Weight noise is removed before the second evaluation, and the L1 penalty is only part of the gradient, so
    the line search would compare losses of different functions.
    """
    values = context.node("regularization")
    if str(context.node("optimizer").get("_target_")).rpartition(".")[2] != "LBFGS":
        return []
    reasons = {
        "weight_noise": "the evaluations after the first would have no noise",
        "l1": "the penalty is not part of the loss that its line search compares",
    }
    return [
        Problem(
            f"regularization.{name}",
            f"regularization.{name}={values[name]} does not work with LBFGS, which evaluates each batch "
            f"several times per update: {reason}.",
            "incompatible",
            f"Set regularization.{name}=0, or choose another optimizer.",
        )
        for name, reason in reasons.items()
        if values.get(name)
    ]


def sampling_problems(context: CheckContext) -> list[Problem]:
    """Checks that samples have classes to balance."""
    task = constructor_of(context.plain.get("task"))
    if not context.node("sampling").get("balance") or task is None or getattr(task, "mixes", False):
        return []
    return [no_effect("sampling.balance", f"{task.__name__} does not have one class per sample")]


def already_passed_on(key: str) -> Problem:
    reason = "in the config of a run its value has already been passed on"
    remedy = "Set the keys that use it (model.dropout, optimizer.weight_decay …)."
    return no_effect(key, reason, remedy)


def initial_weights_problems(context: CheckContext) -> list[Problem]:
    """Checks that pretrained weights exist, and that the initial weights have a single source."""
    composition, problems = context.composition, []
    if context.plain.get("pretrained") is not True:
        return []
    if "pretrained" not in interpolated_keys(composition.config):
        if composition.resolved and "pretrained" in composition.explicit:
            problems.append(already_passed_on("pretrained"))
        elif not composition.resolved:
            text = (
                f"pretrained=true would have no effect: model={composition.choices.get('model')} has no "
                "pretrained weights."
            )
            remedy = "Remove it, or choose a model that has them (resnet34, mobilenet_v2, timm …)."
            problems.append(Problem("pretrained", text, "no_effect", remedy))
    if context.plain.get("weights"):
        text = "pretrained=true and weights=FILE both set the initial weights; give one of them."
        problems.append(Problem("weights", text, "incompatible"))
    return problems


def tracking_problems(context: CheckContext) -> list[Problem]:
    """Checks for settings of the tracking when it is off."""
    if context.node("tracking").get("enabled") is not False:
        return []
    return [
        no_effect(key, "tracking is off", "Remove it, or use tracking=mlflow.")
        for key in sorted(context.composition.explicit)
        if key.startswith("tracking.") and key != "tracking.enabled"
    ]
