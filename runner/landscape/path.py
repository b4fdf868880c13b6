"""The way that a training took, as far as its checkpoints tell."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

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
"""What to train with for a longer path."""
FEWEST = 3
FLAT = 1e-10
"""Of the variance along a line, what is across it by rounding alone."""
COLUMNS = 1 << 20

log = logging.getLogger("runner.landscape")


@dataclass
class OptimizationPath:
    """
    Attributes:
        saved: the checkpoints, oldest first.
        offsets: their weights less those of the centre, ``(n, P)``: those that directions move.
    """

    saved: list[Checkpoint]
    offsets: Tensor

    @property
    def steps(self) -> list[int]:
        return [entry.step for entry in self.saved]


def model_state(path: str | Path) -> dict[str, Tensor]:
    """The model's part of a checkpoint, by the model's own names.

    Raises:
        CheckpointError: it is absent, damaged, or would run code.
    """
    state = RunCheckpointIO().load_checkpoint(path).get("state_dict", {})
    return {name.removeprefix("model."): value for name, value in state.items() if name.startswith("model.")}


def read_path(run: RunDir, model: nn.Module) -> OptimizationPath:
    """All unharmed checkpoints of a run, seen from the weights the model has now."""
    weights = moved_weights(model)
    saved, rows = [], []
    for entry in read_index(run.checkpoints):
        problem = describe_damage(entry)
        if problem is not None:
            log.warning("%s. The path goes without it.", problem)
            continue
        state = model_state(entry.path)
        rows.append(flatten({name: state[name] - weight.detach().cpu() for name, weight in weights.items()}))
        saved.append(entry)
    size = sum(weight.numel() for weight in weights.values())
    return OptimizationPath(saved, torch.stack(rows) if rows else torch.zeros(0, size))


def flatten(tensors: Direction) -> Tensor:
    return torch.cat([tensor.flatten() for tensor in tensors.values()]).float()


def shaped(flat: Tensor, model: nn.Module) -> Direction:
    """``(P,)`` as a direction of the model."""
    weights = moved_weights(model)
    parts = flat.split([weight.numel() for weight in weights.values()])
    return {
        name: part.view(own.shape).to(own) for part, (name, own) in zip(parts, weights.items(), strict=True)
    }


def principal_directions(
    path: OptimizationPath, model: nn.Module, run: RunDir
) -> tuple[list[Direction], list[float]]:
    """The two directions, each of length 1, in which the checkpoints differ most, and the share of their
    variance that
    each explains: a principal component analysis of the checkpoints' differences to the final weights (Li et
        al.,
    section 7.2), the final weights among them.

    Raises:
        UserError: there are too few checkpoints to span a plane.
    """
    count = len(path.saved)
    if count >= FEWEST:
        centred = path.offsets - path.offsets.mean(0)
        squares, turns = torch.linalg.eigh(
            inner(centred, centred)
        )  # of n × n numbers, where the weights are millions
        squares, turns = squares.flip(0).clamp(min=0), turns.flip(1)
        if squares[1] > FLAT * squares[0]:
            axes = (turns[:, :2] / squares[:2].sqrt()).T.float() @ centred
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
    """Where in the plane of the directions the points nearest to those of a path lie, ``(n, k)``; and which
    share of the path's squared distances from the centre lies within that plane.
    """
    basis = torch.stack([flatten(direction).cpu() for direction in directions])
    gram = inner(basis, basis)
    coordinates = inner(offsets, basis) @ torch.linalg.pinv(gram, hermitian=True)
    whole = sum(float(inner(row[None], row[None])) for row in offsets)
    within = float(((coordinates @ gram) * coordinates).sum())
    return coordinates.numpy(), within / whole if whole else 1.0


def inner(one: Tensor, other: Tensor) -> Tensor:
    """``(n, P)`` and ``(m, P)`` to the products of their rows ``(n, m)`` in float64, without a copy of all in
    it.
    """
    pairs = zip(one.split(COLUMNS, 1), other.split(COLUMNS, 1), strict=True)
    return sum(part.double() @ same.double().T for part, same in pairs)
