import pytest

from runner.data.class_folders import split_of_folder


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train", "train"),
        ("Training", "train"),
        ("VAL", "val"),
        ("valid", "val"),
        ("validation", "val"),
        ("dev", "val"),
        ("Eval", "val"),
        ("Evaluation", "val"),
        ("testing", "test"),
        ("test-set", "test"),
        ("Training Set", "train"),
        ("train ", "train"),
        ("training_data", "train"),
        ("Validation-Data", "val"),
        ("test_data", "test"),
        ("testament", None),
        ("cats", None),
    ],
)
def test_names_of_split_folders(name, split):
    assert split_of_folder(name) == split
