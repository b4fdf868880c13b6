"""Plots of a search: what is drawn, and that each can be drawn at every size."""

import numpy as np
import pytest
from matplotlib.collections import PathCollection

from runner.plots.parallel_coordinates import parallel_coordinates, places_of
from runner.plots.parameters import (
    Importances,
    Parameter,
    correlate_ranks,
    importance_bars,
    parameter_slices,
    rank_correlation,
)
from runner.plots.pareto import apart, pareto_front, pareto_mask
from runner.plots.trials import (
    assign_lanes,
    best_so_far,
    intermediate_values,
    limits,
    objective_history,
    worker_timeline,
)

NAN = float("nan")
SIZES = [1, 2, 40]


def parameters(num):
    rng = np.random.default_rng(0)
    model = ["mlp" if i % 3 else "logistic" for i in range(num)]
    return [
        Parameter("model", model, ["mlp", "logistic"]),
        Parameter("optimizer.lr", list(10 ** rng.uniform(-5, 0, num)), None, True),
        Parameter(
            "model.hidden_sizes", ["[64]" if m == "mlp" else None for m in model], ["[64]", "[128,64]"]
        ),
        Parameter("data.batch_size", [int(b) for b in rng.integers(8, 256, num)]),
    ]


def trials(num):
    states = ["complete", "pruned", "failed", "complete", "running"] * (num // 5 + 1)
    values = np.linspace(0.5, 0.9, num)
    return np.where([s == "failed" for s in states[:num]], NAN, values), states[:num]


def test_best_so_far_uses_complete_trials_only():
    values = np.array([NAN, 3.0, 9.0, 2.0, 5.0])
    states = ["failed", "complete", "pruned", "complete", "complete"]
    assert best_so_far(values, states, lower_is_better=False)[1:].tolist() == [3, 3, 3, 5]
    assert best_so_far(values, states, lower_is_better=True)[1:].tolist() == [3, 3, 2, 2]
    assert np.isnan(best_so_far(values, states, False)[0])


def test_history_marks_the_first_best_trial():
    fig = objective_history([4, 5, 6], np.array([0.1, 0.9, 0.9]), ["complete"] * 3, "val/accuracy", False)
    labels = fig.axes[0].get_legend_handles_labels()[1]
    assert "best: 0.9 in trial 5" in labels
    assert fig.axes[0].get_ylabel() == "val/accuracy"


def test_one_diverged_trial_does_not_flatten_all_others():
    values = np.array([0.5, 0.6, 0.55, 0.52, 1e9])
    low, high = limits(values, lower_is_better=True)
    assert low < 0.5 and high < 1
    fig = objective_history(range(5), values, ["complete"] * 5, "loss", True)
    assert "far beyond the axis" in fig.axes[0].get_legend_handles_labels()[1]
    assert limits(values, lower_is_better=False)[1] > 1e9  # on the good side nothing is cut


@pytest.mark.parametrize("num", SIZES)
def test_every_plot_of_trials_can_be_drawn(num, png_size):
    values, states = trials(num)
    png_size(objective_history(range(num), values, states, "val/accuracy", False))
    png_size(parameter_slices(parameters(num), values, states, "val/accuracy", False))
    png_size(parallel_coordinates(parameters(num), values, "val/accuracy", True))
    curves = {i: {e: float(e) for e in range(1, 1 + i % 4)} for i in range(num)}
    png_size(intermediate_values(curves, states, 0, "val/accuracy", False))
    pairs = np.stack([values, -values], axis=1)
    png_size(pareto_front(range(num), pairs, ["a", "b"], [False, True]))
    png_size(rank_correlation({"a": values, "b": np.arange(num, dtype=float), "c": np.ones(num)}, 1))
    png_size(worker_timeline(range(num), range(num), np.arange(num) + 1.0, states, ["worker 0"] * num))


def test_trials_without_any_value_can_be_drawn(png_size):
    values, states = np.full(3, NAN), ["failed", "failed", "running"]
    png_size(objective_history(range(3), values, states, "val/accuracy", False))
    png_size(parameter_slices(parameters(3), values, states, "val/accuracy", False))


def test_parameter_positions_heights_and_ticks():
    lr = Parameter("lr", [1e-4, None, 1e-2, 1e-3], None, True)
    assert np.allclose(lr.heights(), [0, NAN, 1, 0.5], equal_nan=True)
    assert [text for _, text in lr.ticks()] == ["0.0001", "0.001", "0.01"]
    model = Parameter("model", ["mlp", None, "cnn"], ["cnn", "mlp", "rnn"])
    assert np.allclose(model.positions(), [1, NAN, 0], equal_nan=True)
    assert np.allclose(model.heights(), [0.5, NAN, 0], equal_nan=True)
    assert Parameter("depth", [3, 3]).heights().tolist() == [0.5, 0.5]


def test_missing_parameter_leaves_a_gap_in_the_line():
    fig = parallel_coordinates(parameters(3)[:3], np.array([0.1, 0.2, 0.3]), "x", False)
    lines = [
        line.get_ydata()
        for line in fig.axes[0].lines
        if len(line.get_ydata()) == 4 and line.get_linestyle() == "-"
    ]
    assert sum(np.isnan(line).any() for line in lines) == 1  # trial 0 is logistic and has no hidden sizes


def test_colours_follow_ranks_and_the_direction_of_the_objective():
    values, known = np.array([1.0, 1e9, 2.0]), np.array([True, True, True])
    assert places_of(values, known, lower_is_better=True).tolist() == [1.0, 0.0, 0.5]
    assert places_of(values, known, lower_is_better=False).tolist() == [0.0, 1.0, 0.5]


def test_slices_show_only_trials_with_the_parameter():
    fig = parameter_slices(parameters(3), np.array([0.1, 0.2, 0.3]), ["complete"] * 3, "x", False)
    model, hidden = fig.axes[0], fig.axes[2]
    points = [
        sum(len(drawn.get_offsets()) for drawn in ax.collections if isinstance(drawn, PathCollection))
        for ax in (model, hidden)
    ]
    assert points == [3, 2]


def test_rank_correlation_matches_spearman():
    rng = np.random.default_rng(1)
    a = rng.normal(size=30)
    columns = np.stack([a, np.exp(a), -a, np.round(rng.normal(size=30)), np.ones(30)], axis=1)
    columns[3, 1] = NAN
    found = correlate_ranks(columns)
    assert np.allclose(found[0, :3], [1, 1, -1])
    assert np.isnan(found[0, 4]) and np.isnan(found[4, 4])
    scipy = pytest.importorskip("scipy.stats")
    assert found[0, 3] == pytest.approx(scipy.spearmanr(columns[:, 0], columns[:, 3]).statistic)


def test_too_few_pairs_are_not_correlated():
    assert np.isnan(correlate_ranks(np.arange(6.0).reshape(3, 2))).all()


def test_front_contains_the_non_dominated_points():
    values = np.array([[1.0, 5.0], [2.0, 3.0], [2.0, 4.0], [3.0, NAN], [3.0, 3.0]])
    assert pareto_mask(values, [True, True]).tolist() == [True, True, False, False, False]
    assert pareto_mask(values, [False, True]).tolist() == [False, False, False, False, True]
    assert pareto_mask(np.ones((2, 2)), [True, True]).tolist() == [
        True,
        True,
    ]  # equals do not beat each other
    assert pareto_mask(np.empty((0, 2)), [True, True]).tolist() == []


def test_labels_of_the_front_do_not_overlap():
    assert apart(np.array([[0.0, 0.0], [0.01, 0.01], [1.0, 1.0]]), np.arange(3)) == [0, 2]


def test_three_objectives_get_a_panel_for_each_pair(png_size):
    fig = pareto_front(
        range(6), np.random.default_rng(0).random((6, 3)), ["a", "b", "c"], [True, False, True]
    )
    assert [ax.get_xlabel() for ax in fig.axes] == [
        "a (less is better)", "a (less is better)", "b (more is better)",
    ]  # fmt: skip
    png_size(fig)


def test_overlapping_attempts_get_separate_lanes():
    lanes = assign_lanes([0, 1, 2, 5], [4, 3, 6, 9], ["w", "w", "v", "w"])
    assert lanes == [("w", 0), ("w", 1), ("v", 0), ("w", 0)]


def test_importances_are_sorted_and_state_their_trials(png_size):
    groups = [
        Importances("9 complete trials", {"fANOVA": {"lr": 0.2, "wd": 0.8}, "MDI": {"lr": 0.3, "wd": 0.7}}),
        Importances("5 complete trials with model=mlp", {"fANOVA": {"hidden": 1.0}, "MDI": {"hidden": 1.0}}),
    ]
    fig = importance_bars(groups)
    assert [text.get_text() for text in fig.axes[0].get_yticklabels()] == ["wd", "lr"]
    assert fig.axes[1].get_title("left") == "5 complete trials with model=mlp"
    png_size(fig)
