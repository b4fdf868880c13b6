"""Forecasts drawn."""

from __future__ import annotations

import numpy as np

from runner.plots.forecast import error_by_horizon, forecast_panels


def test_every_window_has_lines():
    ones = np.ones(5)
    fig = forecast_panels(
        [("one", np.zeros(30), ones, ones, ones), ("two", np.zeros(30), None, ones, None)], "kW"
    )
    assert [len(ax.lines) for ax in fig.axes[:2]] == [5, 3]
    assert np.array_equal(fig.axes[1].lines[1].get_xdata(), np.arange(1, 6))


def test_error_by_horizon_has_a_line_per_forecast():
    fig = error_by_horizon({"model": np.arange(4.0), "naive": np.ones(4)})
    assert [list(line.get_ydata()) for line in fig.axes[0].lines] == [[0, 1, 2, 3], [1, 1, 1, 1]]
