"""Loads the model of a run from a checkpoint."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from omegaconf import OmegaConf
from torch import Tensor, nn

from runner.callbacks.checkpoint_io import RunCheckpointIO
from runner.data.base import DataModule
from runner.errors import CheckpointError, UserError
from runner.run.checkpoints import Checkpoint, best_checkpoint, last_checkpoint, read_index
from runner.run.directory import RunDir, absolute_paths, find_run
from runner.run.files import read_json
from runner.run.folds import has_folds
from runner.run.format import read_stored_config
from runner.run.journal import load_metrics
from runner.run.status import Status, read_status
from runner.tasks.base import Task
from runner.training.components import make_data, make_model, make_task

__all__ = [
    "Run",
    "Trained",
    "digests_of",
    "find_checkpoint",
    "load_model",
    "load_run",
    "load_trained",
    "none_of_its_own",
    "state_digest",
]


def digests_of(checkpoint: str | Path) -> dict[str, str]:
    """SHA-256 of the weights and of the optimizers' state; the file itself also holds times."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
    return {
        "weights": state_digest(state["state_dict"]),
        "optimizer": state_digest(state.get("optimizer_states", [])),
    }


def state_digest(value: Any) -> str:
    sha = hashlib.sha256()
    add(sha, value)
    return sha.hexdigest()


def add(sha: Any, value: Any) -> None:
    if isinstance(value, Tensor):
        sha.update(f"{value.dtype} {tuple(value.shape)}".encode())
        sha.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    elif isinstance(value, dict):
        for key in sorted(value, key=str):
            sha.update(str(key).encode())
            add(sha, value[key])
    elif isinstance(value, list | tuple):
        sha.update(f"{len(value)} items".encode())
        for item in value:
            add(sha, item)
    else:
        sha.update(repr(value).encode())


Which = Literal["best", "last"]

NO_START = {
    "pretrained": False,
    "pretrained_backbone": False,
    "backbone_weights": None,
    "trainable_backbone_layers": None,
}
"""What a model was started from is neither needed nor asked for again: the checkpoint has it all."""


@dataclass
class Trained:
    """What is needed to use a run's model.

    Attributes:
        task: in evaluation mode, with the checkpoint's weights.
        data: knows how to read and normalise inputs; its splits are not set up.
    """

    config: dict[str, Any]
    data: DataModule
    task: Task
    checkpoint: Path


def find_checkpoint(run: RunDir, which: Which | str = "best") -> Checkpoint:
    """The checkpoint meant by ``best`` (by the monitored metric), ``last``, a file's name among the run's
    checkpoints, or a path.

    Raises:
        UserError: the run has none yet, or not that one.
    """
    if has_folds(run):
        raise UserError(
            f"{run.name} is a cross-validation, with a model for each fold. Name one, such as {run.name}/0."
        )
    entries = read_index(run.checkpoints)
    if which in ("best", "last"):
        entry = best_checkpoint(run) if which == "best" else last_checkpoint(run)
        if entry is None:
            state = read_status(run).state
            raise UserError(
                f"{run.name} ({state}) has no checkpoint yet. `runner resume {run.name}` continues it."
            )
        return entry
    for entry in entries:
        if which == entry.file or Path(which).absolute() == entry.path.absolute():
            return entry
    if not Path(which).exists():
        there = ", ".join(entry.file for entry in entries) or "none"
        raise UserError(
            f"no checkpoint {which}: not a file, and {run.name} has {there}; best and last are also accepted."
        )
    path = Path(which).absolute()
    return Checkpoint(path.name, 0, 0, "epoch", "", folder=str(path.parent))


@contextmanager
def none_of_its_own(run: RunDir, which: Which | str) -> Iterator[None]:
    """Within it, a checkpoint that was named and does not fit the run's model, or is none at all, is a
    UserError.
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
            f"{which} holds other weights than those of {run.name}: name one of its checkpoints."
        ) from error


def load_trained(
    run: RunDir, which: Which | str = "best", overrides: dict[str, Any] | None = None
) -> Trained:
    """Rebuilds task and data module of a run from its directory alone.

    Args:
        which: as for ``find_checkpoint``.
        overrides: dotted keys of the config and their values.

    Raises:
        UserError: the run has no checkpoint yet, or the file that is named is none of its model.
    """
    path = find_checkpoint(run, which).path
    config = read_stored_config(run.config_path)
    for key, value in (overrides or {}).items():
        OmegaConf.update(config, key, value, force_add=True)
    plain = OmegaConf.to_container(config, resolve=True)
    with none_of_its_own(run, which):
        checkpoint = RunCheckpointIO().load_checkpoint(path)
    plain = absolute_paths(run, plain, overrides or {})
    data = make_data(plain)
    state = checkpoint.get(type(data).__qualname__)
    if state is not None:
        data.load_state_dict(state)
    for key, nothing in NO_START.items():
        if plain["model"].get(key) is not None:
            plain["model"][key] = nothing
    task = make_task(plain, make_model(plain))
    task.decode = data.decode
    with none_of_its_own(run, which):
        task.load_state_dict(checkpoint["state_dict"])
    return Trained(plain, data, task.eval(), path)


class Served(nn.Module):
    """Normalisation and model in one: raw inputs in, probabilities or values out."""

    def __init__(self, task: Task, normalize: nn.Module) -> None:
        super().__init__()
        self.normalize = normalize
        self.task = task
        self.any_size_dims = getattr(task.model, "any_size_dims", ())

    def forward(self, inputs: Tensor) -> Tensor:
        outputs = self.task.predict_outputs(self.normalize(inputs))
        return self.task.served(outputs)


def load_model(run: RunDir | str | Path) -> tuple[nn.Module, np.ndarray, str]:
    """The model with its normalisation, ready to be exported or served.

    Returns:
        The module (inputs as the data set has them → outputs), an example input batch of two samples,
        and what the outputs are.
    """
    run = run if isinstance(run, RunDir) else find_run(run)
    trained = load_trained(run)
    shape = read_json(run.facts_path)["input_shape"]
    example = np.zeros((2, *shape), dtype=getattr(trained.data, "input_dtype", "float32"))
    return Served(trained.task, trained.data.normalize).eval(), example, trained.task.served_as


class Run:
    """A run, for notebooks: ``run = load_run("latest"); run.metrics(); run.predict(["cat.jpg"])``."""

    def __init__(self, directory: RunDir) -> None:
        self.directory = directory

    def __repr__(self) -> str:
        return f"Run({self.directory.name!r}, {self.status.state})"

    @property
    def config(self) -> dict[str, Any]:
        return OmegaConf.to_container(read_stored_config(self.directory.config_path), resolve=False)

    @property
    def status(self) -> Status:
        return read_status(self.directory)

    @property
    def results(self) -> dict[str, Any]:
        return read_json(self.directory.results_path, {})

    def metrics(self) -> dict[str, list[tuple[int, int, float]]]:
        """Each metric's history as ``(step, epoch, value)``."""
        return load_metrics(self.directory.metrics_path)

    @cached_property
    def trained(self) -> Trained:
        return load_trained(self.directory)

    def predict(self, inputs: list[str], which: Which = "best") -> list[dict[str, Any]]:
        """One row an input; see ``runner predict``."""
        from runner.inference.predict import predict

        return predict(self.directory, inputs, which)

    def evaluate(self, split: str = "test", overrides: dict[str, Any] | None = None) -> dict[str, float]:
        """Metrics of the best checkpoint on a split."""
        from runner.inference.evaluate import evaluate

        return evaluate(self.directory, split, overrides=overrides)


def load_run(reference: str | Path = "latest", root: str | Path = "runs") -> Run:
    """A run by directory, name, MLflow run id or ``latest``.

    Raises:
        RunNotFoundError: there is none.
    """
    return Run(find_run(reference, root))
