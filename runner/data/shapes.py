"""Synthetic scenes of coloured circles, squares and triangles for detection and segmentation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from runner.data.sampler import seed_of

__all__ = ["CLASS_NAMES", "Scene", "ScenePlan", "SceneSource", "draw_scene"]

CLASS_NAMES = ("circle", "square", "triangle")
SMALLEST, LARGEST = 0.16, 0.5
"""Range of a shape's diameter, as a fraction of the image's side."""
MAX_OVERLAP = 0.1
"""Fraction of the smaller of two boxes that the other may cover."""
MIN_CONTRAST = 90
NUM_TRIES = 30


@dataclass(frozen=True)
class Scene:
    """One image with n shapes; the hidden parts of covered shapes are excluded from boxes and masks.

    Attributes:
        image: uint8 ``(3, size, size)``.
        labels: int64 ``(n,)``, indices into ``CLASS_NAMES``.
        boxes: float32 ``(n, 4)``, xyxy in pixels, tight around the visible parts.
        masks: bool ``(n, size, size)``.
    """

    image: np.ndarray
    labels: np.ndarray
    boxes: np.ndarray
    masks: np.ndarray


def draw_scene(seed: int, index: int, size: int = 128, max_objects: int = 6) -> Scene:
    """Draws scene number ``index``, which depends on the arguments only.

    Args:
        seed: seed of all scenes.
        index: number of the scene.
        size: side of the image, in pixels.
        max_objects: maximum number of shapes; there is always at least one.
    """
    draw = np.random.default_rng(seed_of(seed, "scene", index))
    image, ground = background(draw, size)
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float32) + 0.5
    masks: list[np.ndarray] = []
    labels: list[int] = []
    taken: list[tuple[float, float, float]] = []
    for _ in range(int(draw.integers(1, max_objects + 1))):
        position = find_position(draw, size, taken)
        if position is None:
            break
        taken.append(position)
        label = int(draw.integers(len(CLASS_NAMES)))
        mask = shape_mask(draw, label, position, rows, columns)
        image[:, mask] = contrasting(draw, ground)[:, None]
        masks = [other & ~mask for other in masks] + [mask]
        labels.append(label)
    image += 6 * draw.standard_normal(image.shape, dtype=np.float32)
    return Scene(
        image.round().clip(0, 255).astype(np.uint8),
        np.array(labels),
        np.stack([box_of(m) for m in masks]),
        np.stack(masks),
    )


def background(draw: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Draws a gradient between two dull colours ``(3, size, size)``; also returns their mean ``(3,)``."""
    first = draw.uniform(40, 215, 3)
    second = first + draw.uniform(-40, 40, 3)
    angle = draw.uniform(0, 2 * math.pi)
    line = np.linspace(-0.5, 0.5, size)
    ramp = 0.5 + (line[None, :] * math.cos(angle) + line[:, None] * math.sin(angle)) / math.sqrt(2)
    image = first[:, None, None] + (second - first)[:, None, None] * ramp
    return image.astype(np.float32), (first + second) / 2


def find_position(
    draw: np.random.Generator, size: int, taken: list[tuple[float, float, float]]
) -> tuple[float, float, float] | None:
    """Draws centre and radius of a shape that hardly covers the others; None if no position is free."""
    for _ in range(NUM_TRIES):
        radius = draw.uniform(SMALLEST, LARGEST) * size / 2
        x, y = draw.uniform(radius + 1, size - radius - 1, 2)
        if all(overlap((x, y, radius), other) <= MAX_OVERLAP for other in taken):
            return x, y, radius
    return None


def overlap(first: tuple[float, float, float], second: tuple[float, float, float]) -> float:
    """Returns the intersection area of the squares around two shapes, as a fraction of the smaller square."""
    reach = first[2] + second[2]
    smaller = 2 * min(first[2], second[2])
    sides = [min(smaller, max(0.0, reach - abs(first[axis] - second[axis]))) for axis in (0, 1)]
    return sides[0] * sides[1] / smaller**2


def shape_mask(
    draw: np.random.Generator,
    label: int,
    position: tuple[float, float, float],
    rows: np.ndarray,
    columns: np.ndarray,
) -> np.ndarray:
    """Returns the pixels of a shape, bool ``(size, size)``; squares and triangles are slightly rotated."""
    x, y, radius = position
    across, down = columns - x, rows - y
    if CLASS_NAMES[label] == "circle":
        return across**2 + down**2 <= radius**2
    num_sides = 4 if CLASS_NAMES[label] == "square" else 3
    turn = draw.uniform(-0.35, 0.35) + (math.pi / 4 if num_sides == 4 else math.pi / 2)
    inside = np.ones(rows.shape, dtype=bool)
    for side in range(num_sides):
        angle = turn + (side + 0.5) * 2 * math.pi / num_sides
        inside &= across * math.cos(angle) + down * math.sin(angle) <= radius * math.cos(math.pi / num_sides)
    return inside


def contrasting(draw: np.random.Generator, ground: np.ndarray) -> np.ndarray:
    """Draws a colour ``(3,)`` that contrasts with the background."""
    while True:
        color = draw.uniform(0, 255, 3)
        if np.abs(color - ground).max() >= MIN_CONTRAST:
            return color


def box_of(mask: np.ndarray) -> np.ndarray:
    """Returns the tight box ``(4,)`` around the pixels of a mask."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], dtype=np.float32)


class SceneSource:
    """Base class of sources of scenes, which are drawn lazily. A subclass implements ``__getitem__``.

    Args:
        num_images: number of images.
        seed: seed of all images.
        image_size: side S of the square images, in pixels.
        max_objects: maximum number of shapes per image.
    """

    def __init__(self, num_images: int, seed: int, image_size: int, max_objects: int) -> None:
        self.num_images = num_images
        self.seed = seed
        self.image_size = image_size
        self.max_objects = max_objects

    def __len__(self) -> int:
        return self.num_images

    def __getitem__(self, index: int) -> Any:
        raise TypeError(f"{type(self).__name__} does not implement __getitem__().")

    def scene(self, index: int) -> Scene:
        """Return the scene of an image."""
        return draw_scene(self.seed, index, self.image_size, self.max_objects)

    def name(self, index: int) -> str:
        return f"scene {index}"


AnySource = TypeVar("AnySource", bound=SceneSource)


@dataclass(frozen=True)
class ScenePlan:
    """Numbers and seed of generated scenes.

    Attributes:
        counts: split → number of images; the splits share no images.
        image_size: side of the square images, in pixels.
        max_objects: maximum number of shapes per image.
        seed: seed of the scenes.
    """

    counts: Mapping[str, int]
    image_size: int
    max_objects: int
    seed: int

    def sources(self, kind: type[AnySource]) -> dict[str, AnySource]:
        """Return a source for each split that has images."""
        return {
            split: kind(count, seed_of(self.seed, split), self.image_size, self.max_objects)
            for split, count in self.counts.items()
            if count
        }

    def digest(self) -> str:
        """Return a digest that identifies the scenes."""
        return f"{seed_of(self.seed, self.image_size, self.max_objects, *self.counts.values()):016x}"
