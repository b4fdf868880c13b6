"""Reader of an annotation file in COCO's JSON format."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from runner.data.detection.class_names import merge_ids
from runner.data.detection.layout import (
    find_image_folder,
    find_path,
    leaves_folder,
    no_images_problem,
    portable_path,
)
from runner.data.detection.source import BoxTable, Reading
from runner.errors import DataError

__all__ = ["CocoFile", "compact", "flag", "number", "read_coco", "sides_of"]


def compact(entry: dict[str, Any]) -> Any:
    """Drop the polygons of an annotation, which make up most of a file, to save memory."""
    if "image_id" in entry and ("bbox" in entry or "segmentation" in entry):
        return (
            entry["image_id"], entry.get("category_id"), box_or_error(entry),
            entry.get("area"), flag(entry.get("iscrowd")),
        )  # fmt: skip
    return entry


def box_or_error(entry: dict[str, Any]) -> Any:
    """Return the box of an annotation, or a ``ValueError`` if its segmentation cannot be read.

    This is ``bbox``, or ``[x, y, width, height]`` of the ``segmentation`` if ``bbox`` is missing or empty.
    """
    bbox, segmentation = entry.get("bbox"), entry.get("segmentation")
    if bbox or not segmentation:
        return bbox
    try:
        return mask_box(segmentation) if isinstance(segmentation, dict) else polygon_box(segmentation)
    except (TypeError, ValueError, KeyError, IndexError) as error:
        return ValueError(f"the segmentation cannot be read: {type(error).__name__}: {error}")


def polygon_box(polygons: Any) -> list[float]:
    """Return ``[x, y, width, height]`` of polygons ``[[x1, y1, x2, y2, …], …]`` or of a single polygon."""
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
    """Return ``[x, y, width, height]`` of a compressed or uncompressed run-length encoding."""
    from pycocotools import mask

    height, width = (int(side) for side in code["size"])
    if isinstance(code["counts"], list):
        code = mask.frPyObjects({"counts": code["counts"], "size": [height, width]}, height, width)
    return [float(side) for side in mask.toBbox(code)]


def sides_of(bbox: Any) -> list[float]:
    """Return left, top, width and height; NaN for null. Numbers may be strings.

    Raises:
        ValueError: the box is not four numbers.
    """
    if isinstance(bbox, ValueError):
        raise bbox
    values = bbox.strip().strip("[]()").replace(",", " ").split() if isinstance(bbox, str) else bbox
    if not isinstance(values, list) or len(values) != 4:
        raise ValueError(f"bbox is {bbox}, expected [x, y, width, height]")
    return [number(value) for value in values]


def number(value: Any) -> float:
    """Convert a value to a number; NaN for null and for an empty string.

    Raises:
        ValueError: the value is neither a number nor a string with one.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        return math.nan
    return float(value)


def flag(value: Any) -> bool:
    """Return true for ``1``, ``true``, ``"1"`` and ``"true"``; false for everything else."""
    if isinstance(value, str):
        try:
            value = json.loads(value.strip().lower() or "0")
        except ValueError:
            return False
    return bool(value)


@dataclass
class CocoFile:
    """The content of an annotation file.

    Attributes:
        reading: images and boxes; labels number the distinct class names in the order of the smallest ids.
        categories: id → class name, in the order of the ids.
    """

    reading: Reading
    categories: dict[int, str]


def read_coco(file: Path, folders: list[Path]) -> CocoFile:
    """Read an annotation file. Categories with the same name and the same supercategory are one class.

    Args:
        file: the annotation file.
        folders: candidate folders of the images.

    Raises:
        DataError: the file is not COCO's JSON, several categories have the same name, or no image is found.
    """
    try:
        with open(file, encoding="utf-8-sig") as stream:
            content = json.load(stream, object_hook=compact)
        names = {int(entry["id"]): str(entry["name"]) for entry in content.get("categories") or ()}
        parents = {
            int(entry["id"]): str(entry.get("supercategory") or "")
            for entry in content.get("categories") or ()
        }
        images = [
            (
                entry["id"],
                str(entry["file_name"]),
                *(int(float(entry.get(side) or 0)) for side in ("width", "height")),
            )
            for entry in content["images"]
        ]
        annotations = content.get("annotations") or []
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise DataError(
            f"{file} is not COCO's JSON ({type(error).__name__}: {error}). "
            'Expected {"images": […], "annotations": […], "categories": […]}.'
        ) from error
    outside = [name for _, name, _, _ in images if leaves_folder(name)]
    if outside:
        raise DataError(
            f"{file}: {len(outside)} images are outside the folder of the images, such as {outside[0]!r}. "
            "Write names relative to that folder, and give the folder with data.images=FOLDER."
        )
    reject_doubles(file, [entry[0] for entry in images], "images")
    reject_doubles(file, [entry["id"] for entry in content.get("categories") or ()], "categories")
    if not images or (annotations and not names):
        raise DataError(
            f"{file} names {len(images)} images and {len(names)} categories; at least one is needed."
        )
    categories, problems = merge_ids(dict(sorted(names.items())), parents)
    if problems:
        raise DataError("\n".join(f"{file}: {problem}" for problem in problems))
    files = [name for _, name, _, _ in images]
    folder = find_image_folder(folders, files)
    if folder is None:
        raise DataError(f"{file}: {no_images_problem(folders, files[0])}")
    images = [
        (entry[0], find_path(folder, entry[1]) or portable_path(entry[1]), *entry[2:]) for entry in images
    ]
    return CocoFile(annotation_table(annotations, images, categories, folder), categories)


def id_of(value: Any) -> str:
    """Return the same key for 7, 7.0 and "7", since tools write all of them."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def reject_doubles(file: Path, ids: list[Any], what: str) -> None:
    """Reject ids that occur more than once.

    Raises:
        DataError: an id occurs more than once.
    """
    repeated = [number for number, count in Counter(map(id_of, ids)).items() if count > 1]
    if repeated:
        raise DataError(
            f"{file}: {len(repeated)} ids stand for several {what}: "
            f"{', '.join(repeated[:8])}{' …' if len(repeated) > 8 else ''}. Give each its own."
        )


def annotation_table(
    annotations: list[Any], images: list[tuple[Any, str, int, int]], categories: dict[int, str], folder: Path
) -> Reading:
    positions = {id_of(entry[0]): position for position, entry in enumerate(images)}
    class_names = list(dict.fromkeys(categories.values()))
    label = {str(category): class_names.index(name) for category, name in categories.items()}
    rows: list[tuple[float, ...]] = []
    corrupt: list[str] = []
    unknown: list[str] = []
    for count, annotation in enumerate(annotations):
        try:
            if not isinstance(annotation, tuple):
                raise ValueError("no bbox and no segmentation, or no image_id")
            image_id, category, bbox, area, crowd = annotation
            position = positions[id_of(image_id)]
            x, y, width, height = sides_of(bbox)
            area = number(area)
        except (TypeError, ValueError, KeyError) as error:
            reason = f"image {image_id} does not exist" if isinstance(error, KeyError) else str(error)
            corrupt.append(f"annotation number {count} ({reason})")
            continue
        class_number = label.get(id_of(category), -1)
        if class_number < 0:
            unknown.append(str(category))
        rows.append((position, x, y, x + width, y + height, class_number, area, crowd))
    columns = np.array(rows, dtype=np.float64).reshape(-1, 8)
    table = BoxTable.build(
        [name for _, name, _, _ in images],
        columns[:, 0],
        columns[:, 1:5],
        columns[:, 5],
        sizes=np.array([entry[2:] for entry in images]),
        areas=columns[:, 6],
        crowd=columns[:, 7] > 0,
    )
    return Reading(table, str(folder), corrupt, unknown)
