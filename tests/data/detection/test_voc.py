"""Pascal VOC's XML."""

import pytest

from runner.data.detection.voc import VocDataModule
from runner.errors import DataError


def targets(data, split):
    part = data.splits[split]
    return {part.name(int(i))[0]: part.source[int(i)][1] for i in part.indices}


def replace(root, name, old, new):
    file = root / "Annotations" / f"{name}.xml"
    file.write_text(file.read_text().replace(old, new, 1))


@pytest.mark.parametrize("up", [0, 1, 2])
def test_development_kit_is_read(voc, truth, up):
    data = VocDataModule(str([voc, voc.parent, voc.parent.parent][up]))
    assert data.check() == []
    data.setup()
    assert data.facts.class_names == ["cat", "dog", "owl"]
    found = targets(data, "train") | targets(data, "val")
    assert sorted(targets(data, "train")) == ["a", "b", "c"] and sorted(targets(data, "val")) == ["d"]
    for name, boxes in truth.items():
        assert found[name]["boxes"].tolist() == [list(map(float, box)) for _, box in boxes], (
            "pixels count from 1"
        )
        assert found[name]["labels"].tolist() == [label for label, _ in boxes]


def test_without_lists_all_are_cut(voc):
    for split in ("train", "val"):
        (voc / "ImageSets" / "Main" / f"{split}.txt").unlink()
    data = VocDataModule(str(voc), val_fraction=0.25)
    data.setup()
    assert (data.facts.num_train, data.facts.num_val) == (3, 1)


def test_trainval_does_not_train_on_val(voc):
    lists = voc / "ImageSets" / "Main"
    (lists / "train.txt").rename(lists / "trainval.txt")
    (lists / "trainval.txt").write_text("a 1\nb -1\nc 1\nd 1\n")
    data = VocDataModule(str(voc))
    data.setup()
    assert sorted(targets(data, "train")) == ["a", "b", "c"]


def test_difficult_objects(voc):
    replace(voc, "d", "<difficult>0", "<difficult>1")
    data = VocDataModule(str(voc))
    data.setup()
    assert targets(data, "val")["d"]["iscrowd"].tolist() == [True, False, False]
    kept = VocDataModule(str(voc), difficult="keep")
    kept.setup()
    assert not targets(kept, "val")["d"]["iscrowd"].any()


def test_images_may_lie_beside_their_annotations(voc):
    for image in (voc / "JPEGImages").iterdir():
        image.rename(voc / "Annotations" / image.name)
    (voc / "JPEGImages").rmdir()
    data = VocDataModule(str(voc))
    assert data.check() == []
    data.setup()
    assert data.splits["train"][0][0].shape == (3, 40, 48)


def test_class_that_train_lacks_is_a_fault(voc):
    replace(voc, "d", "<name>cat", "<name>emu")
    with pytest.raises(
        DataError, match=r"val: 1 boxes of classes that the data set does not name \(emu\): d.jpg"
    ):
        VocDataModule(str(voc)).setup()
    data = VocDataModule(str(voc), class_names=["owl", "emu", "dog", "cat"])
    data.setup()
    assert targets(data, "val")["d"]["labels"].tolist() == [1, 3, 2]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("</annotation>", "", "no element found"),
        ("<annotation>", "<note>", "mismatched tag"),
        ("<name>cat</name>", "", "an <object> without <name>"),
        ("<xmin>5</xmin>", "<xmin>many</xmin>", "could not convert string to float"),
    ],
)
def test_corrupt_files_are_named_and_left_out(voc, old, new, words):
    replace(voc, "a", old, new)
    with pytest.raises(DataError, match="train: 1 annotations that cannot be read: a.xml .*" + words):
        VocDataModule(str(voc)).setup()
    data = VocDataModule(str(voc), bad_boxes="drop")
    data.setup()
    assert sorted(targets(data, "train")) == ["b", "c"], "what is in the image is not known"
    message = data.dropped.messages()[0]
    assert message.startswith("train: 1 annotations left out: cannot be read (for example a.xml")


def test_missing_coordinates_and_files(voc):
    replace(voc, "a", "<xmax>20</xmax>", "")
    (voc / "Annotations" / "b.xml").unlink()
    (voc / "JPEGImages" / "d.jpg").unlink()
    with pytest.raises(DataError) as caught:
        VocDataModule(str(voc)).setup()
    for words in ("1 boxes whose coordinates are not numbers: a.jpg", "b.xml (no such file)", "d.jpg"):
        assert words in str(caught.value)


def test_layouts_are_checked(voc, tmp_path):
    (problem,) = VocDataModule(str(tmp_path / "VOCdevkit" / "VOC2012" / "JPEGImages")).check()
    assert "has no folder Annotations" in problem
    for image in (voc / "JPEGImages").iterdir():
        image.unlink()
    (problem,) = VocDataModule(str(voc)).check()
    assert "has no images in JPEGImages" in problem
