"""What an explanation is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from runner.errors import UserError

__all__ = ["METHODS", "Method", "ExplainOptions"]

Method = Literal["grad_cam", "grad_cam_plus_plus", "integrated_gradients", "occlusion", "permutation"]
METHODS: tuple[str, ...] = get_args(Method)
SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class ExplainOptions:
    """
    Attributes:
        method: None takes what suits the input best.
        target: the class, token or column whose number is explained; what the model said when None.
        step: counted from 1: of a labelled sequence the step that got its label, of a written one the token, of a
            forecast the step ahead; all when None.
        layer: whose maps Grad-CAM takes; the last one that has any when None.
        split: where samples come from when no input is given.
        samples: number of samples; 8 if None.
        worst: those with the highest loss, instead of a random selection.
        steps: of the integral of integrated gradients.
        repeats: of permutation importance.
        seed: of the permutations and of the sanity check.
    """

    method: str | None = None
    target: str | None = None
    step: int | None = None
    layer: str | None = None
    split: str = "val"
    samples: int | None = None
    worst: bool = False
    steps: int = 64
    repeats: int = 10
    seed: int = 0

    def check(self) -> None:
        """
        Raises:
            UserError: a value makes no sense.
        """
        for name, value, least, most in (
            ("--samples", 1 if self.samples is None else self.samples, 1, 1000),
            ("--steps", self.steps, 2, 5000),
            ("--repeats", self.repeats, 2, 1000),
            ("--step", 1 if self.step is None else self.step, 1, 100_000),
        ):
            if not least <= value <= most:
                raise UserError(f"{name} {value}: expected a number from {least} to {most}.")
        if self.split not in SPLITS:
            raise UserError(f"split {self.split!r}: expected one of {', '.join(SPLITS)}.")
