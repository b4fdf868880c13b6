"""The folds are reported before training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf
from PIL import Image

from runner.errors import ConfigError, DataError
from runner.training.folds import plan_folds


def pictures(folder: Path, count: int) -> None:
    folder.mkdir(parents=True)
    for number in range(count):
        Image.fromarray(np.full((8, 8, 3), 7 * number, np.uint8)).save(folder / f"{number}.png")


def config(folder: Path, **folds) -> OmegaConf:
    data = {
        "_target_": "runner.data.images.folder.ImageFolderDataModule",
        "root": str(folder),
        "image_size": 8,
    }
    return OmegaConf.create({"data": data | {"augment": None}, "folds": {"num_folds": 3, "index": 0} | folds})


def test_plan_reports_sizes_and_rare_classes(tmp_path: Path) -> None:
    for name, count in (("cat", 20), ("dog", 20), ("eel", 2)):
        pictures(tmp_path / "train" / name, count)
        pictures(tmp_path / "test" / name, 1)
    plan = plan_folds(config(tmp_path))
    assert plan["kind"] == "StratifiedKFold" and sum(plan["sizes"]) == 42 and plan["num_test"] == 3
    (note,) = plan["notes"]
    assert "so some folds validate none: eel (2)" in note


def test_data_with_a_validation_split_are_rejected(tmp_path: Path) -> None:
    for split in ("train", "val"):
        for name in ("cat", "dog"):
            pictures(tmp_path / split / name, 6)
    with pytest.raises(DataError, match="has a validation split of its own"):
        plan_folds(config(tmp_path))


def test_single_run_requires_a_fold_index(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Select one with folds.index"):
        plan_folds(config(tmp_path, index=None))
