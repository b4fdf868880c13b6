import io
import re
import time

import pytest
import torch
from pytorch_lightning import LightningModule, Trainer
from rich.console import Console
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from runner.callbacks.progress import Progress


class Tiny(LightningModule):
    monitor = "val/accuracy"

    def __init__(self, sleep_s=0.0, fail_at=None):
        super().__init__()
        self.layer, self.last_train_loss = nn.Linear(2, 2), None
        self.sleep_s, self.fail_at = sleep_s, fail_at

    def training_step(self, batch, batch_idx):
        time.sleep(self.sleep_s)
        if self.global_step == self.fail_at:
            raise RuntimeError("broken on purpose")
        loss = self.layer(batch[0]).square().mean()
        self.last_train_loss = loss.detach() * 0 + 0.25
        return loss

    def on_train_epoch_end(self):
        self.log("train/accuracy", 0.5)

    def validation_step(self, batch, batch_idx):
        self.log("val/loss", torch.tensor(0.125))
        self.log("val/f1_macro", torch.tensor(0.7))

    def on_validation_epoch_end(self):
        self.log("val/accuracy", 0.75)

    def test_step(self, batch, batch_idx):
        pass

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


def loader():
    return DataLoader(TensorDataset(torch.ones(8, 2)), batch_size=2)


def train(console, task=None, **options):
    options = {"max_epochs": 2} | options
    trainer = Trainer(
        callbacks=[Progress(console)],
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        **options,
    )
    task = task or Tiny()
    trainer.fit(task, loader(), loader())
    return trainer, task


def plain_console():
    return Console(file=io.StringIO(), width=40)


def terminal():
    return Console(file=io.StringIO(), force_terminal=True, width=100, color_system=None)


def lines(console):
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", console.file.getvalue().replace("\r", "\n"))
    return [line.strip() for line in text.splitlines() if line.strip()]


def test_plain_lines_report_each_epoch():
    console = plain_console()
    train(console)
    assert "\x1b" not in console.file.getvalue()
    first, last = lines(console)
    metrics = "train/loss 0.2500  train/accuracy 0.5000  val/loss 0.1250  val/accuracy 0.7500"
    assert re.fullmatch(rf"epoch 1/2  {metrics}  \d+\.\d s  eta \d+\.\d s", first)
    assert re.fullmatch(rf"epoch 2/2  {metrics}  \d+\.\d s", last)


def test_long_epochs_report_intermediate_progress(monkeypatch):
    monkeypatch.setattr("runner.callbacks.progress.LINE_EVERY_S", 0.0)
    console = plain_console()
    train(console, max_epochs=1)
    assert [line.split("  ")[:2] for line in lines(console)[:2]] == [
        ["epoch 1/1", "batch 1/4"],
        ["epoch 1/1", "batch 2/4"],
    ]


def test_terminal_shows_a_bar_and_keeps_epoch_lines(monkeypatch):
    monkeypatch.setattr("runner.callbacks.progress.DRAW_EVERY_S", 0.0)
    console = terminal()
    train(console, Tiny(sleep_s=0.01))
    shown = lines(console)
    assert any("━" in line and "batch 3/4" in line and "it/s" in line and "eta" in line for line in shown)
    assert any("━" in line and "validating 2/4" in line for line in shown)
    assert sum(line.startswith("epoch 1/2  train/loss") for line in shown) == 1
    assert "\x1b[?25h" in console.file.getvalue()  # the cursor is back


def test_many_epochs_do_not_flood_the_terminal():
    console = terminal()
    train(console, max_epochs=60, limit_train_batches=1, limit_val_batches=0)
    kept = {line.split("  ")[0] for line in lines(console) if re.match(r"epoch \d+/60  train/loss", line)}
    assert len(kept) == 30 and "epoch 60/60" in kept


def test_standalone_evaluation_is_reported():
    console = plain_console()
    trainer, task = train(console, max_epochs=1)
    trainer.validate(task, loader(), verbose=False)
    trainer.test(task, loader(), verbose=False)
    validated, tested = lines(console)[-2:]
    assert re.fullmatch(r"validated 4 batches in \d+\.\d s", validated)
    assert re.fullmatch(r"tested 4 batches in \d+\.\d s", tested)


def test_failure_restores_the_terminal():
    console = terminal()
    with pytest.raises(RuntimeError, match="on purpose"):
        train(console, Tiny(fail_at=5))
    assert console.file.getvalue().rstrip("\n").count("\x1b[?25h") == 1
    assert any(line.startswith("epoch 1/2  train/loss") for line in lines(console))


@pytest.mark.parametrize(
    "options", [{"max_epochs": -1, "max_steps": 6}, {"limit_val_batches": 0}, {"val_check_interval": 2}]
)
def test_other_progress_units(options):
    console = terminal()
    train(console, **options)
    assert any(re.match(r"epoch 1(/2)?  train/loss 0.2500", line) for line in lines(console))


def test_loss_is_read_only_when_drawn(monkeypatch):
    reads = []
    monkeypatch.setattr(
        "runner.callbacks.progress.shown_metrics", lambda *args, **options: reads.append(1) or ""
    )
    train(plain_console(), max_epochs=3)
    assert len(reads) == 3  # one line an epoch, none of the 12 steps


def test_step_overhead_is_negligible():
    console = plain_console()
    trainer, task = train(console, max_epochs=1)
    progress = trainer.progress_bar_callback
    progress._next_draw = float("inf")
    start = time.process_time()
    for batch_idx in range(20_000):
        progress.on_train_batch_end(trainer, task, None, None, batch_idx)
    assert (time.process_time() - start) / 20_000 < 10e-6


def test_progress_can_be_disabled():
    console = plain_console()
    progress = Progress(console)
    progress.disable()
    progress.print("not shown")
    progress.enable()
    progress.print("shown", 1)
    assert lines(console) == ["shown 1"]


def test_long_evaluations_report_intermediate_progress(monkeypatch):
    monkeypatch.setattr("runner.callbacks.progress.LINE_EVERY_S", 0.0)
    console = plain_console()
    trainer, task = train(console, max_epochs=1)
    assert any(re.match(r"epoch 1/1  validating 2/4", line) for line in lines(console))
    trainer.test(task, loader(), verbose=False)
    assert any(re.match(r"testing 2/4  eta ", line) for line in lines(console))


def test_a_line_is_due_if_the_next_batch_would_exceed_the_interval(monkeypatch):
    progress, now = Progress(console=plain_console()), [0.0]
    monkeypatch.setattr("runner.callbacks.progress.time.monotonic", lambda: now[0])
    progress._last_batch, progress._next_draw = 0.0, 30.0
    now[0] = 20.0
    assert progress._is_due()  # the next batch of 20 s would end after 40 s
    now[0] = 21.0
    assert not progress._is_due()
