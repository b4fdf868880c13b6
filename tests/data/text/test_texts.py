"""Labelled texts from files, and generated ones."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
import torch

from runner.data.folds import Folds
from runner.data.text.brackets import BracketsDataModule, balanced, depths
from runner.data.text.file import TextFolderDataModule, TextTableDataModule
from runner.data.text.sms_spam import SmsSpamDataModule
from runner.errors import DataError


def table(folder: Path, rows: list[str], name: str = "texts.csv") -> str:
    (folder / name).write_text("\n".join(rows) + "\n", encoding="utf-8")
    return str(folder / name)


def rows(num: int = 60) -> list[str]:
    return ["label,text", *(f'{"good" if i % 3 else "bad"},"a word, and number{i} more"' for i in range(num))]


def test_table_is_split_by_class_and_the_vocabulary_is_of_train_only(tmp_path):
    data = TextTableDataModule(table(tmp_path, rows()), min_count=1, val_fraction=0.2, test_fraction=0.2)
    assert data.check() == []
    data.setup()
    assert data.facts.class_names == ["bad", "good"] and data.facts.class_counts == [12, 24]
    train = {data.text_of("train", int(i)).split()[3] for i in data.splits["train"].indices}
    for split in ("val", "test"):
        for i in data.splits[split].indices.tolist():
            word = data.text_of(split, i).split()[3]
            assert word not in train and data.tokenizer.encode(word) == [1]
    batch = next(iter(data.train_dataloader()))
    assert batch["inputs"].dtype == torch.long and batch["inputs"].shape[1] == data.facts.input_shape[0]


def test_state_allows_prediction_without_the_file(tmp_path):
    data = TextTableDataModule(table(tmp_path, rows()))
    data.setup()
    fresh = TextTableDataModule("gone.csv")
    fresh.load_state_dict(data.state_dict())
    (found,) = fresh.read_inputs(["A WORD, and more"])
    assert found[1].tolist() == data.tokenizer.encode("a word, and more")
    fresh_table = table(tmp_path, ["text", '"a word"', "and"], "new.csv")
    assert [name for name, _ in fresh.read_inputs([fresh_table])] == ["row 1", "row 2"]
    _, inputs = zip(*fresh.read_inputs(["a", "a word"]), strict=True)
    assert fresh.batch_inputs(inputs).shape == (2, 2)


def test_files_to_predict_are_read_as_those_of_training_are(tmp_path):
    data = TextTableDataModule(table(tmp_path, rows()), quoted=False, separator=";", min_count=1)
    data.tokenizer = data.fit(['5" of "rain and sun'])
    given = table(tmp_path, ["text;x", '5" of "rain;1', "sun;2"], "new.csv")
    packed = tmp_path / "new.csv.gz"
    packed.write_bytes(gzip.compress(Path(given).read_bytes()))
    expected = [data.tokenizer.encode('5" of "rain'), data.tokenizer.encode("sun")]
    for path in (given, str(packed)):
        assert [ids.tolist() for _, ids in data.read_inputs([path])] == expected
    notes = table(tmp_path, ["sun", "", "rain"], "notes.en")
    assert [name for name, _ in data.read_inputs([notes, "sun and rain", "x" * 5000])] == [
        "line 1", "line 3", "sun and rain", "x" * 5000
    ]  # fmt: skip
    with pytest.raises(DataError, match="gone.txt cannot be read"):
        list(data.read_inputs(["gone.txt"]))


def test_texts_that_changed_are_rejected(tmp_path):
    data = TextTableDataModule(table(tmp_path, rows()), min_count=1)
    data.setup()
    other = TextTableDataModule(
        table(tmp_path, [row.replace("word", "sign") for row in rows()], "b.csv"), min_count=1
    )
    other.setup()
    with pytest.raises(DataError, match="has changed since this run began"):
        data.load_state_dict(other.state_dict())


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["label,txt", "a,b"], "has no column 'text'. Did you mean 'txt'"),
        (["label,text", "a,b,c"], "row 1 has 3 cells, the header line 2"),
        ([], "is empty"),
    ],
)
def test_problems_of_a_table_are_reported_before_the_run(tmp_path, lines, words):
    (problem,) = TextTableDataModule(table(tmp_path, lines)).check()
    assert words in problem


def test_missing_paths_are_named():
    assert TextTableDataModule("gone.csv").check() == ["data.path=gone.csv: no such file."]
    assert "data.path is not set" in TextFolderDataModule().check()[0]


def test_class_of_two_texts_is_rejected(tmp_path):
    data = TextTableDataModule(table(tmp_path, [*rows(), "rare,one", "rare,two"]))
    with pytest.raises(DataError, match=r"rare \(2\).*needs 3 texts"):
        data.setup()


def test_class_of_three_texts_has_one_in_each_split(tmp_path):
    data = TextTableDataModule(table(tmp_path, [*rows(), "rare,one", "rare,two", "rare,three"]), min_count=1)
    data.setup()
    number = data.class_names.index("rare")
    for name, split in data.splits.items():
        assert sum(int(split.source[int(index)][1]) == number for index in split.indices) == 1, name


def test_folders_with_and_without_splits(tmp_path):
    for split in ("train", "test"):
        for name in ("pos", "neg"):
            (tmp_path / split / name).mkdir(parents=True)
            for i in range(20):
                (tmp_path / split / name / f"{i}.txt").write_text(
                    f"{name} text {split} {i}", encoding="utf-8"
                )
    data = TextFolderDataModule(str(tmp_path))
    data.setup()
    assert [len(data.splits[name]) for name in ("train", "val", "test")] == [36, 4, 40]
    assert all("train" in data.text_of("val", int(i)) for i in data.splits["val"].indices)
    plain = TextFolderDataModule(str(tmp_path / "train"))
    plain.setup()
    assert [len(plain.splits[name]) for name in ("train", "val", "test")] == [32, 4, 4]


def split_texts(data) -> dict[str, list[str]]:
    return {
        name: [" ".join(data.text_of(name, int(i)).lower().split()) for i in split.indices]
        for name, split in data.splits.items()
    }


def shared_texts(data) -> int:
    """Held-out texts that also occur in an earlier split."""
    parts = split_texts(data)
    train, val = set(parts["train"]), set(parts["val"])
    return sum(text in train for text in parts["val"]) + sum(text in train | val for text in parts["test"])


def repeated_rows() -> list[str]:
    """90 texts, 60 of them different."""
    return [
        "label,text",
        *(f'{"good" if i % 3 else "bad"},"{"A" if i < 60 else "a "} word {i % 60}"' for i in range(90)),
    ]


def test_identical_texts_are_cut_into_one_split(tmp_path, caplog):
    path = table(tmp_path, repeated_rows())
    kept = TextTableDataModule(path, duplicates="keep")
    kept.setup()
    leaked = shared_texts(kept)
    assert leaked > 0 and "data.duplicates=together prevents it" in caplog.text
    caplog.clear()
    data = TextTableDataModule(path)
    data.setup()
    assert shared_texts(data) == 0 and sum(map(len, data.splits.values())) == 90
    assert (
        "30 of 90 rows are identical to an earlier one; identical ones are in the same split" in caplog.text
    )
    assert all(len(data.splits[name]) >= 6 for name in ("val", "test"))


def test_copies_can_be_left_out(tmp_path):
    data = TextTableDataModule(table(tmp_path, repeated_rows()), duplicates="drop")
    data.setup()
    assert len(data.texts) == 60 and shared_texts(data) == 0
    assert [(entry.count, entry.total) for entry in data.dropped.entries] == [(30, 90)]


def test_identical_texts_are_in_one_fold(tmp_path):
    path = table(tmp_path, repeated_rows())
    for index in range(3):
        data = TextTableDataModule(path)
        data.take_folds(Folds(3, index))
        data.setup()
        assert shared_texts(data) == 0 and len(data.splits["val"])


def test_splits_of_the_files_are_reported_and_not_changed(tmp_path, caplog):
    for split, count in {"Train": 20, "valid": 6, "TEST": 6}.items():
        for name in ("pos", "neg"):
            (tmp_path / split / name).mkdir(parents=True)
            for i in range(count):
                (tmp_path / split / name / f"{i}.TXT").write_text(f"{name} text {i}", encoding="utf-8")
    data = TextFolderDataModule(str(tmp_path))
    data.setup()
    assert [len(data.splits[name]) for name in ("train", "val", "test")] == [40, 12, 12]
    assert "12 of 12 in val and 12 of 12 in test also occur in an earlier split" in caplog.text
    data = TextFolderDataModule(str(tmp_path), duplicates="drop")
    data.setup()
    assert [len(data.splits[name]) for name in ("train", "val", "test")] == [28, 12, 12]


def test_labels_that_look_like_missing_values_and_rows_without_one(tmp_path):
    labels = ["None", "NA", "n/a", "null", "nan", "yes"]
    lines = [f"{label},text {label} {i}" for label in labels for i in range(10)]
    data = TextTableDataModule(table(tmp_path, ["label,text", *lines, ",no label", "yes,", "yes,  "]))
    data.setup()
    assert data.facts.class_names == sorted(labels) and len(data.texts) == 60
    assert data.dropped.messages() == [
        "texts: 1 of 63 rows left out: no label (for example row 61).",
        "texts: 2 of 63 rows left out: no text (for example row 62, row 63).",
    ]


def test_spellings_of_a_class_are_merged_also_for_a_trained_run(tmp_path):
    lines = [f"{label},text {label} {i}" for label in ("1", "1.0", "2", "3") for i in range(10)]
    data = TextTableDataModule(table(tmp_path, ["label,text", *lines]))
    data.setup()
    assert data.facts.class_names == ["1", "2", "3"] and data.facts.class_counts == [16, 8, 8]
    again = TextTableDataModule(table(tmp_path, ["label,text", *lines]))
    again.load_state_dict(data.state_dict())
    again.setup()
    assert again.facts.class_counts == [16, 8, 8]


def test_class_folders_of_any_name_are_read_and_unused_files_counted(tmp_path):
    for name in ("__label__pos", "train", "_neg", ".hidden"):
        (tmp_path / name).mkdir()
        for i in range(10):
            (tmp_path / name / f"{i}.txt").write_text(f"{name} text {i}", encoding="utf-8")
    (tmp_path / "_neg" / "empty.txt").write_text(" \n")
    (tmp_path / "_neg" / "page.html").write_text("x")
    (tmp_path / "loose.txt").write_text("x")
    data = TextFolderDataModule(str(tmp_path))
    data.setup()
    assert data.facts.class_names == ["__label__pos", "_neg", "train"]
    assert {(entry.count, entry.reason) for entry in data.dropped.entries} == {
        (10, "in hidden folders"),
        (1, "not texts, by their suffixes"),
        (1, "in no class folder"),
        (1, "no text"),
    }


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
@pytest.mark.parametrize("first", [[], ["sep=;"]])
def test_encodings_and_separator_lines(tmp_path, encoding, first):
    lines = [*first, "label;text", *(f"{'ä' if i % 2 else 'b'};süß, und {i}" for i in range(20))]
    (tmp_path / "t.csv").write_bytes("\r\n".join(lines).encode(encoding))
    data = TextTableDataModule(str(tmp_path / "t.csv"))
    assert data.check() == []
    data.setup()
    assert data.facts.class_names == ["b", "ä"] and data.texts[:2] == ["süß, und 0", "süß, und 1"]
    for label in "ab":
        (tmp_path / "folder" / label).mkdir(parents=True, exist_ok=True)
        for i in range(5):
            (tmp_path / "folder" / label / f"{i}.txt").write_bytes(f"süß {label}\r\nund {i}".encode(encoding))
    folder = TextFolderDataModule(str(tmp_path / "folder"))
    folder.setup()
    assert folder.texts[0] == "süß a\nund 0"


def test_ends_of_long_texts_are_counted(tmp_path):
    data = TextTableDataModule(table(tmp_path, rows()), max_length=4)
    data.setup()
    # "a word, and more": six tokens ("a", "word", ",", "and", "number7", "more") in each of 60 texts
    assert data.dropped.messages() == [
        "texts: 120 of 360 tokens left out: the ends of 60 texts longer than data.max_length=4."
    ]


def test_table_without_a_usable_row_is_rejected(tmp_path):
    with pytest.raises(DataError, match="holds no rows with a text and a label"):
        TextTableDataModule(table(tmp_path, ["label,text", ",x", "y,"])).setup()


def test_sms_spam_reads_quotes_tabs_and_an_optional_header(tmp_path):
    lines = [line for i in range(20) for line in (f'ham\tHe said "ok {i}', f"Spam\tWin!\tnow {i}")]
    for name, head in (("with", ["Label\tSMS"]), ("without", [])):
        (tmp_path / name).mkdir()
        table(tmp_path / name, [*head, *lines], "SMSSpamCollection")
        data = SmsSpamDataModule(str(tmp_path / name))
        assert data.check() == []
        data.setup()
        assert len(data.texts) == 40 and data.texts[0] == 'He said "ok 0'
    table(tmp_path / "with", [*lines, "eggs\tand"], "SMSSpamCollection")
    assert "line 41 begins with 'eggs'" in SmsSpamDataModule(str(tmp_path / "with")).check()[0]


def test_sms_spam_itself(shared_data):
    data = SmsSpamDataModule(str(shared_data / "text" / "sms_spam"), duplicates="keep")
    data.setup()
    assert len(data.texts) == 5574 and [len(split) for split in data.splits.values()] == [4458, 558, 558]
    data = SmsSpamDataModule(str(shared_data / "text" / "sms_spam"))
    data.setup()
    assert sum(len(split) for split in data.splits.values()) == 5574
    assert shared_texts(data) == 0


def test_brackets_follow_their_rule():
    import random

    rng = random.Random(0)
    for _ in range(200):
        text = balanced(rng, rng.randint(2, 30), 4)
        plain = text.replace("a", "").replace("b", "")
        while "()" in plain or "[]" in plain:
            plain = plain.replace("()", "").replace("[]", "")
        assert plain == "" and depths(text, 9)[-1] == 0 and max(depths(text, 9)) <= 4
    data = BracketsDataModule(num_samples=100)
    data.setup()
    assert data.facts.class_counts == [40, 40] and data.facts.class_names == ["balanced", "broken"]


def test_single_class_is_rejected(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("text,label\n" + "".join(f"word number {row},a\n" for row in range(40)))
    with pytest.raises(DataError, match="every label is 'a', so there is nothing to learn"):
        TextTableDataModule(str(path)).setup("fit")
