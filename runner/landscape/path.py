"""The path of the weights during training, from the checkpoints of a run."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from runner.callbacks.checkpoint_io import RunCheckpointIO
from runner.errors import UserError
from runner.landscape.direction import Direction, moved_weights
from runner.run.checkpoints import Checkpoint, describe_damage, read_index
from runner.run.directory import RunDir

__all__ = ["OptimizationPath", "model_state", "principal_directions", "project", "read_path"]

KEEPS_MORE = "checkpoint.keep_last=20 (or checkpoint.keep_best=20)"
"""Overrides that keep more checkpoints."""
FEWEST = 3
"""Minimum number of checkpoints that span a plane."""
FLAT = 1e-10
"""Variance across a line, relative to that along it, that is explained by rounding alone."""
COLUMNS = 1 << 20
"""Number of weights that are converted to float64 at a time."""

log = logging.getLogger("runner.landscape")


@dataclass
class OptimizationPath:
    """Checkpoints of a run and their distance from the center.

    Attributes:
        checkpoints: the checkpoints, oldest first.
        offsets: their weights minus those of the center, ``(n, P)``; only weights that directions change.
    """

    checkpoints: list[Checkpoint]
    offsets: Tensor

    @property
    def steps(self) -> list[int]:
        """Optimizer steps of the checkpoints."""
        return [entry.step for entry in self.checkpoints]


def model_state(path: str | Path) -> dict[str, Tensor]:
    """Returns the model's tensors in a checkpoint, by their names in the model.

    Args:
        path: checkpoint file.

    Raises:
        CheckpointError: the checkpoint is missing or corrupt, or contains code.
    """
    state = RunCheckpointIO().load_checkpoint(path).get("state_dict", {})
    return {name.removeprefix("model."): value for name, value in state.items() if name.startswith("model.")}


def read_path(run: RunDir, model: nn.Module) -> OptimizationPath:
    """Reads all intact checkpoints of a run, relative to the present weights of the model."""
    weights = moved_weights(model)
    checkpoints, rows = [], []
    for entry in read_index(run.checkpoints):
        problem = describe_damage(entry)
        if problem is not None:
            log.warning("%s. The path is drawn without it.", problem)
            continue
        state = model_state(entry.path)
        rows.append(flatten({name: state[name] - weight.detach().cpu() for name, weight in weights.items()}))
        checkpoints.append(entry)
    size = sum(weight.numel() for weight in weights.values())
    return OptimizationPath(checkpoints, torch.stack(rows) if rows else torch.zeros(0, size))


def flatten(tensors: Direction) -> Tensor:
    """Concatenates the tensors of a direction, ``(P,)``."""
    return torch.cat([tensor.flatten() for tensor in tensors.values()]).float()


def shaped(flat: Tensor, model: nn.Module) -> Direction:
    """Converts a vector ``(P,)`` to a direction of the model."""
    weights = moved_weights(model)
    parts = flat.split([weight.numel() for weight in weights.values()])
    return {
        name: part.view(own.shape).to(own) for part, (name, own) in zip(parts, weights.items(), strict=True)
    }


def principal_directions(
    path: OptimizationPath, model: nn.Module, run: RunDir
) -> tuple[list[Direction], list[float]]:
    """Returns the two principal directions of a path and the share of the variance that each explains.

    Principal component analysis of the checkpoints' differences to the final weights, which are included (Li
    et al., arXiv:1712.09913, section 7.2). Directions have length 1.

    Args:
        path: checkpoints of the run.
        model: the model at the center.
        run: the run, for messages.

    Raises:
        UserError: there are too few checkpoints to span a plane.
    """
    count = len(path.checkpoints)
    if count >= FEWEST:
        centred = path.offsets - path.offsets.mean(0)
        # The Gram matrix is n × n, the covariance of millions of weights would not fit into memory.
        squares, vectors = torch.linalg.eigh(inner(centred, centred))
        squares, vectors = squares.flip(0).clamp(min=0), vectors.flip(1)
        if squares[1] > FLAT * squares[0]:
            axes = (vectors[:, :2] / squares[:2].sqrt()).T.float() @ centred
            signs = axes.gather(1, axes.abs().argmax(1, keepdim=True)).sign()
            shares = (squares / squares.sum()).tolist()
            return [shaped(axis, model) for axis in axes * signs], shares[:2]
    reason = (
        f"its {count} lie on one line"
        if count >= FEWEST
        else f"it keeps {count} of the {FEWEST} that are needed"
    )
    raise UserError(
        f"--directions pca takes the directions from the checkpoints of {run.name}, and {reason}. "
        f"Train with {KEEPS_MORE} to keep more, or take --directions random."
    )


def project(offsets: Tensor, directions: Sequence[Direction]) -> tuple[np.ndarray, float]:
    """Projects a path onto the plane of the directions.

    Args:
        offsets: weights minus those of the center, ``(n, P)``.
        directions: k directions.

    Returns:
        Coordinates of the nearest points in the plane, ``(n, k)``, and the share of the squared distances
        from the center that lies within the plane.
    """
    basis = torch.stack([flatten(direction).cpu() for direction in directions])
    gram = inner(basis, basis)
    coordinates = inner(offsets, basis) @ torch.linalg.pinv(gram, hermitian=True)
    whole = sum(float(inner(row[None], row[None])) for row in offsets)
    within = float(((coordinates @ gram) * coordinates).sum())
    return coordinates.numpy(), within / whole if whole else 1.0


def inner(first: Tensor, second: Tensor) -> Tensor:
    """Computes the products of rows in float64 without converting all columns at once.

    Args:
        first: ``(n, P)``.
        second: ``(m, P)``.

    Returns:
        ``(n, m)``.
    """
    pairs = zip(first.split(COLUMNS, 1), second.split(COLUMNS, 1), strict=True)
    total: Any = sum(part.double() @ other.double().T for part, other in pairs)
    return total
