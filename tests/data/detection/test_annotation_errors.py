"""Annotations that cannot be right: counted, named, refused, dropped or cut."""

import numpy as np
import pytest

from runner.data.detection.annotation_errors import find_faults, mend
from runner.data.detection.coco import CocoDataModule
from runner.data.detection.source import BoxTable, Reading
from runner.errors import DataError


def box(image, bbox, category=3, **more):
    return {"id": 99, "image_id": image, "category_id": category, "bbox": bbox, "iscrowd": 0, **more}


BAD = [
    box(100, [5, 5, 0, 10]),
    box(100, [5, 5, 10, -3]),
    box(101, [40, 30, 20, 5]),
    box(101, [-5, 3, 10, 10]),
    box(102, [float("nan"), 3, 10, 10]),
    box(102, [1, 3, None, 10]),
    box(103, [1, 3, 9, 10], category=8),
    box(555, [1, 3, 9, 10]),
    {"id": 7, "image_id": 100, "category_id": 3},
]


def test_every_fault_is_counted_and_named(coco):
    root = coco(BAD)
    (root / "train2017" / "d.jpg").unlink()
    with pytest.raises(DataError) as caught:
        CocoDataModule(str(root)).setup()
    text = str(caught.value)
    for words in (
        "train: 2 boxes without width or height: a.jpg [5, 5, 5, 15]; a.jpg [5, 5, 15, 2].",
        "train: 2 boxes that stick out of their image: b.jpg [40, 30, 60, 35]; b.jpg [-5, 3, 5, 13].",
        "train: 2 boxes whose coordinates are not numbers: c.jpg [nan, 3, nan, 13]",
        "train: 1 boxes of classes that the data set does not name (8): d.jpg [1, 3, 10, 13].",
        "train: 2 annotations that cannot be read: annotation number 13 (image 555 does not exist); "
        "annotation",
        "train: 1 images that are not in",
        "data.bad_boxes=drop",
        "data.bad_boxes=clip",
    ):
        assert words in text


def test_box_of_three_numbers_is_reported(coco):
    with pytest.raises(DataError, match=r"bbox is \[1, 3, 9\], expected \[x, y, width, height\]"):
        CocoDataModule(str(coco([box(100, [1, 3, 9])]))).setup()


def test_dropped_faults_leave_the_rest(coco, caplog):
    root = coco(BAD)
    (root / "train2017" / "d.jpg").unlink()
    data = CocoDataModule(str(root), bad_boxes="drop")
    data.setup()
    train = data.splits["train"]
    assert [train.source.name(i) for i in range(len(train.source))] == ["a.jpg", "b.jpg", "c.jpg"]
    assert [len(train.source[i][1]["boxes"]) for i in range(3)] == [2, 1, 0]
    assert len(data.facts.extra["mended"]) == 6
    assert caplog.text == "", "reported once, with the dropped samples"
    # 13 boxes of train can be read; d.jpg is missing, and three of its boxes have no other fault
    assert [(entry.what, entry.count, entry.total, entry.reason) for entry in data.dropped.entries] == [
        ("annotations", 2, 0, "cannot be read"),
        ("images", 1, 4, f"are not in {root / 'train2017'}"),
        ("boxes", 2, 13, "whose coordinates are not numbers"),
        ("boxes", 2, 13, "without width or height"),
        ("boxes", 2, 13, "stick out of their image"),
        ("boxes", 1, 13, "of classes that the data set does not name (8)"),
        ("boxes", 3, 13, "their images are left out"),
    ]
    assert {entry.where for entry in data.dropped.entries} == {"train"}


def test_clipped_boxes_end_at_the_edge(coco):
    data = CocoDataModule(str(coco(BAD)), bad_boxes="clip")
    data.setup()
    boxes = data.splits["train"].source[1][1]["boxes"].tolist()
    assert boxes == [[0, 0, 48, 40], [40, 30, 48, 35], [0, 3, 5, 13]]
    assert [len(data.splits["train"].source[i][1]["boxes"]) for i in range(4)] == [2, 3, 0, 3]


def test_box_wholly_outside_cannot_be_cut(coco):
    data = CocoDataModule(str(coco([box(101, [60, 50, 10, 10])])), bad_boxes="clip")
    data.setup()
    assert len(data.splits["train"].source[1][1]["boxes"]) == 1


def test_rounding_is_accepted(coco):
    data = CocoDataModule(str(coco([box(102, [-0.4, 0, 48.8, 40.6])])))
    data.setup()
    assert data.splits["train"].source[2][1]["boxes"].tolist() == [[0, 0, 48, 40]]


def test_many_faults_are_named_by_a_few(coco):
    with pytest.raises(DataError, match=r"train: 40 boxes without .*; and 35 more\."):
        CocoDataModule(str(coco([box(100, [1, 1, 0, 0])] * 40))).setup()


def test_both_splits_are_reported_together(coco, coco_json):
    with pytest.raises(DataError) as caught:
        CocoDataModule(str(coco(content=coco_json(more=[box(100, [1, 1, 0, 0])])))).setup()
    assert "train: 1 boxes" in str(caught.value) and "val: 1 boxes" in str(caught.value)


def test_split_without_any_box_is_rejected(coco, coco_json):
    content = coco_json()
    content["annotations"] = []
    with pytest.raises(DataError, match="The 4 images of train have no boxes at all"):
        CocoDataModule(str(coco(content=content))).setup()


def test_parts_of_the_image_stick_out_beyond_one(tmp_path):
    table = BoxTable.build(
        ["a.jpg"], [0, 0], [[0.1, 0.1, 1.2, 0.5], [0.5, 0.5, 1.0005, 1]], [0, 0], relative=True
    )
    (tmp_path / "a.jpg").write_bytes(b"x")
    reading = Reading(table, str(tmp_path))
    (fault,) = find_faults(reading)
    assert fault.boxes.tolist() == [True, False]
    mended, notes = mend(reading, "clip", "train")
    assert np.allclose(mended.boxes, [[0.1, 0.1, 1, 0.5], [0.5, 0.5, 1, 1]])
    assert notes == [
        "train: 1 boxes that stick out of their image: a.jpg [0.1, 0.1, 1.2, 0.5] (cut at the edge)."
    ]


def test_valid_table_is_unchanged(tmp_path):
    table = BoxTable.build(["a.jpg"], [0], [[1, 2, 3, 4]], [0], sizes=[(9, 9)])
    (tmp_path / "a.jpg").write_bytes(b"x")
    mended, notes = mend(Reading(table, str(tmp_path)), "refuse", "train")
    assert notes == [] and mended.boxes.tolist() == [[1, 2, 3, 4]] and mended.paths == ["a.jpg"]
