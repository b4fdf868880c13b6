"""Names with spaces, paths of other systems, several ids of one class, and split names."""

import json

import pytest

from runner.data.detection.coco import CocoDataModule
from runner.data.detection.voc import VocDataModule, listed_name
from runner.data.detection.yolo import YoloDataModule
from runner.errors import DataError


def names(data, split):
    part = data.splits[split]
    return sorted(part.name(int(index)) for index in part.indices)


def boxes(data, split, name):
    part = data.splits[split]
    place = part.source.table.paths.index(name)
    return part.source[place][1]["boxes"].tolist()


def rename_voc(voc, change):
    for folder, end in (("Annotations", "xml"), ("JPEGImages", "jpg")):
        for file in list((voc / folder).glob(f"*.{end}")):
            file.rename(file.with_name(f"{change(file.stem)}.{end}"))


@pytest.mark.parametrize("mark", ["", " 1", "  -1", " 0"])
def test_voc_names_with_spaces(voc, mark):
    rename_voc(voc, lambda stem: f"IMG {stem} 1")
    lists = voc / "ImageSets" / "Main"
    (lists / "train.txt").write_text("".join(f"IMG {stem} 1{mark}\n" for stem in "abc"))
    (lists / "val.txt").write_text(f"IMG d 1{mark}\n")
    data = VocDataModule(str(voc))
    assert data.check() == []
    data.setup()
    assert names(data, "train") == ["IMG a 1.jpg", "IMG b 1.jpg", "IMG c 1.jpg"]
    assert names(data, "val") == ["IMG d 1.jpg"] and data.dropped.entries == []


@pytest.mark.parametrize(
    ("line", "expected"),
    [("a b", "a b"), ("a b 1", "a b"), ("a -1", "a"), ("a", "a"), ("a other words", "a"), ("a b.jpg", "a b"),
     ("sub\\c", "sub/c"), ("gone x -1", "gone x"), ("a b 1", "a b"),
     ("C:\\imgs\\a.jpg", "a"), ("/data/JPEGImages/a b.jpg 1", "a b")],
)  # fmt: skip
def test_line_is_a_name_if_annotations_has_it(line, expected):
    assert listed_name(line, {"a", "a b", "sub/c"}) == expected


def test_whole_line_comes_before_its_first_word():
    assert listed_name("a 1", {"a", "a 1"}) == "a 1"


def test_voc_class_names_with_spaces_around_and_inside(voc):
    for name, old, new in (("a", "cat", " traffic light "), ("d", "cat", "traffic light")):
        file = voc / "Annotations" / f"{name}.xml"
        file.write_text(file.read_text().replace(f"<name>{old}</name>", f"<name>{new}</name>"))
    data = VocDataModule(str(voc))
    data.setup()
    assert data.facts.class_names == ["dog", "owl", "traffic light"]
    assert (
        VocDataModule(str(voc), class_names=["traffic light ", "dog", "owl"]).read()[1][0] == "traffic light"
    )


@pytest.mark.parametrize(
    ("train", "val"), [("Training", "validation"), ("TRAIN", "dev"), ("trainval", "valid")]
)
def test_voc_lists_have_any_split_name(voc, train, val):
    lists = voc / "ImageSets" / "Main"
    (lists / "train.txt").rename(lists / f"{train}.txt")
    (lists / "val.txt").rename(lists / f"{val}.txt")
    (lists / "cat_train.txt").write_text("a 1\nb -1\nc -1\n")
    data = VocDataModule(str(voc))
    data.setup()
    assert names(data, "train") == ["a.jpg", "b.jpg", "c.jpg"] and names(data, "val") == ["d.jpg"]
    (lists / "val_set.txt").write_text("d\n")
    with pytest.raises(DataError, match="has several lists for val"):
        VocDataModule(str(voc)).setup()


def test_voc_file_name_with_a_windows_path(voc):
    for stem in "abcd":
        (voc / "JPEGImages" / f"{stem}.jpg").rename(voc / "JPEGImages" / f"IMG {stem}.jpg")
        file = voc / "Annotations" / f"{stem}.xml"
        path = rf"C:\Users\me\JPEGImages\IMG {stem}.jpg"
        file.write_text(file.read_text().replace(f"<filename>{stem}.jpg", f"<filename>{path}"))
    data = VocDataModule(str(voc))
    data.setup()
    assert names(data, "train") == ["IMG a.jpg", "IMG b.jpg", "IMG c.jpg"]


@pytest.mark.parametrize("prefix", ["cam 0\\", "C:\\data\\train2017\\cam 0\\", "/content/set/cam 0/"])
def test_coco_paths_of_other_systems(coco, coco_json, prefix):
    content = coco_json()
    for image in content["images"]:
        image["file_name"] = prefix + image["file_name"]
    root = coco(content=content)
    for split in ("train2017", "val2017"):
        (root / split / "cam 0").mkdir()
        for image in (root / split).glob("*.jpg"):
            image.rename(root / split / "cam 0" / image.name)
    data = CocoDataModule(str(root))
    assert data.check() == []
    data.setup()
    assert names(data, "train") == [f"cam 0/{stem}.jpg" for stem in "abcd"] and data.dropped.entries == []


def test_backslash_in_a_file_name_stays(coco, coco_json):
    content = coco_json()
    for image in content["images"]:
        image["file_name"] = "x\\" + image["file_name"]
    root = coco(content=content)
    for split in ("train2017", "val2017"):
        for image in (root / split).glob("*.jpg"):
            image.rename(image.with_name("x\\" + image.name))
    data = CocoDataModule(str(root))
    data.setup()
    assert names(data, "train")[0] == "x\\a.jpg"


@pytest.mark.parametrize(
    "line", ["images\\train\\{}.jpg", ".\\images\\train\\{}.jpg", "/content/x/images/train/{}.jpg"]
)
def test_yolo_lists_of_other_systems(yolo, line):
    (yolo / "train.txt").write_text("".join(line.format(stem) + "\n" for stem in "abd"))
    (yolo / "data.yaml").write_text("train: train.txt\nval: images\\val\nnames: [cat, dog, owl]\n")
    data = YoloDataModule(str(yolo))
    assert data.check() == []
    data.setup()
    assert names(data, "train") == [f"images/train/{stem}.jpg" for stem in "abd"]
    assert data.facts.class_counts == [3, 2, 1]


def test_boxes_from_segmentations(coco, coco_json):
    """The same boxes with bbox missing, null, empty or written as text. The run-length code covers the
    columns 2 to 4 and the rows 1 to 3 of an image of 6 rows and 8 columns, counted by hand; ``counts`` run
    down the columns."""
    content = coco_json()
    annotations = content["annotations"]
    expected = [[4, 5, 20, 25], [10, 10, 40, 38]]
    x1, y1, x2, y2 = expected[0]
    del annotations[0]["bbox"]
    content["annotations"].append(dict(annotations[1], id=99, image_id=annotations[3]["image_id"], bbox=None))
    content["annotations"][-1]["segmentation"] = [[[3, 2], [7, 2], [7, 5]]]  # a list of points
    annotations[0]["segmentation"] = [[x1, y1, x2, y1, x2, y2 - 3], [x1, y2, x1 + 1, y1, x1, y1]]
    annotations[1]["bbox"] = "[10, 10, 30, 28]"
    annotations[2] |= {"bbox": ["0", "0", "48.0", "40"], "iscrowd": "0", "area": "7.5"}
    counts = [13, 3, 3, 3, 3, 3, 20]
    annotations[3] |= {"bbox": None, "segmentation": {"counts": counts, "size": [6, 8]}}
    annotations[4] |= {"bbox": [], "segmentation": {"counts": compressed(counts, 6, 8), "size": [6, 8]}}
    for image in content["images"]:
        image |= {"width": "48", "height": "40.0"}
    data = CocoDataModule(str(coco(content=content)))
    data.setup()
    assert boxes(data, "train", "a.jpg") == expected
    assert boxes(data, "train", "b.jpg") == [[0, 0, 48, 40]]
    assert boxes(data, "train", "d.jpg")[:2] == [[2, 1, 5, 4], [2, 1, 5, 4]]
    assert boxes(data, "train", "d.jpg")[-1] == [3, 2, 7, 5]


def compressed(counts, height, width) -> str:
    from pycocotools import mask

    return mask.frPyObjects({"counts": counts, "size": [height, width]}, height, width)["counts"].decode()


def test_segmentation_that_cannot_be_read_is_named(coco, coco_json):
    content = coco_json()
    del content["annotations"][0]["bbox"]
    content["annotations"][0]["segmentation"] = [[1, 2, 3]]
    with pytest.raises(DataError, match="annotation number 0 .*odd number of coordinates"):
        CocoDataModule(str(coco(content=content))).setup()


def test_categories_with_the_same_name_are_one_class(coco, coco_json, caplog):
    content = coco_json()  # ids 3 cat, 7 dog, 9 owl
    content["categories"][0]["name"] = " cat"
    for category in content["categories"]:
        category["supercategory"] = "animal"
    data = CocoDataModule(str(coco(content=content)))
    data.setup()
    assert data.facts.class_names == ["cat", "dog"] and data.facts.class_counts == [4, 2]
    assert "the ids 3, 9 are all named 'cat' and are read as one class" in caplog.text


def test_categories_with_the_same_name_and_another_parent_are_rejected(coco, coco_json):
    content = coco_json()
    content["categories"][0] |= {"name": "cat", "supercategory": "machine"}
    content["categories"][1]["supercategory"] = "animal"
    root = coco(content=content)
    (problem,) = CocoDataModule(str(root)).check()
    assert "named 'cat': ids 3 (supercategory 'animal'), 9 (supercategory 'machine')" in problem


def test_yolo_names_given_twice_are_one_class(yolo, caplog):
    (yolo / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [cat, dog, 'cat ']\n")
    data = YoloDataModule(str(yolo))
    data.setup()
    assert data.facts.class_names == ["cat", "dog"] and data.facts.class_counts == [4, 2]
    assert "the ids 0, 2 are all named 'cat'" in caplog.text


def test_names_that_differ_in_case_are_reported(yolo, caplog):
    (yolo / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [cat, dog, Cat]\n")
    data = YoloDataModule(str(yolo))
    data.setup()
    assert data.facts.class_names == ["cat", "dog", "Cat"]
    assert "'cat' and 'Cat' differ only in upper and lower case and are 2 classes" in caplog.text


@pytest.mark.parametrize("count", [2, 80, "4"])
def test_yolo_nc_must_be_the_number_of_names(yolo, count):
    (yolo / "data.yaml").write_text(
        f"train: images/train\nval: images/val\nnc: {count}\nnames: [cat, dog, owl]\n"
    )
    (problem,) = YoloDataModule(str(yolo)).check()
    assert f"nc is {count}, but names has 3 classes: cat, dog, owl" in problem


@pytest.mark.parametrize("val", ["Valid", "validation", "dev", "EVAL"])
def test_yolo_split_folders(yolo, val):
    for split, name in (("train", "Training"), ("val", val)):
        (yolo / name).mkdir()
        for kind in ("images", "labels"):
            (yolo / kind / split).rename(yolo / name / kind)
    (yolo / "images").rmdir(), (yolo / "labels").rmdir()
    (yolo / "data.yaml").write_text("names: [cat, dog, owl]\n")
    data = YoloDataModule(str(yolo))
    assert data.check() == []
    data.setup()
    assert (data.facts.num_train, data.facts.num_val, data.facts.class_counts) == (4, 4, [3, 2, 1])
    (yolo / "data.yaml").write_text(
        f"train: Training/images\nvalidation: {val}/images\nnames: [cat, dog, owl]\n"
    )
    data = YoloDataModule(str(yolo))
    data.setup()
    assert (data.facts.num_train, data.facts.num_val) == (4, 4)


@pytest.mark.parametrize("names", [("Training", "VALIDATION"), ("train_set", "dev"), ("TRAIN", "Eval")])
def test_coco_split_folders(tmp_path, write_images, coco_json, names):
    for name in names:
        write_images(tmp_path / name)
        (tmp_path / name / "_annotations.coco.json").write_text(json.dumps(coco_json()))
    data = CocoDataModule(str(tmp_path))
    data.setup()
    assert (data.facts.num_train, data.facts.num_val) == (4, 4)
