"""Saves the state at the next step boundary after SIGTERM, SIGINT, SIGUSR1 or SIGHUP, and ends the run."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.trainer.states import TrainerFn

from runner.callbacks import lightning_internals
from runner.callbacks.checkpoint import Checkpointer
from runner.errors import Interrupted

__all__ = ["Preemption", "interruptible"]

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGHUP)
"""Signals of a user, a closed terminal or a scheduler that precede SIGKILL."""


class SignalWatch:
    """Signal handlers of this process while it executes a run.

    Attributes:
        saving: whether a training is running that will save its state; otherwise a signal ends the process
            immediately.
        signum: the signal received while ``saving``.
    """

    def __init__(self) -> None:
        self.saving = False
        self.signum: int | None = None
        self._owner = os.getpid()
        self._previous: dict[int, Any] = {}

    def install(self) -> None:
        """Install the handlers, replacing those that other code installed in the meantime."""
        if threading.current_thread() is not threading.main_thread():
            return
        for signum in SIGNALS:
            if signum == signal.SIGHUP and signal.getsignal(signum) == signal.SIG_IGN:
                continue  # started with nohup, to outlive the terminal
            previous = signal.signal(signum, self.handle)
            self._previous.setdefault(signum, previous)

    def restore(self) -> None:
        """Restore the previous handlers."""
        for signum, previous in self._previous.items():
            signal.signal(signum, previous)
        self._previous = {}

    def handle(self, signum: int, frame: FrameType | None) -> None:
        """Handle a signal.

        Raises:
            Interrupted: no state will be saved, or this is the second SIGINT.
        """
        name = signal.Signals(signum).name
        if os.getpid() != self._owner:  # a forked child that has not installed its own handlers yet
            signal.signal(signum, signal.SIG_DFL)
            os.kill(os.getpid(), signum)
        elif not self.saving:
            self.signum = signum  # also stored because exceptions raised within a destructor are lost
            raise Interrupted(f"{name}: ended immediately.", signum, at_once=True)
        elif self.signum is None:
            self.signum = signum
            print_in_handler(
                f"{name}: saving the state at the next step. Press Ctrl-C again to end immediately."
            )
        elif signum == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            raise Interrupted(f"second {name}: ended immediately, without saving.", signum, at_once=True)


def print_in_handler(text: str) -> None:
    """Print to standard error; unlike ``print``, this is allowed within a signal handler."""
    os.write(2, f"\n{text}\n".encode())


_watches: list[SignalWatch] = []


@contextmanager
def interruptible() -> Iterator[SignalWatch]:
    """Raise ``Interrupted`` on signals within the block; training saves its state first.

    Has no effect outside the main thread, the only one that receives signals.

    Raises:
        Interrupted: a signal was received.
    """
    watch = SignalWatch()
    watch.install()
    _watches.append(watch)
    try:
        yield watch
    except Exception as error:
        interruption = interruption_behind(error)
        if interruption is error or interruption is None:
            raise
        raise interruption from error  # the error came from cleaning up after the interruption
    finally:
        _watches.remove(watch)
        watch.restore()


def interruption_behind(error: BaseException | None) -> Interrupted | None:
    """Return the interruption that was being handled when ``error`` was raised, or ``error`` itself."""
    while error is not None and not isinstance(error, Interrupted):
        error = error.__context__
    return error


class Preemption(pl.Callback):
    """Saves the state after a signal, at a step boundary or within a validation, and raises ``Interrupted``.

    Uses the handlers of ``interruptible()``, or outside of it its own handlers during training.
    """

    def __init__(self) -> None:
        self._watch: SignalWatch | None = None

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Postpone signals to the first step boundary; Lightning must not be interrupted while it sets up."""
        self._watch = _watches[-1] if _watches and stage == "fit" else None
        if self._watch is not None:
            self._watch.saving = True

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._watch = self._watch or SignalWatch()
        self._watch.saving = True
        self._watch.install()  # Lightning 2.6's SIGTERM handler exits with code 0 without saving

    def on_step_boundary(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        signum = self._signal_of_any_rank(trainer)
        if signum is not None and lightning_internals.between_updates(trainer):
            self._save_and_raise(trainer, signum)

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if trainer.state.fn == TrainerFn.FITTING:
            self.on_step_boundary(trainer, pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._release()

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._release()
        if self._watch is not None and self._watch.signum is not None:
            raise Interrupted(
                "ended by a signal after the last step; the state is saved.", self._watch.signum
            )

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Treat the failure of a loader worker that received the same signal as an interruption.

        Raises:
            Interrupted: a signal was received and a loader worker has died.
        """
        signum = None if self._watch is None else self._watch.signum
        self._release()
        if signum is not None and "DataLoader worker" in str(exception):
            raise Interrupted(
                f"{signal.Signals(signum).name}: ended without saving; the last checkpoint is kept.",
                signum,
            ) from exception

    def _signal_of_any_rank(self, trainer: pl.Trainer) -> int | None:
        """Return the received signal, SIGTERM if only other ranks received one, or None."""
        signum = None if self._watch is None else self._watch.signum
        if trainer.world_size > 1:
            received = trainer.strategy.reduce_boolean_decision(signum is not None, all=False)
            return (signum or signal.SIGTERM) if received else None
        return signum

    def _save_and_raise(self, trainer: pl.Trainer, signum: int) -> None:
        name = signal.Signals(signum).name
        for callback in lightning_internals.callbacks_of(trainer):
            if isinstance(callback, Checkpointer):
                path = callback.save_now(trainer)
                raise Interrupted(
                    f"{name}: the state is saved at step {trainer.global_step} ({path}).", signum
                )
        raise Interrupted(
            f"{name}: ended at step {trainer.global_step}; this run has no checkpoints.", signum
        )

    def _release(self) -> None:
        if self._watch is not None:
            self._watch.saving = False
            if self._watch not in _watches:
                self._watch.restore()
