"""One check of ``scripts/gpu_check`` at a time, in a process of its own and for a bounded time."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distributed.ranks import call_and_exit

__all__ = ["Check", "Failed", "Outcome", "Skipped", "alone", "carry_out"]


class Skipped(Exception):
    """What this machine lacks."""


class Failed(Exception):
    """What was found instead."""


@dataclass(frozen=True)
class Check:
    """
    Attributes:
        needs: CUDA devices.
        call: with a folder of its own; returns a figure in words.
    """

    device: str
    name: str
    call: Callable[[Path], str]
    needs: int = 0
    timeout_s: float = 200.0


@dataclass(frozen=True)
class Outcome:
    check: Check
    state: str
    figure: str
    seconds: float


def carry_out(check: Check, folder: Path, num_devices: int, seconds_left: float) -> Outcome:
    """Runs a check; whatever it does, its process ends in time."""
    if num_devices < check.needs:
        there = "no CUDA device" if not num_devices else f"{num_devices} CUDA device"
        return Outcome(
            check, "skipped", f"{there} here" + (f", needs {check.needs}" if num_devices else ""), 0.0
        )
    if seconds_left < 5:
        return Outcome(check, "skipped", "no time left", 0.0)
    folder.mkdir(parents=True)
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=answer, args=(check, folder, sender))
    begin, limit = time.monotonic(), min(check.timeout_s, seconds_left)
    process.start()
    sender.close()
    state, figure = "FAILED", f"no answer in {limit:.0f} s"
    try:
        if receiver.poll(limit):
            state, figure = receiver.recv()
    except EOFError:
        process.join()
        figure = f"its process ended ({process.exitcode})"
    finally:
        end_group(process.pid)
        process.join()
    return Outcome(check, state, figure, time.monotonic() - begin)


def answer(check: Check, folder: Path, sender: Any) -> None:
    """Within the process: its output goes to a file."""
    os.setsid()  # it and its children are ended together
    log = open(folder / "output.log", "w", encoding="utf-8")
    os.dup2(log.fileno(), 1)
    os.dup2(log.fileno(), 2)
    sys.stdout = sys.stderr = log
    try:
        said = ("pass", check.call(folder))
    except Skipped as reason:
        said = ("skipped", str(reason))
    except BaseException as error:
        traceback.print_exc()
        log.flush()
        said = ("FAILED", f"{type(error).__name__}: {str(error).partition(chr(10))[0][:160]}")
    sender.send(said)
    sender.close()
    os._exit(0)


def end_group(pid: int | None) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass


def alone(call: Callable[..., Any], *arguments: Any, kill_when: Callable[[], bool] | None = None) -> None:
    """Calls a function in a process of its own, which may be killed in the middle.

    Raises:
        Failed: it failed, or came to its end before it could be killed.
    """
    process = multiprocessing.get_context("fork").Process(target=call_and_exit, args=(call, *arguments))
    process.start()
    while kill_when is not None and process.is_alive():
        if kill_when():
            os.kill(process.pid, signal.SIGKILL)
            process.join()
            break
        time.sleep(0.02)
    process.join()
    wanted = -signal.SIGKILL if kill_when is not None else 0
    if process.exitcode != wanted:
        raise Failed(f"a process ended with {process.exitcode}, not {wanted}")
