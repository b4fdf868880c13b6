"""Detection on the command line: the user's own images and boxes."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from PIL import Image

from runner.cli.predict import _cell
from runner.data.shapes import CLASS_NAMES, draw_scene
from runner.run.files import read_json

TINY = [
    "data=yolo",
    "data.root=things",
    "model=ssdlite",
    "model.size=64",
    "data.batch_size=2",
    "trainer.max_epochs=1",
    "tracking=none",
    "hardware=cpu",
    "task.min_score=0",
]


@pytest.fixture
def things(here: Path) -> Path:
    """Ten images of shapes with YOLO's labels."""
    root = here / "things"
    (root / "images").mkdir(parents=True)
    (root / "labels").mkdir()
    for number in range(10):
        scene = draw_scene(0, number, 64)
        Image.fromarray(scene.image.transpose(1, 2, 0)).save(root / "images" / f"{number}.png")
        centres, sides = (
            (scene.boxes[:, :2] + scene.boxes[:, 2:]) / 128,
            (scene.boxes[:, 2:] - scene.boxes[:, :2]) / 64,
        )
        lines = [
            " ".join(map(str, (k, *c, *s))) for k, c, s in zip(scene.labels, centres, sides, strict=True)
        ]
        (root / "labels" / f"{number}.txt").write_text("\n".join(lines), encoding="utf-8")
    (root / "data.yaml").write_text(f"train: images\nnames: {list(CLASS_NAMES)}\n", encoding="utf-8")
    return root


def test_train_evaluate_and_predict(say, here: Path, things: Path) -> None:
    said = say("train", *TINY, "run.name=first")
    assert said.code == 0, said.err
    run = here / "runs" / "first"
    told = read_json(run / "results.json")["val"]
    assert {"val/map", "val/map_50"} <= set(told)
    plots = {path.stem for path in (run / "plots").glob("*.png")}
    assert {"samples", "curves", "val_boxes", "val_precision_recall", "val_average_precision"} <= plots
    found = json.loads(say("evaluate", "first", "--split", "val", "--json").out)
    assert found["val/map_50"] == pytest.approx(told["val/map_50"], abs=1e-6)

    said = say("predict", "first", str(things / "images"), "--output", "said")
    assert said.code == 0 and "10 predictions written to said" in said.out
    rows = read_json(here / "said" / "predictions.json")
    assert {"class", "score", "box"} == set(rows[0]["boxes"][0]) and len(rows[0]["boxes"][0]["box"]) == 4
    assert len(list((here / "said").glob("*_picture.png"))) == 10


def test_out_of_fold_boxes_of_all_images(say, here: Path, things: Path) -> None:
    said = say("train", *TINY, "plots=false", "baselines=false", "report=false", "folds=2", "run.name=cv")
    assert said.code == 0, said.err
    with open(here / "runs" / "cv" / "predictions.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["name"] for row in rows} == {f"images/{number}.png" for number in range(10)}
    for row in rows:
        target, prediction = json.loads(row["target"]), json.loads(row["prediction"])
        scene = draw_scene(0, int(Path(row["name"]).stem), 64)
        assert sorted(box["class"] for box in target) == sorted(CLASS_NAMES[label] for label in scene.labels)
        assert all({"class", "score", "box"} == set(box) for box in prediction)


def test_invalid_input_is_rejected_before_work(say, here: Path, things: Path) -> None:
    (things / "labels" / "3.txt").write_text("7 0.5 0.5 0.2 0.2\n0 0.9 0.5 0.6 0.2\n", encoding="utf-8")
    said = say("train", *TINY)
    assert said.code == 2 and "boxes of classes that the data set does not name (7)" in said.err
    assert "1 boxes that stick out of their image: 3.png" in said.err or "3.png" in said.err
    assert "data.bad_boxes=drop" in said.err


def test_incompatible_model_is_one_problem(say) -> None:
    said = say("train", "data=shapes_segmentation", "model=fcos")
    assert (
        said.code == 2
        and "model=fcos is for detection" in said.err
        and "Available for segmentation" in said.err
    )
    assert "mistakes" not in said.err and "does not provide" not in said.err


def test_boxes_in_a_table_are_words() -> None:
    boxes = [
        {"class": "dog", "score": 0.98765, "box": [1.0, 2.5, 30.0, 40.0]},
        {"class": "cat", "score": 0.5, "box": []},
    ]
    assert _cell(boxes) == "dog 0.9877 [1, 2.5, 30, 40]; cat 0.5 []"
