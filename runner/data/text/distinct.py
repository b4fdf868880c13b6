"""Generated samples without repetition, so that no split shares one with another."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TypeVar

from runner.errors import DataError

__all__ = ["draw_distinct"]

T = TypeVar("T")

NUM_TRIES = 2000
"""Repeated draws in a row, after which no other sample is expected."""


def draw_distinct(
    draw: Callable[[int], T], num_samples: int, key: Callable[[T], Hashable], title: str, hint: str
) -> list[T]:
    """``num_samples`` samples with different keys.

    Draws all samples once and then draws repetitions again, so that all other samples stay what the seed alone gives.

    Args:
        draw: of a position, a sample; each call draws another one.
        hint: what to change if there are too few different samples.

    Raises:
        DataError: there are too few different samples.
    """
    samples = [draw(position) for position in range(num_samples)]
    seen: set[Hashable] = set()
    repeated = []
    for position, sample in enumerate(samples):
        (repeated.append(position) if key(sample) in seen else seen.add(key(sample)))
    for position in repeated:
        for _ in range(NUM_TRIES):
            sample = draw(position)
            if key(sample) not in seen:
                break
        else:
            raise DataError(
                f"{title}: only {len(seen)} different samples were found, {num_samples} are needed so that no split "
                f"contains samples of another. {hint}"
            )
        seen.add(key(sample))
        samples[position] = sample
    return samples
