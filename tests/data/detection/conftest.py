"""The same few annotated images in the three formats, as tools leave them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

NAMES = ("cat", "dog", "owl")
WIDTH, HEIGHT = 48, 40
BOXES = {
    "a": [(0, (4, 5, 20, 25)), (2, (10, 10, 40, 38))],
    "b": [(1, (0, 0, 48, 40))],
    "c": [],
    "d": [(0, (30, 2, 47, 12)), (0, (1, 1, 9, 9)), (1, (20, 20, 30, 40))],
}
"""Image → (label, xyxy in pixels)."""


@pytest.fixture(scope="session")
def truth() -> dict:
    return BOXES


@pytest.fixture
def write_images(photo) -> Callable[..., None]:
    def write(folder: Path, names=BOXES) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for seed, name in enumerate(names):
            (folder / f"{name}.jpg").write_bytes(photo(seed, (WIDTH, HEIGHT)))

    return write


@pytest.fixture
def coco_json() -> Callable[..., dict]:
    """``coco_json(more=[annotation, …])``: ids of categories are 3, 7 and 9, those of images start at 100."""

    def make(names=BOXES, more=()) -> dict:
        ids = {name: 100 + place for place, name in enumerate(BOXES)}
        annotations = [
            {
                "id": 10 * place + number,
                "image_id": ids[name],
                "category_id": (3, 7, 9)[label],
                "iscrowd": 0,
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "area": 0.5 * (x2 - x1) * (y2 - y1),
                "segmentation": [[x1, y1, x2, y1, x2, y2]],
            }
            for place, name in enumerate(names)
            for number, (label, (x1, y1, x2, y2)) in enumerate(BOXES[name])
        ]
        return {
            "info": {"year": 2026},
            "images": [
                {"id": ids[name], "file_name": f"{name}.jpg", "width": WIDTH, "height": HEIGHT}
                for name in names
            ],
            "categories": [{"id": 9, "name": "owl"}, {"id": 3, "name": "cat"}, {"id": 7, "name": "dog"}],
            "annotations": [*annotations, *more],
        }

    return make


@pytest.fixture
def coco(tmp_path, write_images, coco_json) -> Callable[..., Path]:
    """``coco(more)``: annotations/instances_train2017.json, instances_val2017.json, train2017, val2017."""

    def make(more=(), content=None) -> Path:
        root = tmp_path / "coco"
        (root / "annotations").mkdir(parents=True)
        for split in ("train2017", "val2017"):
            write_images(root / split)
            text = json.dumps(content or coco_json(more=more if split == "train2017" else ()))
            (root / "annotations" / f"instances_{split}.json").write_text(text)
        (root / "annotations" / "captions_train2017.json").write_text("{}")
        return root

    return make


def voc_xml(name: str, objects, size=(WIDTH, HEIGHT)) -> str:
    """VOC counts pixels from 1."""
    entries = "".join(
        f"<object><name>{class_name}</name><difficult>{difficult}</difficult><bndbox><xmin>{x1 + 1}</xmin>"
        f"<ymin>{y1 + 1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox></object>"
        for class_name, difficult, (x1, y1, x2, y2) in objects
    )
    return (
        f"<annotation><filename>{name}.jpg</filename><size><width>{size[0]}</width><height>{size[1]}</height>"
        f"<depth>3</depth></size>{entries}</annotation>"
    )


@pytest.fixture
def voc(tmp_path, write_images) -> Path:
    root = tmp_path / "VOCdevkit" / "VOC2012"
    write_images(root / "JPEGImages")
    (root / "Annotations").mkdir()
    (root / "ImageSets" / "Main").mkdir(parents=True)
    for name, boxes in BOXES.items():
        objects = [(NAMES[label], 0, box) for label, box in boxes]
        (root / "Annotations" / f"{name}.xml").write_text(voc_xml(name, objects))
    (root / "ImageSets" / "Main" / "train.txt").write_text("a\nb\nc\n")
    (root / "ImageSets" / "Main" / "val.txt").write_text("d\n")
    return root


def yolo_line(label: int, box) -> str:
    x1, y1, x2, y2 = box
    values = ((x1 + x2) / 2 / WIDTH, (y1 + y2) / 2 / HEIGHT, (x2 - x1) / WIDTH, (y2 - y1) / HEIGHT)
    return f"{label} {' '.join(f'{value:.6f}' for value in values)}\n"


@pytest.fixture
def yolo(tmp_path, write_images) -> Path:
    root = tmp_path / "yolo"
    for split in ("train", "val"):
        write_images(root / "images" / split)
        (root / "labels" / split).mkdir(parents=True)
        for name, boxes in BOXES.items():
            if boxes:
                text = "".join(yolo_line(*entry) for entry in boxes)
                (root / "labels" / split / f"{name}.txt").write_text(text)
    (root / "data.yaml").write_text("path: .\ntrain: images/train\nval: images/val\nnames: [cat, dog, owl]\n")
    return root
