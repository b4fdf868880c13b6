"""Processes that tests start in the background, and waiting for them."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any


def start_process(
    command: Sequence[str], folder: Path, name: str, environment: Mapping[str, str] | None = None
) -> subprocess.Popen:
    """Start a command in ``folder``, with one thread; its output is appended to ``NAME.out``.

    Args:
        command: program and arguments.
        folder: working directory.
        name: name of the output file.
        environment: environment variables; those of this process if None.
    """
    variables = dict(os.environ if environment is None else environment) | {"OMP_NUM_THREADS": "1"}
    with open(folder / f"{name}.out", "ab") as output:
        return subprocess.Popen(
            command,
            cwd=folder,
            env=variables,
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
        )


def wait_for(
    condition: Callable[[], Any],
    process: subprocess.Popen | None = None,
    timeout_s: float = 200,
    interval_s: float = 0.1,
) -> Any:
    """Return the first true value of ``condition()``.

    Raises:
        AssertionError: the process has ended before, or the time is over.
    """
    end = time.monotonic() + timeout_s
    while not (value := condition()):
        assert process is None or process.poll() is None, f"the process ended with {process.returncode}"
        assert time.monotonic() < end, f"{condition} is not true within {timeout_s} s"
        time.sleep(interval_s)
    return value
