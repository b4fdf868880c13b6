"""Labels and missing values by their spelling, header lines, and tables without anything to learn from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from runner.data.tables.table import TableDataModule
from runner.errors import DataError

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=120).round(3)


def made(path: Path, **options) -> TableDataModule:
    data = TableDataModule(path=str(path), **options)
    assert data.check() == []
    data.setup()
    return data


def written(path: Path, header: bool = True, **columns) -> Path:
    pd.DataFrame(columns).to_csv(path, index=False, header=header)
    return path


NA_WORDS = ["None", "NA", "N/A", "n/a", "null", "NULL", "nan", "NaN"]


@pytest.mark.parametrize("word", NA_WORDS)
def test_target_of_words_may_be_called_none(tmp_path: Path, word: str):
    labels = np.array([word, "mild", "severe"])[np.arange(120) % 3]
    path = written(tmp_path / "t.csv", x=X, y=labels)
    data = made(path, target="y")
    assert data.facts.class_names == sorted([word, "mild", "severe"])
    assert (data.facts.num_train, data.facts.num_val, data.facts.num_test) == (72, 24, 24)
    assert data.dropped.messages() == []
    with_option = made(path, target="y", na_values=[word])
    assert with_option.facts.class_names == ["mild", "severe"]
    (message,) = with_option.dropped.messages()
    assert "40 of 120 rows left out" in message and f"40 × '{word}'" in message and "row 1, row 4" in message


def test_among_numbers_they_are_missing_values_and_counted(tmp_path: Path):
    values = [f"{value}" for value in X]
    values[0], values[1], values[2], values[3] = "NA", "", "NA", "-"
    data = made(written(tmp_path / "t.csv", x=X, y=values), target="y", task="regression")
    assert len(data.splits["train"].source) == 116
    (message,) = data.dropped.messages()
    assert "4 of 120 rows left out" in message and "2 × 'NA'" in message and "1 × an empty cell" in message
    assert "1 × '-'" in message


def test_second_file_follows_the_training_file(tmp_path: Path):
    labels = np.array(["None", "some"])[np.arange(120) % 2]
    path = written(tmp_path / "t.csv", x=X, y=labels)
    test = written(tmp_path / "test.csv", x=X[:20], y=["None"] * 19 + [""])
    data = made(path, target="y", test_path=str(test))
    assert data.facts.num_test == 19 and "1 of 20 rows" in data.dropped.messages()[0]
    test = written(tmp_path / "test.csv", x=X[:20], y=["NA"] + ["some"] * 19)
    (problem,) = TableDataModule(path=str(path), target="y", test_path=str(test)).check()
    assert (
        "holds the label 'NA', which the training file does not have" in problem
        and "data.na_values=['NA']" in problem
    )


def test_equal_numbers_are_one_class(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    spelled = np.array(["0", "1", "0.0", "1.0"])[np.arange(120) % 4]
    path = written(tmp_path / "t.csv", x=X, y=spelled)
    test = written(tmp_path / "test.csv", x=X[:4], y=["1.00", "0", "1", "0.0"])
    data = made(path, target="y", test_path=str(test))
    assert data.facts.class_names == ["0", "1"] and sum(data.facts.class_counts) == data.facts.num_train
    assert data.splits["test"].source.targets.tolist() == [1, 0, 1, 0]
    assert "the labels '1', '1.0' are one class, '1'" in caplog.text
    only = written(tmp_path / "one.csv", x=X, y=np.array(["1", "1.0"])[np.arange(120) % 2])
    (problem,) = TableDataModule(path=str(only), target="y").check()
    assert "in every row: there is nothing to learn" in problem


def test_labels_with_a_percent_sign_stay_labels(tmp_path: Path):
    data = made(written(tmp_path / "t.csv", x=X, y=np.array(["10%", "20%"])[np.arange(120) % 2]), target="y")
    assert data.facts.class_names == ["10%", "20%"]


def test_repeated_header_lines_are_left_out_and_counted(tmp_path: Path):
    path = written(tmp_path / "t.csv", x=X, y=np.where(X > 0, "p", "q"))
    path.write_text(path.read_text() * 2)
    data = made(path, target="y")
    assert data.facts.class_names == ["p", "q"] and len(data.splits["train"].source) == 240
    assert data.dropped.messages() == [
        f"{path}: 1 of 241 rows left out: they repeat the header line (for example row 121)."
    ]
    assert data.sample_name("train", 120) == "t.csv row 122"


def test_row_that_ends_early_is_rejected(tmp_path: Path):
    path = written(tmp_path / "t.csv", x=X, z=X, y=np.where(X > 0, "p", "q"))
    path.write_text(path.read_text() + "0.5,0.7\n")
    (problem,) = TableDataModule(path=str(path), target="y").check()
    assert "the row that begins with '0.5, 0.7' has 2 cells, the first line 3" in problem


@pytest.mark.parametrize(
    ("columns", "cause"),
    [
        ({"a": [5] * 120}, "column 'a' is '5' in every training row"),
        (
            {"a": [f"n{number}" for number in range(120)]},
            "column 'a' holds 120 different words in 120 training rows",
        ),
        ({"a": ["same"] * 120, "b": [1.5] * 120}, "'a' is 'same' in every training row; column 'b' is '1.5'"),
        ({"a": ["2024-01-01"] * 120}, "column 'a' is '2024-01-01' in every training row"),
    ],
)
def test_table_without_a_feature_is_rejected_with_its_cause(tmp_path: Path, columns: dict, cause: str):
    path = written(tmp_path / "t.csv", **columns, y=np.where(X > 0, "p", "q"))
    (problem,) = TableDataModule(path=str(path), target="y").check()
    assert "no feature is left to learn from" in problem and cause in problem
    with pytest.raises(DataError, match="no feature is left"):
        TableDataModule(path=str(path), target="y").setup()


def test_formats_of_numbers_hold_for_new_rows(tmp_path: Path):
    prices = [f"${value:,.2f}" for value in 5000 * np.abs(X)]
    shares = [f"{value:.1f}%" for value in 100 * X]
    gaps = ["-" if number % 5 == 0 else str(value) for number, value in enumerate(X)]
    path = written(tmp_path / "t.csv", price=prices, share=shares, gap=gaps, y=np.where(X > 0, "p", "q"))
    data = made(path, target="y")
    assert data.facts.get("feature_names") == ["price", "share", "gap", "gap is missing"]
    wanted = np.stack([np.round(5000 * np.abs(X), 2), np.round(100 * X, 1)], axis=1)
    assert np.allclose(data.splits["train"].source.inputs[:, :2].double(), wanted, rtol=1e-6)
    torch.save(data.state_dict(), tmp_path / "state.pt")
    other = TableDataModule(path="gone.csv", target="y")
    other.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    (tmp_path / "new.csv").write_text('price,share,gap\n"$1,234",5%,-\n')
    ((_, row),) = other.read_inputs([str(tmp_path / "new.csv")])
    median = float(
        np.median([float(gap) for gap in np.array(gaps)[data.splits["train"].indices] if gap != "-"])
    )
    assert row.tolist() == pytest.approx([1234, 5, median, 1])


@pytest.mark.parametrize("target", ["1", "0.126", "y"])
def test_first_row_is_not_taken_as_a_header(tmp_path: Path, target: str):
    (tmp_path / "t.csv").write_text("0.126,1\n" + "".join(f"{value},{int(value > 0)}\n" for value in X))
    (problem,) = TableDataModule(path=str(tmp_path / "t.csv"), target=target).check()
    assert "looks like data" in problem and "data.columns" in problem


def test_first_row_with_a_word_is_not_taken_as_a_header(tmp_path: Path):
    (tmp_path / "t.csv").write_text(
        "5.1,3,p\n" + "".join(f"{value},{value},{'pq'[int(value > 0)]}\n" for value in X)
    )
    (problem,) = TableDataModule(path=str(tmp_path / "t.csv"), target="p").check()
    assert "looks like data" in problem


@pytest.mark.parametrize("names", [["0", "1", "2"], ["2019", "2021", "2020"], ["x", "1", "y"]])
def test_headers_may_hold_numbers(tmp_path: Path, names: list[str]):
    columns = dict(zip(names, [X, -X, np.where(X > 0, "p", "q")], strict=True))
    assert made(written(tmp_path / "t.csv", **columns), target=names[2]).facts.class_names == ["p", "q"]


@pytest.mark.parametrize("header", ["a,b,y", "b,a", "a, b"])
def test_new_rows_may_have_a_header_that_training_lacked(tmp_path: Path, header: str):
    path = written(tmp_path / "t.csv", header=False, a=X, b=2 * X, y=np.where(X > 0, "p", "q"))
    data = made(path, target="y", columns=["a", "b", "y"])
    values = {"a": "1", "b": "2", "y": "p"}
    row = ",".join(values[name.strip()] for name in header.split(","))
    (tmp_path / "new.csv").write_text(f"{header}\n{row}\n")
    assert [(name, row.tolist()) for name, row in data.read_inputs([str(tmp_path / "new.csv")])] == [
        ("row 1", [1, 2])
    ]


def test_labels_that_are_all_words_for_missing_values(tmp_path):
    path = written(tmp_path / "t.csv", x=X, y=np.array(["NA", "null", "None"])[np.arange(120) % 3])
    assert made(path, target="y").facts.class_names == ["NA", "None", "null"]


def test_target_without_any_value(tmp_path):
    path = written(tmp_path / "t.csv", x=X, y=["NA"] * 120)
    (problem,) = TableDataModule(path=str(path), target="y").check()
    assert "0 rows with a target" in problem
