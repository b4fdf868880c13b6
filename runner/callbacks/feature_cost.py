"""Features of a frozen backbone: progress while they are cached, and the cost if they are not."""

from __future__ import annotations

import os
import time
from types import TracebackType
from typing import Any

import pytorch_lightning as pl
import torch
from rich.console import Console

from runner.callbacks import lightning_internals
from runner.callbacks.lightning_internals import task_of
from runner.callbacks.progress import DRAW_EVERY_S, LINE_EVERY_S, LiveBar, eta_text
from runner.report.format import duration

__all__ = ["FeatureProgress", "cost_message"]

TITLE = "features of the frozen backbone"
EXAMPLE_VIEWS = 3
"""Number of views that the message suggests."""
TIMED_SAMPLES = 8


class FeatureProgress:
    """Shows batches and remaining time: a bar on a terminal, elsewhere a line at least every 30 s.

    A line is printed if the next batch would end after the interval. Only the first rank prints.

    Args:
        batches: number of batches.
        console: console to print to; standard output if None.
    """

    def __init__(self, batches: int, console: Console | None = None) -> None:
        self._batches = batches
        self._done = 0
        self._console = console if console is not None else Console(highlight=False)
        self._bar: LiveBar | None = None
        self._is_shown = os.environ.get("RANK", "0") == "0"

    def __enter__(self) -> FeatureProgress:
        if self._is_shown and self._console.is_terminal and not self._console.is_dumb_terminal:
            self._bar = LiveBar(self._console)
        self._begin = time.monotonic()
        self._last_draw = self._begin
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    @property
    def _interval_s(self) -> float:
        return DRAW_EVERY_S if self._bar else LINE_EVERY_S

    def advance(self) -> None:
        """Count a batch, and show the progress if the interval has passed."""
        self._done += 1
        now = time.monotonic()
        batch_s = (now - self._begin) / self._done
        if not self._is_shown or now + batch_s < self._last_draw + self._interval_s:
            return
        self._last_draw = now
        eta = eta_text(batch_s * (self._batches - self._done))
        batches = f"batch {self._done}/{self._batches}"
        if self._bar is not None:
            self._bar.show(TITLE, self._done / self._batches, batches, eta)
        else:
            line = "  ".join(part for part in (TITLE, batches, eta) if part)
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)


def cost_message(trainer: pl.Trainer, pl_module: pl.LightningModule) -> str:
    """Return a line with the cost of computing augmented features in every epoch, and the alternative.

    With several ranks the line has no figures: a forward pass of one rank could wait for the others.

    Args:
        trainer: the trainer; its data module augments the training images.
        pl_module: the task, on its device.
    """
    cause = "transfer=frozen with augmentation: the backbone computes features in every epoch"
    alternative = f"transfer.cache_views={EXAMPLE_VIEWS} computes {EXAMPLE_VIEWS} augmented views once"
    if trainer.world_size > 1:
        return f"{cause}; {alternative}"
    num_train = len(lightning_internals.data_module_of(trainer).splits["train"])
    epoch_s = num_train * seconds_per_sample(trainer, pl_module)
    cost, epochs = f"about {duration(epoch_s)} each", trainer.max_epochs
    if epochs and epochs > 0:
        cost += f", {duration(epochs * epoch_s)} in {epochs} epochs"
    return f"{cause} ({cost}); {alternative} ({duration(EXAMPLE_VIEWS * epoch_s)})"


@torch.no_grad()
def seconds_per_sample(trainer: pl.Trainer, pl_module: pl.LightningModule) -> float:
    """Return the seconds to read, augment and pass a training sample through the backbone.

    The second of two batches is timed. Random state and modes of the modules are left unchanged.
    """
    data = lightning_internals.data_module_of(trainer)
    split, random = data.splits["train"], torch.get_rng_state()
    count = min(TIMED_SAMPLES, len(split))
    modes = {module: module.training for module in task_of(pl_module).modules()}
    for module in modes:
        module.training = False
    try:
        for _ in range(2):  # the first includes the initialization of kernels
            begin = time.perf_counter()
            cpu_batch: Any = split.__getitems__([(0, index) for index in range(count)])
            batch = trainer.strategy.batch_to_device(cpu_batch, dataloader_idx=0)
            with trainer.precision_plugin.forward_context():
                output = pl_module(batch["inputs"])
            if isinstance(output, torch.Tensor):
                output.sum().item()  # waits for an asynchronous device
            seconds = time.perf_counter() - begin
    finally:
        for module, mode in modes.items():
            module.training = mode
        torch.set_rng_state(random)
    return seconds / count
