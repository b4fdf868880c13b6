"""Options of a loss landscape."""

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
    """Options of ``runner landscape``.

    Attributes:
        checkpoint: the center: ``best``, ``last``, a file of the run's checkpoints, or a path.
        to: another checkpoint; the loss is computed on the straight line through both (Goodfellow et al.,
            arXiv:1412.6544).
        split: ``train``, ``val`` or ``test``.
        directions: ``random``, normalized by filter; or ``pca``, the two in which the run's checkpoints
            differ most.
        one_dimensional: use the first direction only.
        resolution: points per side; if None, 25 for a plane and 51 for a line.
        distance: extent to each side. For random directions, 1 (the default) is a step as long as the
            weights, filter by filter; for ``pca`` it is a distance of weights, by default that of the path;
            with ``to`` it is the extent beyond the two checkpoints relative to their distance, by default
            0.25.
        samples: maximum number of samples of the split, spread evenly; all if None.
        seed: seed of the random directions, and of the random numbers of a loss.
        device: ``auto``, ``cpu``, ``gpu`` or ``mps``.

    Raises:
        UserError: a value is out of range, or two options exclude each other.
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
            raise UserError(f"--resolution {self.resolution}: expected 3 points per side or more.")
        if self.distance is not None and not (0 < self.distance < math.inf):
            raise UserError(f"--distance {self.distance:g}: expected a number above 0.")
        if self.samples is not None and self.samples < 1:
            raise UserError(f"--samples {self.samples}: expected 1 or more, or `all`.")
        if self.seed < 0:
            raise UserError(f"--seed {self.seed}: expected 0 or more.")
        if self.directions not in ("random", "pca"):
            raise UserError(f"--directions {self.directions}: expected random or pca.")
        if self.to is not None and self.directions == "pca":
            raise UserError("--to and --directions pca both define the direction; give one of the two.")

    @property
    def is_line(self) -> bool:
        """Whether the loss is computed along a single direction."""
        return self.one_dimensional or self.to is not None

    @property
    def num_points(self) -> int:
        """Number of points per side."""
        return self.resolution or (POINTS_OF_A_LINE if self.is_line else POINTS_A_SIDE)

    @property
    def kind(self) -> str:
        """Name of the output files."""
        if self.to is not None:
            return "between"
        return f"{self.directions}_line" if self.one_dimensional else self.directions
