"""``data._target_`` of a plain dataset becomes ``data.train`` of ``data=dataset``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from runner.config.checks.check import check_config
from runner.config.compose import compose

CODE = """
from torch.utils.data import Dataset, TensorDataset


class Photos(Dataset):
    def __init__(self, root: str, size: int = 32):
        raise OSError("built too early")

    def __len__(self):
        return 0

    def __getitem__(self, index):
        raise IndexError


def build_tensors(count: int = 3) -> TensorDataset:
    return TensorDataset()
"""


@pytest.fixture
def own_data(write_module: Callable[[str, str], Path]) -> Path:
    return write_module("own_data", CODE)


def problems(*overrides: str) -> list[str]:
    return [str(problem) for problem in check_config(compose(list(overrides)))]


def test_arguments_are_distributed_over_dataset_and_data_module(own_data: Path) -> None:
    composition = compose(["data._target_=own_data.Photos", "data.root=photos", "data.batch_size=8"])
    data = composition.config.data
    assert data._target_ == "runner.data.dataset.DatasetDataModule" and data.batch_size == 8
    assert data.train == {"_target_": "own_data.Photos", "root": "photos", "_partial_": True}
    assert data.task == "runner.tasks.classification.ClassificationTask" and "augment" not in data
    assert composition.choices["data"] == "Photos" and composition.option("data") is None
    assert check_config(composition) == []


def test_option_file_may_name_a_dataset(own_data: Path) -> None:
    (own_data / "conf/data").mkdir(parents=True)
    text = "# tasks: regression\n_target_: own_data.Photos\nroot: photos\nval_fraction: 0.1\n"
    (own_data / "conf/data/photos.yaml").write_text(text, encoding="utf-8")
    composition = compose(["data=photos", "task=regression"])
    data = composition.config.data
    assert (
        data.train.root == "photos" and data.val_fraction == 0.1 and composition.choices["data"] == "photos"
    )
    assert check_config(composition) == []
    assert "data=photos is for regression" in problems("data=photos")[0]


def test_function_with_a_return_annotation_is_a_dataset_too(own_data: Path) -> None:
    assert (
        compose(["data._target_=own_data.build_tensors"]).config.data.train._target_
        == "own_data.build_tensors"
    )


def test_regression_of_a_dataset_needs_no_data_option(own_data: Path) -> None:
    assert problems("data._target_=own_data.Photos", "data.root=photos", "task=regression") == []


def test_datasets_of_the_other_splits_are_not_built_by_the_check(own_data: Path) -> None:
    own = ["data=dataset", "data.train._target_=own_data.Photos", "data.train.root=a"]
    assert problems(*own, "data.val._target_=own_data.Photos", "data.val.root=b") == []


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["data._target_=own_data.Photos"], "Photos requires 'root'. Add data.train.root=VALUE."),
        (
            ["data._target_=own_data.Photos", "data.root=a", "data.sise=3"],
            "data.train.sise: Photos has no parameter",
        ),
        (
            ["data._target_=own_data.Photos", "data.root=a", "data.size=big"],
            'data.train.size="big": expected a whole number',
        ),
        (["data._target_=own_data.Photos", "data.root=a", "data.val_fraction=2"], "data.val_fraction=2"),
        (["data._target_=torch.utils.data.TensorDataset"], "not allowed"),
        (["data=dataset", "data.train._target_=os.listdir"], "not allowed"),
        (["data=dataset"], "data.train is not set"),
    ],
)
def test_mistakes_are_reported_at_the_key_of_the_dataset(
    own_data: Path, overrides: list[str], words: str
) -> None:
    (problem,) = problems(*overrides)
    assert words in problem
