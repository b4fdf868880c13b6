"""Sequences with a class for each step."""

from __future__ import annotations

import pytest

from runner.data.folds import Folds
from runner.data.text.brackets import BracketDepthDataModule
from runner.data.text.tagged_words import TaggedWordsDataModule
from runner.errors import DataError


def test_depths_are_the_targets():
    data = BracketDepthDataModule(num_samples=50)
    data.setup()
    assert data.facts.class_names[:3] == ["0", "1", "2"] and data.facts.class_counts_of == "steps"
    split = data.splits["train"]
    ids, targets = split.sample(0, 0)
    text = data.text_of("train", int(split.indices[0]))
    assert data.tokenizer.decode(ids.tolist()).replace(" ", "") == text
    assert targets[0] == (text[0] in "([") and len(ids) == len(targets) == len(text)


SENTENCES = "".join(f"The DET\ncat{i} x y NOUN\nsleeps VERB\n\n" for i in range(30))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_document_boundaries_are_no_words(tmp_path, encoding):
    text = "-DOCSTART- -X- -X- O\n\n" + SENTENCES + "-DOCSTART- -X- O O\n" + "Größe NN NN NOUN\n"
    (tmp_path / "tags.txt").write_bytes(text.replace("\n", "\r\n").encode(encoding))
    data = TaggedWordsDataModule(str(tmp_path / "tags.txt"))
    data.setup()
    assert data.facts.class_names == ["DET", "NOUN", "VERB"]
    assert (
        len(data.words) == 31 and data.words[0] == ["The", "cat0", "sleeps"] and data.words[-1] == ["Größe"]
    )
    (entry,) = data.dropped.entries
    assert (entry.count, entry.what) == (2, "lines") and entry.reason.startswith("-DOCSTART-")


def test_comments_are_no_words(tmp_path):
    text = "".join(f"# sent_id = {number}\n# text = # one\n# O\nw{number % 5} N\n\n" for number in range(30))
    (tmp_path / "tags.txt").write_text(text)
    data = TaggedWordsDataModule(str(tmp_path / "tags.txt"), duplicates="keep")
    data.setup()
    assert data.facts.class_names == ["N", "O"] and len(data.words) == 30 and data.words[0] == ["#", "w0"]
    (entry,) = data.dropped.entries
    assert (entry.count, entry.what) == (60, "lines") and entry.reason.startswith("comments")


def test_identical_sentences_are_cut_into_one_split(tmp_path, caplog):
    (tmp_path / "tags.txt").write_text(SENTENCES * 3)
    for duplicates, total in (("together", 90), ("drop", 30)):
        data = TaggedWordsDataModule(str(tmp_path / "tags.txt"), duplicates=duplicates)
        data.setup()
        parts = {
            name: {data.text_of(name, int(i)) for i in split.indices} for name, split in data.splits.items()
        }
        assert not parts["train"] & (parts["val"] | parts["test"]) and not parts["val"] & parts["test"]
        assert sum(map(len, data.splits.values())) == total
    assert "60 of 90 sentences are identical" in caplog.text
    data = TaggedWordsDataModule(str(tmp_path / "tags.txt"))
    data.take_folds(Folds(3, 1))
    data.setup()
    parts = {name: {data.text_of(name, int(i)) for i in split.indices} for name, split in data.splits.items()}
    assert not parts["train"] & parts["val"] and parts["val"]


def test_spellings_of_a_label_are_merged(tmp_path):
    (tmp_path / "tags.txt").write_text("".join(f"a{i} 1\nb 1.0\nc 2\n\n" for i in range(20)))
    data = TaggedWordsDataModule(str(tmp_path / "tags.txt"))
    data.setup()
    assert data.facts.class_names == ["1", "2"]


def test_words_and_tags_of_a_file(tmp_path):
    sentence = "The DET\ncat x y NOUN\nsleeps VERB\n\n"
    (tmp_path / "tags.txt").write_text(SENTENCES)
    data = TaggedWordsDataModule(str(tmp_path / "tags.txt"))
    data.setup()
    assert data.facts.class_names == ["DET", "NOUN", "VERB"] and data.facts.num_train == 24
    assert len(data.words) == 30 and data.words[-1] == ["The", "cat29", "sleeps"]
    (found,) = data.read_inputs(["The unicorn sleeps"])
    assert found[1].tolist()[1] == 1
    (tmp_path / "tags.txt").write_text(SENTENCES + "alone\n")
    with pytest.raises(DataError, match="line 121 holds 'alone' alone"):
        TaggedWordsDataModule(str(tmp_path / "tags.txt")).setup()
    (tmp_path / "tags.txt").write_text(sentence)
    with pytest.raises(DataError, match="1 sequences"):
        TaggedWordsDataModule(str(tmp_path / "tags.txt")).setup()
