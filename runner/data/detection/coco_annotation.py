"""The box of one COCO annotation, from its ``bbox`` or from its ``segmentation``."""

from __future__ import annotations

import json
import math
from typing import Any

__all__ = ["compact", "flag", "number", "sides_of"]


def compact(entry: dict[str, Any]) -> Any:
    """Drops the polygons of an annotation, which make up most of a file, to save memory."""
    if "image_id" in entry and ("bbox" in entry or "segmentation" in entry):
        return (
            entry["image_id"], entry.get("category_id"), box_or_error(entry),
            entry.get("area"), flag(entry.get("iscrowd")),
        )  # fmt: skip
    return entry


def box_or_error(entry: dict[str, Any]) -> Any:
    """Returns ``bbox``, or ``[x, y, width, height]`` around the ``segmentation`` if ``bbox`` is missing, null or empty; a
    ``ValueError`` if the segmentation cannot be read."""
    bbox, segmentation = entry.get("bbox"), entry.get("segmentation")
    if bbox or not segmentation:
        return bbox
    try:
        return mask_box(segmentation) if isinstance(segmentation, dict) else polygon_box(segmentation)
    except (TypeError, ValueError, KeyError, IndexError) as error:
        return ValueError(f"the segmentation cannot be read: {type(error).__name__}: {error}")


def polygon_box(polygons: Any) -> list[float]:
    """Returns ``[x, y, width, height]`` of polygons ``[[x1, y1, x2, y2, …], …]`` or of a single polygon."""
    if not isinstance(polygons, list):
        raise ValueError(f"expected polygons or a run-length code, got {polygons!r}")
    rings = polygons if isinstance(polygons[0], list) else [polygons]
    rings = [
        [side for point in ring for side in point] if isinstance(ring[0], list) else ring for ring in rings
    ]
    if any(len(ring) % 2 for ring in rings):
        raise ValueError("a polygon has an odd number of coordinates")
    x = [float(value) for ring in rings for value in ring[0::2]]
    y = [float(value) for ring in rings for value in ring[1::2]]
    return [min(x), min(y), max(x) - min(x), max(y) - min(y)]


def mask_box(code: dict[str, Any]) -> list[float]:
    """Returns ``[x, y, width, height]`` of a compressed or uncompressed run-length encoding."""
    from pycocotools import mask

    height, width = (int(side) for side in code["size"])
    if isinstance(code["counts"], list):
        code = mask.frPyObjects({"counts": code["counts"], "size": [height, width]}, height, width)
    return [float(side) for side in mask.toBbox(code)]


def sides_of(bbox: Any) -> list[float]:
    """Returns left, top, width and height; NaN for null. Numbers may be strings.

    Raises:
        ValueError: these are not four numbers.
    """
    if isinstance(bbox, ValueError):
        raise bbox
    given = bbox
    if isinstance(bbox, str):
        bbox = bbox.strip().strip("[]()").replace(",", " ").split()
    if not isinstance(bbox, list) or len(bbox) != 4:
        raise ValueError(f"bbox is {given}, expected [x, y, width, height]")
    return [number(value) for value in bbox]


def number(value: Any) -> float:
    """NaN for null, and for an empty text.

    Raises:
        ValueError: neither a number nor a text that spells one.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        return math.nan
    return float(value)


def flag(value: Any) -> bool:
    """Of ``1``, ``true``, ``"1"`` and ``"true"``; everything else is false."""
    if isinstance(value, str):
        try:
            value = json.loads(value.strip().lower() or "0")
        except ValueError:
            return False
    return bool(value)
