"""The part of the space of weights that is looked at: a plane or a line through a checkpoint, and a grid on
it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import nn

from runner.errors import UserError
from runner.inference.load import none_of_its_own
from runner.landscape.direction import Direction, difference, moved_weights, random_direction
from runner.landscape.path import model_state, principal_directions, project, read_path
from runner.landscape.request import LandscapeRequest
from runner.run.checkpoints import Checkpoint
from runner.run.directory import RunDir

__all__ = ["Plane", "make_plane"]

MARGIN = 0.25
"""Of the path's extent, or of the way between two checkpoints, on each side."""
SEEN = 0.01
"""A path of which less lies in the plane is not drawn: it would be a dot at the centre."""


@dataclass
class Plane:
    """
    Attributes:
        directions: one of a line, two of a plane.
        axes: where the grid's lines cross each direction.
        saved: checkpoints of the path, oldest first; of a line between two checkpoints these two.
        path: the points nearest to them, ``(n, 1 or 2)``.
        path_share: of the path's squared distances from the centre, what lies within.
        explained: of the checkpoints' variance, by each direction.
    """

    directions: list[Direction]
    axes: list[np.ndarray]
    saved: list[Checkpoint] = field(default_factory=list)
    path: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))
    path_share: float = 1.0
    explained: list[float] = field(default_factory=list)
    is_random: bool = False

    @property
    def num_grid(self) -> int:
        return int(np.prod([len(axis) for axis in self.axes]))

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the grid: rows go along the second direction."""
        return tuple(len(axis) for axis in reversed(self.axes))

    @property
    def shows_path(self) -> bool:
        return len(self.path) > 1 and self.path_share >= SEEN

    def points(self) -> np.ndarray:
        """The grid's points row by row, then the centre, then those of the path: ``(m, k)``."""
        grid = np.stack([axis.ravel() for axis in np.meshgrid(*self.axes)], axis=1)
        return np.concatenate([grid, np.zeros((1, len(self.axes))), self.path])


def make_plane(
    run: RunDir, model: nn.Module, request: LandscapeRequest, to: Checkpoint | None = None
) -> Plane:
    """
    Args:
        model: at the centre.
        to: the other checkpoint of ``request.to``.

    Raises:
        UserError: the path cannot give the directions that are asked for, or the model has nothing that
            moves.
    """
    if to is not None:
        reach = MARGIN if request.distance is None else request.distance
        axis = ticks(-reach, 1 + reach, request.num_points)
        with none_of_its_own(run, request.to):
            return Plane([difference(model, model_state(to.path))], [axis], [to], np.array([[1.0]]))
    if not moved_weights(model):
        raise UserError(
            f"the model of {run.name} has no weights of more than one dimension: no direction leads away."
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
    return Plane(directions, axes, path.saved, points, share, explained, request.directions == "random")


def ticks(low: float, high: float, count: int) -> np.ndarray:
    """Evenly spaced; the middle one of an odd number around zero is zero itself."""
    places = np.arange(count) / (count - 1)
    return low * (1 - places) + high * places


def around(coordinates: Sequence[float]) -> tuple[float, float]:
    """An interval that holds the centre and the path, with a margin."""
    low, high = min(0.0, *coordinates), max(0.0, *coordinates)
    margin = MARGIN * (high - low)
    return low - margin, high + margin
