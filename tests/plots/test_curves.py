import numpy as np
import pytest

from runner.plots.curves import metric_curves

NAN, INF = float("nan"), float("inf")


def epochs(*values):
    return [(10 * (i + 1), i, value) for i, value in enumerate(values)]


def visible(fig):
    return [ax for ax in fig.axes if ax.get_visible()]


def test_splits_share_a_panel_and_the_loss_comes_first():
    fig = metric_curves(
        {
            "val/accuracy": epochs(0.5, 0.6),
            "train/loss": epochs(2, 1),
            "val/loss": epochs(2.1, 1.2),
            "test/loss": [(20, 1, 1.3)],
        }
    )
    loss, accuracy = visible(fig)
    assert [loss.get_title("left"), accuracy.get_title("left")] == ["loss", "accuracy"]
    assert [line.get_label() for line in loss.lines] == ["train", "val"]
    assert loss.lines[0].get_xdata().tolist() == [1, 2]


def test_step_and_epoch_values_share_an_axis():
    fig = metric_curves({"train/loss": [(s, s // 10, 1.0) for s in range(20)], "val/loss": epochs(2, 1)})
    train, val = visible(fig)[0].lines
    assert train.get_xdata()[-1] == pytest.approx(1.9)
    assert val.get_xdata().tolist() == [1, 2]
    assert visible(fig)[0].get_xlabel() == "epoch"


def test_points_within_epochs_are_placed_between_epoch_ends():
    fig = metric_curves({"train/loss": [(12, 1, 1.0), (24, 2, 0.5)], "val/loss": epochs(2, 1, 0.5)})
    assert visible(fig)[0].lines[0].get_xdata().tolist() == [1.2, 2.4]


def test_without_validation_the_axis_counts_steps():
    fig = metric_curves({"train/loss": [(s, 0, 1.0 + s) for s in range(20)]})
    assert visible(fig)[0].get_xlabel() == "step"
    assert visible(fig)[0].lines[0].get_xdata()[-1] == 19


def test_non_finite_values_leave_a_marked_gap(png_size):
    fig = metric_curves({"train/loss": epochs(2, NAN, 1, INF)})
    line, marks = visible(fig)[0].lines
    assert np.isnan(line.get_ydata()).tolist() == [False, True, False, True]
    assert marks.get_xdata().tolist() == [2, 4] and marks.get_label() == "not finite"
    png_size(fig)


def test_wide_range_uses_a_log_scale_unless_negative():
    assert visible(metric_curves({"train/loss": epochs(5000, 1)}))[0].get_yscale() == "log"
    assert visible(metric_curves({"train/loss": epochs(5000, -1)}))[0].get_yscale() == "linear"


def test_best_checkpoint_is_marked():
    fig = metric_curves({"val/loss": epochs(3, 1, 2)}, best=(20, 1))
    assert visible(fig)[0].lines[-1].get_xdata() == [2, 2]


@pytest.mark.parametrize(
    "metrics",
    [
        {},
        {"val/loss": epochs(NAN)},
        {"val/loss": epochs(0.5)},
        {"loss": epochs(0.5, 0.4), "x$": []},
        {f"val/m{i}": epochs(1, 2) for i in range(11)},
        {"train/loss": [(s, s // 100, NAN if s > 700 else 1 / (s + 1)) for s in range(1000)]},
    ],
    ids=["nothing", "nan only", "one epoch", "no split", "eleven", "dense"],
)
def test_unusual_cases_can_be_drawn(metrics, png_size):
    png_size(metric_curves(metrics, best=(10, 0)))
