import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import pytorch_lightning as pl
from soak.tiny import Setting, make, train

from runner.callbacks.preemption import Preemption, interruptible
from runner.errors import Interrupted
from runner.run.checkpoints import best_checkpoint, last_checkpoint, read_index
from runner.run.directory import RunDir

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGHUP)


class Send(pl.Callback):
    """Sends this process a signal at a moment of the training."""

    def __init__(self, signum: int, hook: str, step: int, times: int = 1):
        def send(trainer: pl.Trainer, *args, **kwargs) -> None:
            if trainer.global_step == step and not self.sent:
                self.sent = True
                for _ in range(times):
                    os.kill(os.getpid(), signum)

        self.sent = False
        setattr(self, hook, send)


@pytest.fixture(autouse=True)
def handlers_are_given_back():
    before = [signal.getsignal(signum) for signum in SIGNALS]
    yield
    assert [signal.getsignal(signum) for signum in SIGNALS] == before


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return RunDir(tmp_path / "run")


@pytest.fixture(scope="module")
def calm(tmp_path_factory) -> dict:
    return train(RunDir(tmp_path_factory.mktemp("calm")), Setting())


MOMENTS = [
    ("on_train_batch_start", 7, 8, 0),
    ("on_train_batch_end", 7, 7, 0),
    ("on_train_batch_end", 15, 15, 0),  # the last batch of an epoch: before its validation
    ("on_validation_batch_end", 15, 15, 0),
    ("on_validation_end", 30, 30, 1),
    ("on_train_epoch_end", 15, 15, 0),
    ("on_train_epoch_start", 30, 30, 1),
]


EACH = [(signal.SIGTERM, *moment) for moment in MOMENTS] + [(signum, *MOMENTS[1]) for signum in SIGNALS[1:]]


@pytest.mark.parametrize(("signum", "hook", "step", "saved", "epoch"), EACH)
def test_signal_saves_at_the_next_step_and_the_run_resumes_there(
    run: RunDir, calm: dict, signum: int, hook: str, step: int, saved: int, epoch: int
) -> None:
    with pytest.raises(
        Interrupted, match=rf"the state is saved at step {saved} \(.*step-{saved:08d}"
    ) as caught:
        train(run, Setting(), Send(signum, hook, step))
    assert caught.value.exit_code == 128 + signum
    newest = last_checkpoint(run)
    assert (newest.step, newest.epoch) == (saved, epoch)
    assert train(run, Setting()) == calm


def test_several_signals_in_one_training(run: RunDir, calm: dict) -> None:
    for hook, step in (
        ("on_validation_batch_end", 15),
        ("on_validation_start", 15),
        ("on_train_batch_end", 16),
        ("on_validation_start", 45),
    ):
        with pytest.raises(Interrupted):
            train(run, Setting(), Send(signal.SIGTERM, hook, step))
    assert train(run, Setting()) == calm


def test_validation_within_an_epoch_is_repeated(tmp_path: Path) -> None:
    setting = Setting(val_check_interval=0.2, plateau=True)
    calm = train(RunDir(tmp_path / "calm"), setting)
    run = RunDir(tmp_path / "run")
    for step in (6, 21):
        with pytest.raises(Interrupted):
            train(run, setting, Send(signal.SIGTERM, "on_validation_batch_end", step))
        assert last_checkpoint(run).kind == "interrupt"
    assert train(run, setting) == calm


def test_repeated_validation_selects_the_best_checkpoint(run: RunDir) -> None:
    setting = Setting(val_check_interval=0.2)
    for hook, step in (("on_validation_batch_end", 3), ("on_train_batch_start", 3)):
        with pytest.raises(Interrupted):
            train(run, setting, Send(signal.SIGTERM, hook, step))
    found = [(entry.step, entry.kind) for entry in read_index(run.checkpoints)]
    assert found == [(3, "validation"), (4, "interrupt")]
    assert best_checkpoint(run).kind == "validation"


def test_accumulated_gradients_are_applied_first(run: RunDir) -> None:
    setting = Setting(accumulate=4)
    with pytest.raises(Interrupted, match="saved at step 3"):
        train(run, setting, Send(signal.SIGTERM, "on_train_batch_start", 2))


def test_signal_after_the_last_step_ends_the_run(run: RunDir, calm: dict) -> None:
    with pytest.raises(Interrupted, match="after the last step; the state is saved"):
        train(run, Setting(), Send(signal.SIGTERM, "on_validation_end", 45))
    assert last_checkpoint(run).step == 45
    assert train(run, Setting()) == calm


def test_second_ctrl_c_ends_immediately(run: RunDir) -> None:
    with pytest.raises(Interrupted, match="second SIGINT: ended immediately, without saving"):
        train(run, Setting(), Send(signal.SIGINT, "on_train_batch_start", 7, times=2))
    assert read_index(run.checkpoints) == []


def test_run_under_nohup_survives_its_terminal(run: RunDir, calm: dict) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert train(run, Setting(), Send(signal.SIGHUP, "on_train_batch_start", 7)) == calm
    finally:
        signal.signal(signal.SIGHUP, before)


def test_second_sigterm_has_no_effect(run: RunDir) -> None:
    with pytest.raises(Interrupted, match="saved at step 8"):
        train(run, Setting(), Send(signal.SIGTERM, "on_train_batch_start", 7, times=3))


def test_signal_outside_training_ends_immediately() -> None:
    with pytest.raises(Interrupted, match="SIGTERM: ended immediately") as caught, interruptible():
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(1)
    assert caught.value.exit_code == 143


class SendAt(pl.Callback):
    """Sends SIGTERM when the trainer reaches a hook of its set-up."""

    def __init__(self, hook: str):
        setattr(self, hook, lambda *args, **kwargs: os.kill(os.getpid(), signal.SIGTERM))


@pytest.mark.parametrize("hook", ["setup", "on_fit_start", "on_train_start"])
def test_signal_during_setup_waits_for_the_first_step(run: RunDir, calm: dict, hook: str) -> None:
    with pytest.raises(Interrupted, match="the state is saved at step 0"), interruptible():
        train(run, Setting(num_workers=2), SendAt(hook))
    assert train(run, Setting()) == calm


def test_failing_cleanup_does_not_hide_an_interruption() -> None:
    with pytest.raises(Interrupted, match="SIGINT: ended immediately") as caught, interruptible():
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)
        finally:
            raise RuntimeError("the clean-up")
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_other_errors_pass_through_the_signal_watch() -> None:
    with pytest.raises(ValueError, match="other"), interruptible():
        raise ValueError("other")


def test_training_within_a_signal_watch_saves_and_keeps_the_watch(run: RunDir) -> None:
    with interruptible() as watch:
        with pytest.raises(Interrupted, match="saved at step 8"):
            train(run, Setting(), Send(signal.SIGTERM, "on_train_batch_start", 7))
        assert not watch.saving
        assert [signal.getsignal(signum) for signum in SIGNALS] == [watch.handle] * 4


def test_missing_checkpointer_is_reported(run: RunDir) -> None:
    trainer, task, data = make(run, Setting(), Send(signal.SIGTERM, "on_train_batch_start", 3))
    trainer.callbacks = [c for c in trainer.callbacks if type(c).__name__ != "Checkpointer"]
    with pytest.raises(Interrupted, match="ended at step 4; this run has no checkpoints"):
        trainer.fit(task, datamodule=data)


def test_no_effect_outside_the_main_thread(run: RunDir) -> None:
    ended: list = []
    thread = threading.Thread(target=lambda: ended.append(train(run, Setting(epochs=1))["step"]))
    thread.start()
    thread.join()
    assert ended == [15]


def test_evaluation_and_training_restore_the_handlers(run: RunDir) -> None:
    before = [signal.getsignal(signum) for signum in SIGNALS]
    trainer, task, data = make(run, Setting(epochs=1))
    trainer.fit(task, datamodule=data)
    trainer.validate(task, datamodule=data, verbose=False)
    assert [signal.getsignal(signum) for signum in SIGNALS] == before
    assert any(isinstance(callback, Preemption) for callback in trainer.callbacks)


WHOLE_GROUP = """
import os, signal, sys
sys.path.append(sys.argv[1])
from pathlib import Path
from runner.callbacks.preemption import interruptible
from runner.errors import ControlSignal, RunnerError
from runner.run.directory import RunDir
from soak.tiny import Setting, train
import pytorch_lightning as pl

class Ready(pl.Callback):
    def on_train_batch_end(self, trainer, *args):
        if trainer.global_step == 5:
            print("ready", flush=True)

try:
    with interruptible():
        train(RunDir(Path(sys.argv[2])), Setting(num_workers=2, epochs=100000), Ready())
except (RunnerError, ControlSignal) as error:
    print(error, flush=True)
    sys.exit(error.exit_code)
"""


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGUSR1])
def test_loader_workers_survive_a_signal_to_the_process_group(run: RunDir, signum: int) -> None:
    """As Ctrl-C in a terminal and most schedulers send it."""
    tests = str(Path(__file__).resolve().parents[1])
    process = subprocess.Popen(
        [sys.executable, "-c", WHOLE_GROUP, tests, str(run.path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout.readline() == "ready\n"
    os.killpg(process.pid, signum)
    out, error = process.communicate(timeout=60)
    assert process.returncode == 128 + signum, error
    assert "the state is saved at step" in out
    newest = last_checkpoint(run)
    assert newest is not None and f"step {newest.step} " in out
