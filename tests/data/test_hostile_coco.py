"""COCO files whose content is hostile."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runner.data.detection.coco_file import read_coco
from runner.errors import DataError


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/../../x.png", "..\\x.png"])
def test_image_outside_the_folder_is_rejected(tmp_path: Path, name: str) -> None:
    content = {"images": [{"id": 1, "file_name": name}], "annotations": [], "categories": []}
    (tmp_path / "a.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match="outside the folder of the images"):
        read_coco(tmp_path / "a.json", [tmp_path])


def test_deeply_nested_json_is_no_coco(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[" * 100_000)
    with pytest.raises(DataError, match="is not COCO's JSON"):
        read_coco(tmp_path / "a.json", [tmp_path])
