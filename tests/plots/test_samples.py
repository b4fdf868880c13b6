import numpy as np

from runner.plots.images import sample_grid


def test_labels_are_below_the_images_and_the_limit_applies(png_size):
    fig = sample_grid(
        np.random.default_rng(0).random((30, 3, 8, 8)), [f"class {i}" for i in range(30)], limit=7
    )
    captions = [ax.get_xlabel() for ax in fig.axes if ax.images]
    assert captions == [f"class {i}" for i in range(7)]
    png_size(fig)


def test_tables_give_no_figure():
    assert sample_grid(np.zeros((4, 10)), ["a"] * 4) is None
