"""Ray actor of a rank, which starts the rank's process on its machine and returns the exit code.

The rank is a separate process with its own signal handlers and libraries. It ends with the actor.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from pathlib import Path

from runner.distributed.store import interface_of
from runner.run.child_process import SAFE_PATH, module_command

__all__ = ["RankActor"]


def node_address() -> str:
    import ray

    address: str = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]  # Ray 2.60 lacks annotations
    return address


class RankActor:
    """Starts, signals and awaits the process of one rank."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def inspect_node(self, path: str) -> tuple[str, int, bool]:
        """Return the machine's address, a free port on it, and whether it can read the run directory."""
        address = node_address()
        with socket.socket() as probe:
            probe.bind((address, 0))
            return address, probe.getsockname()[1], Path(path).is_dir()

    def host(self) -> str:
        """Return the machine's name."""
        return socket.gethostname()

    def start(self, module: str, path: str, log: str, folder: str, environment: dict[str, str]) -> None:
        """Start the rank's process.

        Args:
            module: module to execute.
            path: the run directory, its only argument.
            log: file that its output is appended to.
            folder: working directory, used if it exists on this machine.
            environment: variables that are added to those of the actor.
        """
        with open(log, "ab") as output:
            self._process = subprocess.Popen(
                module_command(module, path, unbuffered=True),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=folder if Path(folder).is_dir() else None,
                env=os.environ | SAFE_PATH | interface_of(node_address()) | environment,
                start_new_session=True,
            )

    def run(self, module: str, path: str, log: str, folder: str, environment: dict[str, str]) -> int:
        """Start the rank's process, wait for it and return its exit code; see `start` and `wait`."""
        self.start(module, path, log, folder, environment)
        return self.wait()

    def wait(self) -> int:
        """Return the exit code of the rank, or the negative number of the signal that ended it.

        Raises:
            RuntimeError: the process was not started.
        """
        if self._process is None:
            raise RuntimeError("the process of this rank was not started")
        return self._process.wait()

    def signal(self, signum: int) -> None:
        """Send a signal to the rank's process; SIGKILL also to its children."""
        if self._process is None or self._process.poll() is not None:
            return
        if signum == signal.SIGKILL:
            os.killpg(self._process.pid, signum)
        else:
            self._process.send_signal(signal.Signals(signum))
