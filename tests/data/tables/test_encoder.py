"""Rows as feature vectors: missing numbers, rare, missing and unknown categories."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from runner.data.tables.encoder import TableEncoder
from runner.errors import DataError


def table(**columns: list[str | None]) -> pd.DataFrame:
    return pd.DataFrame(columns, dtype="str")


TRAIN = table(
    age=["20", None, "40", "30", "90", "30"],
    size=["1", "2", "3", "4", "5", "6"],
    town=["Rome", "Rome", "Bonn", "Bonn", None, "Oslo"],
)


@pytest.fixture
def encoder() -> TableEncoder:
    return TableEncoder.fitted(TRAIN, ["age", "size"], ["town"], min_category_count=2)


def test_every_feature_has_a_name(encoder: TableEncoder):
    assert encoder.feature_names == [
        "age", "size", "age is missing", "town=Bonn", "town=Rome", "town=(missing)", "town=(other)",
    ]  # fmt: skip
    assert encoder.columns == ["age", "size", "town"]


def test_training_rows_are_encoded(encoder: TableEncoder):
    features = encoder(TRAIN, "t.csv")
    assert features.dtype == torch.float32
    assert features.tolist() == [
        [20, 1, 0, 0, 1, 0, 0],
        [30, 2, 1, 0, 1, 0, 0],  # the median of 20, 30, 30, 40, 90
        [40, 3, 0, 1, 0, 0, 0],
        [30, 4, 0, 1, 0, 0, 0],
        [90, 5, 0, 0, 0, 1, 0],
        [30, 6, 0, 0, 0, 0, 1],  # Oslo is rare
    ]


def test_new_rows_may_have_missing_and_unknown_values(encoder: TableEncoder):
    new = table(town=["Paris", None], size=[None, "7"], age=["1", None], more=["x", "y"])
    assert encoder(new, "t.csv").tolist() == [[1, 3.5, 0, 0, 0, 0, 1], [30, 7, 1, 0, 0, 1, 0]]


def test_unknown_categories_without_a_slot_are_all_zeros():
    encoder = TableEncoder.fitted(table(town=["Rome", "Bonn"]), [], ["town"])
    assert encoder.feature_names == ["town=Bonn", "town=Rome"]
    assert encoder(table(town=["Paris", None]), "t.csv").tolist() == [[0, 0], [0, 0]]


def test_most_frequent_categories_are_kept():
    column = ["a"] * 3 + ["b"] * 5 + ["c"] * 4
    encoder = TableEncoder.fitted(table(x=column), [], ["x"], max_categories=2)
    assert encoder.slots == {"x": ["b", "c", "(other)"]}


def test_column_of_one_slot_is_left_out():
    names = [f"name {number}" for number in range(8)]
    encoder = TableEncoder.fitted(table(name=names, same=["a"] * 8, x=["1"] * 8), ["x"], ["name", "same"], 2)
    assert encoder.slots == {} and encoder.feature_names == ["x"]


def test_column_without_numbers_among_the_training_rows_does_no_harm():
    encoder = TableEncoder.fitted(table(x=[None, None], y=["a", "b"]), ["x"], ["y"])
    assert encoder(table(x=["5", None], y=["a", "b"]), "t.csv")[:, 0].tolist() == [5, 0]


def test_numbers_are_standardised_and_flags_are_not(encoder: TableEncoder):
    features = encoder(TRAIN, "t.csv")
    scaled = encoder.standardize(features)(features)
    assert torch.allclose(scaled[:, :2].mean(0), torch.zeros(2), atol=1e-6)
    assert torch.allclose(scaled[:, :2].std(0, correction=0), torch.ones(2))
    assert torch.equal(scaled[:, 2:], features[:, 2:])


@pytest.mark.parametrize(
    ("new", "message"),
    [
        (table(age=["1"], size=["1"], twon=["Rome"]), "t.csv has no column 'town'. Did you mean 'twon'?"),
        (
            table(age=["1", "old"], size=["1", "2"], town=["Rome"] * 2),
            "t.csv, row 2: column 'age' holds 'old', expected a number",
        ),
    ],
)
def test_rows_that_cannot_be_encoded_are_named(encoder: TableEncoder, new: pd.DataFrame, message: str):
    with pytest.raises(DataError) as error:
        encoder(new, "t.csv")
    assert message in str(error.value)


def test_state_loads_weights_only(encoder: TableEncoder, tmp_path: Path):
    torch.save(encoder.state_dict(), tmp_path / "state.pt")
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    assert np.array_equal(TableEncoder(**state)(TRAIN, "t.csv"), encoder(TRAIN, "t.csv"))
