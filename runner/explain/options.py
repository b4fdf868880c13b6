"""Options of explanations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from runner.errors import UserError

__all__ = ["METHODS", "ExplainOptions", "Method"]

Method = Literal["grad_cam", "grad_cam_plus_plus", "integrated_gradients", "occlusion", "permutation"]
METHODS: tuple[str, ...] = get_args(Method)
SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class ExplainOptions:
    """Options of ``runner explain``.

    Attributes:
        method: name of the method; None selects the default for the input.
        target: the class, token or column to explain; the prediction if None.
        step: 1-based step to explain: labelled step of a sequence, generated token, or forecast step; all if
            None.
        layer: layer whose feature maps Grad-CAM uses; the last one with feature maps if None.
        split: split to take samples from if no input is given.
        samples: number of samples; 8 if None.
        worst: select the samples with the highest loss, instead of evenly spread ones.
        steps: number of integration steps of integrated gradients.
        repeats: number of repeats of permutation importance.
        seed: seed of the permutations and of the sanity check.
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
        """Checks the values.

        Raises:
            UserError: a value is invalid.
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
