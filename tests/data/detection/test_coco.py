"""COCO's JSON: where it is found, what is read, what is refused."""

import json

import pytest
import torch

from runner.data.detection.coco import CocoDataModule
from runner.errors import DataError


def samples(data, split):
    part = data.splits[split]
    return {data.sample_name(split, int(index))[0]: part.source[int(index)] for index in part.indices}


def test_images_boxes_and_classes_are_read(coco, truth):
    data = CocoDataModule(str(coco()))
    assert data.check() == []
    data.setup()
    assert data.facts.class_names == ["cat", "dog", "owl"], "in the order of their ids"
    assert data.facts.class_counts == [3, 2, 1]
    assert (data.facts.num_train, data.facts.num_val, data.facts.num_test) == (4, 4, 0)
    assert data.facts.input_shape == (3, 40, 48)
    assert data.facts.extra["images_without_boxes"] == {"train": 1, "val": 1}
    for name, (image, target) in samples(data, "train").items():
        assert image.shape == (3, 40, 48) and image.dtype == torch.uint8
        assert target["labels"].tolist() == [label for label, _ in truth[name]]
        assert target["boxes"].tolist() == [list(map(float, box)) for _, box in truth[name]]
        assert target["boxes"].shape == (len(truth[name]), 4)
        areas = [0.5 * (x2 - x1) * (y2 - y1) for _, (x1, y1, x2, y2) in truth[name]]
        assert target["area"].tolist() == pytest.approx(areas), "the things' own, not those of the boxes"


def test_batch_keeps_images_and_targets_apart(coco):
    data = CocoDataModule(str(coco()), batch_size=3, eval_batch_size=4)
    data.setup()
    (batch,) = data.val_dataloader()
    assert [len(batch[key]) for key in ("inputs", "targets", "index")] == [4, 4, 4]
    moved = data.on_after_batch_transfer(batch, 0)
    assert moved["inputs"][0].dtype == torch.float32 and float(moved["inputs"][0].max()) <= 1
    assert set(batch["targets"][0]) == {"boxes", "labels", "area", "iscrowd"}


@pytest.mark.parametrize(
    ("annotations", "images"),
    [
        ("annotations/instances_{}.json", "images/{}"),
        ("instances_{}.json", "images"),
        ("{}.json", "{}"),
        ("annotations/{}.json", "images"),
        ("{}/_annotations.coco.json", "{}"),
        ("annotations/instances_{}.json", "."),
    ],
)
@pytest.mark.parametrize("names", [("train", "val"), ("train2017", "val2017"), ("train", "valid")])
def test_common_folder_layouts(tmp_path, write_images, coco_json, annotations, images, names):
    for name in names:
        file = tmp_path / annotations.format(name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(coco_json()))
        write_images(tmp_path / images.format(name))
    data = CocoDataModule(str(tmp_path))
    assert data.check() == []
    data.setup()
    assert (data.facts.num_train, data.facts.num_val) == (4, 4)
    image, _ = data.splits["val"][0]
    assert image.shape == (3, 40, 48)


def test_one_file_is_cut(tmp_path, write_images, coco_json):
    (tmp_path / "labels.json").write_text(json.dumps(coco_json()))
    write_images(tmp_path / "pictures")
    data = CocoDataModule(str(tmp_path), images="pictures", val_fraction=0.25)
    data.setup()
    names = {split: sorted(samples(data, split)) for split in data.splits}
    assert len(names["train"]) == 3 and len(names["val"]) == 1
    assert sorted(names["train"] + names["val"]) == ["a", "b", "c", "d"]


def test_files_can_be_named(coco):
    root = coco()
    file = "annotations/instances_train2017.json"
    data = CocoDataModule(str(root), val=file, num_images=2)
    data.setup()
    assert sorted(samples(data, "train")) == sorted(samples(data, "val")) == ["a", "b"]
    assert "data.train=x.json: there is no such file" in CocoDataModule(str(root), train="x.json").check()[0]
    (problem,) = CocoDataModule(str(root), images="pics").check()
    assert "data.images=pics: there is no folder" in problem


def test_crowds_are_not_trained_on_but_evaluated(coco):
    crowd = {"id": 99, "image_id": 100, "category_id": 3, "bbox": [1, 1, 30, 30], "iscrowd": 1, "area": 7}
    root = coco([crowd])
    data = CocoDataModule(str(root), val="annotations/instances_train2017.json")
    data.setup()
    assert samples(data, "val")["a"][1]["iscrowd"].tolist() == [False, False, True]
    assert len(data.splits["train"].sample(0, 0)[1]["boxes"]) == 2
    assert data.facts.class_counts == [3, 2, 1]


def test_polygons_are_dropped_while_reading(coco, coco_json):
    content = coco_json()
    content["annotations"][0]["segmentation"] = {"counts": [1, 2], "size": [3, 4]}
    data = CocoDataModule(str(coco(content=content)))
    data.setup()
    assert data.facts.class_counts == [3, 2, 1]


def test_widths_may_be_missing(coco, coco_json):
    content = coco_json()
    for image in content["images"]:
        del image["width"], image["height"]
    data = CocoDataModule(str(coco(content=content)))
    data.setup()
    assert data.facts.extra["shorter_side"] == 40 and data.facts.extra["longer_side"] == 48


def test_id_is_the_same_as_a_word_and_as_a_number(coco, coco_json):
    content = coco_json()
    for annotation in content["annotations"][::2]:
        annotation |= {
            "image_id": str(annotation["image_id"]),
            "category_id": float(annotation["category_id"]),
        }
    for category in content["categories"]:
        category["id"] = str(category["id"])
    data = CocoDataModule(str(coco(content=content)))
    data.setup()
    assert data.facts.class_counts == [3, 2, 1]


def test_class_that_is_not_an_id_is_reported(coco, coco_json):
    content = coco_json()
    content["annotations"][0]["category_id"] = [3]
    with pytest.raises(DataError, match=r"does not name \(\[3\]\)"):
        CocoDataModule(str(coco(content=content))).setup()


@pytest.mark.parametrize("what", ["images", "categories"])
def test_id_that_stands_for_several_is_rejected(coco, coco_json, what):
    content = coco_json()
    content[what][1]["id"] = content[what][0]["id"]
    with pytest.raises(
        DataError, match=f"1 ids stand for several {what}: {content[what][0]['id']}. Give each"
    ):
        CocoDataModule(str(coco(content=content))).setup()


REFUSED = {
    "no folder": (lambda root: root / "gone", "there is no such folder"),
    "a file": (lambda root: root / "annotations" / "instances_val2017.json", "is a file, expected a folder"),
    "no annotations": (lambda root: root / "train2017", "has no training annotations, but no JSON"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_layouts_are_checked_before_anything_is_read(coco, kind):
    place, words = REFUSED[kind]
    (problem,) = CocoDataModule(str(place(coco()))).check()
    assert words in problem


def test_two_files_for_one_split_are_rejected(coco):
    root = coco()
    (root / "instances_train.json").write_text("{}")
    (problem,) = CocoDataModule(str(root)).check()
    assert "several annotation files for train" in problem and "data.train=FILE" in problem
    assert CocoDataModule(str(root), train="annotations/instances_train2017.json").check() == []


def test_link_that_became_a_text_file_is_recognised(coco):
    root = coco()
    (root / "images").write_text("../coco/train2017")
    (problem,) = CocoDataModule(str(root)).check()
    assert "a symbolic link that was copied as a file. Give data.images=../coco/train2017" in problem


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is not COCO's JSON"),
        ("[1, 2]", "is not COCO's JSON"),
        ('{"images": [], "categories": [], "annotations": []}', "names 0 images and 0 categories"),
        ('{"images": [{"id": 1}], "categories": [{"id": 1, "name": "x"}]}', "is not COCO's JSON"),
    ],
)
def test_files_that_are_no_annotations_are_rejected(coco, text, words):
    root = coco()
    (root / "annotations" / "instances_train2017.json").write_text(text)
    with pytest.raises(DataError, match=words):
        CocoDataModule(str(root), bad_boxes="drop").setup()


def test_splits_must_have_the_same_categories(coco, coco_json):
    root = coco()
    content = coco_json()
    content["categories"][0]["name"] = "eagle"
    (root / "annotations" / "instances_val2017.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match="9 is 'eagle', not 'owl'"):
        CocoDataModule(str(root)).setup()


def test_missing_images_are_reported_with_the_searched_folders(coco, coco_json):
    content = coco_json()
    for image in content["images"]:
        image["file_name"] = "x" + image["file_name"]
    with pytest.raises(DataError, match="xa.jpg is in none of .*data.images=FOLDER"):
        CocoDataModule(str(coco(content=content))).setup()


def test_real_photographs(shared_data):
    root = shared_data / "coco128" / "object_detection"
    data = CocoDataModule(str(root), images="../images")
    data.setup()
    assert (data.facts.num_train, data.facts.num_val, data.facts.num_classes) == (128, 128, 80)
    assert sum(data.facts.class_counts) == 929
    assert data.facts.extra["num_boxes"] == {"train": 929, "val": 898}
    image, target = data.splits["val"][5]
    assert target["boxes"][:, 2].max() <= image.shape[2] and target["boxes"][:, 3].max() <= image.shape[1]
