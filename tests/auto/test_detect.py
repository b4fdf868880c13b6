"""The kind of data in folders and files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runner.auto.detect import detect_data
from runner.errors import UserError


def touch(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    return root


@pytest.mark.parametrize(
    ("names", "option", "key"),
    [
        (["cats/1.jpg", "dogs/2.PNG"], "image_folder", "root"),
        (["train/cats/1.jpg", "val/cats/2.jpg"], "image_folder", "root"),
        (["one/1.wav", "two/2.flac", "two/notes.txt"], "audio_folder", "root"),
        (["spam/1.txt", "ham/2.txt"], "text_folder", "path"),
        (["Annotations/1.xml", "JPEGImages/1.jpg"], "voc", "root"),
        (["images/1.jpg", "labels/1.txt"], "yolo", "root"),
        (["images/1.jpg", "masks/1.png"], "mask_folder", "root"),
    ],
)
def test_folders(tmp_path: Path, names: list[str], option: str, key: str) -> None:
    detected = detect_data(touch(tmp_path / "data", *names))
    assert detected.option == option
    assert detected.overrides == (f"data={option}", f"data.{key}={tmp_path / 'data'}")
    assert detected.reason


def test_coco_annotations(tmp_path: Path) -> None:
    touch(tmp_path, "val/1.jpg")
    content = {"images": [], "annotations": [], "categories": []}
    (tmp_path / "instances.json").write_text(json.dumps(content))
    assert detect_data(tmp_path).option == "coco"
    (tmp_path / "instances.json").write_text("[" * 100_000)
    assert detect_data(tmp_path).option == "image_folder", "a file that is no COCO annotation is ignored"


@pytest.mark.parametrize(
    ("header", "option", "missing"),
    [
        ("text,label", "text_csv", ""),
        ("Message;Class", "text_csv", ""),
        ("date,price", "series", "data.target=COLUMN (columns: date, price)"),
        ("width,height,label", "csv", ""),
        ("width,height,price", "csv", "data.target=COLUMN (columns: width, height, price)"),
    ],
)
def test_tables(tmp_path: Path, header: str, option: str, missing: str) -> None:
    path = tmp_path / "table.csv"
    path.write_text(header + "\n")
    detected = detect_data(path)
    assert (detected.option, detected.missing) == (option, missing)


def test_running_texts_and_tunes(tmp_path: Path) -> None:
    touch(tmp_path, "book.txt", "tunes.abc")
    assert detect_data(tmp_path / "book.txt").option == "text_file"
    assert detect_data(tmp_path / "tunes.abc").option == "abc_file"


@pytest.mark.parametrize("names", [[], ["model.bin"], ["a/b/model.bin"]])
def test_unknown_content_is_one_message(tmp_path: Path, names: list[str]) -> None:
    with pytest.raises(UserError, match="the kind of data is not recognized. Known are folders of images"):
        detect_data(touch(tmp_path, *names))
