from pathlib import Path

import pytest
import torch

from runner.data.segmentation.classes import class_problems, numbered_lines, read_class_names, suspicion
from runner.data.segmentation.mask_set import Survey

HERE = Path("photos")


def test_names_from_the_folder(tmp_path):
    assert read_class_names(None, tmp_path) == []
    (tmp_path / "classes.txt").write_text("# of the town\nroad\n\nsky \nvoid\n")
    assert read_class_names(None, tmp_path) == ["road", "sky", "void"]
    assert read_class_names(None, tmp_path, ignored=[2]) == ["road", "sky"]
    assert read_class_names(["a", "b"], tmp_path) == ["a", "b"]


@pytest.mark.parametrize(
    ("names", "values", "colors", "ignored", "message"),
    [
        ([], None, None, [255], "Name the classes"),
        (["one"], None, None, [255], "has 1 names; expected 2 to 255"),
        (["a", "b", "a"], None, None, [255], "has a more than once"),
        (["a", "b"], [0, 1, 2], None, [255], "class_values has 3 entries for 2 classes"),
        (["a", "b"], [4, 4], None, [255], "class_values has an entry twice"),
        (["a", "b"], None, [[0, 0, 0]], [255], "colors has 1 entries"),
        (["a", "b"], None, [[0, 0, 0], [0, 0, 300]], [255], "[0, 0, 300] is not a colour"),
        (
            ["a", "b"],
            None,
            None,
            [1],
            "1 stands for the class 'b' and, by data.ignore_index, for ignored pixels",
        ),
    ],
)
def test_incompatible_settings(names, values, colors, ignored, message):
    problems = class_problems(names, values, colors, ignored, HERE)
    assert len(problems) == 1 and message in problems[0]


def test_no_message_without_cause():
    assert class_problems(["a", "b"], [0, 255], [[0, 0, 0], [1, 1, 1]], [], HERE) == []


def test_masks_of_one_class_are_suspicious():
    seen = Survey(torch.tensor([30.0, 0.0]), num_ignored=70)
    found = suspicion(seen, ["ground", "cat"], [255])
    assert "only 'ground'; 70% of their pixels are ignored" in found
    assert "data.class_values=[0,255]" in found and "data.ignore_index=null" in found
    assert suspicion(Survey(torch.tensor([3.0, 1.0])), ["ground", "cat"], [255]) is None
    assert "no class at all" in suspicion(Survey(torch.zeros(2), num_ignored=5), ["ground", "cat"], [255])


@pytest.mark.parametrize("mark", [" ", ": ", ",", "\t", "="])
def test_numbered_lines_must_be_the_values(mark):
    """Ids from 1 in the list, and classes that are read as 0 and 1."""
    names = [f"1{mark}road", f"2{mark}sky"]
    (problem,) = numbered_lines(names, None, HERE)
    assert "begin with the numbers 1, 2, but the values of these classes in the masks are 0, 1" in problem
    assert "data.class_values=[1,2]" in problem
    assert numbered_lines(names, [1, 2], HERE) == []
    assert numbered_lines([f"0{mark}road", f"1{mark}sky"], None, HERE) == []
    assert numbered_lines(["road", "2 sky"], None, HERE) == [] and numbered_lines([], None, HERE) == []
