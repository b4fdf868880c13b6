"""One annotation file in COCO's JSON."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from runner.data.detection.layout import find_image_folder, no_images_problem
from runner.data.detection.table import BoxTable, Reading
from runner.errors import DataError

__all__ = ["read_coco"]


def compact(entry: dict[str, Any]) -> Any:
    """An annotation without its polygons, which are most of a file and would fill the memory."""
    if "bbox" in entry and "image_id" in entry:
        return (
            entry["image_id"], entry.get("category_id"), entry["bbox"],
            entry.get("area"), bool(entry.get("iscrowd", 0)),
        )  # fmt: skip
    return entry


def read_coco(file: Path, places: list[Path]) -> tuple[Reading, dict[int, str]]:
    """One annotation file, and its categories' names by their ids, in the order of the ids.

    Args:
        places: folders in which the images may lie.

    Raises:
        DataError: the file is not COCO's JSON, or no image is found.
    """
    try:
        with open(file, encoding="utf-8-sig") as opened:
            content = json.load(opened, object_hook=compact)
        categories = {int(entry["id"]): str(entry["name"]) for entry in content["categories"]}
        images = [
            (entry["id"], str(entry["file_name"]), int(entry.get("width") or 0), int(entry.get("height") or 0))
            for entry in content["images"]
        ]
        annotations = content.get("annotations") or []
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(
            f"{file} is not COCO's JSON ({type(error).__name__}: {error}). "
            'Expected {"images": […], "annotations": […], "categories": […]}.'
        ) from error
    refuse_doubles(file, [entry[0] for entry in images], "images")
    refuse_doubles(file, [entry["id"] for entry in content["categories"]], "categories")
    if not images or not categories:
        raise DataError(f"{file} names {len(images)} images and {len(categories)} categories; at least one is needed.")
    names = [name for _, name, _, _ in images]
    folder = find_image_folder(places, names)
    if folder is None:
        raise DataError(f"{file}: {no_images_problem(places, names[0])}")
    categories = dict(sorted(categories.items()))
    return annotation_table(annotations, images, categories, folder), categories


def sides_of(bbox: Any) -> list[float]:
    """Left, top, width and height; NaN for null."""
    if not isinstance(bbox, list) or len(bbox) != 4:
        raise ValueError(f"bbox is {bbox}, expected [x, y, width, height]")
    return [float("nan") if value is None else float(value) for value in bbox]


def id_of(value: Any) -> str:
    """The same for 7, 7.0 and "7": tools write each of them."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def refuse_doubles(file: Path, ids: list[Any], what: str) -> None:
    """
    Raises:
        DataError: one id stands for several.
    """
    twice = [number for number, count in Counter(map(id_of, ids)).items() if count > 1]
    if twice:
        raise DataError(
            f"{file}: {len(twice)} ids stand for several {what}: {', '.join(twice[:8])}{' …' if len(twice) > 8 else ''}. "
            "Give each its own."
        )


def annotation_table(
    annotations: list[Any], images: list[tuple[Any, str, int, int]], categories: dict[int, str], folder: Path
) -> Reading:
    position = {id_of(entry[0]): place for place, entry in enumerate(images)}
    label = {str(category): place for place, category in enumerate(categories)}
    rows, corrupt, unknown = [], [], []
    for number, annotation in enumerate(annotations):
        try:
            if not isinstance(annotation, tuple):
                raise ValueError("no bbox or no image_id")
            image_id, category, bbox, area, crowd = annotation
            place = position[id_of(image_id)]
            x, y, width, height = sides_of(bbox)
            area = float("nan") if area is None else float(area)
        except (TypeError, ValueError, KeyError) as error:
            reason = f"there is no image {image_id}" if isinstance(error, KeyError) else str(error)
            corrupt.append(f"annotation number {number} ({reason})")
            continue
        class_number = label.get(id_of(category), -1)
        if class_number < 0:
            unknown.append(str(category))
        rows.append((place, x, y, x + width, y + height, class_number, area, crowd))
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
