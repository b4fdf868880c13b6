"""What reaches training and what does not; sizes of images; boxes in very large images; test splits without
boxes.
"""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from runner.data.detection.coco import CocoDataModule
from runner.data.detection.source import BoxTable, make_target
from runner.data.detection.voc import VocDataModule
from runner.data.detection.yolo import YoloDataModule
from runner.errors import DataError


def test_num_boxes_is_counted_after_the_validation_split(tmp_path, write_images, coco_json):
    (tmp_path / "labels.json").write_text(json.dumps(coco_json()))
    write_images(tmp_path)
    data = CocoDataModule(str(tmp_path), val_fraction=0.25)
    data.setup()
    boxes = {"a.jpg": 2, "b.jpg": 1, "c.jpg": 0, "d.jpg": 3}
    for split in ("train", "val"):
        part = data.splits[split]
        found = [boxes[part.name(int(index))] for index in part.indices]
        assert data.facts.extra["num_boxes"][split] == sum(found)
        assert data.facts.extra["images_without_boxes"][split] == found.count(0)
    assert sum(data.facts.extra["num_boxes"].values()) == 6


def messages(data):
    data.setup()
    return data.dropped.messages()


def test_coco_images_and_crowds_that_are_not_trained_on(coco):
    crowd = {"id": 99, "image_id": 100, "category_id": 3, "bbox": [1, 1, 30, 30], "iscrowd": 1, "area": 7}
    root = coco([crowd])
    (root / "train2017" / "e.jpg").write_bytes((root / "train2017" / "a.jpg").read_bytes())
    data = CocoDataModule(str(root), num_images=3)
    found = messages(data)
    assert (
        f"{root / 'train2017'}: 1 of 5 images left out: no annotation file lists them (for example e.jpg)."
        in found
    )
    reason = "they are marked as crowds or as difficult, and detectors do not train on them"
    assert f"train: 1 of 4 boxes left out: {reason}." in found
    assert "val: 1 of 4 images left out: data.num_images=3." in found and len(found) == 4


def test_yolo_label_files_without_an_image(yolo):
    (yolo / "labels" / "train" / "x.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    (yolo / "labels" / "train" / "classes.txt").write_text("cat\n")
    (message,) = messages(YoloDataModule(str(yolo)))
    folder = yolo / "labels" / "train"
    assert (
        message
        == f"{folder}: 1 of 4 label files left out: no image of a split belongs to them (for example x.txt)."
    )


def test_yolo_images_of_no_split(yolo, write_images):
    (yolo / "train.txt").write_text("images/train/a.jpg\nimages/train/b.jpg\nimages/train/d.jpg\n")
    (yolo / "data.yaml").write_text("train: train.txt\nval: images/val\nnames: [cat, dog, owl]\n")
    write_images(yolo / "images" / "more", ["x", "y"])
    message, *others = messages(YoloDataModule(str(yolo)))
    assert others == []
    assert message.startswith(
        f"{yolo / 'images'}: 3 of 10 images left out: they belong to no split (for example more/x.jpg"
    )


def test_voc_images_without_annotation_or_list(voc):
    (voc / "JPEGImages" / "e.jpg").write_bytes((voc / "JPEGImages" / "a.jpg").read_bytes())
    (voc / "ImageSets" / "Main" / "train.txt").write_text("a\nc\n")
    for name in ("a", "d"):
        file = voc / "Annotations" / f"{name}.xml"
        file.write_text(file.read_text().replace("owl", "cat").replace("dog", "cat"))
    assert messages(VocDataModule(str(voc))) == [
        f"{voc}: 1 of 4 images left out: no list of ImageSets/Main names them (for example b).",
        f"{voc / 'JPEGImages'}: 1 of 5 images left out: they have no file in Annotations (for example "
        "e.jpg).",
    ]


def turned(path, orientation):
    with Image.open(path) as image:
        exif = image.getexif()
        exif[274] = orientation
        image.save(path, exif=exif)


def test_sizes_are_compared_before_any_work(coco):
    """The annotations state 48 × 40.

    An image that is stored so and rotated by its orientation 6 is shown as 40 × 48.
    """
    root = coco()
    Image.new("RGB", (96, 80)).save(root / "train2017" / "a.jpg")
    turned(root / "train2017" / "b.jpg", 6)
    turned(root / "train2017" / "c.jpg", 3)
    with pytest.raises(DataError) as caught:
        CocoDataModule(str(root)).setup()
    text = str(caught.value)
    assert (
        "train: 2 images that have another size than their annotation states: a.jpg (96 × 80 pixels, "
        "annotated as 48 × 40);" in text
    )
    assert (
        "b.jpg (40 × 48 pixels after the rotation by its EXIF orientation, annotated as 48 × 40, its size "
        "before" in text
    )
    data = CocoDataModule(str(root), bad_boxes="drop")
    found = messages(data)
    assert found[0].startswith(
        "train: 2 of 4 images left out: have another size than their annotation states"
    )
    assert data.facts.num_train == 2


@pytest.mark.parametrize("end", ["jpg", "png", "tif"])
def test_annotation_of_the_rotated_image_is_right(voc, end):
    for stem in "abcd":
        file = voc / "JPEGImages" / f"{stem}.jpg"
        image = Image.open(file).rotate(90, expand=True)
        file.unlink()
        exif = image.getexif()
        exif[274] = 6
        image.save(file.with_suffix(f".{end}"), exif=exif)
    data = VocDataModule(str(voc))
    data.setup()
    assert data.splits["train"].source[0][0].shape == (3, 40, 48)


@pytest.mark.parametrize("reader", ["coco", "voc", "yolo"])
def test_missing_images_are_found_by_the_check(reader, request):
    made = request.getfixturevalue(reader)
    if reader == "coco":
        root = made()
        data, gone = CocoDataModule(str(root)), [root / "train2017" / f"{stem}.jpg" for stem in "bd"]
    elif reader == "voc":
        data, gone = VocDataModule(str(made)), [made / "JPEGImages" / f"{stem}.jpg" for stem in "bc"]
    else:
        (made / "train.txt").write_text("images/train/a.jpg\nimages/train/b.jpg\nimages/train/c.jpg\n")
        (made / "data.yaml").write_text("train: train.txt\nval: images/val\nnames: [cat, dog, owl]\n")
        data, gone = YoloDataModule(str(made)), [made / "images" / "train" / f"{stem}.jpg" for stem in "bc"]
    for file in gone:
        file.unlink()
    (problem,) = data.check()
    assert "train: 2 images that are not in" in problem and all(file.name in problem for file in gone)


def test_test_split_without_boxes_is_left_out(coco, coco_json, voc, yolo, write_images):
    root = coco()
    content = coco_json()
    content.pop("annotations"), content.pop("categories")
    (root / "annotations" / "instances_test2017.json").write_text(json.dumps(content))
    write_images(root / "test2017")
    write_images(yolo / "images" / "test")
    (yolo / "data.yaml").write_text((yolo / "data.yaml").read_text() + "test: images/test\n")
    write_images(voc / "JPEGImages", [*"abcd", "t1", "t2", "t3", "t4"])
    (voc / "ImageSets" / "Main" / "test.txt").write_text("t1\nt2\nt3\nt4\n")
    for data, reason in (
        (CocoDataModule(str(root)), "the test split has no boxes, so it cannot be evaluated"),
        (YoloDataModule(str(yolo)), "the test split has no boxes, so it cannot be evaluated"),
        (VocDataModule(str(voc)), "they have no annotation file"),
    ):
        assert data.check() == []
        data.setup()
        assert sorted(data.splits) == ["train", "val"]
        assert ("test", "images", 4, reason) in [
            (e.where, e.what, e.count, e.reason) for e in data.dropped.entries
        ]


def test_test_images_without_annotation_among_others(voc, write_images):
    """Those with an annotation are evaluated."""
    lists = voc / "ImageSets" / "Main"
    (lists / "train.txt").write_text("a\nc\n")
    (lists / "test.txt").write_text("d\nt\n")
    (lists / "val.txt").write_text("b\n")
    write_images(voc / "JPEGImages", [*"abcd", "t"])
    for name in ("b", "d"):
        file = voc / "Annotations" / f"{name}.xml"
        file.write_text(file.read_text().replace("dog", "cat"))
    data = VocDataModule(str(voc))
    data.setup()
    assert (data.facts.num_test, data.facts.extra["num_boxes"]["test"]) == (1, 3)
    assert (
        data.dropped.messages()[0]
        == "test: 1 of 2 images left out: they have no annotation file (for example t)."
    )


def test_boxes_of_large_images_keep_their_positions(tmp_path):
    """2**24 + 1 is the first whole number that single precision lacks; its step at 100 000 is 0.0078."""
    corners = [[99_999.001, 0.25, 99_999.252, 0.75], [2**24 + 1, 1, 2**24 + 3, 2]]
    table = BoxTable.build(["a"], [0, 0], corners, [0, 0], sizes=[(2**24 + 8, 5)])
    kept = table.keep_boxes(np.array([True, True])).keep_images(np.array([True]))
    target = make_target(kept.boxes, kept.labels)
    assert target["boxes"].tolist() == corners
    assert target["area"].tolist() == pytest.approx([0.251 * 0.5, 2.0], rel=1e-6)
    assert target["area"].dtype == torch.float32
