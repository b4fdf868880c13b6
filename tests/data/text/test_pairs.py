"""Pairs of texts: from files, and generated."""

from __future__ import annotations

import datetime
import gzip
import random

import pytest

from runner.data.text.dates import DatesDataModule, pair
from runner.data.text.parallel import ParallelTextDataModule
from runner.errors import DataError


@pytest.fixture
def folder(tmp_path):
    for split, count in (("train", 30), ("val", 5), ("test_2016", 6)):
        for language, words in (("en", "a dog runs"), ("de", "Ein Hund läuft")):
            text = "".join(f"{words} {i}\n" for i in range(count))
            with gzip.open(tmp_path / f"{split}.{language}.gz", "wt", encoding="utf-8") as file:
                file.write(text)
    return tmp_path


def test_parallel_files(folder):
    data = ParallelTextDataModule(str(folder), vocab_size=300)
    assert data.check() == []
    data.setup()
    assert [len(data.splits[name]) for name in ("train", "val", "test")] == [30, 5, 6]
    batch = next(iter(data.val_dataloader()))
    assert batch["references"][0] == "Ein Hund läuft 0"
    targets = batch["targets"][0].tolist()
    assert targets[0] == 2 and 3 in targets
    assert data.decode(targets) == "Ein Hund läuft 0" and data.text_of("val", 1) == "a dog runs 1"
    fresh = ParallelTextDataModule("gone")
    fresh.load_state_dict(data.state_dict())
    (found,) = fresh.read_inputs(["a dog runs 0"])
    assert found[1].tolist() == batch["inputs"][0][: len(found[1])].tolist()
    of_file = [name for name, _ in fresh.read_inputs([str(folder / "test_2016.en.gz")])]
    assert of_file == [f"a dog runs {i}" for i in range(6)]


def test_problems_of_the_folder_are_reported(folder):
    assert "lacks train.fr; it holds" in ParallelTextDataModule(str(folder), target="fr").check()[0]
    (folder / "test_2017.en").write_text("x\n")
    assert "Choose one with data.test" in ParallelTextDataModule(str(folder)).check()[0]
    assert ParallelTextDataModule(str(folder), test="test_2016").check() == []
    (folder / "val.en").write_text("only one\n")
    with pytest.raises(DataError, match="must be parallel"):
        ParallelTextDataModule(str(folder), test="test_2016").setup()
    assert "no such folder" in ParallelTextDataModule(str(folder / "gone")).check()[0]


@pytest.mark.parametrize(
    "names", [("training", "dev", "testing"), ("Train", "valid", "TEST"), ("train", "validation", "test")]
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_names_of_splits_and_encodings(tmp_path, names, encoding):
    for name, count in zip(names, (20, 4, 3), strict=True):
        for language in ("en", "de"):
            lines = [f"{name} ü {language} {i}" for i in range(count)]
            lines[1] = "" if language == "de" else lines[1]
            (tmp_path / f"{name}.{language}").write_bytes("\r\n".join(lines).encode(encoding))
    data = ParallelTextDataModule(str(tmp_path), tokens="word")
    assert data.check() == []
    data.setup()
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 19, "val": 3, "test": 2}
    assert data.text_of("train", 0) == f"{names[0]} ü en 0"
    assert [(entry.count, entry.total, entry.reason) for entry in data.dropped.entries] == [
        (1, count, "an empty side") for count in (20, 4, 3)
    ]


def test_two_files_of_one_split_are_rejected(folder):
    (folder / "dev.en").write_text("x\n")
    assert "stand for the same split (val)" in ParallelTextDataModule(str(folder)).check()[0]


def test_pairs_without_text_are_rejected(folder):
    for language in ("en", "de"):
        with gzip.open(folder / f"val.{language}.gz", "wt") as file:
            file.write("\n" if language == "de" else "a\n")
    with pytest.raises(DataError, match="no pair with text on both sides"):
        ParallelTextDataModule(str(folder)).setup()


def test_ends_of_long_texts_and_shared_pairs_are_reported(folder, caplog):
    data = ParallelTextDataModule(str(folder), tokens="word", max_length=3)
    data.setup()
    # four tokens ("a dog runs 7", "Ein Hund läuft 7"), of which one is cut
    assert [(entry.where, entry.count, entry.total) for entry in data.dropped.entries] == [
        ("train", 30, 120),
        ("train", 30, 120),
        ("val", 5, 20),
        ("val", 5, 20),
        ("test", 6, 24),
        ("test", 6, 24),
    ]
    assert "5 of 5 in val, 6 of 6 in test" in caplog.text


def test_multi30k_itself(shared_data):
    data = ParallelTextDataModule(str(shared_data / "text" / "multi30k"), test="test_2016_flickr")
    assert data.check() == []
    assert [len(part) for part in data.read().values()] == [29000, 1014, 1000]


def test_dates_match_their_text():
    rng = random.Random(3)
    for _ in range(100):
        text, iso = pair(rng)
        day = datetime.date.fromisoformat(iso)
        assert str(day.year) in text and str(day.day) in text
    data = DatesDataModule(num_train=20, num_val=5, num_test=0)
    data.setup()
    assert set(data.splits) == {"train", "val"} and data.facts.task == "seq2seq"
