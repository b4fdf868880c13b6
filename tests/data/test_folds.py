"""Cutting into folds."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from runner.data.folds import Folds
from runner.data.images.digits import DigitsDataModule
from runner.data.series.waves import WavesDataModule
from runner.data.tables.features import DiabetesDataModule
from runner.data.tables.table import TableDataModule
from runner.errors import DataError


def cut_with(make, **settings) -> list:
    """The data module of each fold."""
    found = []
    for index in range(settings.get("num_folds", 5)):
        data = make()
        data.take_folds(Folds(index=index, **settings))
        data.setup("fit")
        found.append(data)
    return found


@pytest.mark.parametrize("make", [DigitsDataModule, DiabetesDataModule])
def test_each_sample_is_validated_once_and_the_test_split_stays_as_it_is(make) -> None:
    whole = make()
    whole.setup("fit")
    pool = torch.cat([whole.splits["train"].indices, whole.splits["val"].indices]).sort().values
    folds = cut_with(make)
    validated = torch.cat([data.splits["val"].indices for data in folds])
    assert torch.equal(validated.sort().values, pool)
    for data in folds:
        both = torch.cat([data.splits["train"].indices, data.splits["val"].indices])
        assert torch.equal(both.sort().values, pool)
        assert torch.equal(data.splits["test"].indices, whole.splits["test"].indices)
    assert {data.facts.num_train + data.facts.num_val for data in folds} == {len(pool)}


def test_classes_keep_their_proportions() -> None:
    folds = cut_with(DigitsDataModule)
    counts = torch.tensor([data.facts.class_counts for data in folds])
    assert folds[0].fold_cut.kind == "StratifiedKFold"
    assert int((counts.max(0).values - counts.min(0).values).max()) <= 1
    plain = cut_with(DigitsDataModule, stratified=False)
    assert plain[0].fold_cut.kind == "KFold"
    assert plain[0].facts.class_counts != folds[0].facts.class_counts


def test_split_depends_on_the_seed() -> None:
    one, same, other = (
        cut_with(DigitsDataModule, seed=seed, num_folds=2)[0].splits["val"].indices for seed in (0, 0, 1)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_statistics_use_the_training_samples_of_a_fold() -> None:
    for data in cut_with(DiabetesDataModule, num_folds=3):
        train = data.splits["train"]
        assert torch.allclose(data.normalize.mean, train.source.inputs[train.indices].mean(0), atol=1e-6)


def rows_of(data: TableDataModule, split: str) -> set[int]:
    return set(data.splits[split].indices.tolist())


@pytest.fixture
def patients(tmp_path: Path) -> Path:
    """Sixty rows of twelve patients, two classes."""
    lines = ["x,patient,ill"] + [
        f"{i * 7 % 13}.5,p{i % 12},{'yes' if i % 12 < 6 else 'no'}" for i in range(60)
    ]
    path = tmp_path / "patients.csv"
    path.write_text("\n".join(lines))
    return path


@pytest.mark.parametrize(("stratified", "kind"), [(None, "StratifiedGroupKFold"), (False, "GroupKFold")])
def test_rows_of_one_patient_are_never_in_two_folds(patients: Path, stratified, kind: str) -> None:
    folds = cut_with(
        lambda: TableDataModule(str(patients), target="ill"),
        num_folds=3,
        group_column="patient",
        stratified=stratified,
    )
    assert folds[0].fold_cut.kind == kind
    for data in folds:
        train, val = ({row % 12 for row in rows_of(data, split)} for split in ("train", "val"))
        assert train and val and not train & val
    assert folds[0].fold_cut.num_groups == 12
    assert folds[0].facts.extra["feature_names"] == ["x"], "what tells the groups is no feature"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"num_folds": 3, "group_column": "patien"}, "Did you mean 'patient'"),
        ({"num_folds": 3, "group_column": "ill"}, "is the target"),
        ({"num_folds": 13, "group_column": "patient"}, "12 groups"),
        ({"num_folds": 3, "group_pattern": "p"}, "no names"),
        ({"num_folds": 40}, "largest class"),
        ({"num_folds": 49, "stratified": False}, "48 samples"),
    ],
)
def test_unsplittable_data_is_reported(patients: Path, settings: dict, said: str) -> None:
    data = TableDataModule(str(patients), target="ill")
    data.take_folds(Folds(index=0, **settings))
    with pytest.raises(DataError, match=said):
        data.setup("fit")


def test_row_without_a_group_is_reported(patients: Path) -> None:
    patients.write_text(patients.read_text().replace("p3,", ",", 1))
    data = TableDataModule(str(patients), target="ill")
    data.take_folds(Folds(3, group_column="patient"))
    with pytest.raises(DataError, match="row 4 has no value"):
        data.setup("fit")


def test_groups_by_names() -> None:
    folds = Folds(2, group_pattern=r"(person\d+)/")
    names = [f"person{i % 5}/{i}.png" for i in range(20)]
    cut = folds.cut(torch.arange(20), name=names.__getitem__)
    train, val = cut.split(0)
    assert not {int(i) % 5 for i in train} & {int(i) % 5 for i in val}
    with pytest.raises(DataError, match="not found in 'strange.png'"):
        folds.cut(torch.arange(20), name=[*names[:-1], "strange.png"].__getitem__)


def test_rare_classes_are_counted() -> None:
    labels = torch.tensor([0] * 10 + [1] * 10 + [2] * 2)
    cut = Folds(4).cut(torch.arange(22), labels)
    assert cut.rare == {2: 2} and cut.lone == {}
    single = Folds(4).cut(torch.arange(21), labels[:21])
    assert single.lone == {2: int(single.fold[20])}
    assert sum(cut.sizes()) == 22


def test_folds_of_a_series_train_on_the_past_only() -> None:
    folds = cut_with(WavesDataModule, num_folds=3)
    whole = WavesDataModule()
    whole.setup("fit")
    ends = []
    for data in folds:
        train, val = data.splits["train"].source, data.splits["val"].source
        assert val.first_row + val.input_steps == len(train.values), (
            "the first forecast lies just behind the training"
        )
        assert data.splits["test"].source.first_row == whole.splits["test"].source.first_row
        ends.append(len(train.values))
    assert ends == sorted(set(ends))
    data = WavesDataModule()
    data.take_folds(Folds(3, stratified=True))
    with pytest.raises(DataError, match="follow each other in time"):
        data.setup("fit")


def test_images_in_a_folder(tmp_path: Path) -> None:
    """Of a class of two images some folds validate none; groups come from the paths."""
    import numpy as np
    from PIL import Image

    from runner.data.images.folder import ImageFolderDataModule

    for name, count in (("cat", 12), ("dog", 12), ("eel", 2)):
        (tmp_path / name).mkdir()
        for number in range(count):
            pixels = np.full((8, 8, 3), number * 9, np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{number % 6}_{number}.png")
    folds = cut_with(
        lambda: ImageFolderDataModule(str(tmp_path), image_size=8, test_fraction=0.0, augment=None),
        num_folds=3,
    )
    assert [label for label in folds[0].fold_cut.rare] == [2]
    assert sum(len(data.splits["val"]) for data in folds) == 26
    grouped = cut_with(
        lambda: ImageFolderDataModule(str(tmp_path), image_size=8, test_fraction=0.0, augment=None),
        num_folds=3, group_pattern=r"/(\d+)_",
    )  # fmt: skip
    for data in grouped:
        groups = [
            {data.sample_name(split, index).split("/")[1].split("_")[0] for index in rows_of(data, split)}
            for split in ("train", "val")
        ]
        assert not groups[0] & groups[1]


def test_texts_by_author_and_by_file(tmp_path: Path) -> None:
    from runner.data.text.file import TextFolderDataModule, TextTableDataModule

    lines = [f"{'ab'[i % 2]},text w{i} of this,author{i % 7}" for i in range(70)]
    table = tmp_path / "texts.csv"
    table.write_text("\n".join(["label,text,author", *lines]))
    for data in cut_with(lambda: TextTableDataModule(str(table)), num_folds=3, group_column="author"):
        train, val = ({row % 7 for row in rows_of(data, split)} for split in ("train", "val"))
        assert train and val and not train & val
    table.write_text(table.read_text().replace("author3", " ", 1))
    data = TextTableDataModule(str(table))
    data.take_folds(Folds(3, group_column="author"))
    with pytest.raises(DataError, match="1 texts have no value in this column"):
        data.setup("fit")
    data = TextTableDataModule(str(table))
    data.take_folds(Folds(3, group_column="autor"))
    with pytest.raises(DataError, match="Did you mean 'author'"):
        data.setup("fit")
    for number in range(40):
        file = tmp_path / "files" / "ab"[number % 2] / f"author{number % 5}_{number}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"text w{number} of this")
    folds = cut_with(
        lambda: TextFolderDataModule(str(tmp_path / "files")), num_folds=2, group_pattern=r"author\d"
    )
    assert folds[0].fold_cut.num_groups == 5


def test_seed_decides_which_groups_are_in_a_fold() -> None:
    """Groups of 1, 2, … 12 samples, 78 in all: the folds stay within one group of a third each."""
    groups = [number for number in range(1, 13) for _ in range(number)]
    cuts = [
        Folds(3, stratified=False, group_pattern="g(.+)", seed=seed).cut(
            torch.arange(78), name=lambda index: f"g{groups[index]}"
        )
        for seed in (0, 0, 1, 2)
    ]
    assert torch.equal(cuts[0].fold, cuts[1].fold)
    parts = {frozenset(frozenset(groups[i] for i in cut.split(k)[1].tolist()) for k in range(3))
             for cut in cuts}  # fmt: skip
    assert len(parts) == 3
    for cut in cuts:
        assert cut.kind == "GroupKFold" and max(abs(size - 26) for size in cut.sizes()) <= 12
        for number in set(groups):
            assert len({int(cut.fold[i]) for i, group in enumerate(groups) if group == number}) == 1
