"""What text data report: merged labels, duplicates, and tokens that no stream holds."""

import logging

import pytest

from runner.data.text.file import TextTableDataModule
from runner.data.text.language import LanguageDataModule
from runner.data.text.tagged_words import TaggedWordsDataModule


def texts(tmp_path, labels, repeats=1, **options):
    rows = [
        f"text {number % (40 // repeats)} w,{labels[number % (40 // repeats) % len(labels)]}"
        for number in range(40)
    ]
    (tmp_path / "d.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    return TextTableDataModule(path=str(tmp_path / "d.csv"), min_count=1, **options)


def tagged(tmp_path, repeats=1, **options):
    sentences = [f"w{number % (40 // repeats)} N\nx V" for number in range(40)]
    (tmp_path / "d.txt").write_text("\n\n".join(sentences) + "\n")
    return TaggedWordsDataModule(path=str(tmp_path / "d.txt"), min_count=1, **options)


def test_merged_labels_are_reported(tmp_path, caplog):
    data = texts(tmp_path, ["1", "0", "1.0", "0.0"])
    data.setup()
    assert data.class_names == ["0", "1"]
    assert "the labels '1', '1.0' are one class, '1'" in caplog.text
    assert "the labels '0', '0.0' are one class, '0'" in caplog.text


def test_labels_that_differ_in_case_are_reported(tmp_path, caplog):
    data = texts(tmp_path, ["spam", "Spam"])
    data.setup()
    assert "differ only in upper and lower case and are 2 classes" in caplog.text


def test_loaded_run_does_not_report_labels_again(tmp_path, caplog):
    data = texts(tmp_path, ["1", "0", "1.0", "0.0"])
    data.setup()
    loaded = texts(tmp_path, ["1", "0", "1.0", "0.0"])
    loaded.load_state_dict(data.state_dict())
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        loaded.setup()
    assert "one class" not in caplog.text


@pytest.mark.parametrize("duplicates", ["together", "drop", "keep"])
@pytest.mark.parametrize("make", [lambda path, **options: texts(path, ["a", "b"], **options), tagged])
def test_number_of_duplicates_is_a_fact(tmp_path, make, duplicates):
    data = make(tmp_path, repeats=2, duplicates=duplicates)
    data.setup()
    assert data.facts.extra["num_duplicates"] == 20


def test_no_duplicates(tmp_path):
    data = tagged(tmp_path)
    data.setup()
    assert data.facts.extra["num_duplicates"] == 0


@pytest.mark.parametrize("drop_last", [False, True])
def test_tokens_that_fill_no_stream_are_counted(tmp_path, drop_last):
    (tmp_path / "d.txt").write_text("abcdefg hij\n" * 100)
    data = LanguageDataModule(
        path=str(tmp_path / "d.txt"),
        window=16,
        batch_size=7,
        drop_last=drop_last,
        data_dir=str(tmp_path / "cache"),
    )
    data.setup()
    entries = {entry.where: entry for entry in data.dropped.entries}
    for part, split in data.splits.items():
        streams = 7 if part == "train" else data.eval_batch_size
        sampler = split.batch_sampler(streams, drop_last=drop_last and part == "train")
        read = sum(end - begin for batch in sampler for _, (begin, end, _) in batch)
        lost = split.num_tokens - 1 - read
        assert (entries[part].count if part in entries else 0) == lost
    assert entries["train"].what == "tokens" and "7 streams" in entries["train"].reason


@pytest.mark.parametrize("header", ["text,label", "text 0 w,spam"])
def test_header_that_looks_like_a_row_is_reported(tmp_path, caplog, header):
    text, label = header.split(",")
    rows = [f"text {number} w,{'spam' if number % 2 else 'ham'}" for number in range(40)]
    (tmp_path / "d.csv").write_text("\n".join([header, *rows]) + "\n")
    TextTableDataModule(path=str(tmp_path / "d.csv"), text=text, label=label, min_count=1).setup()
    assert ("the name 'spam' is also a label of 20 rows" in caplog.text) == (label == "spam")
