import matplotlib
import numpy as np
import pytest
from PIL import Image

from runner.plots.images import sample_grid
from runner.plots.learning_rate import learning_rate_curve
from runner.plots.style import to_png


def test_file_and_folder_are_created_without_a_partial_file(tmp_path):
    fig = learning_rate_curve({"lr": [(0, 0, 0.1), (10, 1, 0.01)]})
    path = to_png(fig, tmp_path / "plots" / "lr.png", dpi=100)
    assert Image.open(path).size == (700, 290)
    assert [file.name for file in path.parent.iterdir()] == ["lr.png"]


def test_unwritable_folder_is_an_error(tmp_path):
    (tmp_path / "plots").write_text("a file where the folder should be")
    with pytest.raises(OSError):
        to_png(learning_rate_curve({}), tmp_path / "plots" / "lr.png")


def test_name_without_glyphs_draws_without_warnings(png_size):
    png_size(sample_grid(np.zeros((1, 8, 8)), ["\U00013080 \ud55c\uad6d\uc5b4"]))


def test_matplotlib_settings_of_the_caller_are_unchanged(tmp_path):
    before = dict(matplotlib.rcParams)
    to_png(learning_rate_curve({"lr": [(0, 0, 0.1)]}), tmp_path / "lr.png")
    assert dict(matplotlib.rcParams) == before
