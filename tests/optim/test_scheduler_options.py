"""Every option of the group ``scheduler`` makes a schedule that changes the rate of the default training."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from runner.config.build import resolve_target

OPTIONS = sorted((Path(__file__).resolve().parents[2] / "conf" / "scheduler").glob("*.yaml"))


def test_none_disables_the_scheduler():
    option = next(path for path in OPTIONS if path.stem == "none")
    assert "# @package _global_" in option.read_text()
    assert yaml.safe_load(option.read_text()) == {"scheduler": None}


@pytest.mark.parametrize(
    "option", [path for path in OPTIONS if path.stem != "none"], ids=lambda path: path.stem
)
def test_schedule_takes_effect_within_ten_epochs(option, optimizer, curve):
    node = yaml.safe_load(option.read_text())
    assert node.pop("_partial_") is True
    node = {
        key: value for key, value in node.items() if not str(value).startswith("${")
    }  # another group's values
    made = optimizer(momentum=0.9)
    schedule = resolve_target(node.pop("_target_"))(made, total_steps=100, steps_per_epoch=10, **node)
    if schedule.needs_metric:
        for _ in range(10):
            schedule.scheduler.step(1.0)
        assert made.param_groups[0]["lr"] < 1.0
    else:
        rates = curve(made, schedule, 100)
        assert max(rates) <= 1.0 + 1e-9 and min(rates) < 0.9 * max(rates)
