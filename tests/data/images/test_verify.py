"""Broken files, found and listed."""

import json

import pytest

from runner.data.images.verify import BrokenFile, describe, read_broken, verify_images, write_broken
from runner.errors import DataError


@pytest.fixture
def folder(photo_folder, tmp_path, photo):
    root = photo_folder(tmp_path / "pets", {"cat": 6, "dog": 6})
    (root / "cat" / "3.jpg").write_bytes(b"")
    (root / "dog" / "1.jpg").write_bytes(photo(7)[:300])
    (root / "dog" / "2.jpg").write_bytes(b"<html>not here</html>")
    return root


def paths(root):
    return sorted(str(path.relative_to(root)) for path in root.rglob("*.jpg"))


@pytest.mark.parametrize("num_threads", [None, 1, 5])
def test_every_broken_file_is_found_with_its_reason(folder, num_threads):
    broken = verify_images(folder, [*paths(folder), "dog/gone.jpg"], num_threads)
    assert [entry.path for entry in broken] == ["cat/3.jpg", "dog/1.jpg", "dog/2.jpg", "dog/gone.jpg"]
    reasons = [entry.reason for entry in broken]
    assert reasons[0] == "the file is empty" and "truncated" in reasons[1].lower()
    assert "not an image" in reasons[2] and reasons[3] == "No such file or directory"


def test_whole_files_pass(folder):
    assert verify_images(folder, ["cat/0.jpg", "dog/0.jpg"]) == []
    assert verify_images(folder, []) == []


def test_list_is_written_and_read(folder):
    broken = verify_images(folder, paths(folder))
    write_broken(folder / "broken.json", broken, 12)
    assert json.loads((folder / "broken.json").read_text())["checked"] == 12
    assert read_broken(folder / "broken.json") == broken
    assert read_broken(folder / "none.json") == []


@pytest.mark.parametrize(
    "text", ["", "[]", '{"checked": 3}', '{"broken": [1]}', '{"broken": [{"path": "a"}]}']
)
def test_other_json_is_rejected(tmp_path, text):
    (tmp_path / "broken.json").write_text(text)
    with pytest.raises(DataError, match="broken.json is not a list of broken files"):
        read_broken(tmp_path / "broken.json")


def test_description_names_the_first_ten():
    assert describe([]) == []
    many = [BrokenFile(f"cat/{number}.jpg", "the file is empty") for number in range(12)]
    (text,) = describe(many)
    assert text.startswith("12 broken files are set aside: cat/0.jpg (the file is empty); cat/1.jpg")
    assert text.endswith("… and 2 more.")
