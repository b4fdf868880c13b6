"""MLflow's own server on the loopback, showing a store: started, watched, and ended without orphans."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

from runner.errors import RunnerError
from runner.tracking.store import artifact_root, make_store, use_environment

__all__ = ["HOST", "Server", "free_port", "is_free"]

HOST = "127.0.0.1"
READY_TIMEOUT_S = 180
STOP_TIMEOUT_S = 15
PR_SET_PDEATHSIG = 1


class Server:
    """A server process. A context manager: its end is the server's end.

    Args:
        uri: the store; a SQLite file is made when there is none.
        root: the folder of the runs.
    """

    def __init__(self, uri: str, root: str, port: int) -> None:
        self.url = f"http://{HOST}:{port}"
        self._output = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115 - lives as long as the server
        make_store(uri)
        use_environment()
        self.process = subprocess.Popen(
            command(uri, root, port),
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            # One process less, and nothing that listens or computes beyond the dashboard.
            env=os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            start_new_session=True,  # Ctrl-C reaches it through ``stop`` alone, once
            preexec_fn=_die_with_parent,
        )

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_) -> None:
        self.stop()

    def wait_ready(self, timeout_s: float = READY_TIMEOUT_S) -> None:
        """Returns when the server answers.

        Raises:
            RunnerError: it ended or did not answer in time; the message holds its last output.
        """
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            if self.process.poll() is not None:
                raise RunnerError(f"MLflow's server ended at once:\n{self.last_words()}")
            try:
                with urllib.request.urlopen(f"{self.url}/health", timeout=2):
                    return
            except (OSError, urllib.error.URLError):
                time.sleep(0.2)
        raise RunnerError(f"MLflow's server gave no answer within {timeout_s:.0f} s:\n{self.last_words()}")

    def last_words(self, num_lines: int = 15) -> str:
        self._output.seek(0)
        return "".join(self._output.readlines()[-num_lines:])

    def stop(self) -> None:
        """Ends the server and every process it started."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                pass
        try:
            os.killpg(self.process.pid, signal.SIGKILL)  # what is left of its session
        except (ProcessLookupError, PermissionError):
            pass
        self.process.wait()
        self._output.close()

    def kill(self) -> None:
        """Ends it as a crash would: without a word, all processes at once."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def command(uri: str, root: str, port: int) -> list[str]:
    artifacts = artifact_root(uri, root)
    return [
        sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port), "--workers", "1",
        "--backend-store-uri", uri, "--artifacts-destination", str(artifacts),
        "--uvicorn-opts", "--log-level warning",
    ]  # fmt: skip


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError):
            return False
    return True


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def _die_with_parent() -> None:
    """On Linux, makes the server end when the process that started it is killed."""
    try:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    except (AttributeError, OSError):
        pass
