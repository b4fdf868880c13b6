"""Loads the model of a run from a checkpoint."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from omegaconf import OmegaConf
from torch import Tensor, nn

from runner.callbacks.checkpoint_io import RunCheckpointIO
from runner.config.trust import reject_untrusted
from runner.data.base import DataModule
from runner.distributed.load_errors import describe_unloadable
from runner.errors import CheckpointError, UserError
from runner.run.checkpoints import Checkpoint, best_checkpoint, last_checkpoint, read_index
from runner.run.directory import RunDir, absolute_paths, find_run
from runner.run.folds import has_folds
from runner.run.format import read_stored_config
from runner.run.state import RunState
from runner.tasks.base import Task
from runner.training.components import make_data, make_model, make_task

__all__ = [
    "Trained",
    "checkpoint_must_fit",
    "digests_of",
    "find_checkpoint",
    "load_model",
    "load_trained",
    "state_digest",
]


def digests_of(checkpoint: str | Path) -> dict[str, str]:
    """Returns SHA-256 digests of the weights and of the optimizers' state.

    The digest of the file would also depend on the times it contains.

    Args:
        checkpoint: checkpoint file.
    """
    state = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
    return {
        "weights": state_digest(state["state_dict"]),
        "optimizer": state_digest(state.get("optimizer_states", [])),
    }


def state_digest(value: Any) -> str:
    """Returns the SHA-256 digest of nested containers of tensors and plain values."""
    sha = hashlib.sha256()
    add_to_digest(sha, value)
    return sha.hexdigest()


def add_to_digest(sha: Any, value: Any) -> None:
    """Adds a nested value to a digest; dicts are independent of the order of their keys."""
    if isinstance(value, Tensor):
        sha.update(f"{value.dtype} {tuple(value.shape)}".encode())
        sha.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    elif isinstance(value, dict):
        for key in sorted(value, key=str):
            sha.update(str(key).encode())
            add_to_digest(sha, value[key])
    elif isinstance(value, list | tuple):
        sha.update(f"{len(value)} items".encode())
        for item in value:
            add_to_digest(sha, item)
    else:
        sha.update(repr(value).encode())


Which = Literal["best", "last"]

WITHOUT_PRETRAINED = {
    "pretrained": False,
    "pretrained_backbone": False,
    "backbone_weights": None,
    "trainable_backbone_layers": None,
}
"""Arguments of models that load no pretrained weights, which the checkpoint replaces anyway."""


@dataclass
class Trained:
    """The task and data module of a run, rebuilt from its directory.

    Attributes:
        config: config of the run, with absolute paths.
        data: data module for reading and normalizing inputs; its splits are not set up.
        task: task in evaluation mode, with the weights of the checkpoint.
        checkpoint: the checkpoint file.
    """

    config: dict[str, Any]
    data: DataModule
    task: Task
    checkpoint: Path


def find_checkpoint(run: RunDir, which: Which | str = "best") -> Checkpoint:
    """Returns a checkpoint of a run.

    Args:
        run: the run.
        which: ``best`` (by the monitored metric), ``last``, the name of one of the run's checkpoints, or a
            path.

    Raises:
        UserError: the checkpoint does not exist.
    """
    if has_folds(run):
        raise UserError(
            f"{run.name} is a cross-validation, with a model for each fold. Name one, such as {run.name}/0."
        )
    entries = read_index(run.checkpoints)
    if which in ("best", "last"):
        find = best_checkpoint if which == "best" else last_checkpoint
        entry = find(run, describe_unloadable)
        if entry is None:
            state = RunState(run).status.state
            raise UserError(
                f"{run.name} ({state}) has no checkpoint yet. `runner resume {run.name}` continues it."
            )
        return entry
    for entry in entries:
        if which == entry.file or Path(which).absolute() == entry.path.absolute():
            return entry
    if not Path(which).exists():
        existing = ", ".join(entry.file for entry in entries) or "none"
        raise UserError(
            f"no checkpoint {which}: not a file, and {run.name} has {existing}; best and last are also "
            "accepted."
        )
    path = Path(which).absolute()
    return Checkpoint(path.name, 0, 0, "epoch", "", folder=str(path.parent))


@contextmanager
def checkpoint_must_fit(run: RunDir, which: Which | str) -> Iterator[None]:
    """Context manager that reports a checkpoint given by the user as unsuitable for the run's model.

    Args:
        run: the run, for the message.
        which: the checkpoint; errors of ``best`` and ``last`` are not changed.

    Raises:
        UserError: the file is not a checkpoint, or contains other weights than the model's.
    """
    try:
        yield
    except CheckpointError as error:
        if which in ("best", "last"):
            raise
        raise UserError(str(error)) from error
    except (KeyError, RuntimeError) as error:
        if which in ("best", "last"):
            raise
        raise UserError(
            f"{which} contains other weights than those of {run.name}: name one of its checkpoints."
        ) from error


def load_trained(
    run: RunDir, which: Which | str = "best", overrides: dict[str, Any] | None = None
) -> Trained:
    """Rebuilds task and data module of a run from its directory alone.

    Args:
        run: the run.
        which: as for ``find_checkpoint``.
        overrides: values by dotted key of the config.

    Raises:
        UserError: the run has no checkpoint yet, or the given file does not belong to its model.
    """
    path = find_checkpoint(run, which).path
    config = read_stored_config(run.config_path)
    reject_untrusted(run.path, config)
    for key, value in (overrides or {}).items():
        OmegaConf.update(config, key, value, force_add=True)
    plain = plain_config(config, resolve=True)
    with checkpoint_must_fit(run, which):
        checkpoint = RunCheckpointIO().load_checkpoint(path)
    plain = absolute_paths(run, plain, overrides or {})
    data = make_data(plain)
    state = checkpoint.get(type(data).__qualname__)
    if state is not None:
        data.load_state_dict(state)
    for key, neutral in WITHOUT_PRETRAINED.items():
        if plain["model"].get(key) is not None:
            plain["model"][key] = neutral
    task = make_task(plain, make_model(plain))
    task.decode = data.decode
    with checkpoint_must_fit(run, which):
        task.load_state_dict(checkpoint["state_dict"])
    return Trained(plain, data, task.eval(), path)


def plain_config(config: Any, resolve: bool) -> dict[str, Any]:
    """Converts a config to plain containers.

    Args:
        config: a ``DictConfig``.
        resolve: whether interpolations are replaced by their values.
    """
    plain: Any = OmegaConf.to_container(config, resolve=resolve)
    return plain


class Served(nn.Module):
    """Normalization, model and decoding in one module, for export and serving.

    Args:
        task: the task, whose ``served`` selects the output.
        normalize: normalization of the data module.
    """

    def __init__(self, task: Task, normalize: nn.Module) -> None:
        super().__init__()
        self.normalize = normalize
        self.task = task
        self.any_size_dims = getattr(task.model, "any_size_dims", ())

    def forward(self, inputs: Tensor) -> Tensor:
        """Maps inputs in the format of the data set to the served output."""
        outputs = self.task.predict_outputs(self.normalize(inputs))
        return self.task.served(outputs)


def load_model(run: RunDir | str | Path) -> tuple[nn.Module, np.ndarray, str]:
    """Returns the model of a run with its normalization, for export and serving.

    Args:
        run: a run, or its name or directory.

    Returns:
        The module, which maps inputs in the format of the data set to outputs; an example input of two
        samples; and a description of the outputs.
    """
    run = run if isinstance(run, RunDir) else find_run(run)
    trained = load_trained(run)
    shape = RunState(run).facts["input_shape"]
    example = np.zeros((2, *shape), dtype=getattr(trained.data, "input_dtype", "float32"))
    return Served(trained.task, trained.data.normalize).eval(), example, trained.task.served_as
