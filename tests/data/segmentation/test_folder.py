import gc
import weakref

import numpy as np
import pytest
import torch
from PIL import Image

import runner.data.segmentation.source as source_module
from runner.data.images.augment import ImageAugment
from runner.data.images.verify import write_broken
from runner.data.segmentation.folder import MaskFolderDataModule
from runner.errors import DataError

NAMES = ["sky", "road", "tree"]


def ready(root, **given) -> MaskFolderDataModule:
    data = MaskFolderDataModule(str(root), **given)
    assert data.check() == []
    data.setup("fit")
    return data


def test_plain_folder(folder):
    data = ready(folder(20), batch_size=4)
    facts = data.facts
    assert (facts.task, facts.class_names, facts.num_outputs) == ("segmentation", NAMES, 3)
    assert (facts.num_train, facts.num_val, facts.num_test) == (14, 3, 3)
    assert facts.input_shape == (3, 24, 32) and facts.class_counts_of == "pixels"
    assert sum(facts.class_counts) == 14 * 24 * 32
    batch = data.on_after_batch_transfer(next(iter(data.val_dataloader())), 0)
    assert batch["inputs"].shape == (3, 3, 24, 32) and batch["targets"].dtype == torch.int64
    assert data.sample_name("val", int(batch["index"][0])).startswith("images/")


def test_nothing_is_read_before_setup(tmp_path):
    data = MaskFolderDataModule(str(tmp_path / "absent"))
    assert "no such folder" in data.check()[0]
    with pytest.raises(DataError, match="no such folder"):
        data.setup("fit")


def test_images_of_any_size(folder):
    data = ready(folder(20, sizes=((24, 32), (40, 16))), batch_size=6)
    whole = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)
    assert whole["inputs"].shape == (6, 3, 40, 32) and (whole["targets"] == 255).any()
    (batch,) = data.val_dataloader()
    assert {tuple(mask.shape) for mask in batch["targets"]} == {(24, 32), (40, 16)}
    batch = data.on_after_batch_transfer(batch, 0)
    assert all(image.dtype == torch.float32 for image in batch["inputs"])
    assert all(mask.dtype == torch.int64 for mask in batch["targets"])


def test_training_sees_windows(folder):
    data = ready(folder(8), augment=ImageAugment(), crop_size=(16, 48), batch_size=4)
    assert data.facts.input_shape == (3, 16, 48)
    assert next(iter(data.train_dataloader()))["inputs"].shape == (4, 3, 16, 48)


def test_colours_and_values(folder):
    root = folder(8)
    colors = [[10, 0, 0], [0, 20, 0], [0, 0, 30]]
    for path in (root / "masks").iterdir():
        values = np.asarray(Image.open(path))
        Image.fromarray(np.array(colors, dtype=np.uint8)[values]).save(path)
    data = ready(root, colors=colors)
    image, mask = data.splits["train"].source[0]
    assert torch.equal(image[0], mask * 10) and data.facts.get("class_colors") == colors
    for path in (root / "masks").iterdir():
        red, green, blue = np.moveaxis(np.asarray(Image.open(path)), -1, 0)
        Image.fromarray(
            (red > 0) * np.uint8(3) + (green > 0) * np.uint8(7) + (blue > 0) * np.uint8(100)
        ).save(path)
    image, mask = ready(root, class_values=[3, 7, 100]).splits["train"].source[0]
    assert torch.equal(image[0], mask * 10)


def test_images_without_masks(folder):
    root = folder(20)
    for number in (3, 7):
        (root / "masks" / f"{number:02}.png").unlink()
    (problem,) = MaskFolderDataModule(str(root)).check()
    assert problem.startswith("2 images have no mask: images/03.png, images/07.png.")
    data = ready(root, unmasked="drop")
    assert data.facts.num_train == 12
    (message,) = data.dropped.messages()
    assert "2 of 20 images left out: they have no mask (for example images/03.png, images/07.png)" in message


def test_classes_must_be_named(folder):
    (problem,) = MaskFolderDataModule(str(folder(4, names=False))).check()
    assert "data.class_names=[road,sky,…]" in problem


def test_faults_are_found_and_named(folder):
    root = folder(20)
    data = MaskFolderDataModule(str(root), class_names=["sky", "road"])
    with pytest.raises(DataError) as caught:
        data.setup("fit")
    assert "has the value 2; expected classes 0, 1" in str(caught.value)
    assert "So are 11 more of the 14 that were examined." in str(caught.value) and not data.splits


def test_masks_of_zero_and_255(folder):
    root = folder(10)
    for path in (root / "masks").iterdir():
        Image.fromarray((np.asarray(Image.open(path)) == 1) * np.uint8(255)).save(path)
    with pytest.raises(DataError, match=r"only 'no'.*data.class_values=\[0,255\]"):
        MaskFolderDataModule(str(root), class_names=["no", "yes"]).setup("fit")
    data = ready(root, class_names=["no", "yes"], class_values=[0, 255], ignore_index=None)
    assert all(data.facts.class_counts)


def test_fractions_without_effect(folder, tmp_path):
    for split in ("train", "val"):
        for kind in ("images", "masks"):
            (tmp_path / split / kind).mkdir(parents=True)
            Image.fromarray(np.eye(4, dtype=np.uint8)).save(tmp_path / split / kind / "a.png")
    given = {"class_names": ["a", "b"], "val_fraction": 0.2, "test_fraction": 0.1}
    problems = MaskFolderDataModule(str(tmp_path), **given).check()
    assert [problem.partition("=")[0] for problem in problems] == ["data.val_fraction", "data.test_fraction"]
    greedy = MaskFolderDataModule(
        str(folder(10)), images="images", masks="masks", val_fraction=0.6, test_fraction=0.4
    )
    assert greedy.check() == [
        "data.val_fraction and data.test_fraction leave no training pairs. Choose smaller fractions."
    ]


def test_verify_reads_every_pair_and_what_it_lists_is_left_out(folder):
    root = folder(20)
    (root / "masks" / "04.png").write_bytes(b"no image")
    Image.fromarray(np.full((24, 32), 9, dtype=np.uint8)).save(root / "masks" / "11.png")
    data = MaskFolderDataModule(str(root))
    broken = data.verify()
    assert [entry.path for entry in broken] == ["images/04.png", "images/11.png"]
    assert "is not a readable image" in broken[0].reason and "has the value 9" in broken[1].reason
    assert len(data.files()) == 20
    write_broken(root / "broken.json", broken, 20)
    data = ready(root)
    assert data.facts.num_train == 12
    assert "2 images left out: set aside as broken (for example images/04.png (" in data.dropped.messages()[0]


def test_predictions_read_one_file_after_the_other(folder, monkeypatch):
    root = folder(4)
    data = MaskFolderDataModule(str(root), max_side=16)
    inputs = data.read_inputs([str(root / "images")])
    monkeypatch.setattr(
        "runner.data.segmentation.base.read_new_image", lambda path, *options: torch.zeros(3, 30, 20)
    )
    name, image = next(iter(inputs))
    assert name.endswith("00.png") and image.shape == (3, 16, 11)
    with pytest.raises(DataError, match="no such file or folder"):
        data.read_inputs([str(root / "gone")])


def test_inputs_of_one_size_are_stacked():
    data = MaskFolderDataModule("anywhere")
    same, other = torch.zeros(3, 4, 4), torch.zeros(3, 5, 4)
    assert data.batch_inputs([same, same]).shape == (2, 3, 4, 4)
    assert [tuple(image.shape) for image in data.batch_inputs([same, other])] == [(3, 4, 4), (3, 5, 4)]


def test_no_more_than_a_batch_is_ever_in_memory(folder, monkeypatch):
    """Decoded images are counted while an epoch runs: a data set may be larger than memory."""
    data = ready(folder(40), batch_size=4)
    alive: list[weakref.ref] = []
    most = 0
    read_image = source_module.read_image

    def counted(path, max_value=None):
        nonlocal most
        image = read_image(path)
        alive.append(weakref.ref(image))
        most = max(most, sum(reference() is not None for reference in alive))
        return image

    monkeypatch.setattr(source_module, "read_image", counted)
    gc.collect()
    for _ in range(2):
        for _ in data.train_dataloader():
            pass
    assert len(alive) == 2 * 28 and most <= 4
