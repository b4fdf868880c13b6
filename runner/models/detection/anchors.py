"""Anchors of a feature pyramid."""

from __future__ import annotations

from runner.errors import UserError
from runner.models.detection.float32_boxes import ExactAnchors

__all__ = ["make_anchors"]


def make_anchors(
    sizes: list[int] | list[list[int]], aspect_ratios: list[float], num_levels: int
) -> ExactAnchors:
    """Builds the anchors of all levels.

    Args:
        sizes: one or several sizes for each level, in pixels.
        aspect_ratios: height-to-width ratios, used at every level.
        num_levels: number of levels of the pyramid.

    Raises:
        UserError: the number of entries differs from ``num_levels``, or the number of sizes differs between levels.
    """
    grouped = tuple(tuple(group) if isinstance(group, list | tuple) else (group,) for group in sizes)
    if len(grouped) != num_levels or len({len(group) for group in grouped}) != 1:
        raise UserError(
            f"anchor_sizes={[list(group) for group in grouped]}: expected {num_levels} entries, one for each level "
            "of the pyramid and one for the level on top of it, with the same number of sizes each."
        )
    return ExactAnchors(grouped, (tuple(aspect_ratios),) * num_levels)
