"""Recognizes the kind of data in a folder or file, from names alone."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from runner.errors import UserError

__all__ = ["DetectedData", "detect_data"]

IMAGES = frozenset((".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff"))
SOUNDS = frozenset((".wav", ".flac", ".ogg", ".mp3", ".aiff", ".aif"))
TABLES = frozenset((".csv", ".tsv"))
TEXT_COLUMNS, LABEL_COLUMNS = ("text", "message", "review", "sentence"), ("label", "class", "category")
TIME_COLUMNS = ("date", "time", "timestamp", "datetime", "ds")
MAX_FILES = 5000
"""Number of files that are looked at in a folder."""


class DetectedData(NamedTuple):
    """The data set option for a folder or file.

    Attributes:
        option: name of the option, such as ``image_folder``.
        overrides: overrides that select the option and its files.
        reason: why, as a phrase.
        missing: what the user has to add, as an override; empty if nothing is missing.
    """

    option: str
    overrides: tuple[str, ...]
    reason: str
    missing: str = ""


def detect_data(path: Path) -> DetectedData:
    """Return the kind of data in a folder or file.

    Args:
        path: an existing folder or file.

    Raises:
        UserError: the content has no known form; the message lists the forms.
    """
    detected = detect_folder(path) if path.is_dir() else detect_file(path)
    if detected is None:
        raise UserError(
            f"{path}: the kind of data is not recognized. Known are folders of images, sounds or text files "
            "with a folder for each class, images with masks, annotations of Pascal VOC, COCO and YOLO, "
            "tables (.csv, .tsv), running text (.txt) and tunes (.abc). Name the kind with data=KIND; "
            "`runner data list` shows all."
        )
    return detected


def detect_folder(root: Path) -> DetectedData | None:
    names = {entry.name.lower() for entry in root.iterdir()}
    if {"annotations", "jpegimages"} <= names:
        return from_root("voc", root, "it has Annotations and JPEGImages")
    if {"images", "labels"} <= names:
        return from_root("yolo", root, "it has images and labels")
    if {"images", "masks"} <= names:
        return from_root("mask_folder", root, "it has images and masks", "data.class_names=[NAME,…]")
    if coco := next((file for file in files_below(root) if is_coco(file)), None):
        return from_root("coco", root, f"{coco.relative_to(root)} holds annotations in COCO's format")
    suffixes = Counter(file.suffix.lower() for file in files_below(root) if file.parent != root)
    counts = {
        "image_folder": sum(suffixes[suffix] for suffix in IMAGES),
        "audio_folder": sum(suffixes[suffix] for suffix in SOUNDS),
        "text_folder": suffixes[".txt"],
    }
    option, count = max(counts.items(), key=lambda entry: entry[1])
    if not count:
        return None
    kind = {"image_folder": "images", "audio_folder": "sounds", "text_folder": "text files"}[option]
    more = " or more" if count >= MAX_FILES else ""
    return from_root(option, root, f"its folders hold {count}{more} {kind}")


def detect_file(path: Path) -> DetectedData | None:
    suffix = path.suffix.lower()
    if suffix == ".txt":
        return DetectedData("text_file", ("data=text_file", f"data.path={path}"), "a file of running text")
    if suffix == ".abc":
        return DetectedData("abc_file", ("data=abc_file", f"data.path={path}"), "a file of tunes")
    return detect_table(path) if suffix in TABLES else None


def detect_table(path: Path) -> DetectedData:
    columns = header(path)
    by_name = {column.lower(): column for column in columns}
    text = next((by_name[name] for name in TEXT_COLUMNS if name in by_name), None)
    label = next((by_name[name] for name in LABEL_COLUMNS if name in by_name), None)
    if text and label:
        words: tuple[str, ...] = (
            "data=text_csv", f"data.path={path}", f"data.text={text}", f"data.label={label}",
        )  # fmt: skip
        return DetectedData("text_csv", words, f"it has the columns {text} and {label}")
    time = next((by_name[name] for name in TIME_COLUMNS if name in by_name), None)
    remaining = f"(columns: {', '.join(columns[:12])}{' …' if len(columns) > 12 else ''})"
    if time and columns and columns[0] == time:
        words = ("data=series", f"data.path={path}", f"data.time_column={time}")
        return DetectedData("series", words, f"its first column is {time}", f"data.target=COLUMN {remaining}")
    words = ("data=csv", f"data.path={path}")
    if label:
        return DetectedData("csv", (*words, f"data.target={label}"), f"a table with the column {label}")
    return DetectedData("csv", words, "a table", f"data.target=COLUMN {remaining}")


def from_root(option: str, root: Path, reason: str, missing: str = "") -> DetectedData:
    key = "path" if option == "text_folder" else "root"
    return DetectedData(option, (f"data={option}", f"data.{key}={root}"), reason, missing)


def files_below(root: Path) -> Iterator[Path]:
    """Return the first files of a folder tree, without hidden ones."""
    visible = (path for path in root.rglob("*") if not path.name.startswith("."))
    return islice((path for path in visible if path.is_file()), MAX_FILES)


def is_coco(path: Path) -> bool:
    """Return whether a JSON file is an annotation file of COCO."""
    if path.suffix.lower() != ".json" or path.stat().st_size > 1 << 30:
        return False
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError):
        return False
    return isinstance(content, dict) and {"images", "annotations", "categories"} <= content.keys()


def header(path: Path) -> list[str]:
    """Return the column names of a table; empty if the first line cannot be read."""
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            line = file.readline(100_000).rstrip("\r\n")
    except OSError:
        return []
    separator = max("\t;,", key=line.count)
    return [name.strip().strip('"') for name in line.split(separator)] if line else []
