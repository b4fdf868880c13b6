import warnings

import pytest
from PIL import Image

from runner.plots.style import to_png


@pytest.fixture
def png_size(tmp_path):
    """Draws a figure to a PNG with warnings as errors (a layout that collapses warns) and gives its (width,
    height).
    """

    def draw(fig):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            path = to_png(fig, tmp_path / "figure.png")
        return Image.open(path).size

    return draw
