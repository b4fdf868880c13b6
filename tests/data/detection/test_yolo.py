"""YOLO's text files."""

import shutil

import pytest

from runner.data.detection.coco import CocoDataModule
from runner.data.detection.yolo import YoloDataModule, parse_line
from runner.errors import DataError


def targets(data, split):
    part = data.splits[split]
    return {part.name(int(i)).rsplit("/", 1)[-1][0]: part.source[int(i)][1] for i in part.indices}


def test_boxes_are_parts_of_the_image(yolo, truth):
    data = YoloDataModule(str(yolo))
    assert data.check() == []
    data.setup()
    assert data.facts.class_names == ["cat", "dog", "owl"]
    assert data.facts.input_shape == (3, 40, 48), "read from the images: no annotation tells"
    found = targets(data, "train")
    for name, boxes in truth.items():
        expected = [side for _, box in boxes for side in box]
        assert found[name]["boxes"].flatten().tolist() == pytest.approx(expected, abs=1e-3)
        assert found[name]["labels"].tolist() == [label for label, _ in boxes]
    assert len(found["c"]["boxes"]) == 0, "no text file: an image without boxes"


CONFIGS = {
    "names by id": "train: images/train\nval: images/val\nnames: {0: cat, 1: dog, 2: owl}\n",
    "path elsewhere": "path: ../datasets/mine\ntrain: images/train\nval: images/val\nnames: [cat, dog, "
    "owl]\n",
    "valid": "train: ../yolo/images/train\nvalid: images/val\nnc: 3\nnames: [cat, dog, owl]\n",
    "list of folders": "train: [images/train]\nval: [images/val]\nnames: [cat, dog, owl]\n",
    "names alone": "names: [cat, dog, owl]\n",
    "dots": "train: ./images/train\nval: ./images/val\nnames: [cat, dog, owl]\n",
}


@pytest.mark.parametrize("kind", CONFIGS)
def test_common_config_layouts(yolo, kind):
    (yolo / "data.yaml").write_text(CONFIGS[kind])
    data = YoloDataModule(str(yolo))
    assert data.check() == []
    data.setup()
    assert (data.facts.num_train, data.facts.num_val) == (4, 4)
    assert data.facts.class_counts == [3, 2, 1]


def test_lists_of_images(yolo):
    (yolo / "train.txt").write_text("./images/train/a.jpg\n\nimages/train/d.jpg\n")
    (yolo / "data.yaml").write_text("train: train.txt\nval: images/val\nnames: [cat, dog, owl]\n")
    data = YoloDataModule(str(yolo))
    data.setup()
    assert sorted(targets(data, "train")) == ["a", "d"]


def test_byte_order_mark_is_no_part_of_a_number(yolo):
    label = yolo / "labels" / "train" / "a.txt"
    label.write_text(label.read_text(), encoding="utf-8-sig")
    (yolo / "data.yaml").write_text((yolo / "data.yaml").read_text(), encoding="utf-8-sig")
    data = YoloDataModule(str(yolo))
    data.setup()
    assert data.facts.class_counts == [3, 2, 1]


def test_names_in_a_text_file(yolo):
    (yolo / "data.yaml").unlink()
    (yolo / "classes.txt").write_text("cat\ndog\nowl\n")
    data = YoloDataModule(str(yolo))
    assert data.check() == []
    data.setup()
    assert data.facts.class_names == ["cat", "dog", "owl"]


def test_images_elsewhere(yolo):
    (yolo / "images").rename(yolo.parent / "pictures")
    data = YoloDataModule(str(yolo), images="../pictures")
    assert data.check() == []
    data.setup()
    assert data.facts.class_counts == [3, 2, 1]
    (yolo / "images").write_text("../pictures")
    (problem,) = YoloDataModule(str(yolo)).check()
    assert "Give data.images=../pictures" in problem


def test_linked_images_have_their_labels_beside_the_link(yolo):
    (yolo / "images").rename(yolo.parent / "pictures")
    (yolo / "images").symlink_to("../pictures")
    data = YoloDataModule(str(yolo))
    data.setup()
    assert data.facts.class_counts == [3, 2, 1]


def test_polygons_become_boxes(yolo):
    (yolo / "labels" / "train" / "b.txt").write_text("1 0.1 0.2 0.5 0.3 0.4 0.9\n")
    data = YoloDataModule(str(yolo))
    data.setup()
    assert targets(data, "train")["b"]["boxes"].tolist()[0] == pytest.approx([4.8, 8, 24, 36])


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("0 0.5 0.5 0.1", "4 numbers; expected 5"),
        ("0 0.5 0.5 0.1 0.1 0.9", "6 numbers"),
        ("0 a b c d", "could not convert"),
        ("0.5 0.5 0.5 0.1 0.1", "expected a whole number"),
        ("cat 0.5 0.5 0.1 0.1", "could not convert"),
        ("inf 0.5 0.5 0.1 0.1", "expected a whole number"),
    ],
)
def test_lines_that_cannot_be_read_are_named(yolo, line, words):
    (yolo / "labels" / "train" / "a.txt").write_text(f"0 0.5 0.5 0.1 0.1\n{line}\n")
    with pytest.raises(DataError, match=f"train: 1 annotations that cannot be read: a.txt line 2 .*{words}"):
        YoloDataModule(str(yolo)).setup()
    data = YoloDataModule(str(yolo), bad_boxes="drop")
    data.setup()
    assert len(targets(data, "train")["a"]["boxes"]) == 1


def test_faults_of_boxes(yolo):
    (yolo / "labels" / "train" / "a.txt").write_text(
        "7 0.5 0.5 0.1 0.1\n0 0.5 0.5 0 0.1\n0 nan 0.5 0.1 0.1\n"
    )
    (yolo / "labels" / "train" / "b.txt").write_text("-1 0.5 0.5 0.1 0.1\n0 0.95 0.5 0.2 0.1\n")
    with pytest.raises(DataError) as caught:
        YoloDataModule(str(yolo)).setup()
    for words in (
        "2 boxes of classes that the data set does not name (-1, 7)",
        "1 boxes without width or height",
        "1 boxes whose coordinates are not numbers",
        "1 boxes that stick out of their image: images/train/b.jpg [0.85, 0.45, 1.05, 0.55]",
    ):
        assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("train: images/train\n", "is not a YOLO data file"),
        ("names: {0: a, 2: b}\ntrain: images/train\n", "not 0 to 1"),
        ("names: [a\n", "is not a YOLO data file"),
        ("names: cat\ntrain: images/train\n", "names is one word, expected a list"),
        ("names: []\ntrain: images/train\n", "it names no class"),
        ("names: [a]\ntrain: images/training\n", "images/training does not exist"),
    ],
)
def test_empty_configs_are_rejected(yolo, text, words):
    (yolo / "data.yaml").write_text(text)
    (problem,) = YoloDataModule(str(yolo)).check()
    assert words in problem


def test_missing_pieces(yolo):
    shutil.rmtree(yolo / "labels")
    with pytest.raises(DataError, match="None of 4 images has a text file"):
        YoloDataModule(str(yolo)).setup()
    (yolo / "data.yaml").unlink()
    (problem,) = YoloDataModule(str(yolo)).check()
    assert "expected one YAML file" in problem
    (problem,) = YoloDataModule(str(yolo), config="other.yaml").check()
    assert "other.yaml" in problem


def test_line_in_numbers():
    label, box = parse_line("2 0.5 0.5 0.2 0.4")
    assert label == 2 and box == pytest.approx((0.4, 0.3, 0.6, 0.7))


def test_both_formats_of_real_photographs_agree(shared_data):
    root = str(shared_data / "coco128" / "object_detection")
    text, json = YoloDataModule(root, images="../images"), CocoDataModule(root, images="../images")
    text.setup(), json.setup()
    assert text.facts.class_names == json.facts.class_names
    assert text.facts.class_counts == json.facts.class_counts
    for position in (0, 17, 127):
        (_, first), (_, second) = text.splits["val"][position], json.splits["val"][position]
        assert first["labels"].tolist() == second["labels"].tolist()
        assert (first["boxes"] - second["boxes"]).abs().max() < 0.02
