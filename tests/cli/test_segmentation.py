"""Segmentation on the command line: the user's own images and masks, of different sizes."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from runner.run.files import read_json

TINY = [
    "data=mask_folder", "data.root=pets", "model=linknet", "model.encoder_depth=3", "data.crop_size=[32,32]",
    "data.batch_size=2", "trainer.max_epochs=1", "tracking=none", "hardware=cpu",
]  # fmt: skip


@pytest.fixture
def pets(here: Path) -> Path:
    """Fourteen images of two sizes with a bright square, whose mask it is."""
    draw = np.random.default_rng(0)
    for number in range(14):
        height, width = ((40, 56), (33, 47))[number % 2]
        image, mask = (
            draw.integers(0, 90, (height, width, 3), dtype=np.uint8),
            np.zeros((height, width), np.uint8),
        )
        top, left = draw.integers(4, 16, 2)
        image[top : top + 12, left : left + 12] += 150
        mask[top : top + 12, left : left + 12] = 1
        for kind, pixels in (("images", image), ("masks", mask)):
            (here / "pets" / kind).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(here / "pets" / kind / f"{number:02}.png")
    (here / "pets" / "classes.txt").write_text("ground\npet\n")
    return here / "pets"


def test_train_evaluate_and_predict(say, here: Path, pets: Path) -> None:
    said = say("train", *TINY, "run.name=first")
    assert said.code == 0, said.err
    run = here / "runs" / "first"
    assert {"val/mean_iou", "val/pixel_accuracy", "val/iou_class/pet"} <= set(
        read_json(run / "results.json")["val"]
    )
    plots = {path.stem for path in (run / "plots").glob("*.png")}
    assert {"samples", "test_confusion", "test_class_iou", "test_worst_masks", "val_random_masks"} <= plots
    told = read_json(run / "results.json")["test"]["test/mean_iou"]
    found = json.loads(say("evaluate", "first", "--json").out)
    assert found["test/mean_iou"] == pytest.approx(told, abs=1e-6)

    said = say("predict", "first", str(pets / "images"), "--output", "said")
    assert said.code == 0 and "14 predictions written to said" in said.out
    rows = read_json(here / "said" / "predictions.json")
    assert [Image.open(row["mask"]).size for row in rows[:2]] == [(56, 40), (47, 33)]
    assert all(sum(row["shares"].values()) == pytest.approx(1, abs=1e-3) for row in rows)
    assert Image.open(rows[0]["overlay"]).mode == "RGB"


def test_folds_of_groups_from_file_names(say, here: Path, pets: Path) -> None:
    """The images 00 to 09 are one group, 10 to 13 another: no fold knows both."""
    quick = [
        "data.test_fraction=0.1",
        "plots=false",
        "baselines=false",
        "report=false",
        "folds=2",
        "folds.group_pattern='/(\\d)\\d'",
    ]
    said = say("train", *TINY, *quick, "run.name=cv")
    assert said.code == 0, said.err
    rows = rows_of(here / "runs" / "cv" / "predictions.csv")
    groups = {fold: {Path(row["name"]).stem[0] for row in rows if row["fold"] == fold} for fold in ("0", "1")}
    assert sorted(map(sorted, groups.values())) == [["0"], ["1"]]
    assert all(0 <= float(row["mean_iou"]) <= 1 for row in rows)
    assert "2 groups, each in a single fold" in said.out and "its metrics are too good" in said.out


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_invalid_input_is_rejected_before_work(say, here: Path, pets: Path) -> None:
    (pets / "masks" / "03.png").unlink()
    said = say("train", *TINY, "model.encoder_depth=9", "task.loss.dice=-1")
    assert said.code == 2 and not (here / "runs").exists()
    for text in (
        "3 mistakes",
        "model.encoder_depth=9",
        "task.loss.dice=-1",
        "1 image has no mask: images/03.png",
    ):
        assert text in said.err
    assert "data.crop_size" in say("train", *TINY, "data.crop_size=[32]").err


def test_broken_masks_are_named_and_excluded(say, pets: Path) -> None:
    (pets / "masks" / "05.png").write_bytes(b"")
    words = ["verify", "mask_folder", "data.root=pets"]
    said = say("data", *words)
    assert (
        said.code == 1 and "images/05.png: The mask" in said.out and "1 of 14 samples are broken" in said.out
    )
    assert say("data", *words, "--set-aside").code == 0
    assert "facts" in json.loads(say("data", "inspect", "mask_folder", "data.root=pets", "--json").out)


def test_model_of_the_command_line_takes_precedence(say) -> None:
    said = say("train", "data=shapes_segmentation", "model=fpn", "--cfg", "job")
    assert "pyramid.FPNSegmenter" in said.out and "SegmentationTask" in said.out
    assert "segmentation.unet" in say("train", "data=shapes_segmentation", "--cfg", "job").out


def test_models_for_other_tasks_are_rejected(say) -> None:
    said = say("train", "data=shapes_segmentation", "model=mlp")
    assert said.code == 2 and "Available for segmentation: model=" in said.err and "unet" in said.err
    said = say("train", "data=digits", "model=unet")
    assert said.code == 2 and "model=unet is for segmentation" in said.err
