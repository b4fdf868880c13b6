"""Metrics of a run's checkpoint on a split, optionally of other data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning import Trainer

from runner.data.base import DataModule
from runner.data.facts import Facts
from runner.distributed.cluster_environment import ProcessInfoEnvironment
from runner.distributed.hardware import choose_hardware
from runner.distributed.process_info import ProcessInfo
from runner.errors import DataError, UserError
from runner.inference.load import Trained, Which, load_trained
from runner.run.directory import RunDir
from runner.run.files import read_json
from runner.run.format import read_stored_config
from runner.training.components import adapt_facts

__all__ = ["evaluate", "reject_new_cut", "set_up_split"]

CUTS = (
    "split_seed", "val_fraction", "test_fraction", "val_size", "test_pattern", "rows",
    "num_samples", "num_images", "num_steps", "num_train", "num_val", "num_test",
)  # fmt: skip
"""Of the data: they decide which samples are in which split."""
PLACES = (
    "root",
    "path",
    "test_path",
    "data_dir",
    "config",
    "train",
    "val",
    "test",
    "images",
    "data_seed",
    "scene_seed",
)
"""Of the data: with another value they are other data."""


def reject_new_cut(
    run_name: str, config: DictConfig, overrides: Mapping[str, Any], data: type[DataModule]
) -> None:
    """A new cut of the same data would put samples that a run was trained on among those it is evaluated on.

    Args:
        config: the run's own.
        overrides: dotted keys of it and the values they are to have.
        data: the class of its data module, which knows the values of keys that the config does not name.

    Raises:
        UserError: the overrides ask for one.
    """

    def differs(key: str) -> bool:
        default = data.default_of(key.removeprefix("data."))
        return OmegaConf.select(config, key, default=default) != overrides[key]

    changed = [key for key in overrides if differs(key)]
    cuts = [key for key in changed if key.split(".")[0] == "folds" or key in names_of(CUTS)]
    if cuts and not any(key in names_of(PLACES) for key in changed):
        given = ", ".join(f"{key}={overrides[key]}" for key in cuts)
        raise UserError(
            f"{given} would change the splits of {run_name}, and it would be evaluated on samples it was "
            "trained on. Remove it, or give another data set by its path, as with data.root=… or data.path=…"
        )


def names_of(names: tuple[str, ...]) -> set[str]:
    return {f"data.{name}" for name in names}


SPLITS = ("train", "val", "test")


def evaluate(
    run: RunDir, split: str = "test", which: Which = "best", overrides: dict[str, Any] | None = None
) -> dict[str, float]:
    """Metrics by name, as the training of the run computes them.

    Args:
        split: ``train`` (without augmentation), ``val`` or ``test``.
        overrides: values of the run's config that are to differ: ``{"data.root": "other/photos"}``.

    Raises:
        UserError: the data has no such split, or other classes than the run was trained on, or the overrides
            would put samples it was trained on into another split.
    """
    check_split(split)
    trained = load_trained(run, which, overrides)
    data, task = trained.data, trained.task
    reject_new_cut(run.name, read_stored_config(run.config_path), overrides or {}, type(data))
    set_up_split(trained, run, split)
    chosen = choose_hardware(trained.config["hardware"], task.model)
    if chosen.channels_last:
        task.model.to(memory_format=torch.channels_last)
        task.channels_last = True
    trainer = Trainer(
        accelerator=chosen.accelerator,
        devices=1,
        precision=chosen.precision,
        plugins=[ProcessInfoEnvironment(ProcessInfo())],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    loader = data.eval_loader(split)
    task.trainer = trainer
    trainer.datamodule = data
    trainer.test(task, WithNormalize(loader, data), verbose=False)
    return {
        f"{split}/{key.partition('/')[2]}": float(value) for key, value in trainer.callback_metrics.items()
    }


def check_split(split: str) -> None:
    """
    Raises:
        UserError: no data set has such a split.
    """
    if split not in SPLITS:
        raise UserError(f"split {split!r}: expected one of {', '.join(SPLITS)}.")


def set_up_split(trained: Trained, run: RunDir, split: str) -> None:
    """Reads the data of a run whose split is to be used.

    Raises:
        UserError: they have no such split, or other classes than the run was trained on.
    """
    check_split(split)
    data = trained.data
    data.prepare_data()
    data.setup("test")
    data.facts = adapt_facts(trained.config, data.facts)
    compare_facts(data.facts, read_json(run.facts_path, {}))
    if not len(data.splits.get(split, ())):
        there = ", ".join(name for name in SPLITS if len(data.splits.get(name, ())))
        raise UserError(f"the data has no {split} split; it has {there}. Choose one with --split.")


class WithNormalize:
    """Batches of a loader after the data module's normalisation."""

    def __init__(self, loader: Any, data: Any) -> None:
        self.loader = loader
        self.data = data

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self):
        for batch in self.loader:
            yield self.data.on_after_batch_transfer(batch, 0)


def compare_facts(now: Facts, trained_on: dict[str, Any]) -> None:
    """Refuses data whose classes are not the run's, or are so in another order."""
    names = trained_on.get("class_names", [])
    if names and list(now.class_names) != list(names):
        missing = sorted(set(names) - set(now.class_names))
        extra = sorted(set(now.class_names) - set(names))
        if not missing and not extra:
            raise DataError(
                f"the data has the run's classes in another order: {now.class_names[:5]}, and not "
                f"{names[:5]}. Point the "
                "data's root at data whose classes have the same ids."
            )
        raise DataError(
            f"the data has other classes than the run was trained on: missing {missing or 'none'}, "
            f"unknown {extra or 'none'}. Point the data's root at data of the same classes."
        )
