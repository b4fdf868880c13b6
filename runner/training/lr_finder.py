"""The learning-rate finder: a short training of a temporary model before the actual training.

It builds a separate model, task and trainer from the run's config, with the optimizer started at the lowest
rate, and restores the random states afterwards, so that the training is unaffected.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from runner.callbacks.random_state import preserve_random_state
from runner.callbacks.range_test import RangeTestRecorder
from runner.config.schema import LrFinder
from runner.data.base import DataModule
from runner.distributed.hardware import ResolvedHardware
from runner.distributed.heartbeat import Heartbeat
from runner.distributed.process_info import ProcessInfo
from runner.errors import RunFailedError
from runner.optim.range_test import RangeTest
from runner.plots.learning_rate import range_test_curve
from runner.plots.style import to_png
from runner.run.directory import RunDir
from runner.run.files import write_json
from runner.tasks.base import Task
from runner.training.trainer import make_range_trainer

__all__ = ["AUTO", "chosen_lr", "find_lr", "wants_finder", "write_range_test"]

AUTO = "auto"


def wants_finder(config: dict[str, Any]) -> bool:
    """Return whether the config requests the learning rate of a range test."""
    return config["optimizer"].get("lr") == AUTO


def at_lowest_rate(config: dict[str, Any]) -> dict[str, Any]:
    """Returns the run's config with a learning rate that rises from the lowest to the highest value."""
    options = LrFinder(**config.get("lr_finder") or {})
    growth = {
        "_target_": "runner.optim.range_test.exponential_range",
        "_partial_": True,
        "ratio": options.max_lr / options.min_lr,
        "num_steps": options.num_steps,
    }
    return config | {"optimizer": config["optimizer"] | {"lr": options.min_lr}, "scheduler": growth}


def find_lr(
    run: RunDir,
    config: dict[str, Any],
    data: DataModule,
    make: Callable[[dict[str, Any]], tuple[Task, ResolvedHardware]],
    process_info: ProcessInfo,
    heartbeat: Heartbeat,
) -> RangeTest:
    """Runs a learning-rate range test on a temporary model.

    Args:
        run: the run directory.
        config: the resolved config.
        data: the data module after ``setup``.
        make: builds task and hardware from a config.
        process_info: this process among the ranks.
        heartbeat: updated with the progress of the test.
    """
    options = LrFinder(**config.get("lr_finder") or {})
    with preserve_random_state():
        task, hardware = make(at_lowest_rate(config))
        recorder = RangeTestRecorder(options.smoothing, options.stop_factor)
        trainer = make_range_trainer(
            run, config, task, hardware, process_info, heartbeat, recorder, options.num_steps
        )
        trainer.fit(task, datamodule=data)
    return recorder.test


def chosen_lr(test: RangeTest, config: dict[str, Any]) -> float:
    """Returns the learning rate suggested by the configured method.

    Args:
        test: the range test.
        config: the resolved config.

    Raises:
        RunFailedError: the method found none.
    """
    method = LrFinder(**config.get("lr_finder") or {}).suggestion
    if method in test.suggestions:
        return float(f"{test.suggestions[method]:.3g}")
    others = ", ".join(f"{name} {rate:.2g}" for name, rate in test.suggestions.items())
    shown = f"{test.losses[0]:.4g} to {min(test.losses):.4g}" if test.losses else "nothing"
    raise RunFailedError(
        f"the range test found no learning rate by {method!r}: in {len(test.rates)} steps the loss went from "
        f"{shown}; {test.ended}. " + (f"Other methods: {others}. " if others else "")
        + "Look at plots/lr_finder.png, try other lr_finder.min_lr, max_lr or num_steps, or give "
          "optimizer.lr a number."
    )  # fmt: skip


def write_range_test(run: RunDir, test: RangeTest, config: dict[str, Any]) -> None:
    """Writes ``lr_finder.json`` and ``plots/lr_finder.png``."""
    write_json(run.path / "lr_finder.json", test.as_dict())
    method = LrFinder(**config.get("lr_finder") or {}).suggestion
    figure = range_test_curve(test.rates, test.losses, test.smoothed, test.suggestions, chosen=method)
    to_png(figure, run.plots / "lr_finder.png")
