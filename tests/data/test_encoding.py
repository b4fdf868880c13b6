"""Text files in other encodings than UTF-8."""

import logging

import numpy as np
import pytest

from runner.data.encoding import find_encoding
from runner.data.series.table import SeriesTableDataModule
from runner.data.tables.table import TableDataModule
from runner.data.text.file import TextFolderDataModule, TextTableDataModule
from runner.data.text.language import LanguageDataModule
from runner.data.text.parallel import ParallelTextDataModule
from runner.data.text.tagged_words import TaggedWordsDataModule
from runner.data.text.word_pairs import WordPairsDataModule
from runner.errors import DataError

WORDS = ("grün", "blau", "süß", "rot", "böse", "gut")


def write(path, text, encoding):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode(encoding))
    return path


def table(path, encoding):
    rows = "".join(
        f"{number % 7},{WORDS[number % 6]},{'schön' if number % 2 else 'häßlich'}\n" for number in range(60)
    )
    return write(path / "table.csv", "größe,wort,urteil\n" + rows, encoding)


def make_table(path, written_in, **options):
    return TableDataModule(path=str(table(path, written_in)), target="urteil", **options)


def make_texts(path, written_in, **options):
    return TextTableDataModule(
        path=str(table(path, written_in)), text="wort", label="urteil", duplicates="keep", **options
    )


def make_folder(path, written_in, **options):
    for number in range(24):
        label = "ab"[number % 2]
        write(path / "folder" / label / f"{number}.txt", f"{WORDS[number % 6]} {label}", written_in)
    return TextFolderDataModule(path=str(path / "folder"), duplicates="keep", **options)


def make_tagged(path, written_in, **options):
    sentences = ["\n".join(f"{word} {number % 2}" for word in WORDS) for number in range(20)]
    file = write(path / "tagged.txt", "\n\n".join(sentences) + "\n", written_in)
    return TaggedWordsDataModule(path=str(file), duplicates="keep", **options)


def make_pairs(path, written_in, **options):
    for split in ("train", "val"):
        for language in ("en", "de"):
            write(
                path / "pairs" / f"{split}.{language}",
                "".join(f"{word} {split}\n" for word in WORDS * 4),
                written_in,
            )
    return ParallelTextDataModule(path=str(path / "pairs"), tokens="word", **options)


def running_text(path, encoding):
    return write(path / "text.txt", "".join(f"{word} {word}\n" for word in WORDS * 60), encoding)


def make_language(path, written_in, **options):
    return LanguageDataModule(
        path=str(running_text(path, written_in)),
        window=8,
        batch_size=2,
        data_dir=str(path / "cache"),
        **options,
    )


def make_word_pairs(path, written_in, **options):
    return WordPairsDataModule(
        path=str(running_text(path, written_in)), min_count=1, data_dir=str(path / "cache"), **options
    )


def make_series(path, written_in, **options):
    values = np.sin(np.arange(300)).round(4)
    rows = "".join(f"{number},{value}\n" for number, value in enumerate(values))
    file = write(path / "series.csv", "schritt,größe\n" + rows, written_in)
    return SeriesTableDataModule(
        path=str(file), time_column="schritt", target="größe", input_steps=8, horizon_steps=2, **options
    )


ALL = [
    make_table,
    make_texts,
    make_folder,
    make_tagged,
    make_pairs,
    make_language,
    make_word_pairs,
    make_series,
]


def content(module):
    """What a data module learned from the text."""
    module.prepare_data()
    module.setup()
    tokenizer = getattr(module, "tokenizer", None)
    vocabulary = [tokenizer.token(number) for number in range(len(tokenizer))] if tokenizer else []
    return (
        vocabulary,
        module.facts.class_names,
        module.facts.extra.get("feature_names"),
        module.facts.num_train,
    )


@pytest.mark.parametrize("make", ALL)
@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "utf-16-le"])
def test_stated_encoding_gives_the_same_data_as_utf8(tmp_path, make, encoding):
    expected = content(make(tmp_path / "utf8", "utf-8"))
    assert content(make(tmp_path / "other", encoding, encoding=encoding)) == expected


@pytest.mark.parametrize("make", ALL)
def test_other_encoding_is_rejected_with_the_key(tmp_path, make):
    with pytest.raises(DataError, match="is not UTF-8 text .*data.encoding=NAME"):
        content(make(tmp_path, "latin-1"))


@pytest.mark.parametrize("make", ALL)
def test_unknown_encoding_is_rejected(tmp_path, make):
    with pytest.raises(DataError, match="data.encoding=klingon is not a text encoding"):
        content(make(tmp_path, "utf-8", encoding="klingon"))


def test_encoding_that_contradicts_the_byte_order_mark(tmp_path):
    with pytest.raises(DataError, match="byte order mark of UTF-16, which contradicts data.encoding=cp1252"):
        content(make_table(tmp_path, "utf-16", encoding="cp1252"))


def test_codec_that_is_no_text_encoding():
    with pytest.raises(DataError, match="data.encoding=base64 is not a text encoding"):
        find_encoding(b"abc", "d.csv", "base64")


@pytest.mark.parametrize(
    ("text", "encoding", "codec"),
    [
        ("ü", "utf-8-sig", "utf-8-sig"),
        ("ü", "utf-16", "utf-16"),
        ("ü", "utf-32", "utf-32"),
        ("ab", "utf-16-be", "utf-16-be"),
    ],
)
def test_unicode_is_detected(text, encoding, codec):
    assert find_encoding(text.encode(encoding), "d.csv") == codec


def test_bytes_outside_of_the_stated_encoding(tmp_path):
    file = tmp_path / "d.csv"
    file.write_bytes(b"a,b\n\x81,x\n")
    problems = TableDataModule(path=str(file), target="b", encoding="cp1252").check()
    assert (
        len(problems) == 1 and "is not cp1252 text" in problems[0] and "Correct data.encoding" in problems[0]
    )


def test_bad_byte_far_from_the_beginning(tmp_path):
    file = tmp_path / "d.csv"
    file.write_bytes(b"a,b\n" + b"1,x\n" * 40_000 + "1,ü\n".encode("latin-1"))
    problems = TableDataModule(path=str(file), target="b").check()
    assert len(problems) == 1 and "data.encoding=NAME" in problems[0] and "separated" not in problems[0]


def test_prediction_reads_files_in_the_encoding_of_training(tmp_path, caplog):
    module = make_folder(tmp_path, "latin-1", encoding="latin-1")
    with caplog.at_level(logging.ERROR):
        content(module)
    new = write(tmp_path / "new.txt", "süß\n", "latin-1")
    (_, ids), *_ = module.read_inputs([str(new)])
    assert module.decode(ids.tolist()) == "süß"
