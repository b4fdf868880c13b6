"""Trainings that are killed with SIGKILL at random moments, resumed, killed again, and compared with one that
was left in peace. The parent imports torch once and forks: a killed attempt costs tenths of a second."""

from __future__ import annotations

import json
import os
import random
import signal
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from soak.tiny import Setting, train

import runner.callbacks.checkpoint as checkpoint
import runner.callbacks.checkpoint_io as checkpoint_io
from runner.run.checkpoints import best_checkpoint
from runner.run.directory import RunDir

__all__ = ["SETTINGS", "Report", "attempt", "reference", "soak"]

STEPS = {"every_n_steps": 4}
SETTINGS = [
    Setting("epoch ends"),
    Setting("epoch ends, 2 workers", num_workers=2),
    Setting("every 4 steps", checkpoint=STEPS),
    Setting("every 4 steps, 2 workers", num_workers=2, checkpoint=STEPS),
    Setting("every step", checkpoint={"every_n_steps": 1}),
    Setting("accumulate 2", accumulate=2, checkpoint={"every_n_steps": 3}),
    Setting("validation in mid-epoch", val_check_interval=0.2, checkpoint={"every_n_steps": 3}),
    Setting("validation in mid-epoch, accumulate 2", val_check_interval=0.3, accumulate=2, checkpoint=STEPS),
    Setting("validation every 2 epochs", epochs=4, check_val_every_n_epoch=2, checkpoint=STEPS),
    Setting("plateau by a metric of mid-epoch", val_check_interval=0.4, plateau=True, checkpoint={"every_n_steps": 2}),
    Setting("plateau, early stopping", epochs=8, plateau=True, patience=1, checkpoint={"every_n_steps": 7}),
    Setting("max_steps in mid-epoch", trainer={"max_steps": 38}, epochs=9, checkpoint=STEPS),
    Setting("limit_train_batches", trainer={"limit_train_batches": 11}, num_workers=2, checkpoint=STEPS),
]


@dataclass
class Report:
    """One training that was killed."""

    setting: str
    seed: int
    kills: list[str]
    differences: list[str]
    repeated: int
    missing: int
    doubled_points: int
    missing_points: int


class Announcer(pl.Callback):
    """Tells the parent of every event, and ends the process without a word at the chosen one."""

    def __init__(self, pipe: int, kill_at: int | None):
        self.pipe, self.kill_at, self.count = pipe, kill_at, 0
        for name in HOOKS:
            setattr(self, name, lambda *args, _name=name, **kwargs: self.tell(_name))

    def tell(self, event: str) -> None:
        self.count += 1
        os.write(self.pipe, f"{event}\n".encode())
        if self.count == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, module: Any, name: str) -> None:
        function = getattr(module, name)

        def announced(*args: Any, **kwargs: Any) -> Any:
            self.tell(f"before {name}")
            result = function(*args, **kwargs)
            self.tell(f"after {name}")
            return result

        setattr(module, name, announced)


HOOKS = (
    "on_train_start", "on_train_epoch_start", "on_train_batch_start", "on_train_batch_end",
    "on_validation_start", "on_validation_batch_end", "on_validation_end", "on_train_epoch_end",
    "on_save_checkpoint", "on_step_boundary", "on_train_end",
)  # fmt: skip


def attempt(
    run: RunDir,
    setting: Setting,
    kill_at: int | None = None,
    delay_s: float | None = None,
    execute: Callable[..., dict[str, Any]] = train,
) -> tuple[dict[str, Any] | None, list[str]]:
    """Trains in a forked process, which is killed at its event number ``kill_at``, or ``delay_s`` after it.

    Returns:
        The outcome, None when it was killed, and the events that came.
    """
    run.path.mkdir(parents=True, exist_ok=True)
    result_path = run.path / "outcome.json"
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        status = 1
        try:
            torch.set_num_threads(1)
            announcer = Announcer(writer, kill_at if delay_s is None else None)
            announcer.around(checkpoint_io, "replace_file")
            announcer.around(checkpoint, "write_index")
            result = execute(run, setting, announcer)
            result["best"] = str(best_checkpoint(run).as_dict())
            result_path.write_text(json.dumps(result))
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    os.close(writer)
    events: list[str] = []
    with os.fdopen(reader, encoding="utf-8") as pipe:
        for line in pipe:
            events.append(line.strip())
            if delay_s is not None and len(events) == kill_at:
                time.sleep(delay_s)
                os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        return None, events
    assert os.waitstatus_to_exitcode(status) == 0, f"{setting.name}: the training itself failed"
    return json.loads(result_path.read_text()), events


def reference(folder: Path, setting: Setting) -> tuple[dict[str, Any], list[str]]:
    outcome, events = attempt(RunDir(folder / "reference"), setting)
    return outcome, events


def soak(folder: Path, setting: Setting, seed: int, num_kills: int, calm: dict[str, Any], events: list[str]) -> Report:
    """Kills one training ``num_kills`` times at random, near the ends of epochs as often as anywhere."""
    draw = random.Random(seed)
    run = RunDir(folder / f"killed-{seed}")
    kills: list[str] = []
    outcome = None
    left = len(events)
    while len(kills) < num_kills:
        at = draw.randrange(1, max(2, left))
        delay_s = draw.choice([None, None, draw.random() * 0.004])
        if draw.random() < 0.5:
            ends = [n for n, event in enumerate(events[-left:], 1) if event in NEAR_END]
            at = draw.choice(ends) if ends else at
        outcome, came = attempt(run, setting, at, delay_s)
        if outcome is not None:
            break
        kills.append(f"{len(came)}:{came[-1] if came else 'start'}")
        left = max(2, left - len(came) // 2)
    if outcome is None:
        outcome, _ = attempt(run, setting)
    return compare(setting, seed, kills, calm, outcome)


NEAR_END = {"on_train_epoch_end", "on_validation_end", "on_save_checkpoint", "before replace_file",
            "after replace_file", "before write_index", "after write_index"}  # fmt: skip


def compare(setting: Setting, seed: int, kills: list[str], calm: dict[str, Any], killed: dict[str, Any]) -> Report:
    def surplus(a: list, b: list) -> int:
        left = [json.dumps(item) for item in b]
        count = 0
        for item in map(json.dumps, a):
            if item in left:
                left.remove(item)
            else:
                count += 1
        return count

    return Report(
        setting=setting.name,
        seed=seed,
        kills=kills,
        differences=[key for key in calm if calm[key] != killed[key]],
        repeated=surplus(killed["consumed"], calm["consumed"]),
        missing=surplus(calm["consumed"], killed["consumed"]),
        doubled_points=surplus(killed["points"], calm["points"]),
        missing_points=surplus(calm["points"], killed["points"]),
    )
