"""SIGTERM, SIGINT, SIGUSR1 and SIGHUP: the state is saved at the next step, and the run ends saying so."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import pytorch_lightning as pl
from pytorch_lightning.trainer.states import TrainerFn

from runner.callbacks import lightning_internals
from runner.callbacks.checkpoint import Checkpointer
from runner.errors import Interrupted

__all__ = ["Preemption", "interruptible"]

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGHUP)
"""What a person, a closed terminal and the schedulers send before they kill."""


class SignalWatch:
    """What signals mean to this process while it executes a run.

    Attributes:
        saving: a training is under way that will save its state; else a signal ends the process at once.
        signum: the signal that came, while ``saving``.
    """

    def __init__(self) -> None:
        self.saving = False
        self.signum: int | None = None
        self._owner = os.getpid()
        self._before: dict[int, object] = {}

    def take(self) -> None:
        """Makes this the handler, also where another one has come in between."""
        if threading.current_thread() is not threading.main_thread():
            return
        for signum in SIGNALS:
            if signum == signal.SIGHUP and signal.getsignal(signum) == signal.SIG_IGN:
                continue  # started with nohup: it is to outlive its terminal
            before = signal.signal(signum, self.handle)
            self._before.setdefault(signum, before)

    def give_back(self) -> None:
        for signum, before in self._before.items():
            signal.signal(signum, before)
        self._before = {}

    def handle(self, signum: int, frame: FrameType | None) -> None:
        name = signal.Signals(signum).name
        if os.getpid() != self._owner:  # a forked child that has no handlers of its own yet
            signal.signal(signum, signal.SIG_DFL)
            os.kill(os.getpid(), signum)
        elif not self.saving:
            self.signum = signum  # remembered: what is raised within a destructor is lost
            raise Interrupted(f"{name}: ended at once.", signum, at_once=True)
        elif self.signum is None:
            self.signum = signum
            tell(f"{name}: saving the state at the next step. Ctrl-C once more ends at once.")
        elif signum == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            raise Interrupted(
                f"{name} for the second time: ended at once, without saving.", signum, at_once=True
            )


def tell(text: str) -> None:
    """To the standard error, in a way that is allowed within a signal handler."""
    os.write(2, f"\n{text}\n".encode())


_watches: list[SignalWatch] = []


@contextmanager
def interruptible() -> Iterator[SignalWatch]:
    """Around the execution of a run: a signal raises ``Interrupted``, in training after saving the state.

    Outside the main thread it changes nothing, for only that one receives signals.
    """
    watch = SignalWatch()
    watch.take()
    _watches.append(watch)
    try:
        yield watch
    except Exception as error:
        interruption = interruption_behind(error)
        if interruption is error or interruption is None:
            raise
        raise interruption from error  # a clean-up that failed after it is not what ended the run
    finally:
        _watches.remove(watch)
        watch.give_back()


def interruption_behind(error: BaseException | None) -> Interrupted | None:
    """The interruption that was being handled when ``error`` was raised, or ``error`` itself."""
    while error is not None and not isinstance(error, Interrupted):
        error = error.__context__
    return error


class Preemption(pl.Callback):
    """Saves at the step boundary, or in the middle of a validation, and raises ``Interrupted``.

    Within ``interruptible()`` it uses that watch, else one of its own while training.
    """

    def __init__(self) -> None:
        self._watch: SignalWatch | None = None

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """From here on the first step boundary answers: to stop amid the making of loaders harms
        Lightning.
        """
        self._watch = _watches[-1] if _watches and stage == "fit" else None
        if self._watch is not None:
            self._watch.saving = True

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._watch = self._watch or SignalWatch()
        self._watch.saving = True
        self._watch.take()  # Lightning's own handler would end the process with exit code 0, unsaved

    def on_step_boundary(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._asked(trainer) and lightning_internals.between_updates(trainer):
            self._save_and_leave(trainer)

    def on_validation_batch_end(
        self, trainer, pl_module, outputs, batch, batch_idx, dataloader_idx=0
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
        """A loader worker that the signal ended too, before it could be outlived, is no failure of the
        run.
        """
        signum = None if self._watch is None else self._watch.signum
        self._release()
        if signum is not None and "DataLoader worker" in str(exception):
            raise Interrupted(
                f"{signal.Signals(signum).name}: ended without saving; the last checkpoint is kept.",
                signum,
            ) from exception

    def _asked(self, trainer: pl.Trainer) -> bool:
        asked = self._watch is not None and self._watch.signum is not None
        if trainer.world_size > 1:
            asked = trainer.strategy.reduce_boolean_decision(asked, all=False)
        return asked

    def _save_and_leave(self, trainer: pl.Trainer) -> None:
        signum = self._watch.signum or signal.SIGTERM
        name = signal.Signals(signum).name
        for callback in trainer.callbacks:
            if isinstance(callback, Checkpointer):
                path = callback.save_now(trainer)
                raise Interrupted(
                    f"{name}: the state is saved at step {trainer.global_step} ({path}).", signum
                )
        raise Interrupted(
            f"{name}: ended at step {trainer.global_step}; nothing is saved in this run.", signum
        )

    def _release(self) -> None:
        if self._watch is not None:
            self._watch.saving = False
            if self._watch not in _watches:
                self._watch.give_back()
