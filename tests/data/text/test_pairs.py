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


def test_what_is_wrong_with_the_folder_is_told(folder):
    assert "lacks train.fr; it holds" in ParallelTextDataModule(str(folder), target="fr").check()[0]
    (folder / "test_2017.en").write_text("x\n")
    assert "which is to be tested on? Say so with data.test" in ParallelTextDataModule(str(folder)).check()[0]
    assert ParallelTextDataModule(str(folder), test="test_2016").check() == []
    (folder / "val.en").write_text("only one\n")
    with pytest.raises(DataError, match="must be parallel"):
        ParallelTextDataModule(str(folder), test="test_2016").setup()
    assert "no such folder" in ParallelTextDataModule(str(folder / "gone")).check()[0]


def test_multi30k_itself(shared_data):
    data = ParallelTextDataModule(str(shared_data / "text" / "multi30k"), test="test_2016_flickr")
    assert data.check() == []
    assert [len(part) for part in data.read().values()] == [29000, 1014, 1000]


def test_dates_are_the_dates_they_say():
    rng = random.Random(3)
    for _ in range(100):
        text, iso = pair(rng)
        day = datetime.date.fromisoformat(iso)
        assert str(day.year) in text and str(day.day) in text
    data = DatesDataModule(num_train=20, num_val=5, num_test=0)
    data.setup()
    assert set(data.splits) == {"train", "val"} and data.facts.task == "seq2seq"
