"""Plots the learning rate of a config over its steps, without training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runner.config.composition import Composition

__all__ = ["curve_of", "plot_schedule", "plot_schedules"]

BLOCKS = "▁▂▃▄▅▆▇█"
WIDTH = 40


def plot_schedule(composition: Composition, steps: int, path: str) -> None:
    """Draw the composed schedule.

    Args:
        composition: the composed config.
        steps: total number of training steps.
        path: the PNG file to write.

    Raises:
        UserError: the schedule cannot be built, or the file cannot be written.
    """
    name = composition.choices.get("scheduler", "the run's own")
    draw({name: curve_of(composition, steps)}, f"Learning rate: {name}, {steps} steps", path)


def plot_schedules(names: list[str], steps: int, path: str | None, config_dirs: list[str]) -> dict[str, str]:
    """Draw every schedule for the default optimizer, and return each as a sparkline.

    Args:
        names: options of the group ``scheduler``.
        steps: total number of training steps.
        path: the PNG file to write, if any.
        config_dirs: additional folders with config groups.
    """
    from runner.config.compose import compose

    curves = {name: curve_of(compose([f"scheduler={name}"], None, config_dirs), steps) for name in names}
    if path:
        draw(curves, f"Learning-rate schedules over {steps} steps", path)
    return {name: sparkline(rates) for name, (rates, _) in curves.items()}


def curve_of(composition: Composition, steps: int) -> tuple[list[float], list[float] | None]:
    """Return learning rate and momentum at each step; the epochs are those of ``trainer.max_epochs``."""
    from runner.config.build import build
    from runner.config.checks.check import with_lr
    from runner.config.plain import to_plain
    from runner.errors import ConfigError, UserError
    from runner.optim.schedule import preview_schedule

    if steps < 1:
        raise UserError(f"--steps {steps}: expected 1 or more.")
    plain = with_lr(to_plain(composition.config, composition.problems))
    if composition.problems:
        raise ConfigError(composition.problems)
    epochs = plain["trainer"].get("max_epochs")
    epochs = epochs if isinstance(epochs, int) and epochs > 0 else 1
    return preview_schedule(
        build(plain["optimizer"]), build(plain.get("scheduler")), steps, max(1, steps // epochs)
    )


def draw(curves: dict[str, Any], title: str, path: str) -> None:
    from runner.errors import UserError
    from runner.plots.learning_rate import schedule_curves
    from runner.plots.style import to_png

    if Path(path).suffix.lower() != ".png":
        raise UserError(f"{path}: expected a file name that ends in .png.")
    try:
        print(to_png(schedule_curves(curves, title), Path(path)))
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror or error}.") from error


def sparkline(rates: list[float]) -> str:
    """Format a curve as one line of blocks, scaled from 0 to the highest rate."""
    highest = max(rates) or 1.0
    indices = [round(i * (len(rates) - 1) / (WIDTH - 1)) for i in range(WIDTH)]
    return "".join(BLOCKS[round(rates[index] / highest * (len(BLOCKS) - 1))] for index in indices)
