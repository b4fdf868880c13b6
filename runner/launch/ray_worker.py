"""Ray actor of a rank: it starts the rank's process on its machine and returns the exit code.

The rank is a separate process with its own signal handlers and libraries. It dies with the actor.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from runner.launch.node_rendezvous import interface_of

__all__ = ["RankActor"]


class RankActor:
    def __init__(self) -> None:
        self._process: subprocess.Popen | None = None

    def where(self, path: str) -> tuple[str, int, bool]:
        """The machine's address, a free port on it, and whether it sees the run directory."""
        import ray

        address = ray.util.get_node_ip_address()
        with socket.socket() as probe:
            probe.bind((address, 0))
            return address, probe.getsockname()[1], Path(path).is_dir()

    def host(self) -> str:
        return socket.gethostname()

    def start(self, module: str, path: str, log: str, folder: str, environment: dict[str, str]) -> None:
        import ray

        with open(log, "ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-u", "-m", module, path],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=folder if Path(folder).is_dir() else None,
                env=os.environ | interface_of(ray.util.get_node_ip_address()) | environment,
                start_new_session=True,
            )

    def carry_out(self, module: str, path: str, log: str, folder: str, environment: dict[str, str]) -> int:
        self.start(module, path, log, folder, environment)
        return self.wait()

    def wait(self) -> int:
        """The exit code of the rank, or the negative number of the signal that ended it."""
        return self._process.wait()

    def signal(self, signum: int) -> None:
        if self._process is None or self._process.poll() is not None:
            return
        if signum == signal.SIGKILL:
            os.killpg(self._process.pid, signum)
        else:
            self._process.send_signal(signal.Signals(signum))
