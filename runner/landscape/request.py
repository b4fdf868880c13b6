"""What of a run's loss landscape is to be looked at."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from runner.errors import UserError

__all__ = ["LandscapeRequest"]

POINTS_A_SIDE = 25
POINTS_OF_A_LINE = 51


@dataclass(frozen=True)
class LandscapeRequest:
    """
    Attributes:
        checkpoint: the centre: ``best``, ``last``, a file of the run's checkpoints, or a path.
        to: another checkpoint; the loss is followed on the straight line from one to the other and beyond
            (Goodfellow et al., arXiv:1412.6544).
        split: ``train``, ``val`` or ``test``.
        directions: ``random``, normalised by filter; or ``pca``, the two in which the run's checkpoints
            differ most.
        one_dimensional: along the first direction alone.
        resolution: points a side; 25 of a plane and 51 of a line when None.
        distance: how far it goes to each side. Of random directions 1 is a step as long as the weights,
            filter by filter, and what None takes; of ``pca`` it is a distance of weights, and None goes as
            far as the path; with ``to`` it is how far beyond the two checkpoints, 0.25 of the way between
            them when None.
        samples: of the split, at most, evenly spread; all when None.
        seed: of the random directions, and of what a loss draws.
        device: ``auto``, ``cpu``, ``gpu`` or ``mps``.

    Raises:
        UserError: a value that makes no sense.
    """

    checkpoint: str = "best"
    to: str | None = None
    split: str = "val"
    directions: Literal["random", "pca"] = "random"
    one_dimensional: bool = False
    resolution: int | None = None
    distance: float | None = None
    samples: int | None = 1000
    seed: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        if self.resolution is not None and self.resolution < 3:
            raise UserError(f"--resolution {self.resolution}: expected 3 points a side or more.")
        if self.distance is not None and not (0 < self.distance < math.inf):
            raise UserError(f"--distance {self.distance:g}: expected a number above 0.")
        if self.samples is not None and self.samples < 1:
            raise UserError(f"--samples {self.samples}: expected 1 or more, or `all`.")
        if self.seed < 0:
            raise UserError(f"--seed {self.seed}: expected 0 or more.")
        if self.directions not in ("random", "pca"):
            raise UserError(f"--directions {self.directions}: expected random or pca.")
        if self.to is not None and self.directions == "pca":
            raise UserError("--to and --directions pca both say which way to go; give one of the two.")

    @property
    def is_line(self) -> bool:
        return self.one_dimensional or self.to is not None

    @property
    def num_points(self) -> int:
        """A side."""
        return self.resolution or (POINTS_OF_A_LINE if self.is_line else POINTS_A_SIDE)

    @property
    def kind(self) -> str:
        """What its files are called."""
        if self.to is not None:
            return "between"
        return f"{self.directions}_line" if self.one_dimensional else self.directions
