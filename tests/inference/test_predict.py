import pytest
from PIL import Image

from runner.errors import UserError
from runner.inference.predict import PictureFolder


def test_files_are_named_after_input_and_plot(tmp_path):
    folder, picture = PictureFolder(tmp_path / "out"), Image.new("L", (2, 2))
    written = folder.write("photos/cat.jpg", {"mask": picture, "overlay": picture})
    assert written == {name: str(tmp_path / "out" / f"cat_{name}.png") for name in ("mask", "overlay")}
    assert folder.write("more/cat.png", {"mask": picture})["mask"].endswith("cat-2_mask.png")
    again = PictureFolder(tmp_path / "out").write("photos/cat.jpg", {"mask": Image.new("L", (5, 5))})
    assert Image.open(again["mask"]).size == (5, 5)
    assert len(list((tmp_path / "out").iterdir())) == 3


def test_inputs_with_equal_names_do_not_overwrite_each_other(tmp_path):
    folder, picture = PictureFolder(tmp_path), Image.new("L", (2, 2))
    written = [
        folder.write(name, {"mask": picture})["mask"]
        for name in ("a/cat.jpg", "b/cat.jpg", "cat-2.jpg", "c/cat.jpg")
    ]
    assert len(set(written)) == 4


def test_invalid_input(tmp_path):
    with pytest.raises(UserError, match="this run's task draws none"):
        PictureFolder(tmp_path).write("a.jpg", {})
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"):
        PictureFolder(tmp_path / "file").write("a.jpg", {"mask": Image.new("L", (2, 2))})
