"""The rules of automatic choices, in the order in which they are applied.

A rule reads a ``Situation`` and returns choices. It never names a data set. Later rules see the choices of
earlier ones through ``Situation.value``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from runner.auto.situation import Situation

__all__ = ["RULES", "Choice", "Rule"]


@dataclass(frozen=True)
class Choice:
    """A value that a rule chose.

    Attributes:
        key: dotted key of the config, or the name of a group.
        value: the value, or the option of the group.
        reason: why, as a phrase that follows ``KEY=VALUE:``.
    """

    key: str
    value: Any
    reason: str


Rule = Callable[[Situation], Iterator[Choice]]

MAX_SCRATCH_SIDE = 128
"""Side of image inputs in pixels for a model trained from random weights on a CPU."""
MIN_PRETRAINED_SIDE = 96
"""Smallest side in pixels at which ImageNet features are useful; smaller images are enlarged to it."""
MAX_SECONDS = 10.0
"""Maximum length of sounds in seconds."""
SAMPLES_AT_1000 = 60_000
"""Samples that a model sees in training if there are 1000 training samples."""
FINE_TUNE_SHARE = 0.3
"""Length of a training that starts from pretrained weights, relative to one from random weights."""
MIN_EPOCHS, MAX_EPOCHS = 4, 150
RARE = 10
"""The largest class has this many times the samples of the smallest one: classes are weighted."""


def image_size(situation: Situation) -> Iterator[Choice]:
    """Chooses the side of square image inputs from the sizes of the files."""
    sizes = situation.measurements.image_sizes
    if sizes is None or "image_size" not in situation.data_arguments or not is_unset(situation, "image_size"):
        return
    height, width = (int(value) for value in np.median(sizes, axis=0))
    shorter, files = min(height, width), f"the files are {width}×{height}"
    if is_pretrained(situation):
        side = min(224, max(MIN_PRETRAINED_SIDE, shorter))
        reason = files if side == shorter else f"{files}; pretrained features need about {side} px"
    elif situation.machine.is_slow:
        side = min(MAX_SCRATCH_SIDE, shorter)
        reason = files if side == shorter else f"{files}; a training from random weights on a CPU"
    else:
        side, reason = min(224, shorter), files
    side = max(8, side)
    if side != 224:
        yield Choice("data.image_size", side, reason)
    if side >= shorter and is_unset(situation, "crop_fraction"):
        yield Choice("data.crop_fraction", 1.0, "the images are not larger than the input")


def sound_length(situation: Situation) -> Iterator[Choice]:
    """Chooses the sample rate and the length of sounds so that 95 % of them are complete."""
    seconds, rates = situation.measurements.seconds, situation.measurements.sample_rates
    if seconds is None or rates is None:
        return
    if is_unset(situation, "sample_rate") and (rate := int(np.median(rates))) < 16000:
        yield Choice("data.sample_rate", rate, f"the files have {rate} samples per second")
    if is_unset(situation, "seconds"):
        quantile = float(np.quantile(seconds, 0.95))
        length = max(0.2, math.ceil(min(MAX_SECONDS, quantile) * 10) / 10)
        reason = f"95 % of the sounds have at most {quantile:.2g} s"
        yield Choice("data.seconds", length, reason)
        if length > 2 and is_unset(situation, "hop_s"):
            yield Choice("data.hop_s", 0.016, "fewer frames for long sounds")
    if is_unset(situation, "num_mels"):
        yield Choice("data.num_mels", 64, "the resolution in frequency of common audio models")


def text_length(situation: Situation) -> Iterator[Choice]:
    """Chooses the number of tokens so that 98 % of the texts are complete."""
    lengths = situation.measurements.num_tokens
    if lengths is None or not is_unset(situation, "max_length"):
        return
    quantile = int(np.quantile(lengths, 0.98))
    most = 256 if situation.machine.is_slow else 1024
    length = min(most, max(16, 8 * math.ceil(quantile / 8)))
    if length != 256:
        yield Choice("data.max_length", length, f"98 % of the texts have at most {quantile} tokens")


def batch_size(situation: Situation) -> Iterator[Choice]:
    """Chooses the batch size of tables and vectors by the number of samples."""
    if situation.inputs != "features" or not situation.is_open("data.batch_size"):
        return
    size = int(2 ** round(math.log2(max(1.0, situation.num_train / 100))))
    size = min(512, max(32, size))
    if size != situation.value("data.batch_size"):
        yield Choice("data.batch_size", size, f"{situation.num_train:,} training samples")


def model(situation: Situation) -> Iterator[Choice]:
    """Chooses the model by task, inputs and machine."""
    if not situation.leaves_group_open("model"):
        return
    choose = MODELS.get((situation.task, situation.inputs)) or MODELS.get(("", situation.inputs))
    if choose is not None:
        yield from choose(situation)


def image_model(situation: Situation) -> Iterator[Choice]:
    if situation.task not in ("classification", "binary", "regression"):
        return
    side = situation.value("data.image_size") or situation.facts.image_size
    if situation.weights and situation.facts.in_channels == 3 and side >= 64:
        yield Choice("model", situation.weights[0], "ImageNet weights of it are available")
    elif situation.machine.is_slow:
        yield Choice("model", "small_cnn", "trains in reasonable time on a CPU")
        num_blocks = min(4 if side <= 64 else 5, int(math.log2(side)) - 1)
        yield Choice("model.widths", [32, 64, 128, 256, 256][:num_blocks], f"images of {side} px")
    elif side <= 64:
        yield Choice("model", "resnet18_small", f"images of {side} px")
    else:
        yield Choice("model", "resnet34", f"images of {side} px")


def sound_model(situation: Situation) -> Iterator[Choice]:
    if situation.composition.choices.get("model") == "small_cnn" and situation.facts.in_channels == 1:
        yield Choice("model.widths", [32, 64, 128, 256], "four blocks see about half a second")


def table_model(situation: Situation) -> Iterator[Choice]:
    if situation.task not in ("classification", "binary", "regression"):
        return
    if situation.facts.in_features > MAX_TABM_FEATURES:
        return
    yield Choice("model", "tabm", "an ensemble of perceptrons with embedded numbers, for tables")
    if situation.num_train >= 2000:
        reason = f"{situation.num_train:,} training samples"
        yield Choice("model.num_bins", 48, reason)
        yield Choice("model.embed_dim", 16, reason)
    if situation.leaves_group_open("optimizer") and situation.leaves_group_open("scheduler"):
        yield Choice("optimizer.lr", 0.002, "the usual rate of TabM")
        yield Choice("scheduler", "one_cycle", "short warm-up, then down to zero")
        yield Choice("scheduler.pct_start", 0.1, "a short warm-up")
    if situation.is_open("regularization"):
        yield Choice("regularization.clip_norm", 1.0, "as published for TabM")


MAX_TABM_FEATURES = 600
"""Maximum number of features of the default model for tables; its cost grows with them."""

MODELS: dict[tuple[str, str], Rule] = {
    ("", "image"): image_model,
    ("", "sound"): sound_model,
    ("", "features"): table_model,
}
"""Rules by task and kind of inputs; an empty task matches every task."""


def epochs(situation: Situation) -> Iterator[Choice]:
    """Chooses the length of the training: the samples seen grow with the square root of their number."""
    lengths = ("trainer.max_epochs", "trainer.max_steps", "trainer.max_time", "trainer.min_steps")
    if not all(situation.is_open(key) for key in lengths) or situation.value("trainer.max_epochs") != 10:
        return
    share = FINE_TUNE_SHARE if is_pretrained(situation) else 1.0
    share *= TASK_SHARES.get(situation.task, 1.0) * INPUT_SHARES.get(situation.inputs, 1.0)
    seen = SAMPLES_AT_1000 * math.sqrt(situation.num_train / 1000) * share
    number = round(min(MAX_EPOCHS, max(MIN_EPOCHS, seen / situation.num_train)))
    start = "pretrained weights" if is_pretrained(situation) else "random weights"
    steps = number * math.ceil(situation.num_train / (situation.value("data.batch_size") or 64))
    yield Choice(
        "trainer.max_epochs", number, f"{situation.num_train:,} training samples, {start}; {steps:,} steps"
    )
    if number >= 10 and situation.is_open("regularization"):
        patience = max(5, number // 4)
        yield Choice(
            "regularization.early_stopping",
            {"patience": patience},
            "ends a training that no longer improves",
        )


INPUT_SHARES = {"features": 2.0, "tokens": 0.4}
"""Relative length of training: steps on features cost little, and texts are memorized soon."""

TASK_SHARES = {"language": 0.5, "segmentation": 0.5, "detection": 0.5, "forecasting": 0.5}
"""Relative length of training: samples of these tasks hold many targets each."""


def class_weights(situation: Situation) -> Iterator[Choice]:
    """Weights classes if some are rare."""
    counts = [count for count in situation.facts.class_counts if count]
    keys = ("task.class_weights", "sampling", "task.loss")
    if situation.task != "classification" or len(counts) < 2 or not all(map(situation.is_open, keys)):
        return
    ratio = max(counts) / min(counts)
    if ratio >= RARE:
        reason = f"the largest class has {ratio:.0f} times the samples of the smallest"
        yield Choice("task.class_weights", "balanced", reason)
        yield Choice("task.weight_power", 0.5, "weights by the inverse square root of the counts")


RULES: tuple[Rule, ...] = (image_size, sound_length, text_length, batch_size, model, epochs, class_weights)


def is_unset(situation: Situation, argument: str) -> bool:
    """Return whether neither the user nor an option file sets an argument of the data module."""
    if argument not in situation.data_arguments:
        return False
    return situation.is_open(f"data.{argument}") and situation.value(f"data.{argument}") is None


def is_pretrained(situation: Situation) -> bool:
    """Return whether the training starts from pretrained weights."""
    given = situation.value("pretrained")
    if situation.value("weights"):
        return True
    if given in (True, False):
        return bool(given)
    return bool(situation.weights)
