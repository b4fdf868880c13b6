"""Anchors of a feature pyramid, from a config's lists."""

from __future__ import annotations

from runner.errors import UserError
from runner.models.detection.float32_boxes import ExactAnchors

__all__ = ["make_anchors"]


def make_anchors(
    sizes: list[int] | list[list[int]], aspect_ratios: list[float], num_levels: int
) -> ExactAnchors:
    """Anchors of every level.

    Raises:
        UserError: there are not as many sizes as levels, or not equally many for each.
    """
    grouped = tuple(tuple(group) if isinstance(group, list | tuple) else (group,) for group in sizes)
    if len(grouped) != num_levels or len({len(group) for group in grouped}) != 1:
        raise UserError(
            f"anchor_sizes={[list(group) for group in grouped]}: expected {num_levels} entries, one for each level "
            "of the pyramid and one for the level on top of it, with equally many sizes each."
        )
    return ExactAnchors(grouped, (tuple(aspect_ratios),) * num_levels)
