"""Photographs in folders: layouts, cuts, refusals, samples."""

import io
import json
import shutil

import pytest
import torch
from PIL import Image

from runner.data.images.augment import ImageAugment
from runner.data.images.folder import ImageFolderDataModule
from runner.errors import BrokenSampleError, DataError


def lengths(data: ImageFolderDataModule) -> dict[str, int]:
    data.setup()
    return {name: len(split) for name, split in data.splits.items()}


def names(data: ImageFolderDataModule, split: str) -> list[str]:
    return [data.sample_name(split, int(index)) for index in data.splits[split].indices]


@pytest.fixture
def plain(photo_folder, tmp_path):
    return photo_folder(tmp_path / "pets", {"cat": 20, "dog": 10})


@pytest.fixture
def cut(photo_folder, tmp_path):
    counts = {"train/cat": 8, "train/dog": 6, "val/cat": 4, "val/dog": 4, "test/cat": 2, "test/dog": 3}
    return photo_folder(tmp_path / "pets", counts)


def test_folder_without_splits_is_cut_class_by_class(plain):
    data = ImageFolderDataModule(str(plain), val_fraction=0.2, test_fraction=0.1)
    assert data.check() == []
    assert lengths(data) == {"train": 21, "val": 6, "test": 3}
    assert data.facts.class_counts == [14, 7]
    everything = [name for split in data.splits for name in names(data, split)]
    assert len(everything) == len(set(everything)) == 30
    again = ImageFolderDataModule(str(plain), val_fraction=0.2, test_fraction=0.1)
    other = ImageFolderDataModule(str(plain), val_fraction=0.2, test_fraction=0.1, split_seed=1)
    again.setup(), other.setup()
    assert names(again, "test") == names(data, "test") and names(again, "val") == names(data, "val")
    assert names(other, "val") != names(data, "val")


def test_default_split_without_test(plain):
    assert lengths(ImageFolderDataModule(str(plain))) == {"train": 20, "val": 5, "test": 5}
    assert lengths(ImageFolderDataModule(str(plain), test_fraction=0.0)) == {"train": 25, "val": 5}


def test_split_folders_are_used_unchanged(cut):
    data = ImageFolderDataModule(str(cut))
    assert data.check() == []
    assert lengths(data) == {"train": 14, "val": 8, "test": 5}
    for split in data.splits:
        assert all(name.startswith(f"{split}/") for name in names(data, split))
    assert data.facts.class_counts == [8, 6]


@pytest.mark.parametrize(
    ("train", "val"), [("training", "validation"), ("Train", "VALID"), ("training-set", "val_set")]
)
def test_split_folders_have_many_names(photo_folder, tmp_path, train, val):
    root = photo_folder(tmp_path, {f"{train}/a": 2, f"{train}/b": 2, f"{val}/a": 1, f"{val}/b": 1})
    assert lengths(ImageFolderDataModule(str(root))) == {"train": 4, "val": 2}


def test_val_folder_without_test_gives_no_test_unless_requested(cut):
    shutil.rmtree(cut / "test")
    assert lengths(ImageFolderDataModule(str(cut))) == {"train": 14, "val": 8}
    data = ImageFolderDataModule(str(cut), test_fraction=0.5)
    assert lengths(data) == {"train": 14, "val": 4, "test": 4}
    assert {name.split("/")[0] for name in names(data, "test")} == {"val"}
    assert len(data.test_dataloader()) == 1


def test_val_is_cut_from_train_where_there_is_only_a_test_folder(cut):
    shutil.rmtree(cut / "val")
    data = ImageFolderDataModule(str(cut), val_fraction=0.5)
    assert lengths(data) == {"train": 7, "val": 7, "test": 5}
    assert {name.split("/")[0] for name in names(data, "val")} == {"train"}


def test_train_folder_alone_is_cut_into_all(cut):
    shutil.rmtree(cut / "val"), shutil.rmtree(cut / "test")
    assert lengths(ImageFolderDataModule(str(cut), val_fraction=0.25)) == {"train": 10, "val": 4}
    data = ImageFolderDataModule(str(cut), val_fraction=0.25, test_fraction=0.25)
    assert lengths(data) == {"train": 6, "val": 4, "test": 4}


def test_class_may_be_called_train(photo_folder, tmp_path):
    root = photo_folder(tmp_path, {"bus": 8, "car": 8, "train": 8})
    data = ImageFolderDataModule(str(root))
    assert lengths(data)["val"] == 3
    assert data.facts.class_names == ["bus", "car", "train"]


def test_clutter_does_not_count(plain, photo, caplog):
    (plain / ".ipynb_checkpoints").mkdir()
    (plain / ".ipynb_checkpoints" / "0.jpg").write_bytes(photo(0))
    (plain / "__MACOSX").mkdir()
    (plain / "cat" / "._0.jpg").write_bytes(b"resource fork")
    (plain / "cat" / "Thumbs.db").write_bytes(b"x")
    (plain / "readme.txt").write_text("hello")
    (plain / "cat" / "deeper").mkdir()
    (plain / "cat" / "deeper" / "UPPER.JPEG").write_bytes(photo(0))
    (plain / "cat" / "circle").symlink_to(plain / "cat")
    data = ImageFolderDataModule(str(plain))
    assert data.check() == []
    assert sum(lengths(data).values()) == 31
    assert data.facts.class_names == ["cat", "dog"]
    hidden, files = data.dropped.messages()[1], data.dropped.messages()[0]
    assert "2 images left out: hidden by the name" in hidden and "._0.jpg" in hidden
    assert "1 files left out: they have no extension of images" in files and "cat/Thumbs.db" in files


def test_every_extension_counts(photo_folder, tmp_path):
    for extension in (".jpg", ".JPEG", ".Png", ".bmp", ".webp", ".gif", ".tif", ".TIFF"):
        photo_folder(tmp_path / "x", {f"a/{extension[1:]}": 1, f"b/{extension[1:]}": 1}, extension)
    assert sum(lengths(ImageFolderDataModule(str(tmp_path / "x"))).values()) == 16


def test_empty_and_listed_files_are_set_aside_and_named(plain, photo, caplog):
    (plain / "cat" / "666.jpg").write_bytes(b"")
    (plain / "broken.json").write_text(
        json.dumps({"checked": 31, "broken": [{"path": "dog/1.jpg", "reason": "rotten"}]})
    )
    data = ImageFolderDataModule(str(plain))
    assert sum(lengths(data).values()) == 29
    (message,) = data.dropped.messages()
    assert (
        "2 images left out: set aside as broken (for example cat/666.jpg (the file is empty), dog/1.jpg "
        "(rotten))" in message
    )
    assert data.facts.extra["set_aside"] == ["cat/666.jpg: the file is empty", "dog/1.jpg: rotten"]
    (plain / "mine.json").write_text(json.dumps({"broken": []}))
    assert sum(lengths(ImageFolderDataModule(str(plain), broken=str(plain / "mine.json"))).values()) == 30


def test_unlabelled_test_folder_is_skipped(cut, photo, caplog):
    shutil.rmtree(cut / "test")
    (cut / "test").mkdir()
    (cut / "test" / "1.jpg").write_bytes(photo(0))
    (cut / "extra" / "a").mkdir(parents=True)
    (cut / "extra" / "a" / "1.jpg").write_bytes(photo(0))
    (cut / "train" / "2.jpg").write_bytes(photo(0))
    data = ImageFolderDataModule(str(cut))
    assert lengths(data) == {"train": 14, "val": 8}
    assert [message.removeprefix(str(cut)) for message in data.dropped.messages()] == [
        "/extra: 1 images left out: the folder is not a split.",
        "/test: 1 images left out: they have no class folders.",
        "/train: 1 images left out: they are in no class folder.",
    ]


@pytest.mark.parametrize("name", ["train", "val", "test", "Testing", "dev"])
def test_class_may_have_the_name_of_a_split(photo_folder, tmp_path, caplog, name):
    data = ImageFolderDataModule(str(photo_folder(tmp_path, {"bus": 8, "car": 8, name: 8})))
    assert sum(lengths(data).values()) == 24
    assert (
        data.facts.class_names == sorted(["bus", "car", name]) and f"{name} is read as a class" in caplog.text
    )


def test_class_folders_with_underscores_are_classes(photo_folder, tmp_path, photo):
    root = photo_folder(tmp_path, {"__background__": 8, "_other": 8, "cat": 8})
    (root / "__pycache__").mkdir()
    (root / "__pycache__" / "a.pyc").write_bytes(b"x")
    (root / "__MACOSX").mkdir()
    (root / "__MACOSX" / "._1.jpg").write_bytes(photo(0))
    data = ImageFolderDataModule(str(root))
    assert sum(lengths(data).values()) == 24
    assert data.facts.class_names == ["__background__", "_other", "cat"]
    assert "1 images left out: hidden by the name" in data.dropped.messages()[0]


def test_spellings_of_one_class_are_one_class(photo_folder, tmp_path, caplog):
    counts = {"train/1": 6, "train/1.0": 4, "train/2": 6, "val/1.0": 3, "val/2.0": 3}
    data = ImageFolderDataModule(str(photo_folder(tmp_path, counts)))
    assert data.check() == []
    assert lengths(data) == {"train": 16, "val": 6}
    assert data.facts.class_names == ["1", "2"] and data.facts.class_counts == [10, 6]
    assert "the folders '1', '1.0' are one class, '1'" in caplog.text
    val = data.splits["val"]
    assert [int(val.source[int(index)][1]) for index in val.indices] == [0, 0, 0, 1, 1, 1]


REFUSED = {
    "missing folder": (lambda root: shutil.rmtree(root), "no such folder"),
    "no class folders": (lambda root: empty(root, ["x.jpg"]), "holds 1 images but no class folders"),
    "nothing": (lambda root: empty(root, []), "holds no class folders"),
    "one class": (lambda root: empty(root, ["a/x.jpg"]), "has one class, 'a', expected at least two"),
    "a level too high": (
        lambda root: empty(root, ["deep/a/x.jpg", "deep/b/x.jpg"]),
        "Did you mean",
    ),
    "class without images": (lambda root: wipe(root / "train" / "dog"), "train/dog holds no images"),
    "class with other files": (
        lambda root: wipe(root / "train" / "dog", "notes.txt"),
        "train/dog holds no images but 1 other files",
    ),
    "class with empty files": (
        lambda root: wipe(root / "val" / "dog", "0.jpg"),
        "val/dog holds only empty files (1)",
    ),
    "val lacks a class": (
        lambda root: shutil.rmtree(root / "val" / "dog"),
        "val lacks the class 'dog', which train has",
    ),
    "val spells a class otherwise": (
        lambda root: (root / "val" / "dog").rename(root / "val" / "Dogs"),
        "lacks the class 'dog', which train has. Did you mean 'Dogs'?",
    ),
    "test has a class more": (
        lambda root: shutil.copytree(root / "test" / "dog", root / "test" / "emu"),
        "test has the class 'emu', which train lacks",
    ),
    "no train": (lambda root: shutil.rmtree(root / "train"), "has 'test' and 'val' but no 'train' folder"),
    "val twice": (
        lambda root: shutil.copytree(root / "val", root / "valid"),
        "has both 'val' and 'valid', which mean the same split",
    ),
}


def empty(root, files):
    shutil.rmtree(root)
    root.mkdir()
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")


def wipe(folder, *files):
    shutil.rmtree(folder)
    folder.mkdir()
    for name in files:
        (folder / name).write_bytes(b"" if name.endswith("jpg") else b"x")


@pytest.mark.parametrize("kind", REFUSED)
def test_bad_folders_are_rejected_before_anything_is_read(cut, kind):
    change, words = REFUSED[kind]
    change(cut)
    data = ImageFolderDataModule(str(cut))
    problems = data.check()
    assert any(words in problem for problem in problems), problems
    with pytest.raises(DataError):
        data.setup()


def test_several_problems_are_reported_together(cut):
    shutil.rmtree(cut / "val" / "dog")
    wipe(cut / "train" / "cat")
    (cut / "test" / "emu").mkdir()
    problems = ImageFolderDataModule(str(cut)).check()
    assert len(problems) == 4


def test_misspelled_folder_gets_the_nearest_name(plain):
    (problem,) = ImageFolderDataModule(str(plain.parent / "pests")).check()
    assert "Did you mean 'pets'?" in problem


def test_file_in_place_of_a_folder(plain):
    (problem,) = ImageFolderDataModule(str(plain / "cat" / "0.jpg")).check()
    assert "is a file, expected a folder" in problem


def test_fractions_without_effect_or_rest_are_rejected(cut, plain):
    problems = ImageFolderDataModule(str(cut), val_fraction=0.1, test_fraction=0.1).check()
    assert len(problems) == 2 and all("would have no effect" in problem for problem in problems)


def test_fractions_must_leave_samples(plain):
    (problem,) = ImageFolderDataModule(str(plain), val_fraction=0.6, test_fraction=0.4).check()
    assert "add up to 1" in problem
    problems = ImageFolderDataModule(str(plain), val_fraction=0.01).check()
    assert "The class 'cat' has 20 usable images in all, and none of them in val" in problems[0]


def test_missing_or_foreign_broken_list_is_rejected(plain):
    assert "no such file" in ImageFolderDataModule(str(plain), broken="gone.json").check()[0]
    (plain / "broken.json").write_text("nonsense")
    assert "not a list of broken files" in ImageFolderDataModule(str(plain)).check()[0]


def test_batches_have_the_requested_size(cut):
    data = ImageFolderDataModule(str(cut), image_size=32, batch_size=4, augment=ImageAugment())
    data.setup()
    batch = next(iter(data.train_dataloader()))
    assert batch["inputs"].shape == (4, 3, 32, 32) and batch["inputs"].dtype == torch.uint8
    assert set(batch["targets"].tolist()) <= {0, 1}
    assert data.facts.input_shape == (3, 32, 32) and data.facts.num_outputs == 2
    normal = data.normalize(torch.tensor([124, 116, 104], dtype=torch.uint8).view(1, 3, 1, 1))
    assert normal.abs().max() < 0.02


def test_samples_do_not_depend_on_workers(cut):
    def epoch(num_workers: int) -> list[torch.Tensor]:
        data = ImageFolderDataModule(
            str(cut), image_size=16, batch_size=4, augment=ImageAugment(), num_workers=num_workers
        )
        data.setup()
        return [batch["inputs"] for batch in data.train_dataloader()]

    for alone, helped in zip(epoch(0), epoch(2), strict=True):
        assert torch.equal(alone, helped)


def test_targets_are_those_of_the_folder(cut):
    data = ImageFolderDataModule(str(cut), image_size=8)
    data.setup()
    for split, part in data.splits.items():
        for position, index in enumerate(part.indices):
            _, target = part.sample(0, position)
            assert data.facts.class_names[int(target)] == data.sample_name(split, int(index)).split("/")[1]


def test_crop_shows_the_centre_and_squeeze_all(tmp_path):
    """White with a black frame of an eighth."""
    for name in ("a", "b"):
        (tmp_path / "x" / name).mkdir(parents=True)
        image = Image.new("RGB", (160, 80), "black")
        image.paste("white", (20, 10, 140, 70))
        for index in range(4):
            image.save(tmp_path / "x" / name / f"{index}.png")
    crop = ImageFolderDataModule(str(tmp_path / "x"), image_size=40, crop_fraction=0.75)
    squeeze = ImageFolderDataModule(str(tmp_path / "x"), image_size=40, fit="squeeze")
    path = str(tmp_path / "x" / "a" / "0.png")
    assert crop.read_inputs([path])[0][1].min() == 255
    squeezed = squeeze.read_inputs([path])[0][1]
    assert squeezed[:, 0].max() == 0 and squeezed[:, 20, 20].min() == 255


def test_predictions_read_files_and_folders(cut, tmp_path):
    data = ImageFolderDataModule(str(cut), image_size=24)
    data.setup("predict")
    found = data.read_inputs([str(cut / "test" / "cat"), str(cut / "val" / "dog" / "0.jpg")])
    assert [name for name, _ in found] == [
        str(cut / "test" / "cat" / "0.jpg"),
        str(cut / "test" / "cat" / "1.jpg"),
        str(cut / "val" / "dog" / "0.jpg"),
    ]
    assert all(image.shape == (3, 24, 24) and image.dtype == torch.uint8 for _, image in found)
    with pytest.raises(DataError, match="no such file or folder"):
        data.read_inputs(["gone.jpg"])
    (tmp_path / "bare").mkdir()
    with pytest.raises(DataError, match="holds no image files"):
        data.read_inputs([str(tmp_path / "bare")])


@pytest.mark.parametrize("num_workers", [0, 1])
def test_broken_image_in_mid_training_names_its_file(cut, photo, num_workers):
    (cut / "train" / "dog" / "3.jpg").write_bytes(photo(0)[:300])
    data = ImageFolderDataModule(str(cut), image_size=16, batch_size=4, num_workers=num_workers)
    assert data.check() == []
    data.setup()
    with pytest.raises(BrokenSampleError, match=r"train/dog/3\.jpg cannot be read: .*runcated"):
        list(data.train_dataloader())
    assert [entry.path for entry in data.verify()] == ["train/dog/3.jpg"]


def test_digest_follows_the_files(plain):
    def digest() -> str:
        data = ImageFolderDataModule(str(plain))
        data.setup()
        return data.facts.digest

    before = digest()
    assert before == digest()
    (plain / "cat" / "0.jpg").rename(plain / "cat" / "new.jpg")
    assert digest() != before


def test_gray_and_cmyk_files_mix_with_others(plain, photo):
    (plain / "cat" / "grey.png").write_bytes(photo(1, format="PNG", mode="L"))
    (plain / "cat" / "cmyk.jpg").write_bytes(photo(2, mode="CMYK"))
    file = io.BytesIO()
    Image.new("RGBA", (9, 300), (10, 20, 30, 40)).save(file, "PNG")
    (plain / "dog" / "clear.png").write_bytes(file.getvalue())
    data = ImageFolderDataModule(str(plain), image_size=16)
    data.setup()
    assert sum(len(batch["inputs"]) for batch in data.train_dataloader()) == len(data.splits["train"])
    assert data.verify() == []


def test_real_photographs(shared_data):
    data = ImageFolderDataModule(str(shared_data / "cats_vs_dogs"))
    assert data.check() == []
    assert lengths(data) == {"train": 2000, "val": 2000}
    assert data.facts.class_names == ["cat", "dog"]
