"""PyTorch's elastic agent on a run directory.

Usage: ``python -m runner.launch.agent RUN_DIR NUM_WORKERS MAX_RESTARTS WORKER``.

Equivalent to ``torchrun --standalone --nproc-per-node … --max-restarts … -m runner.launch.rank_worker
RUN_DIR``, except that the rendezvous of a single machine listens on the loopback interface only, and that the
agent logs to ``logs/agent.log`` and records the rank that failed first in a file in the same folder.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import sys
import traceback
from pathlib import Path
from typing import Any

from runner.distributed.failure import Failure, write_failure
from runner.distributed.heartbeat import heartbeat_path, stack_path
from runner.distributed.loopback_rendezvous import BACKEND, register_loopback
from runner.distributed.parent_death import die_with_parent
from runner.distributed.store import LOOPBACK, interface_of
from runner.run.directory import RunDir
from runner.run.files import read_json

__all__ = ["agent_arguments", "main"]

WORKER = "runner.launch.rank_worker"
GRACE_S = 45
"""Time in seconds that the ranks have after a signal to save their state at the next step."""


def agent_arguments(
    run: RunDir,
    num_workers: int,
    max_restarts: int,
    worker: str = WORKER,
    nodes: dict[str, Any] | None = None,
) -> list[str]:
    """Return the arguments of ``torchrun`` for a run directory.

    Args:
        run: the run that the workers execute.
        num_workers: number of workers on this machine.
        max_restarts: number of times that the agent restarts all workers after a failure.
        worker: module that each worker executes.
        nodes: for runs on several machines: ``num_nodes``, ``endpoint``, ``address``, ``wait_s``.
    """
    rendezvous = [f"--rdzv-backend={BACKEND}", f"--rdzv-id={run.name}"]
    if nodes:
        rendezvous = [
            f"--nnodes={nodes['num_nodes']}",
            "--rdzv-backend=c10d",
            f"--rdzv-endpoint={nodes['endpoint']}",
            f"--rdzv-id={run.name}",
            f"--rdzv-conf=is_host=0,join_timeout={nodes['wait_s']:.0f}",
            f"--local-addr={nodes['address']}",
        ]
    return [
        *rendezvous,
        f"--nproc-per-node={num_workers}",
        f"--max-restarts={max_restarts}",
        f"--shutdown-timeout={GRACE_S}",
        "--monitor-interval=0.5",
        "--module",
        worker,
        str(run.path),
    ]


def log_path(run: RunDir, nodes: dict[str, Any] | None) -> Path:
    return run.logs / (f"agent-{socket.gethostname()}-{os.getpid()}.log" if nodes else "agent.log")


def main(argv: list[str]) -> int:
    """Run the agent; return 0 if every rank succeeded, otherwise 1 or 128 plus the signal number."""
    path, num_workers, max_restarts, worker, *rest = argv
    nodes = json.loads(rest[0]) if rest else None
    # A sweep restarts a lost trial at once, so the ranks of the previous attempt must have exited by then.
    die_with_parent(signal.SIGTERM if worker == WORKER else signal.SIGKILL)
    run = RunDir(Path(path).absolute())
    run.logs.mkdir(exist_ok=True)
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // int(num_workers))))
    if nodes is None:
        os.environ.update(interface_of(LOOPBACK))
    # torch 2.15 shares the TCP store of its rendezvous with the process group. After a restart, gloo then
    # reads the addresses of the previous attempt: "connectFullMesh … Connection refused".
    os.environ["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"

    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.elastic.rendezvous.api import RendezvousTimeoutError
    from torch.distributed.run import parse_args
    from torch.distributed.run import run as run_agent

    register_loopback()
    write_log(log_path(run, nodes))
    try:
        arguments = agent_arguments(run, int(num_workers), int(max_restarts), worker, nodes)
        # torch 2.15 has no annotations for these two functions.
        run_agent(parse_args(arguments))  # type: ignore[no-untyped-call]
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        logging.getLogger("torch").error("%s", error)
        if failure.exitcode < 0:
            write_killed(run, rank, failure.pid, -failure.exitcode)
        return 1
    except SignalException as error:
        return 128 + error.sigval
    except RendezvousTimeoutError:
        write_failure(run, Failure(-1, "final", timeout_message(nodes)))
        return 1
    except Exception:
        logging.getLogger("torch").error("%s", traceback.format_exc())
        return 1
    return 0


def timeout_message(nodes: dict[str, Any] | None) -> str:
    if nodes is None:
        return "the workers of this machine did not find each other."
    return (
        f"not all of {nodes['num_nodes']} machines joined {nodes['endpoint']} within {nodes['wait_s']:.0f} s "
        "(launcher.wait_for_nodes_s). Start the same command on each of them."
    )


def write_log(path: Path) -> None:
    """Redirect the log output of the agent's libraries to a file, because only rank 0 uses the console."""
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    handler.setLevel(logging.INFO)
    torch_log = logging.getLogger("torch")
    for logger in (torch_log, *map(logging.getLogger, list(logging.root.manager.loggerDict))):
        if logger.name.partition(".")[0] == "torch":
            logger.handlers = []
            logger.propagate = True
    torch_log.handlers, torch_log.propagate = [handler], False
    logging.getLogger("torch.distributed.elastic").setLevel(logging.INFO)


def write_killed(run: RunDir, rank: int, pid: int, signum: int) -> None:
    """Record the failure of a rank that was killed by a signal.

    A rank that the watchdog killed because it hung is already recorded, and is left unchanged.
    """
    heartbeat = read_json(heartbeat_path(run, rank), {})
    step, phase = heartbeat.get("step", 0), heartbeat.get("phase", "before its start")
    position = f"step {step}, epoch {heartbeat.get('epoch', 0)}, {phase}"
    path = stack_path(run, rank)
    crash = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    stack = crash[crash.rfind("Fatal Python error") :] if "Fatal Python error" in crash else ""
    message = f"rank {rank} (process {pid}) was killed by {signal.Signals(signum).name} at {position}."
    failure = Failure(rank, "killed", message, step=step, stack=stack)
    if read_json(run.logs / f"rank{rank}.failure.json", {}).get("kind") != "hung":
        write_failure(run, failure)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
