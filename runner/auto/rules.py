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
MAX_TOKENS = 512
"""Maximum number of tokens of a text."""
SAMPLES_AT_1000 = 60_000
"""Samples that a model sees in training if there are 1000 training samples."""
FINE_TUNE_SHARE = 0.4
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


def flips(situation: Situation) -> Iterator[Choice]:
    """Disables mirroring of gray images, which often show symbols."""
    if situation.measurements.are_gray and is_unset(situation, "can_flip"):
        yield Choice("data.can_flip", False, "gray images often show symbols, which mirroring changes")


def sound_length(situation: Situation) -> Iterator[Choice]:
    """Chooses the sample rate and the length of sounds so that 95 % of them are complete."""
    seconds, rates = situation.measurements.seconds, situation.measurements.sample_rates
    if seconds is None or rates is None:
        return
    if is_unset(situation, "sample_rate") and (rate := int(np.median(rates))) < 16000:
        yield Choice("data.sample_rate", rate, f"the files have {rate} samples per second")
    if is_unset(situation, "seconds"):
        quantile = float(np.quantile(seconds, 0.95))
        length = max(0.2, math.ceil(min(MAX_SECONDS, quantile) * 10 - 1e-6) / 10)
        reason = f"95 % of the sounds have at most {quantile:.2g} s"
        yield Choice("data.seconds", length, reason)
        if length > 2 and is_unset(situation, "hop_s"):
            yield Choice("data.hop_s", 0.016, "fewer frames for long sounds")
    if is_unset(situation, "num_mels"):
        yield Choice("data.num_mels", 64, "the resolution in frequency of common audio models")


def text_length(situation: Situation) -> Iterator[Choice]:
    """Chooses the number of tokens so that all texts are complete, up to a limit."""
    lengths = situation.measurements.num_tokens
    if lengths is None or not is_unset(situation, "max_length"):
        return
    longest = int(lengths.max())
    length = min(MAX_TOKENS, max(16, 16 * math.ceil(longest / 16)))
    if length != 256:
        yield Choice("data.max_length", length, f"the longest of the texts have about {longest} tokens")


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
    if situation.weights:
        yield Choice("model", situation.weights[0].model, "ImageNet weights of it are on this machine")
    elif situation.machine.is_slow:
        yield Choice("model", "small_cnn", "trains in reasonable time on a CPU")
        num_blocks = min(4 if side <= 64 else 5, int(math.log2(side)) - 1)
        yield Choice("model.widths", [32, 64, 128, 256, 256][:num_blocks], f"images of {side} px")
        yield from one_cycle(situation, 0.003, "measured for small convolutional networks")
    elif side <= 64:
        yield Choice("model", "resnet18_small", f"images of {side} px")
    else:
        yield Choice("model", "resnet34", f"images of {side} px")


def sound_model(situation: Situation) -> Iterator[Choice]:
    if situation.composition.choices.get("model") != "small_cnn" or situation.facts.in_channels != 1:
        return
    widths = [16, 32, 64, 128] if situation.machine.is_slow else [32, 64, 128, 256]
    yield Choice("model.widths", widths, f"four blocks, on a {situation.machine.accelerator}")
    yield from one_cycle(situation, 0.003, "measured for small convolutional networks")


def detector(situation: Situation) -> Iterator[Choice]:
    if not situation.machine.is_slow:
        return
    sizes = situation.measurements.image_sizes
    shorter, longer = (256, 427) if sizes is None else (int(size) for size in np.sort(np.median(sizes, 0)))
    scale = min(1.0, MAX_DETECTOR_SIDE / shorter)
    reason = "Faster R-CNN with ResNet-50 takes minutes per step on a CPU"
    yield Choice("model", "fcos", reason)
    yield Choice("model.backbone", "mobilenet_v2", "a small backbone for a CPU")
    yield Choice("model.channels", 128, "a small head for a CPU")
    yield Choice("model.head_convs", 2, "a small head for a CPU")
    yield Choice("model.min_size", round(shorter * scale), f"the images are about {longer}×{shorter} pixels")
    yield Choice("model.max_size", round(longer * scale), f"the images are about {longer}×{shorter} pixels")
    if situation.weights:
        yield Choice(
            "model.backbone_weights", str(situation.weights[0].path), "ImageNet weights of the backbone"
        )
    yield from one_cycle(situation, 0.001, "measured for detectors")
    if situation.is_open("regularization") and situation.is_open("trainer.gradient_clip_val"):
        yield Choice("regularization.clip_norm", 5.0, "losses of detectors have outliers")


def segmenter(situation: Situation) -> Iterator[Choice]:
    if not situation.machine.is_slow:
        return
    yield Choice("model", "fpn", "a light decoder for a CPU")
    yield Choice("model.encoder_name", "mobilenet_v2", "a small encoder for a CPU")
    yield Choice("model.decoder_pyramid_channels", 128, "a small decoder for a CPU")
    yield Choice("model.decoder_segmentation_channels", 64, "a small decoder for a CPU")
    if situation.is_open("task.loss"):
        yield Choice("task.loss.dice", 0.5, "rare classes count as much as frequent ones")
    yield from one_cycle(situation, 0.003, "measured for segmentation")


def one_cycle(situation: Situation, rate: float, reason: str) -> Iterator[Choice]:
    """Chooses one cycle with a peak rate of AdamW, if the user set neither optimizer nor schedule."""
    groups = ("optimizer", "scheduler", "transfer")
    if all(situation.leaves_group_open(group) for group in groups):
        yield Choice("optimizer.lr", rate, reason)
        yield Choice("scheduler", "one_cycle", "a short warm-up, then down to zero")
        yield Choice("scheduler.pct_start", 0.1, "a short warm-up, then down to zero")


def weights(situation: Situation) -> Iterator[Choice]:
    """Chooses a file of ImageNet weights of the model, and what of the model is trained."""
    keys = ("weights", "pretrained", "transfer")
    if situation.task not in ("classification", "binary", "regression", "segmentation"):
        return
    if not all(situation.is_open(key) for key in keys) or "transfer" in situation.composition.chosen_groups:
        return
    name = (
        situation.value("model.encoder_name")
        if situation.task == "segmentation"
        else situation.value("model")
    )
    name = name or situation.composition.choices.get("model")
    file = next((file for file in situation.weights if file.model == name), None)
    if file is None:
        return
    yield Choice("weights", str(file.path), "a file of the model on this machine")
    if situation.task == "segmentation":
        yield Choice("transfer", "finetune", "the head first, then all layers")
        yield Choice("transfer.layer_decay", 0.8, "measured for segmentation")
        yield Choice("transfer.batch_norm", "train", "measured for segmentation")
        return
    if situation.machine.is_slow and situation.num_train < MANY_IMAGES:
        yield Choice("transfer", "frozen", "on a CPU: the features of the backbone are computed once")
        if situation.is_open("regularization"):
            yield Choice("regularization.augment", None, "the features of the backbone are computed once")
        if is_unset(situation, "fit"):
            yield Choice("data.fit", "squeeze", "the whole image without random crops")
    else:
        yield Choice("transfer", "finetune", f"{situation.num_train:,} training images")


MANY_IMAGES = 20_000
"""Number of training images from which the backbone is trained on a CPU, too."""
MAX_DETECTOR_SIDE = 256
"""Shorter side of images in pixels for a detector on a CPU."""


def text_model(situation: Situation) -> Iterator[Choice]:
    if situation.task not in ("classification", "binary"):
        return
    if situation.num_train < MANY_TEXTS:
        reason = f"{situation.num_train:,} training texts are few for an LSTM"
        yield Choice("model", "ngrams", reason)
    else:
        yield Choice("model", "ngram_lstm", f"{situation.num_train:,} training texts")
    yield from one_cycle(situation, 0.005, "measured for n-grams")


MANY_TEXTS = 50_000
"""Number of training texts from which an LSTM is added to the n-grams."""


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
    yield from one_cycle(situation, 0.002, "the usual rate of TabM")
    if situation.is_open("regularization"):
        yield Choice("regularization.clip_norm", 1.0, "as published for TabM")


MAX_TABM_FEATURES = 600
"""Maximum number of features of the default model for tables; its cost grows with them."""

MODELS: dict[tuple[str, str], Rule] = {
    ("", "image"): image_model,
    ("", "sound"): sound_model,
    ("", "features"): table_model,
    ("", "tokens"): text_model,
    ("detection", "image"): detector,
    ("segmentation", "image"): segmenter,
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
        patience = max(5, round(0.4 * number))  # a cycle improves most at its end
        yield Choice(
            "regularization.early_stopping",
            {"patience": patience},
            "ends a training that no longer improves",
        )


INPUT_SHARES = {"features": 2.0, "tokens": 0.5}
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


RULES: tuple[Rule, ...] = (
    image_size,
    flips,
    sound_length,
    text_length,
    batch_size,
    model,
    weights,
    epochs,
    class_weights,
)


def is_unset(situation: Situation, argument: str) -> bool:
    """Return whether neither the user nor an option file sets an argument of the data module."""
    if argument not in situation.data_arguments:
        return False
    return situation.is_open(f"data.{argument}") and situation.value(f"data.{argument}") is None


def is_pretrained(situation: Situation) -> bool:
    """Return whether the training starts from pretrained weights."""
    if situation.value("weights") or situation.value("pretrained") is True:
        return True
    return bool(situation.weights) and situation.is_open("weights") and situation.is_open("pretrained")
