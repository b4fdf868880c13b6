"""Images and their truth, one by one."""

import gc
import json
import weakref

import numpy as np
import pytest
import torch
from PIL import Image

import runner.data.detection.source as source_module
from runner.data.detection.coco import CocoDataModule
from runner.data.detection.source import BoxFileSource, BoxTable, ToUnit, make_target
from runner.errors import BrokenSampleError, DataError


def test_missing_areas_are_those_of_the_boxes():
    target = make_target(
        [[0, 0, 4, 5], [1, 1, 2, 3]], [0, 1], areas=np.array([np.nan, 1.5], dtype=np.float32)
    )
    assert target["area"].tolist() == [20, 1.5]
    assert make_target([[0, 0, 4, 5]], [0])["area"].tolist() == [20]


def test_no_boxes_keep_their_shape():
    target = make_target([], [])
    assert target["boxes"].shape == (0, 4) and target["labels"].dtype == torch.int64


@pytest.mark.parametrize("told", [(40, 48), (96, 80)])
def test_image_of_another_size_than_its_annotation_is_named(tmp_path, photo, told):
    (tmp_path / "a.jpg").write_bytes(photo(0, (48, 40)))
    table = BoxTable.build(["a.jpg"], [0], [[1, 1, 9, 9]], [0], sizes=[told])
    with pytest.raises(
        BrokenSampleError, match=rf"a.jpg has 48 × 40 pixels, .* made for {told[0]} × {told[1]}"
    ):
        BoxFileSource(tmp_path, table)[0]


def test_samples_do_not_share_memory_with_the_table(tmp_path, photo):
    (tmp_path / "a.jpg").write_bytes(photo(0, (48, 40)))
    source = BoxFileSource(tmp_path, BoxTable.build(["a.jpg"], [0], [[1, 1, 9, 9]], [0]))
    source[0][1]["boxes"] += 5
    assert source[0][1]["boxes"].tolist() == [[1, 1, 9, 9]]


def test_unit_images_alone_and_in_lists():
    image = torch.full((3, 2, 2), 255, dtype=torch.uint8)
    assert ToUnit()(image).unique().tolist() == [1.0]
    assert [part.unique().tolist() for part in ToUnit()([image, image * 0])] == [[1.0], [0.0]]


def test_data_set_larger_than_memory_is_read_batch_by_batch(tmp_path, photo, monkeypatch):
    """Of 60 images never more than those of two batches are there at once, however long the epoch."""
    content = photo(0, (48, 40))
    (tmp_path / "train").mkdir()
    for number in range(60):
        (tmp_path / "train" / f"{number}.jpg").write_bytes(content)
    file = {
        "images": [{"id": n, "file_name": f"{n}.jpg", "width": 48, "height": 40} for n in range(60)],
        "categories": [{"id": 1, "name": "thing"}],
        "annotations": [{"image_id": n, "category_id": 1, "bbox": [1, 1, 9, 9]} for n in range(60)],
    }
    for split in ("train", "val"):
        (tmp_path / f"instances_{split}.json").write_text(json.dumps(file))
    read_image, alive, most, num_read = source_module.read_image, [0], [0], [0]

    def counted(path, max_value=None):
        image = read_image(path)
        alive[0] += 1
        num_read[0] += 1
        most[0] = max(most[0], alive[0])
        weakref.finalize(image, lambda: alive.__setitem__(0, alive[0] - 1))
        return image

    monkeypatch.setattr(source_module, "read_image", counted)
    data = CocoDataModule(str(tmp_path), images="train", batch_size=4)
    data.setup()
    assert num_read[0] == 0, "setting up reads no image"
    for batch in data.train_dataloader():
        assert len(batch["inputs"]) == 4
    del batch
    gc.collect()
    assert num_read[0] == 60 and most[0] <= 8 and alive[0] == 0


def test_new_inputs_are_read_lazily(coco, monkeypatch):
    root = coco()
    data = CocoDataModule(str(root))
    (root / "val2017" / "d.jpg").write_bytes(b"")
    samples = data.read_inputs([str(root / "val2017")])
    name, image = next(samples)
    assert name.endswith("a.jpg") and image.shape == (3, 40, 48)
    with pytest.raises(DataError, match="d.jpg"):
        list(samples)
    assert [part.shape for part in data.batch_inputs([image, image])] == [image.shape] * 2


def test_pictures_show_boxes_and_words(coco):
    data = CocoDataModule(str(coco()))
    data.setup()
    image, target = data.splits["train"].source[3]
    drawn, words = data.picture(image, target)
    assert words == "2 cat, dog"
    assert (drawn[:, 2, 31:46] == 255).all() and not torch.equal(drawn, image)
    assert data.picture(*data.splits["train"].source[2])[1] == "nothing"


def test_images_of_twelve_bits(tmp_path):
    """1000 · 255 / 4095 = 62.27; without the range it is 1000 · 255 / 65535 = 3.89."""
    Image.fromarray(np.full((10, 10), 1000, dtype=np.uint16)).save(tmp_path / "a.png")
    table = BoxTable.build(["a.png"], [0], [[1, 1, 9, 9]], [0])
    assert BoxFileSource(tmp_path, table, 4095)[0][0].unique().tolist() == [62]
    assert BoxFileSource(tmp_path, table)[0][0].unique().tolist() == [4]
