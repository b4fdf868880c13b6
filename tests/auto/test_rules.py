"""Rules of automatic choices, on stated facts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf

from runner.auto.choose import apply_rules
from runner.auto.situation import Machine, Situation
from runner.auto.starting_weights import starting_weights_line
from runner.auto.weights import WeightsFile
from runner.config.composition import Composition
from runner.data.facts import Facts
from runner.data.measurements import Measurements

CPU, GPU = Machine("cpu", 2), Machine("gpu", 8)


def composition(
    explicit: tuple[str, ...] = (), chosen_groups: tuple[str, ...] = (), **choices: str
) -> Composition:
    config = {"data": {"batch_size": 64}, "trainer": {"max_epochs": 10}, "weights": None, "pretrained": False}
    return Composition(
        OmegaConf.create(config),
        {},
        choices={"task": "classification", "model": "mlp", **choices},
        explicit=set(explicit),
        chosen_groups=set(chosen_groups),
    )


def table(num_train: int = 1000, **facts: object) -> Situation:
    data = {"task": "classification", "input_shape": (10,), "num_outputs": 2, "num_train": num_train, **facts}
    return Situation(composition(), Facts(**data), Measurements(), CPU)  # type: ignore[arg-type]


def images(
    height: int, width: int, machine: Machine = CPU, weights: tuple[WeightsFile, ...] = ()
) -> Situation:
    facts = Facts("classification", (3, 224, 224), 2, num_train=1000)
    sizes = Measurements(image_sizes=np.array([[height, width]] * 5))
    arguments = frozenset({"image_size", "crop_fraction", "fit"})
    return Situation(composition(), facts, sizes, machine, arguments, weights)


def chosen(situation: Situation) -> dict[str, object]:
    return {choice.key: choice.value for choice in apply_rules(situation)}


def test_length_of_training_grows_with_the_square_root_of_the_samples() -> None:
    epochs = {size: chosen(table(size))["trainer.max_epochs"] for size in (1000, 4000, 100_000, 10_000_000)}
    assert epochs == {1000: 120, 4000: 60, 100_000: 12, 10_000_000: 4}


def test_batch_size_grows_with_the_samples_of_a_table() -> None:
    sizes = [chosen(table(size)).get("data.batch_size", 64) for size in (100, 6000, 12_000, 10_000_000)]
    assert sizes == [32, 64, 128, 512]


@pytest.mark.parametrize("key", ["trainer.max_epochs", "trainer.max_steps", "trainer.max_time", "trainer"])
def test_explicit_length_of_training_is_kept(key: str) -> None:
    situation = replace(table(), composition=composition(explicit=(key,)))
    assert "trainer.max_epochs" not in chosen(situation)


@pytest.mark.parametrize("composed", [composition(chosen_groups=("model",)), composition(("model.dropout",))])
def test_explicit_model_is_kept(composed: Composition) -> None:
    keys = chosen(replace(table(), composition=composed))
    assert not any(key == "model" or key.startswith("model.") for key in keys)


def test_wide_table_keeps_the_perceptron() -> None:
    assert chosen(table(input_shape=(600,)))["model"] == "tabm"
    assert "model" not in chosen(table(input_shape=(601,)))


def test_small_images_are_not_enlarged() -> None:
    choices = chosen(images(32, 32))
    assert choices["data.image_size"] == 32 and choices["data.crop_fraction"] == 1.0
    assert choices["model"] == "small_cnn" and choices["model.widths"] == [32, 64, 128, 256]


def test_gray_images_are_not_mirrored() -> None:
    situation = replace(images(32, 32), data_arguments=frozenset({"can_flip"}))
    gray = replace(situation.measurements, are_gray=True)
    assert chosen(replace(situation, measurements=gray))["data.can_flip"] is False
    assert "data.can_flip" not in chosen(situation)


def test_size_of_photographs_depends_on_machine_and_weights() -> None:
    weights = (WeightsFile("resnet18", Path("weights/resnet18-f37072fd.pth")),)
    assert chosen(images(375, 500))["data.image_size"] == 128
    assert "data.image_size" not in chosen(images(375, 500, GPU))
    assert "data.image_size" not in chosen(images(375, 500, CPU, weights))
    assert chosen(images(64, 64, CPU, weights))["data.image_size"] == 96


def test_available_weights_are_used_frozen_on_a_cpu() -> None:
    weights = (WeightsFile("resnet18", Path("weights/resnet18-f37072fd.pth")),)
    choices = chosen(images(375, 500, CPU, weights))
    assert choices["model"] == "resnet18" and choices["weights"] == "weights/resnet18-f37072fd.pth"
    assert choices["transfer"] == "frozen" and choices["regularization.augment"] is None
    assert chosen(images(375, 500, GPU, weights))["transfer"] == "finetune"


def test_weights_of_another_model_are_not_used() -> None:
    weights = (WeightsFile("resnet18", Path("weights/resnet18-f37072fd.pth")),)
    composed = composition(chosen_groups=("model",), model="resnet50")
    assert "weights" not in chosen(replace(images(375, 500, CPU, weights), composition=composed))


@pytest.mark.parametrize("key", ["weights", "pretrained", "transfer", "transfer.cache_views"])
def test_explicit_start_is_kept(key: str) -> None:
    weights = (WeightsFile("resnet18", Path("weights/resnet18-f37072fd.pth")),)
    situation = replace(images(375, 500, CPU, weights), composition=composition((key,)))
    assert not {"weights", "transfer"} & set(chosen(situation))


def test_length_of_sounds_covers_nearly_all() -> None:
    sounds = Measurements("sound", seconds=np.linspace(1, 3, 101), sample_rates=np.full(101, 48_000))
    arguments = frozenset({"seconds", "sample_rate", "hop_s", "num_mels"})
    facts = Facts("classification", (1, 40, 100), 8, num_train=500)
    situation = Situation(composition(model="small_cnn"), facts, sounds, CPU, arguments)
    choices = chosen(situation)
    assert choices["data.seconds"] == 2.9 and choices["data.hop_s"] == 0.016
    assert "data.sample_rate" not in choices
    assert choices["model.widths"] == [16, 32, 64, 128]
    low = replace(situation, measurements=replace(sounds, sample_rates=np.full(101, 8000)))
    assert chosen(low)["data.sample_rate"] == 8000


def test_length_of_texts_covers_the_longest_up_to_a_limit() -> None:
    facts = Facts("classification", (20,), 2, num_train=500, extra={"vocab_size": 100})
    texts = Measurements(num_tokens=np.array([3, 5, 40]))
    situation = Situation(composition(model="lstm"), facts, texts, CPU, frozenset({"max_length"}))
    choices = chosen(situation)
    assert choices["data.max_length"] == 48 and choices["model"] == "ngrams"
    long = replace(situation, measurements=Measurements(num_tokens=np.array([9000])))
    assert chosen(long)["data.max_length"] == 512
    many = replace(situation, facts=replace(facts, num_train=50_000))
    assert chosen(many)["model"] == "ngram_lstm"


def test_rare_classes_are_weighted() -> None:
    balanced = chosen(table(class_counts=[500, 100]))
    rare = chosen(table(class_counts=[1000, 100]))
    assert "task.class_weights" not in balanced
    assert rare["task.class_weights"] == "balanced" and rare["task.weight_power"] == 0.5


def test_detector_on_a_cpu_is_light() -> None:
    facts = Facts("detection", (3, 480, 640), 3, num_train=300)
    sizes = Measurements(image_sizes=np.array([[480, 640]]))
    situation = Situation(composition(task="detection", model="faster_rcnn"), facts, sizes, CPU)
    choices = chosen(situation)
    assert choices["model"] == "fcos" and choices["model.backbone"] == "mobilenet_v2"
    assert (choices["model.min_size"], choices["model.max_size"]) == (256, 341)
    assert "model" not in chosen(replace(situation, machine=GPU))


def test_every_choice_has_a_reason() -> None:
    for situation in (table(), images(32, 32), images(500, 375, GPU)):
        choices = apply_rules(situation)
        assert choices and all(choice.reason for choice in choices)
        assert len({choice.key for choice in choices}) == len(choices)


def start_of(situation: Situation) -> str:
    return starting_weights_line(replace(situation, chosen=chosen(situation)))


def test_line_names_the_file_of_weights() -> None:
    weights = (WeightsFile("resnet18", Path("weights/resnet18-f37072fd.pth")),)
    line = start_of(images(375, 500, CPU, weights))
    assert line == "starting from ImageNet weights (weights/resnet18-f37072fd.pth)"


@pytest.mark.parametrize(
    ("machine", "file"), [(CPU, "mobilenet_v2-7ebf99e0.pth"), (GPU, "resnet34-b627a593.pth")]
)
def test_line_states_which_file_to_download_and_its_folder(machine: Machine, file: str) -> None:
    line = start_of(images(375, 500, machine))
    assert line.startswith("starting from random weights: no ImageNet weights on this machine. Save https://")
    assert line.endswith(f"/{file} to ./weights or to a folder in RUNNER_WEIGHTS")


def test_line_states_why_weights_do_not_suit() -> None:
    gray = images(375, 500)
    gray = replace(gray, facts=replace(gray.facts, input_shape=(1, 224, 224)))
    assert "need three channels, and the images have 1" in start_of(gray)
    assert start_of(images(20, 300)) == (
        "starting from random weights: images of 20 px gain nothing from ImageNet weights"
    )
    weights = (WeightsFile("resnet18", Path("weights/resnet18-f37072fd.pth")),)
    composed = composition(chosen_groups=("model",), model="resnet50")
    line = start_of(replace(images(375, 500, CPU, weights), composition=composed))
    assert "model=resnet50 has no file of ImageNet weights on this machine (those of resnet18 exist)" in line
    other = replace(images(375, 500), composition=composition(chosen_groups=("model",), model="small_cnn"))
    assert start_of(other) == (
        "starting from random weights: no ImageNet weights are looked for with model=small_cnn"
    )


def test_no_line_for_tables_and_explicit_starts() -> None:
    assert start_of(table()) == ""
    for key in ("weights", "pretrained", "transfer"):
        assert start_of(replace(images(375, 500), composition=composition((key,)))) == ""
