"""Text to ids and back."""

from __future__ import annotations

import pytest

from runner.data.text.tokenizer import PAD, SPECIAL, UNKNOWN, TextTokenizer, size_problems
from runner.errors import DataError
from runner.models.recurrent import padding

TEXT = ["First line.\nThe second, longer line!\n", "naïve 日本語\ttabs  and   blanks"]


@pytest.mark.parametrize("kind", ["char", "bpe"])
def test_characters_and_byte_pairs_come_back_as_they_were(kind):
    tokenizer = TextTokenizer.fit(TEXT, kind, 400 if kind == "bpe" else None)
    for text in TEXT:
        assert tokenizer.decode(tokenizer.encode(text)) == text
    again = TextTokenizer.from_json(tokenizer.to_json())
    assert again.encode_all(TEXT) == [tokenizer.encode(text) for text in TEXT]


@pytest.mark.parametrize("kind", ["char", "word", "bpe"])
def test_long_text_is_encoded_the_same_at_once(kind):
    tokenizer = TextTokenizer.fit(TEXT, kind, 300 if kind == "bpe" else None)
    text = "".join(TEXT) + "unseen: ж € 𝄞 \U0010ffff <pad>"
    assert tokenizer.encode_array(text).tolist() == tokenizer.encode(text)
    lower = TextTokenizer.fit(TEXT, "char", lowercase=True)
    assert lower.encode_array("First").tolist() == lower.encode("first")


def test_byte_pairs_know_every_sign_and_count_characters():
    tokenizer = TextTokenizer.fit(["plain words, plain words"], "bpe", 280)
    text = "€ 𝄞 日本 plain"
    ids, counts = tokenizer.encode(text), tokenizer.num_chars()
    assert tokenizer.decode(ids) == text and UNKNOWN not in ids
    assert sum(counts[number] for number in ids) == len(text)


def test_signs_of_a_text_of_words_stand_for_no_blank():
    text = 'He said: "well, well_known!" (twice) '
    tokenizer = TextTokenizer.fit([text], "word")
    counts = tokenizer.num_chars()
    assert sum(counts[number] for number in tokenizer.encode(text)) == len(text)


def test_words_are_counted_and_rare_ones_unknown():
    tokenizer = TextTokenizer.fit(["The cat, the dog", "the bird"], "word", min_count=2, lowercase=True)
    assert len(tokenizer) == len(SPECIAL) + 1
    assert tokenizer.encode("THE owl") == [4, UNKNOWN]
    assert tokenizer.decode([4, 4]) == "the the"
    small = TextTokenizer.fit(["a a a b b c"], "word", max_size=6)
    assert len(small) == 6 and small.encode("c") == [UNKNOWN]


@pytest.mark.parametrize("kind", ["char", "word", "bpe"])
def test_names_of_special_tokens_in_a_text_are_text(kind):
    tokenizer = TextTokenizer.fit(["<pad> <begin> " * 3], kind, 300)
    assert not set(tokenizer.encode("<pad> <begin>")) & {PAD, 2, 3}
    words = TextTokenizer.of_words([["<pad>", "a"]], None, 1)
    assert words.encode_words(["<pad>", "a", "b"]) == [UNKNOWN, 4, UNKNOWN]


def test_data_without_features_is_reported():
    with pytest.raises(DataError, match="Lower data.min_count"):
        TextTokenizer.fit(["a b c"], "word", min_count=2)
    assert "256 bytes" in size_problems("bpe", 100)[0] and not size_problems("bpe", 260)


def test_models_pad_with_the_same_id():
    assert padding.PAD == PAD
