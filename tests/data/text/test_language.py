"""Running texts: parts, token files, streams."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from runner.data.text.corpus import Corpus, char_counts, part_bounds, pieces
from runner.data.text.language import LanguageDataModule, PythonTopicsDataModule
from runner.data.text.tokenizer import TextTokenizer
from runner.errors import DataError

POEM = "".join(
    f"Line {i} of a long ballad, naïve and 日本 {i % 7}\n{'' if i % 4 else chr(10)}" for i in range(400)
)


@pytest.fixture
def poem(tmp_path):
    (tmp_path / "poem.txt").write_text(POEM, encoding="utf-8")
    return tmp_path / "poem.txt"


def make(path, **options):
    options = {"window": 8, "batch_size": 3, "data_dir": str(path.parent / "cache")} | options
    data = LanguageDataModule(str(path), **options)
    data.setup()
    return data


def test_parts_are_the_whole_text_in_its_order_cut_at_paragraphs(poem):
    corpus = Corpus.of(poem, 0.1, 0.1)
    parts = ["".join(corpus.pieces(name)) for name in ("train", "val", "test")]
    assert "".join(parts) == POEM
    assert parts[0].endswith("\n\n") and parts[1].endswith("\n\n")
    assert len(parts[0].encode()) / len(POEM.encode()) == pytest.approx(0.8, abs=0.01)


@pytest.mark.parametrize("text", ["日本語" * 100_000, "word " * 200_000, POEM * 30])
def test_pieces_put_together_are_the_text_whatever_its_lines(tmp_path, text):
    (tmp_path / "t.txt").write_text(text, encoding="utf-8")
    _, val, test, end = part_bounds(tmp_path / "t.txt", 0.1, 0.1)
    found = [list(pieces(tmp_path / "t.txt", *ends)) for ends in ((0, val), (val, test), (test, end))]
    assert "".join(piece for part in found for piece in part) == text
    assert max(len(piece) for part in found for piece in part) < 1 << 20


def test_file_that_is_no_text_is_rejected(tmp_path):
    (tmp_path / "t.txt").write_bytes(b"plain " * 50 + b"\xff\xfe" + b" words\n" * 50)
    with pytest.raises(DataError, match="is not UTF-8 text .*near byte 300.*data.encoding=NAME"):
        make(tmp_path / "t.txt", batch_size=1)


@pytest.mark.parametrize("tokens", ["char", "bpe", "word"])
def test_streams_read_the_text_from_end_to_end(poem, tokens):
    data = make(poem, tokens=tokens, vocab_size=300, num_workers=0)
    batches = list(data.train_dataloader())
    assert [batch["first"] for batch in batches] == [True] + [False] * (len(batches) - 1)
    inputs = torch.cat([batch["inputs"] for batch in batches], 1)
    targets = torch.cat([batch["targets"] for batch in batches], 1)
    assert torch.equal(inputs[:, 1:], targets[:, :-1])
    length = (data.splits["train"].num_tokens - 1) // 3
    assert inputs.shape == (3, length)
    text = torch.from_numpy(data.splits["train"].tokens[: 3 * length].astype("int64"))
    assert torch.equal(inputs.flatten(), text)
    if tokens != "word":
        assert POEM.startswith(data.decode(inputs[0].tolist()).rstrip("\ufffd"))
        assert sum(b["num_chars"] for b in batches) == pytest.approx(
            len(data.decode(targets.flatten().tolist())), abs=6
        )


def test_ranks_keep_their_streams(poem):
    data = make(poem, batch_size=5)
    split = data.splits["train"]
    whole = [list(keys) for keys in split.batch_sampler(5)]
    ranks = [list(split.batch_sampler(5, rank=rank, world_size=2)) for rank in range(2)]
    assert [a + b for a, b in zip(*ranks, strict=True)] == whole
    assert {len(keys) for keys in ranks[0]} == {2} and ranks[0][0].weight == pytest.approx(0.8)


def test_interrupted_epoch_continues(poem):
    sampler = make(poem).splits["train"].batch_sampler(3)
    whole = [list(keys) for keys in sampler]
    sampler.start_batch = 4
    assert [list(keys) for keys in sampler] == whole[4:]


def test_vocabulary_is_of_train_only_and_kept(poem):
    poem.write_text(POEM + "\n\n" + "ж" * 300, encoding="utf-8")
    data = make(poem, val_fraction=0.1, test_fraction=0.0)
    assert 1 in data.encode("ж") and data.facts.extra["unknown_share"] > 0 and "test" not in data.splits
    fresh = LanguageDataModule("gone.txt")
    fresh.load_state_dict(data.state_dict())
    assert fresh.encode("Line") == data.encode("Line")
    other = make(poem, tokens="word")
    with pytest.raises(DataError, match="has changed since"):
        other.load_state_dict(data.state_dict())


def test_token_files_are_made_once(poem):
    make(poem)
    files = {path: path.stat().st_mtime_ns for path in (poem.parent / "cache" / "tokens").glob("*.uint16")}
    assert len(files) == 3
    make(poem)
    assert {
        path: path.stat().st_mtime_ns for path in (poem.parent / "cache" / "tokens").glob("*.uint16")
    } == files


def test_invalid_input(poem, tmp_path):
    assert "does not exist" in LanguageDataModule(str(tmp_path / "gone.txt")).check()[0]
    assert "data.path is not set" in LanguageDataModule().check()[0]
    assert "256 bytes" in LanguageDataModule(str(poem), tokens="bpe", vocab_size=10).check()[0]
    with pytest.raises(DataError, match="too few for 5000 streams"):
        make(poem, batch_size=5000)


def test_pythons_own_text_needs_no_file(tmp_path):
    data = PythonTopicsDataModule(data_dir=str(tmp_path))
    assert data.check() == [] and not list(tmp_path.iterdir())
    data.prepare_data()
    data.setup()
    assert data.facts.extra["tokens"]["train"] > 100_000
    assert "no effect" in PythonTopicsDataModule("mine.txt").check()[0]


@pytest.mark.parametrize(
    ("options", "lack"),
    [({"window": 500}, "3 streams of windows of 500"), ({"eval_batch_size": 600}, "600 streams")],
)
def test_test_part_that_gives_no_batch_is_reported(poem, options, lack):
    data = make(poem, val_fraction=0.2, test_fraction=0.01, **options)
    assert set(data.splits) == {"train", "val"} and data.facts.num_test == 0
    (message,) = [text for text in data.dropped.messages() if "test" in text]
    assert f"test tokens left out: too few for {lack}" in message and "the test split is empty" in message
    data = make(poem, test_fraction=0.0)
    assert "test" not in data.splits
    assert all("streams of one length" in text for text in data.dropped.messages())


@pytest.mark.parametrize("min_count", [1, 5])
def test_characters_of_words_are_those_of_the_original_text(poem, min_count):
    """An unknown word counts with its full length and the white space behind it."""
    text = "\n\n  " + POEM.replace("ballad, ", "ballad,\t  ") + "\n \n"
    poem.write_text(text, encoding="utf-8")
    data = make(poem, tokens="word", min_count=min_count, batch_size=1, eval_batch_size=1)
    assert data.facts.extra["unknown_share"] > 0.05
    corpus = Corpus.of(poem, 0.05, 0.05)
    for part, loader in (
        ("train", data.train_dataloader()),
        ("val", data.val_dataloader()),
        ("test", data.test_dataloader()),
    ):
        original = "".join(corpus.pieces(part)).lstrip()
        first = re.match(r"(\w+|[^\w\s]+)\s*", original).group()  # is no target
        assert sum(batch["num_chars"] for batch in loader) == len(original) - len(first)


def test_characters_of_words_do_not_depend_on_the_pieces(tmp_path):
    tokenizer = TextTokenizer.fit(["a few words"], "word")
    texts = ["\n\n a few", " ", "words, and\n", "\n", "\nmore"]
    counts = np.concatenate(list(char_counts(texts, tokenizer)))
    assert counts.tolist() == [2, 4, 5, 2, 6, 4]  # "a ", "few ", "words", ", ", "and\n\n\n", "more"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
@pytest.mark.parametrize("tokens", ["char", "word"])
def test_other_encodings_are_read_as_the_same_text(poem, tmp_path, encoding, tokens):
    (tmp_path / "other.txt").write_bytes(POEM.encode(encoding))
    ours, plain = make(tmp_path / "other.txt", tokens=tokens), make(poem, tokens=tokens)
    assert ours.tokenizer.to_json() == plain.tokenizer.to_json()
    for part in ("train", "val", "test"):
        assert ours.splits[part].tokens.tolist() == plain.splits[part].tokens.tolist()


def test_drop_last_that_leaves_no_window_is_rejected(poem):
    make(poem, batch_size=200, window=200, eval_batch_size=1, tokens="char")
    with pytest.raises(DataError, match="too few for 200 streams of windows of 200 with data.drop_last=true"):
        make(poem, batch_size=200, window=200, eval_batch_size=1, tokens="char", drop_last=True)


def test_held_out_part_is_counted(poem):
    with pytest.raises(
        DataError, match="the val part has [1-9][0-9]+ tokens, too few for 3 streams of windows of 500"
    ):
        make(poem, window=500, val_fraction=0.01)
