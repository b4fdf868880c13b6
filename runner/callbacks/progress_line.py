"""The words of the progress display."""

from __future__ import annotations

from pytorch_lightning import LightningModule, Trainer

from runner.report.format import duration, number

__all__ = ["epoch_text", "eta_text", "shown_metrics", "speed_text"]


def speed_text(batches: int, seconds: float) -> str:
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
    return f"eta {duration(seconds)}" if seconds else ""


def epoch_text(trainer: Trainer, epoch: int) -> str:
    planned = trainer.max_epochs
    return f"epoch {epoch + 1}/{planned}" if planned and planned > 0 else f"epoch {epoch + 1}"


def shown_metrics(trainer: Trainer, pl_module: LightningModule, live: bool = True) -> str:
    """Loss and monitored metric of training and validation.

    Args:
        live: show the loss of the newest batch, which is read off the device; otherwise the epoch's mean, where
            one was logged.
    """
    values = trainer.callback_metrics
    newest = getattr(pl_module, "last_train_loss", None)
    mean = values.get("train/epoch_loss", values.get("train/loss"))
    loss = newest if newest is not None and (live or mean is None) else mean
    name = str(getattr(pl_module, "monitor", "")).partition("/")[2]
    keys = dict.fromkeys((f"train/{name}", "val/loss", f"val/{name}"))
    shown = {} if loss is None else {"train/loss": loss}
    shown |= {key: values[key] for key in keys if key in values and key not in shown}
    return "  ".join(f"{key} {number(float(value))}" for key, value in shown.items())
