"""Planes and lines through a checkpoint in the space of weights, and the grid on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import nn

from runner.errors import UserError
from runner.inference.load import checkpoint_must_fit
from runner.landscape.direction import Direction, difference, moved_weights, random_direction
from runner.landscape.path import model_state, principal_directions, project, read_path
from runner.landscape.request import LandscapeRequest
from runner.run.checkpoints import Checkpoint
from runner.run.directory import RunDir

__all__ = ["Plane", "make_plane"]

MARGIN = 0.25
"""Margin on each side, relative to the extent of the path or the distance of two checkpoints."""
MIN_SHARE = 0.01
"""Minimum share of a path within the plane; others would be drawn as a dot at the center."""


@dataclass
class Plane:
    """A plane or a line through the weights of a checkpoint.

    Attributes:
        directions: one direction for a line, two for a plane.
        axes: coordinates of the grid along each direction.
        checkpoints: checkpoints of the path, oldest first; the other checkpoint of a line between two.
        path: coordinates of the points nearest to them, ``(n, 1 or 2)``.
        path_share: share of the path's squared distances from the center that lies within the plane.
        explained: share of the checkpoints' variance that each direction explains.
        is_random: whether the directions are random.
    """

    directions: list[Direction]
    axes: list[np.ndarray]
    checkpoints: list[Checkpoint] = field(default_factory=list)
    path: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))
    path_share: float = 1.0
    explained: list[float] = field(default_factory=list)
    is_random: bool = False

    @property
    def num_grid(self) -> int:
        """Number of points of the grid."""
        return int(np.prod([len(axis) for axis in self.axes]))

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the grid; its rows correspond to the second direction."""
        return tuple(len(axis) for axis in reversed(self.axes))

    @property
    def shows_path(self) -> bool:
        """Whether enough of the path lies within the plane."""
        return len(self.path) > 1 and self.path_share >= MIN_SHARE

    def points(self) -> np.ndarray:
        """Returns the points of the grid row by row, the center, and those of the path: ``(m, k)``."""
        grid = np.stack([axis.ravel() for axis in np.meshgrid(*self.axes)], axis=1)
        return np.concatenate([grid, np.zeros((1, len(self.axes))), self.path])


def make_plane(
    run: RunDir, model: nn.Module, request: LandscapeRequest, to: Checkpoint | None = None
) -> Plane:
    """Returns the plane or line of a request.

    Args:
        run: the run.
        model: the model at the center.
        request: directions and grid.
        to: the other checkpoint, if the request names one.

    Raises:
        UserError: the path does not define the requested directions, or the model has no weights to change.
    """
    if to is not None and request.to is not None:
        reach = MARGIN if request.distance is None else request.distance
        axis = ticks(-reach, 1 + reach, request.num_points)
        with checkpoint_must_fit(run, request.to):
            return Plane([difference(model, model_state(to.path))], [axis], [to], np.array([[1.0]]))
    if not moved_weights(model):
        raise UserError(
            f"the model of {run.name} has no weights of more than one dimension, so there are no directions."
        )
    path = read_path(run, model)
    if request.directions == "pca":
        directions, explained = principal_directions(path, model, run)
    else:
        directions, explained = [random_direction(model, request.seed, number) for number in (1, 2)], []
    if request.is_line:
        directions, explained = directions[:1], explained[:1]
    points, share = project(path.offsets, directions)
    if request.directions == "pca" and request.distance is None:
        axes = [ticks(*around(column), request.num_points) for column in points.T]
    else:
        distance = request.distance or 1.0
        axes = [ticks(-distance, distance, request.num_points) for _ in directions]
    return Plane(directions, axes, path.checkpoints, points, share, explained, request.directions == "random")


def ticks(low: float, high: float, count: int) -> np.ndarray:
    """Returns evenly spaced values; the middle one of an odd number around zero is exactly zero."""
    fractions = np.arange(count) / (count - 1)
    return low * (1 - fractions) + high * fractions


def around(coordinates: Sequence[float]) -> tuple[float, float]:
    """Returns an interval around the center and the path, with a margin."""
    low, high = min(0.0, *coordinates), max(0.0, *coordinates)
    margin = MARGIN * (high - low)
    return low - margin, high + margin
