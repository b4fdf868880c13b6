"""Plots of sequences: lengths, attention, texts."""

import numpy as np
import pytest

from runner.plots.images import most_wrong_texts
from runner.plots.text import accuracy_by_length, attention_maps, length_histogram, translations


def texts(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def test_lengths_of_each_split_and_the_cutoff(png_size):
    figure = length_histogram({"train": np.array([1, 5, 9]), "val": np.array([], dtype=int)}, limit=9)
    (ax,) = figure.axes
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        "train: median 5, longest 9",
        "cut at 9",
    ]
    assert png_size(figure)[0] > 300
    assert png_size(length_histogram({"train": np.array([1])}))[0] > 300


@pytest.mark.parametrize("lengths", [[3, 3, 3], [1, 2, 30, 31]])
def test_accuracy_by_length_counts_every_sequence_once(png_size, lengths):
    figure = accuracy_by_length(np.array(lengths), np.linspace(0, 1, len(lengths)))
    counted = [int(text.rpartition("n=")[2]) for text in texts(figure)]
    assert sum(counted) == len(lengths)
    assert png_size(figure)[0] > 300


def test_attention_has_a_row_per_output_token(png_size):
    maps = [(["ein", "$Hund$"], ["a", "dog", "end"], np.full((3, 2), 0.5)), (["x"], ["y"], np.ones((1, 1)))]
    figure = attention_maps(maps)
    first = figure.axes[0]
    assert [label.get_text() for label in first.get_yticklabels()] == ["a", "dog", "end"]
    assert first.get_images()[0].get_array().shape == (3, 2)
    assert png_size(figure)[0] > 300


def test_texts_are_stacked_whatever_their_content(png_size):
    long = "word " * 200
    figure = translations([{"source": long, "reference": "", "greedy": "a $ b", "beam": "c"}] * 3)
    heights = [text.get_position()[1] for text in figure.axes[0].texts]
    assert heights == sorted(heights) and png_size(figure)[0] > 300
    figure = most_wrong_texts(
        [long, "短い"],
        ["row 1", "row 2"],
        np.array([0, 1]),
        np.array([1, 0]),
        np.array([1.0, 0.6]),
        ["ham", "spam"],
    )
    assert texts(figure)[0] == "truth ham, predicted spam 100%" and "row 2" in texts(figure)
    assert png_size(figure)[0] > 300
