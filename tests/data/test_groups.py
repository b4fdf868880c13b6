"""All samples of a group are in one split, for every kind of data."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from runner.config.checks.check import check_config
from runner.config.compose import compose
from runner.data.audio.folder import AudioFolderDataModule
from runner.data.detection.coco import CocoDataModule
from runner.data.folds import Folds
from runner.data.groups import closest_bins, group_texts, groups_of_names, shared_groups, split_groups
from runner.data.images.folder import ImageFolderDataModule
from runner.data.segmentation.folder import MaskFolderDataModule
from runner.data.tables.table import TableDataModule
from runner.data.text.file import TextFolderDataModule, TextTableDataModule
from runner.errors import DataError

NUM_PATIENTS = 12
SPLITS = ("train", "val", "test")


def groups_by_split(data: Any, group_of: Any) -> dict[str, set[str]]:
    data.setup()
    return {
        split: {group_of(part.name(index)) for index in part.indices.tolist()}
        for split, part in data.splits.items()
    }


def check_disjoint(groups: dict[str, set[str]], splits: Iterable[str] = SPLITS) -> None:
    assert set(groups) == set(splits) and all(groups.values())
    assert shared_groups({split: sorted(names) for split, names in groups.items()}) == {}
    assert len(set().union(*groups.values())) == NUM_PATIENTS


def patient_of(name: str) -> str:
    return groups_of_names(r"patient(\d+)", [str(name)])[0]


def images(root: Path, classes: tuple[str, ...] = ("a", "b"), size: int = 8) -> Path:
    for patient in range(NUM_PATIENTS):
        for label in classes:
            for number in range(3):
                path = root / label / f"patient{patient}" / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(np.full((size, size, 3), patient * 9 + number, np.uint8)).save(path)
    return root


@pytest.mark.parametrize("rule", [r"patient(\d+)", r"patient\d+"])
def test_images(tmp_path: Path, rule: str) -> None:
    data = ImageFolderDataModule(str(images(tmp_path / "photos")), image_size=8, group=rule)
    check_disjoint(groups_by_split(data, patient_of))


def test_folder_of_a_file_is_a_group(tmp_path: Path) -> None:
    """A patient with images in the folders of two classes is one group."""
    data = ImageFolderDataModule(str(images(tmp_path / "photos")), image_size=8, group="folder")
    check_disjoint(groups_by_split(data, lambda name: Path(name).parent.name))


def test_folder_of_a_class_is_not_a_group() -> None:
    groups = groups_of_names("folder", [f"{label}/{number}.png" for label in "abcd" for number in range(5)])
    with pytest.raises(DataError, match="every class is one group"):
        split_groups(groups, 0.2, 0.2, 0, torch.arange(4).repeat_interleave(5))


def test_folds_keep_the_groups(tmp_path: Path) -> None:
    for index in range(3):
        data = ImageFolderDataModule(str(images(tmp_path / "photos")), image_size=8, group=r"patient(\d+)")
        data.take_folds(Folds(num_folds=3, index=index))
        check_disjoint(groups_by_split(data, patient_of))


def test_masks(tmp_path: Path) -> None:
    for patient in range(NUM_PATIENTS):
        for number in range(2):
            for folder, value in (("images", 90), ("masks", number)):
                path = tmp_path / folder / f"patient{patient}_{number}.png"
                path.parent.mkdir(exist_ok=True)
                pixels = np.full((16, 16), value, np.uint8)
                pixels[:8] = 0
                Image.fromarray(pixels).save(path)
    data = MaskFolderDataModule(
        str(tmp_path), class_names=["no", "yes"], crop_size=(16, 16), group=r"patient(\d+)_"
    )
    check_disjoint(groups_by_split(data, patient_of))


def test_boxes(tmp_path: Path) -> None:
    import json

    entries, boxes = [], []
    for number in range(NUM_PATIENTS * 2):
        name = f"patient{number // 2}_{number}.png"
        Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(tmp_path / name)
        entries.append({"id": number, "file_name": name, "width": 16, "height": 16})
        boxes.append(
            {
                "id": number,
                "image_id": number,
                "category_id": 1,
                "bbox": [2, 2, 5, 5],
                "area": 25,
                "iscrowd": 0,
            }
        )
    content = {"images": entries, "annotations": boxes, "categories": [{"id": 1, "name": "thing"}]}
    (tmp_path / "annotations.json").write_text(json.dumps(content))
    data = CocoDataModule(str(tmp_path), group=r"patient(\d+)_")
    check_disjoint(groups_by_split(data, patient_of), {"train", "val"})


def test_sounds(tmp_path: Path) -> None:
    from scipy.io import wavfile

    for patient in range(NUM_PATIENTS):
        for label in ("low", "high"):
            path = tmp_path / label / f"patient{patient}.wav"
            path.parent.mkdir(exist_ok=True)
            wavfile.write(path, 8000, (np.sin(np.arange(1600) * (patient + 1)) * 9000).astype(np.int16))
    data = AudioFolderDataModule(str(tmp_path), seconds=0.2, sample_rate=8000, group=r"patient(\d+)")
    check_disjoint(groups_by_split(data, patient_of))


def table(path: Path, text: bool = False) -> Path:
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["patient", "text" if text else "size", "label"])
        for row in range(NUM_PATIENTS * 6):
            words = f"word{row} " * 3
            writer.writerow([f"patient{row // 6}", words if text else row, "yes" if row % 2 else "no"])
    return path


def test_tables(tmp_path: Path) -> None:
    data = TableDataModule(str(table(tmp_path / "t.csv")), target="label", group="patient")
    data.setup()
    rows = {split: part.indices.tolist() for split, part in data.splits.items()}
    check_disjoint(
        {split: {str(row // 6) for row in of} for split, of in rows.items()}, {"train", "val", "test"}
    )
    assert [name for name, _ in data.features()] == ["size"], "a group is no feature"


def test_tables_warn_of_groups_in_a_separate_test_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = str(table(tmp_path / "t.csv"))
    TableDataModule(path, target="label", group="patient", test_path=path).setup()
    assert "groups of test also occur in train (patient0, patient1, patient10 …)" in caplog.text


def test_groups_of_a_test_split_named_by_a_column(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = table(tmp_path / "t.csv")
    lines = path.read_text().splitlines()
    rows = [f"{line},{'test' if i % 6 == 5 else 'train'}" for i, line in enumerate(lines[1:])]
    path.write_text("\n".join([f"{lines[0]},part", *rows]))
    data = TableDataModule(str(path), target="label", group="patient", split_column="part")
    data.setup()
    assert set(data.num_groups) == {"train", "val"} and sum(data.num_groups.values()) == NUM_PATIENTS
    assert "groups of test also occur in train" in caplog.text
    assert "groups of val also occur in train" not in caplog.text
    assert caplog.text.count("groups of test also occur in val") == 1


def test_whole_numbers_are_the_same_group_as_floats() -> None:
    assert group_texts([7, 7.0, "7", 7.5, "a"]) == ["7", "7", "7", "7.5", "a"]


@pytest.mark.parametrize("duplicates", ["together", "keep"])
def test_texts_in_tables(tmp_path: Path, duplicates: Any) -> None:
    path = str(table(tmp_path / "t.csv", text=True))
    data = TextTableDataModule(path, group="patient", duplicates=duplicates, min_count=1)
    data.setup()
    rows = {split: part.indices.tolist() for split, part in data.splits.items()}
    check_disjoint(
        {split: {str(row // 6) for row in of} for split, of in rows.items()}, {"train", "val", "test"}
    )


def test_texts_in_folders(tmp_path: Path) -> None:
    for patient in range(NUM_PATIENTS):
        for label in ("yes", "no"):
            path = tmp_path / label / f"patient{patient}.txt"
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"text of {patient} {label}")
    data = TextFolderDataModule(str(tmp_path), group=r"patient(\d+)", min_count=1)
    data.setup()
    texts = {
        split: [data.texts[index] for index in part.indices.tolist()] for split, part in data.splits.items()
    }
    groups = {split: {text.split()[2] for text in of} for split, of in texts.items()}
    check_disjoint(groups)


def test_fractions_are_approximated() -> None:
    rng = np.random.default_rng(0)
    groups = [f"g{number}" for number in rng.integers(0, 100, 2000)]
    labels = torch.tensor(rng.integers(0, 3, 2000))
    train, val, test = split_groups(groups, 0.2, 0.1, 0, labels)
    assert sorted(torch.cat([train, val, test]).tolist()) == list(range(2000))
    assert abs(len(val) / 2000 - 0.2) < 0.03 and abs(len(test) / 2000 - 0.1) < 0.03
    again = split_groups(groups, 0.2, 0.1, 0, labels)
    assert all(torch.equal(one, other) for one, other in zip((train, val, test), again, strict=True))
    assert not torch.equal(val, split_groups(groups, 0.2, 0.1, 1, labels)[1])


def test_three_groups_are_sufficient_for_three_splits() -> None:
    parts = split_groups(["a"] * 5 + ["b"] * 3 + ["c"] * 4, 0.2, 0.2)
    assert sorted(map(len, parts)) == [3, 4, 5]
    with pytest.raises(DataError, match="2 groups for 3 splits"):
        split_groups(["a", "b"] * 3, 0.2, 0.2)
    with pytest.raises(DataError, match="only the group 'a'"):
        split_groups(["a"] * 6, 0.2)


def test_bins_remain_for_the_other_splits() -> None:
    assert closest_bins({0: 5, 1: 5, 2: 5}, 100, keep=1) in ([0, 1], [1, 2], [0, 2])
    assert closest_bins({0: 9, 1: 2}, 2, keep=1) == [1]


def test_rule_that_does_not_match_names_a_file() -> None:
    with pytest.raises(DataError, match=r"'patient\(\\\\d\+\)' does not match 'x.png'"):
        groups_of_names(r"patient(\d+)", ["x.png"])
    with pytest.raises(DataError, match="'x.png'"):
        groups_of_names(r"patient(\d+)?|x", ["x.png"])
    with pytest.raises(DataError, match="lie in no folder"):
        groups_of_names("folder", ["x.png"])


@pytest.mark.parametrize(
    ("lines", "kind"),
    [
        (["data=digits", "data.group=patient"], "no_effect"),
        (["data=image_folder", "data.root=photos", "data.group='('"], "invalid_value"),
        (["data=image_folder", "data.root=photos", "data.group=folder", "folds.num_folds=3",
          "folds.group_pattern=x"], "incompatible"),
    ],
)  # fmt: skip
def test_config_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: list[str], kind: str) -> None:
    monkeypatch.chdir(tmp_path)
    images(tmp_path / "photos")
    found = [(problem.key, problem.kind) for problem in check_config(compose(lines))]
    assert ("data.group", kind) in found
