"""Sequences with a class for each step."""

from __future__ import annotations

import pytest

from runner.data.text.bracket_depth import BracketDepthDataModule
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


def test_words_and_tags_of_a_file(tmp_path):
    sentence = "The DET\ncat x y NOUN\nsleeps VERB\n\n"
    (tmp_path / "tags.txt").write_text(sentence * 30)
    data = TaggedWordsDataModule(str(tmp_path / "tags.txt"))
    data.setup()
    assert data.facts.class_names == ["DET", "NOUN", "VERB"] and data.facts.num_train == 24
    assert len(data.words) == 30 and data.words[-1] == ["The", "cat", "sleeps"]
    (found,) = data.read_inputs(["The unicorn sleeps"])
    assert found[1].tolist()[1] == 1
    (tmp_path / "tags.txt").write_text(sentence * 30 + "alone\n")
    with pytest.raises(DataError, match="line 121 holds 'alone' alone"):
        TaggedWordsDataModule(str(tmp_path / "tags.txt")).setup()
    (tmp_path / "tags.txt").write_text(sentence)
    with pytest.raises(DataError, match="1 sequences"):
        TaggedWordsDataModule(str(tmp_path / "tags.txt")).setup()
