import subprocess
import sys

import pytest

from runner.plots.style import class_colors, label, new_figure


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("cat", "cat"),
        ("a\nb\tc\x00d", "a b c d"),
        ("price_$100$", r"price_\$100\$"),
        (7, "7"),
        ("abcdefghijklmnopqrstuvwxyz", "abcdef…xyz"),
    ],
)
def test_label(text, shown):
    assert label(text, 10 if len(str(text)) > 20 else 24) == shown


def test_dollars_in_a_title_are_not_mathtext(png_size):
    fig, axes = new_figure(4, 3, title="a $broken_{ title$")
    axes[0, 0].set_title(label("$\\frac{1}{$"))
    png_size(fig)


@pytest.mark.parametrize("num_classes", [1, 2, 7, 8, 100])
def test_every_class_has_its_own_colour(num_classes):
    colors = class_colors(num_classes)
    assert len(colors) == len(set(colors)) == num_classes


def test_plots_import_neither_pyplot_nor_torch():
    code = (
        "import sys, pkgutil, importlib, runner.plots as p\n"
        "for m in pkgutil.iter_modules(p.__path__): importlib.import_module('runner.plots.' + m.name)\n"
        "print([n for n in ('matplotlib.pyplot', 'torch', 'sklearn', 'pandas', 'PIL.ImageTk') if n in "
        "sys.modules])"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        == "[]\n"
    )
