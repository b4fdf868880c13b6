"""Metrics of a run's checkpoint on a split, optionally of other data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
from runner.run.format import read_stored_config
from runner.run.state import RunState
from runner.training.components import adapt_facts

__all__ = ["evaluate", "reject_new_cut", "set_up_split"]

CUTS = (
    "split_seed", "split_column", "group", "val_fraction", "test_fraction", "val_size", "test_pattern",
    "rows", "num_samples", "num_images", "num_steps", "num_train", "num_val", "num_test",
)  # fmt: skip
"""Keys of ``data`` that determine which samples are in which split."""
PLACES = (
    "root",
    "path",
    "test_path",
    "val_path",
    "data_dir",
    "config",
    "train",
    "val",
    "test",
    "images",
    "data_seed",
    "scene_seed",
)
"""Keys of ``data`` that select another data set."""


def reject_new_cut(
    run_name: str, config: DictConfig, overrides: Mapping[str, Any], data: type[DataModule]
) -> None:
    """Rejects overrides that would move samples a run was trained on into another split.

    Args:
        run_name: name of the run, for the message.
        config: config of the run.
        overrides: values by dotted key of the config.
        data: class of the data module, whose signature has the defaults of keys that the config omits.

    Raises:
        UserError: the overrides change the splits of the same data.
    """

    def differs(key: str) -> bool:
        """Returns whether an override changes the value of a key."""
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
    """Returns the dotted keys of arguments of the data module."""
    return {f"data.{name}" for name in names}


SPLITS = ("train", "val", "test")


def evaluate(
    run: RunDir, split: str = "test", which: Which = "best", overrides: dict[str, Any] | None = None
) -> dict[str, float]:
    """Returns the metrics of a split by name, computed as in the training of the run.

    Args:
        run: the run.
        split: ``train`` (without augmentation), ``val`` or ``test``.
        which: the checkpoint, ``best`` or ``last``.
        overrides: values by dotted key of the run's config, such as ``{"data.root": "other/photos"}``.

    Raises:
        UserError: the data has no such split, or other classes than the run was trained on, or the overrides
            would move samples it was trained on into another split.
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
        precision=chosen.precision,  # type: ignore[arg-type]  # Lightning types the literals only
        plugins=[ProcessInfoEnvironment(ProcessInfo())],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    loader = data.eval_loader(split)
    task.trainer = trainer
    setattr(trainer, "datamodule", data)  # noqa: B010  # callbacks read it; Lightning sets it with datamodule=
    trainer.test(task, NormalizedLoader(loader, data), verbose=False)
    return {
        f"{split}/{key.partition('/')[2]}": float(value) for key, value in trainer.callback_metrics.items()
    }


def check_split(split: str) -> None:
    """Checks the name of a split.

    Raises:
        UserError: no data set has such a split.
    """
    if split not in SPLITS:
        raise UserError(f"split {split!r}: expected one of {', '.join(SPLITS)}.")


def set_up_split(trained: Trained, run: RunDir, split: str) -> None:
    """Prepares the data module of a run for the use of a split.

    Args:
        trained: the run's config and data module.
        run: the run.
        split: ``train``, ``val`` or ``test``.

    Raises:
        UserError: the data has no such split, or other classes than the run was trained on.
    """
    check_split(split)
    data = trained.data
    data.prepare_data()
    data.setup("test")
    assert data.facts is not None  # known after setup
    facts = data.facts = adapt_facts(trained.config, data.facts)
    compare_facts(facts, RunState(run).facts)
    if not len(data.splits.get(split, ())):
        existing = ", ".join(name for name in SPLITS if len(data.splits.get(name, ())))
        raise UserError(f"the data has no {split} split; it has {existing}. Choose one with --split.")


class NormalizedLoader:
    """Yields the batches of a loader after the data module's normalization.

    Args:
        loader: a data loader.
        data: the data module.
    """

    def __init__(self, loader: Any, data: Any) -> None:
        self.loader = loader
        self.data = data

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for batch in self.loader:
            yield self.data.on_after_batch_transfer(batch, 0)


def compare_facts(now: Facts, trained_on: dict[str, Any]) -> None:
    """Checks that the data has the classes of the run, in the same order.

    Args:
        now: facts of the data.
        trained_on: facts of the run.

    Raises:
        DataError: the classes or their order differ.
    """
    names = trained_on.get("class_names", [])
    if names and list(now.class_names) != list(names):
        missing = sorted(set(names) - set(now.class_names))
        extra = sorted(set(now.class_names) - set(names))
        if not missing and not extra:
            raise DataError(
                f"the data has the run's classes in another order: {now.class_names[:5]}, and not "
                f"{names[:5]}. Point the data's root at data whose classes have the same ids."
            )
        raise DataError(
            f"the data has other classes than the run was trained on: missing {missing or 'none'}, "
            f"unknown {extra or 'none'}. Point the data's root at data of the same classes."
        )
