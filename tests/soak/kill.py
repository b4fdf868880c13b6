"""Trainings that are killed with SIGKILL at random moments, resumed, killed again, and compared with an
uninterrupted one. The parent imports torch once and forks: a killed attempt costs tenths of a second."""

from __future__ import annotations

import importlib
import json
import os
import random
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

import runner.callbacks.checkpoint_io as checkpoint_io
import runner.callbacks.checkpoint_store as checkpoint_store
from runner.run.checkpoints import best_checkpoint
from runner.run.directory import RunDir

__all__ = ["Case", "Report", "attempt", "import_what_was_needed", "soak"]

HOOKS = (
    "on_train_start", "on_train_epoch_start", "on_train_batch_start", "on_train_batch_end",
    "on_validation_start", "on_validation_batch_end", "on_validation_end", "on_train_epoch_end",
    "on_save_checkpoint", "on_step_boundary", "on_train_end", "on_test_batch_end",
)  # fmt: skip
ENDS = {"on_train_epoch_end", "on_validation_end", "on_save_checkpoint", "before replace_file",
        "after replace_file", "before write_index", "after write_index", "on_train_end"}  # fmt: skip
"""Events around the end of an epoch, or the writing of a checkpoint."""
MAX_DELAY_S = 0.004
ERRORS = "errors.txt"
MODULES = "modules.txt"


@dataclass
class Case:
    """One way to train.

    Attributes:
        name: in the table.
        train: ``(run, *callbacks) -> outcome``: resumes the run's newest checkpoint and trains to the end.
            The outcome is plain, and has ``consumed`` (samples in the order of training) and ``points``
            among others.
    """

    name: str
    train: Callable[..., dict[str, Any]]


@dataclass
class Report:
    """The result of one killed training; all counts should be 0.

    Attributes:
        kills: the events at which it was killed.
        differences: keys of the outcome that are not equal.
        repeated, missing: samples trained on.
        doubled_points, missing_points: lines of the journal.
        seconds: that all its attempts took.
    """

    case: str
    seed: int
    kills: list[str]
    differences: list[str]
    repeated: int
    missing: int
    doubled_points: int
    missing_points: int
    seconds: float = 0.0

    @property
    def harm(self) -> int:
        counts = (self.repeated, self.missing, self.doubled_points, self.missing_points)
        return len(self.differences) + sum(counts)


class Announcer(pl.Callback):
    """Reports every event to the parent, and kills the process at the chosen one."""

    def __init__(self, pipe: int, kill_at: int | None):
        self.pipe, self.kill_at, self.count = pipe, kill_at, 0
        for name in HOOKS:
            setattr(self, name, lambda *args, _name=name, **kwargs: self.announce(_name))

    def announce(self, event: str) -> None:
        self.count += 1
        os.write(self.pipe, f"{event}\n".encode())
        if self.count == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, module: Any, name: str) -> None:
        function = getattr(module, name)

        def announced(*args: Any, **kwargs: Any) -> Any:
            self.announce(f"before {name}")
            result = function(*args, **kwargs)
            self.announce(f"after {name}")
            return result

        setattr(module, name, announced)


def attempt(
    run: RunDir, case: Case, kill_at: int | None = None, delay_s: float | None = None
) -> tuple[dict[str, Any] | None, list[str]]:
    """Trains in a forked process, which is killed at its event number ``kill_at``, or ``delay_s`` after it.

    Returns:
        The outcome, None when it was killed, and the events that came.
    """
    run.path.mkdir(parents=True, exist_ok=True)
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        carry_out(run, case, Announcer(writer, kill_at if delay_s is None else None))
    os.close(writer)
    events: list[str] = []
    with os.fdopen(reader, encoding="utf-8") as pipe:
        for line in pipe:
            events.append(line.strip())
            if delay_s is not None and len(events) == kill_at:
                time.sleep(delay_s)
                os.kill(pid, signal.SIGKILL)
                break
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        return None, events
    if os.waitstatus_to_exitcode(status) != 0:
        raise RuntimeError(
            f"{case.name}: the training itself failed:\n{(run.path / ERRORS).read_text()[-5000:]}"
        )
    return json.loads((run.path / "outcome.json").read_text()), events


def import_what_was_needed(run: RunDir) -> None:
    """Here, what a training imported, so that the forks to come need not."""
    for name in (run.path / MODULES).read_text().splitlines():
        if name not in sys.modules and not name.startswith(("__", "tests")):
            with suppress(Exception):
                importlib.import_module(name)


def carry_out(run: RunDir, case: Case, announcer: Announcer) -> None:
    """The forked process; it does not return."""
    status = 1
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(os.open(run.path / ERRORS, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
        torch.set_num_threads(1)
        announcer.around(checkpoint_io, "replace_file")
        announcer.around(checkpoint_store, "write_index")
        outcome = case.train(run, announcer)
        outcome["best"] = str(best_checkpoint(run).as_dict())
        (run.path / "outcome.json").write_text(json.dumps(outcome))
        (run.path / MODULES).write_text("\n".join(sys.modules))
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def soak(
    folder: Path, case: Case, seed: int, num_kills: int, calm: dict[str, Any], events: list[str]
) -> Report:
    """Kills one training up to ``num_kills`` times: half of them near the ends of epochs, half anywhere.

    Args:
        calm, events: outcome and events of the uninterrupted training.
    """
    draw = random.Random(seed)
    run = RunDir(folder / f"killed-{seed}")
    kills: list[str] = []
    outcome, ahead = None, events
    while len(kills) < num_kills and outcome is None and len(ahead) > 1:
        at = draw.randrange(1, len(ahead))
        ends = [number for number, event in enumerate(ahead, 1) if event in ENDS]
        if ends and draw.random() < 0.5:
            at = draw.choice(ends)
        outcome, came = attempt(run, case, at, draw.choice([None, draw.random() * MAX_DELAY_S]))
        if outcome is None:
            kills.append(came[-1])
            ahead = ahead[len(came) // 2 :]
    if outcome is None:
        outcome, _ = attempt(run, case)
    return compare(case, seed, kills, calm, outcome)


def compare(case: Case, seed: int, kills: list[str], calm: dict[str, Any], killed: dict[str, Any]) -> Report:
    def surplus(key: str, of: dict[str, Any], over: dict[str, Any]) -> int:
        return (Counter(map(json.dumps, of[key])) - Counter(map(json.dumps, over[key]))).total()

    return Report(
        case=case.name,
        seed=seed,
        kills=kills,
        differences=[key for key in calm if calm[key] != killed[key]],
        repeated=surplus("consumed", killed, calm),
        missing=surplus("consumed", calm, killed),
        doubled_points=surplus("points", killed, calm),
        missing_points=surplus("points", calm, killed),
    )
