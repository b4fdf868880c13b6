"""Shows the progress of a run on the console: a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
import time
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning import LightningModule, Trainer
from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from runner.callbacks.notebook_bar import NotebookBar, is_notebook
from runner.report.format import duration, number

__all__ = [
    "LiveBar",
    "Progress",
    "TimeLeft",
    "batches_left",
    "epoch_text",
    "eta_text",
    "fraction_done",
    "shown_metrics",
    "speed_text",
    "validations_left",
]


class TimeLeft:
    """Estimates the remaining time from the mean times of training batches and of validations.

    Validations only count once one has been timed, so the estimate is too short during the first epoch.
    """

    def __init__(self) -> None:
        self._train_s = 0.0
        self._batches = 0
        self._validation_s = 0.0
        self._validations = 0

    def add_training(self, seconds: float, batches: int) -> None:
        """Add the time of some training batches."""
        self._train_s += seconds
        self._batches += batches

    def add_validation(self, seconds: float) -> None:
        """Add the time of one validation."""
        self._validation_s += seconds
        self._validations += 1

    @property
    def validation_s(self) -> float | None:
        """The mean time of a validation in seconds; None before the first."""
        return self._validation_s / self._validations if self._validations else None

    def estimate_s(
        self, trainer: Trainer, batch: int, train_s: float = 0.0, train_batches: int = 0
    ) -> float | None:
        """Return the seconds to the end of the training.

        Args:
            trainer: the trainer.
            batch: number of completed batches of the current epoch.
            train_s: time of the current epoch that was not added yet.
            train_batches: batches of the current epoch that were not added yet.

        Returns:
            None before the first batch, or if the length of the training is unknown.
        """
        timed, left = self._batches + train_batches, batches_left(trainer, batch)
        if timed == 0 or left is None:
            return None
        batch_s = (self._train_s + train_s) / timed
        return batch_s * left + (self.validation_s or 0.0) * validations_left(trainer, left)


def batches_left(trainer: Trainer, batch: int) -> float | None:
    """Return the number of training batches left in the whole run; None if its length is unknown."""
    per_epoch, epochs, steps = trainer.num_training_batches, trainer.max_epochs, trainer.max_steps
    left: list[float] = []
    if epochs and epochs > 0 and math.isfinite(per_epoch):
        left.append(max((epochs - trainer.current_epoch) * per_epoch - batch, 0))
    if steps and steps > 0:
        left.append(max(steps - trainer.global_step, 0) * trainer.accumulate_grad_batches)
    return min(left) if left else None


def validations_left(trainer: Trainer, batches: float) -> int:
    """Return the number of validations within the next training batches."""
    if not trainer.enable_validation:
        return 0
    interval = trainer.num_training_batches * (trainer.check_val_every_n_epoch or 1)
    within_epoch = trainer.val_check_batch
    if isinstance(within_epoch, int) and 0 < within_epoch < trainer.num_training_batches:
        interval = within_epoch
    return math.ceil(batches / interval)


def fraction_done(trainer: Trainer, batch: int) -> float | None:
    """Return the completed fraction of the whole run; None if its length is unknown."""
    left = batches_left(trainer, batch)
    done = trainer.current_epoch * trainer.num_training_batches + batch
    return done / max(done + left, 1) if left is not None and math.isfinite(done) else None


def speed_text(batches: int, seconds: float) -> str:
    """Format the speed in batches per second, or seconds per batch if it is slow."""
    if batches <= 0 or seconds <= 0:
        return ""
    speed = batches / seconds
    return (
        f"{speed:.0f} it/s"
        if speed >= 100
        else f"{speed:.1f} it/s"
        if speed >= 0.1
        else f"{1 / speed:.0f} s/it"
    )


def eta_text(seconds: float | None) -> str:
    """Format the remaining time; empty if it is unknown."""
    return f"eta {duration(seconds)}" if seconds else ""


def epoch_text(trainer: Trainer, epoch: int) -> str:
    """Format the number of the epoch, counted from 1, and the planned number of epochs."""
    planned = trainer.max_epochs
    return f"epoch {epoch + 1}/{planned}" if planned and planned > 0 else f"epoch {epoch + 1}"


def shown_metrics(trainer: Trainer, pl_module: LightningModule, live: bool = True) -> str:
    """Format the loss and the monitored metric of training and validation; see ``metric_values``."""
    values = metric_values(trainer, pl_module, live)
    return "  ".join(f"{key} {number(value)}" for key, value in values.items())


def metric_values(trainer: Trainer, pl_module: LightningModule, live: bool = True) -> dict[str, float]:
    """Return the loss and the monitored metric of training and validation.

    Args:
        trainer: the trainer.
        pl_module: the task.
        live: show the loss of the latest batch, which must be transferred from the device; otherwise the mean
            of the epoch, if it was logged.
    """
    values = trainer.callback_metrics
    newest = getattr(pl_module, "last_train_loss", None)
    mean = values.get("train/epoch_loss", values.get("train/loss"))
    loss = newest if newest is not None and (live or mean is None) else mean
    name = str(getattr(pl_module, "monitor", "")).partition("/")[2]
    keys = dict.fromkeys((f"train/{name}", "val/loss", f"val/{name}"))
    shown = {} if loss is None else {"train/loss": loss}
    shown |= {key: values[key] for key in keys if key in values and key not in shown}
    return {key: float(value) for key, value in shown.items()}


class LiveBar:
    """A progress bar that is drawn on request, without a refresh thread; it disappears when stopped.

    Args:
        console: the terminal.
    """

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._live.start()

    def show(
        self, title: str, fraction: float | None, batches: str, times: str = "", metrics: str = ""
    ) -> None:
        """Redraw the bar.

        Args:
            title: such as ``epoch 3/10``.
            fraction: completed fraction of the whole run; None if its length is unknown.
            batches: such as ``batch 120/450``.
            times: speed and remaining time.
            metrics: shown on a separate line.
        """
        bar = ProgressBar(total=None if fraction is None else 1.0, completed=fraction or 0.0, width=24)
        texts = (Text(title, style="bold"), Text(batches), Text(times.strip(), style="cyan"))
        parts: list[RenderableType] = [text for text in texts if text]
        parts.insert(1 if title else 0, bar)
        line = Table.grid(padding=(0, 2))
        for part in parts:
            line.add_column(no_wrap=part is not bar)  # on a narrow terminal the bar shrinks, not the texts
        line.add_row(*parts)
        layout = Table.grid()
        layout.add_row(line)
        if metrics:
            layout.add_row(Text(metrics))
        self._live.update(layout, refresh=True)

    def stop(self) -> None:
        """Remove the bar."""
        self._live.stop()


DRAW_EVERY_S = 0.15
LINE_EVERY_S = 30.0
MAX_LINES_ON_TERMINAL = 50


class Progress(pl.callbacks.ProgressBar):
    """Shows epoch, batches, remaining time of the whole run, and metrics.

    A step only reads the clock. The training loss, which may be on a device, is transferred only when drawn:
    at most about seven times a second on a terminal, every 30 s elsewhere. Each epoch leaves one line.

    Args:
        console: console to print to; standard output if None.
    """

    def __init__(self, console: Console | None = None) -> None:
        super().__init__()
        self._console = console if console is not None else Console(highlight=False)
        self._enabled = True
        self._bar: LiveBar | NotebookBar | None = None
        self._time_left = TimeLeft()
        self._next_draw = 0.0
        self._batch = 0
        self._first_batch: int | None = None
        self._epoch_start = self._stage_start = self._last_batch = time.monotonic()
        self._validation_s = 0.0
        self._ended_epoch: tuple[int, float] | None = None

    @property
    def validation_s(self) -> float | None:
        """The mean time of a validation in seconds; None before the first."""
        return self._time_left.validation_s

    def enable(self) -> None:
        self._enabled = True

    def disable(self) -> None:
        self._enabled = False
        self._stop()

    def print(self, *args: Any, sep: str = " ", **kwargs: Any) -> None:
        self._print(sep.join(map(str, args)))

    # Training

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._time_left = TimeLeft()
        self._start()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._print_ended_epoch(trainer, pl_module)
        self._epoch_start, self._validation_s = time.monotonic(), 0.0
        self._last_batch = self._epoch_start
        self._batch, self._first_batch = 0, None
        self._next_draw = self._epoch_start + (DRAW_EVERY_S if self._bar else LINE_EVERY_S)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self._first_batch is None:
            self._first_batch = batch_idx  # not 0 if the run was resumed within an epoch
        self._batch = batch_idx + 1
        if self._is_due():
            self._draw_training(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        seconds = time.monotonic() - self._epoch_start
        self._time_left.add_training(seconds - self._validation_s, self._batches_done())
        # Other callbacks and the task log in the same hook, so the line is printed later.
        self._ended_epoch = (trainer.current_epoch, seconds)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._print_ended_epoch(trainer, pl_module)
        self._stop()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._print_ended_epoch(trainer, pl_module)
        self._stop()

    # Evaluation, within training and on its own

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._begin_stage(alone=trainer.state.fn != "fit")

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._begin_stage(alone=True)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if self._is_due():
            batches = f"validating {batch_idx + 1}/{sum(trainer.num_val_batches)}"
            if trainer.state.fn == "fit":
                self._draw_training(trainer, pl_module, batches)
            else:
                self._draw_evaluation(batches, batch_idx + 1, trainer.num_val_batches)

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if self._is_due():
            batches = f"testing {batch_idx + 1}/{sum(trainer.num_test_batches)}"
            self._draw_evaluation(batches, batch_idx + 1, trainer.num_test_batches)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        seconds = time.monotonic() - self._stage_start
        if trainer.state.fn != "fit":
            self._end_stage("validated", trainer.num_val_batches, seconds)
        elif not trainer.sanity_checking:
            self._validation_s += seconds
            self._time_left.add_validation(seconds)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._end_stage("tested", trainer.num_test_batches, time.monotonic() - self._stage_start)

    def _batches_done(self) -> int:
        """Return the number of batches of the current epoch done by this attempt."""
        return 0 if self._first_batch is None else self._batch - self._first_batch

    # Drawing

    def _start(self) -> None:
        if self._enabled and is_notebook():
            self._bar = NotebookBar()
        elif self._enabled and self._console.is_terminal and not self._console.is_dumb_terminal:
            self._bar = LiveBar(self._console)

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _print(self, line: str) -> None:
        if self._enabled:
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _begin_stage(self, alone: bool) -> None:
        self._stage_start = self._last_batch = time.monotonic()
        if alone:
            if not is_notebook():  # an output of its own would remain empty
                self._start()
            self._next_draw = self._stage_start + (DRAW_EVERY_S if self._bar else LINE_EVERY_S)

    def _is_due(self) -> bool:
        """Return whether to draw. A line is due if the next batch would end after the interval."""
        now = time.monotonic()
        batch_s, self._last_batch = now - self._last_batch, now
        return now + (0.0 if self._bar else batch_s) > self._next_draw

    def _end_stage(self, verb: str, batches: list[int | float], seconds: float) -> None:
        self._stop()
        self._print(f"{verb} {sum(batches):.0f} batches in {duration(seconds)}")

    def _draw_evaluation(self, batches: str, done: int, totals: list[int | float]) -> None:
        self._next_draw = time.monotonic() + (DRAW_EVERY_S if self._bar else LINE_EVERY_S)
        total = sum(totals)
        fraction = done / total if math.isfinite(total) and total > 0 else None
        if self._bar is not None:
            self._bar.show("", fraction, batches)
        else:
            seconds = time.monotonic() - self._stage_start
            left = eta_text(seconds * (1 / fraction - 1)) if fraction else ""
            self._print("  ".join(part for part in (batches, left) if part))

    def _draw_training(self, trainer: Trainer, pl_module: LightningModule, validating: str = "") -> None:
        now = time.monotonic()
        self._next_draw = now + (DRAW_EVERY_S if self._bar else LINE_EVERY_S)
        total = trainer.num_training_batches
        batches = validating or f"batch {self._batch}" + (f"/{total}" if math.isfinite(total) else "")
        done = self._batches_done()
        train_s = (self._stage_start if validating else now) - self._epoch_start - self._validation_s
        eta = eta_text(self._time_left.estimate_s(trainer, self._batch, train_s, done))
        epoch, metrics = epoch_text(trainer, trainer.current_epoch), shown_metrics(trainer, pl_module)
        if self._bar is None:
            self._print("  ".join(part for part in (epoch, batches, metrics, eta) if part))
        else:
            speed = speed_text(done, train_s)
            self._bar.show(epoch, fraction_done(trainer, self._batch), batches, f"{speed}  {eta}", metrics)

    def _print_ended_epoch(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._ended_epoch is None:
            return
        (epoch, seconds), self._ended_epoch = self._ended_epoch, None
        planned = trainer.max_epochs or 0
        every = (
            1 if isinstance(self._bar, NotebookBar) else max(1, math.ceil(planned / MAX_LINES_ON_TERMINAL))
        )
        if self._bar is not None and (epoch + 1) % every and epoch + 1 != trainer.max_epochs:
            return
        left = eta_text(self._time_left.estimate_s(trainer, 0))  # Lightning counts the next epoch already
        if isinstance(self._bar, NotebookBar):
            self._bar.add_epoch(metric_values(trainer, pl_module, live=False))
            return
        metrics = shown_metrics(trainer, pl_module, live=False)
        parts = (epoch_text(trainer, epoch), metrics, duration(seconds), left)
        self._print("  ".join(part for part in parts if part))
