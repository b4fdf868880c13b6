"""Starts MLflow's server for a store on the loopback interface, and ends it with all its processes."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import suppress

from runner.errors import RunnerError
from runner.run.child_process import SAFE_PATH, module_command
from runner.tracking.store import artifact_root, make_store, use_environment

__all__ = ["HOST", "Server", "free_port", "is_free"]

HOST = "127.0.0.1"
READY_TIMEOUT_S = 180
STOP_TIMEOUT_S = 15
PR_SET_PDEATHSIG = 1


class Server:
    """A server process, as a context manager that ends it.

    Args:
        uri: the store; a missing SQLite file is created.
        root: the folder of the runs.
        port: the port to listen on.
    """

    def __init__(self, uri: str, root: str, port: int) -> None:
        self.url = f"http://{HOST}:{port}"
        self._output = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115 - closed in `stop`
        make_store(uri)
        use_environment()
        self.process = subprocess.Popen(
            command(uri, root, port),
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            # MLflow 3.17 otherwise starts job consumers: 51 s instead of 13 s until it is ready.
            env=os.environ | SAFE_PATH | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            start_new_session=True,  # Ctrl-C is handled by this process, which calls `stop`
            preexec_fn=_die_with_parent,  # noqa: PLW1509 - only calls prctl
        )

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def wait_ready(self, timeout_s: float = READY_TIMEOUT_S) -> None:
        """Wait until the server responds.

        Args:
            timeout_s: maximum waiting time in seconds.

        Raises:
            RunnerError: it ended or did not respond in time; the message contains its last output.
        """
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            if self.process.poll() is not None:
                raise RunnerError(f"MLflow's server ended immediately:\n{self.last_output()}")
            try:
                with urllib.request.urlopen(f"{self.url}/health", timeout=2):
                    return
            except (OSError, urllib.error.URLError):
                time.sleep(0.2)
        raise RunnerError(f"MLflow's server did not respond within {timeout_s:.0f} s:\n{self.last_output()}")

    def last_output(self, num_lines: int = 15) -> str:
        """Return the last lines of the server's output."""
        self._output.seek(0)
        return "".join(self._output.readlines()[-num_lines:])

    def stop(self) -> None:
        """End the server and all processes that it has started."""
        if self.process.poll() is None:
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_TIMEOUT_S)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)  # the remaining processes of its session
        self.process.wait()
        self._output.close()

    def kill(self) -> None:
        """Kill all processes of the server at once, as a crash would."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def command(uri: str, root: str, port: int) -> list[str]:
    artifacts = artifact_root(uri, root)
    return module_command(
        "mlflow", "server", "--host", HOST, "--port", str(port), "--workers", "1",
        "--backend-store-uri", uri, "--artifacts-destination", str(artifacts),
        "--uvicorn-opts", "--log-level warning",
    )  # fmt: skip


def is_free(port: int) -> bool:
    """Return whether the port of the loopback interface is free."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError):
            return False
    return True


def free_port() -> int:
    """Return a free port of the loopback interface."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def _die_with_parent() -> None:
    """On Linux, make the server end when the process that started it is killed."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
