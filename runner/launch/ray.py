"""Runs the workers on a Ray cluster: one actor per rank; if one is lost, all are restarted.

Ray 2.60 rewrites 127.0.0.1 to the machine's address and listens on it.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from runner.config.schema import Launcher
from runner.distributed.failure import read_failures
from runner.errors import Interrupted, RunFailedError, UserError
from runner.launch.elastic import FAILURE_GRACE_S, NON_RETRYABLE, SIGNALS, clear_previous_attempt, error_of
from runner.launch.node_rendezvous import num_nodes
from runner.launch.ray_worker import RankActor
from runner.launch.slurm import print_new_lines
from runner.run.directory import RunDir
from runner.run.state import RunState
from runner.run.status import is_untouched

__all__ = ["WORKER_VARIABLES", "connect", "forwarded_environment", "launch", "resources_of"]

PUBLIC_VARIABLES = ("PYTHONPATH", "RUNNER_")
"""Prefixes of variables passed to Ray's own processes. Its dashboard shows them to every user."""

WORKER_VARIABLES = (*PUBLIC_VARIABLES, "MLFLOW_", "HYDRA_", "HF_", "TORCH_HOME")
"""Prefixes of variables passed to the workers."""


def connect(address: str) -> None:
    """Connect this process to a Ray cluster, unless it is connected already.

    Args:
        address: ``HOST:PORT`` or ``auto``; ``local`` starts a cluster on this machine.

    Raises:
        UserError: no cluster responds.
    """
    import ray

    if ray.is_initialized():
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    options: dict[str, Any] = {
        "log_to_driver": False,
        "logging_level": logging.ERROR,
        "runtime_env": {"env_vars": forwarded_environment(PUBLIC_VARIABLES)},
    }
    try:
        if address == "local":
            ray.init(include_dashboard=False, **options)
        else:
            ray.init(address=address, **options)
    except Exception as error:  # Ray raises many unrelated exception types here
        raise UserError(
            f"launcher.address={address}: no Ray cluster responds ({str(error).splitlines()[0]}). Start one "
            "with `ray start --head` on one machine and `ray start --address=HOST:PORT` on the others, or "
            "use launcher.address=local for this machine alone."
        ) from error


def forwarded_environment(prefixes: tuple[str, ...] = WORKER_VARIABLES) -> dict[str, str]:
    """Return the environment variables that start with one of the prefixes."""
    return {key: value for key, value in os.environ.items() if key.startswith(prefixes)}


def resources_of(launcher: Launcher, hardware: Mapping[str, Any]) -> dict[str, float]:
    """Return the resources that Ray reserves for one worker."""
    gpus = launcher.gpus_per_worker
    if gpus is None:
        gpus = 1 if hardware.get("accelerator") == "gpu" else 0
    return {"CPU": launcher.cpus_per_worker} | ({"GPU": gpus} if gpus else {})


POLL_INTERVAL_S = 0.5
MAX_SHOWN = 400
GRACE_S = 45.0
"""Time in seconds that the ranks have after a signal to save their state at the next step."""


def launch(run: RunDir, config: Mapping[str, Any]) -> dict[str, Any]:
    """Start the workers, wait until they end, and return the run's results.

    Raises:
        UserError: no cluster is available.
        Interrupted: a signal ended the workers; the state is saved.
        RunFailedError: a rank failed more than ``launcher.max_restarts`` times.
    """
    run = RunDir(run.path.absolute())
    launcher = Launcher(**config["launcher"])
    try:
        connect(launcher.address)
    except UserError:
        if is_untouched(run):
            shutil.rmtree(run.path)
        raise
    attempts = Attempts(run, launcher, (config["hardware"].get("devices") or 1) * num_nodes(config))
    attempts.bundle = resources_of(launcher, config["hardware"])
    with forward_signals(attempts):
        for number in range(launcher.max_restarts + 1):
            clear_previous_attempt(run, None)
            if attempts.run_once(number) or not attempts.may_retry():
                break
            if number < launcher.max_restarts:
                print(
                    "a worker was lost or has failed; all workers resume from the last checkpoint (restart "
                    f"{number + 1})"
                )
    state = RunState(run)
    if state.is_finished:
        return state.results
    raise error_of(run, attempts.signals[0] if attempts.signals else None)


class Attempts:
    """The attempts to execute a run; each starts one actor per rank.

    Attributes:
        bundle: resources that Ray reserves for one worker.
        signals: signals received by this process.
    """

    def __init__(self, run: RunDir, launcher: Launcher, num_workers: int) -> None:
        self.run, self.launcher, self.num_workers = run, launcher, num_workers
        self.bundle: dict[str, float] = {"CPU": 1}
        self.signals: list[int] = []
        self.log = run.logs / "output.log"
        self._read = 0
        self._actors: list[Any] = []

    def may_retry(self) -> bool:
        """Return whether a retry could succeed and this process was not asked to stop."""
        return not self.signals and all(f.kind not in NON_RETRYABLE for f in read_failures(self.run))

    def run_once(self, number: int) -> bool:
        """Start all workers once and wait for them.

        Args:
            number: number of restarts before this attempt.

        Returns:
            Whether all of them succeeded.
        """
        import ray
        from ray.util.placement_group import placement_group, remove_placement_group

        strategy = "SPREAD" if self.launcher.spread else "PACK"
        group = placement_group([self.bundle] * self.num_workers, strategy=strategy)
        try:
            self._wait_for_resources(group)
            self._start(group, number)
            return self._wait()
        except ray.exceptions.RayError as error:  # a machine was lost during the start
            print(f"Ray: {' '.join(str(error).split())[:MAX_SHOWN]}", file=sys.stderr)
            return False
        finally:
            with suppress(ray.exceptions.RayError):  # the cluster is gone, and its reservations with it
                for actor in self._actors:
                    ray.kill(actor)
                remove_placement_group(group)
            self._actors = []
            self._read = print_new_lines(self.log, self._read)

    def _wait_for_resources(self, group: Any) -> None:
        import ray

        wanted = f"{self.num_workers} × " + " + ".join(f"{n:g} {kind}" for kind, n in self.bundle.items())
        until = time.monotonic() + self.launcher.wait_for_nodes_s
        reported = False
        while not ray.wait([group.ready()], timeout=2)[0]:
            resources = ray.cluster_resources()  # type: ignore[no-untyped-call]  # Ray 2.60 lacks annotations
            total = ", ".join(f"{resources.get(kind, 0):g} {kind}" for kind in self.bundle)
            if not reported:
                reported = True
                print(
                    f"waiting for {wanted} on the Ray cluster, which has {total} in total",
                    file=sys.stderr,
                    flush=True,
                )
            if self.signals:
                raise Interrupted("interrupted while waiting for the Ray cluster.", self.signals[0])
            if time.monotonic() > until:
                raise RunFailedError(
                    f"the Ray cluster did not provide {wanted} within {self.launcher.wait_for_nodes_s:.0f} "
                    f"s; it has {total} in total. Add machines, or request fewer resources."
                )

    def _start(self, group: Any, number: int) -> None:
        import ray
        from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

        kind = ray.remote(RankActor)
        options = {
            "num_cpus": self.bundle["CPU"],
            "num_gpus": self.bundle.get("GPU", 0),
            "max_concurrency": 4,
        }
        self._actors = [
            kind.options(
                scheduling_strategy=PlacementGroupSchedulingStrategy(group, bundle), **options
            ).remote()
            for bundle in range(self.num_workers)
        ]
        path = str(self.run.path)
        nodes = ray.get([actor.inspect_node.remote(path) for actor in self._actors])
        for address, _, has_run in nodes:
            if not has_run:
                raise UserError(
                    f"the machine {address} of the Ray cluster cannot read {path}. Store runs on a shared "
                    "disk."
                )
        address, port, _ = nodes[0]
        common = forwarded_environment() | {
            "WORLD_SIZE": str(self.num_workers),
            "MASTER_ADDR": address,
            "MASTER_PORT": str(port),
            "TORCHELASTIC_RESTART_COUNT": str(number),
            "OMP_NUM_THREADS": str(self.launcher.cpus_per_worker),
        }
        ray.get(
            [
                # Ray shows each worker only its own GPUs, so each worker's device index is 0.
                actor.start.remote(
                    "runner.launch.rank_worker", path, str(self.log), os.getcwd(),
                    common | {"RANK": str(rank), "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1"},
                )
                for rank, actor in enumerate(self._actors)
            ]
        )  # fmt: skip

    def _wait(self) -> bool:
        import ray

        waiting = [actor.wait.remote() for actor in self._actors]
        signalled_at: float | None = None
        failed_at: float | None = None
        while waiting:
            ended, waiting = ray.wait(waiting, timeout=POLL_INTERVAL_S)
            self._read = print_new_lines(self.log, self._read)
            now = time.monotonic()
            if self.signals and signalled_at is None:
                signalled_at = now
                for actor in self._actors:
                    actor.signal.remote(int(signal.SIGTERM))
            if any(not succeeded(reference) for reference in ended) and failed_at is None:
                failed_at = now
            grace = GRACE_S if self.signals else FAILURE_GRACE_S
            if failed_at is not None and now - max(failed_at, signalled_at or 0) > grace:
                return False
            if signalled_at is not None and (
                now - signalled_at > GRACE_S or self.signals.count(signal.SIGINT) > 1
            ):
                return False
        return failed_at is None


def succeeded(reference: Any) -> bool:
    import ray

    try:
        return bool(ray.get(reference) == 0)
    except ray.exceptions.RayError:  # the actor is gone, perhaps with its machine
        return False


@contextmanager
def forward_signals(attempts: Attempts) -> Iterator[None]:
    """Record signals; `Attempts` forwards them to the ranks, which then save their state."""

    def handle(signum: int, frame: Any) -> None:
        attempts.signals.append(signum)

    try:
        before = {signum: signal.signal(signum, handle) for signum in SIGNALS}
    except ValueError:  # signal handlers can only be set in the main thread
        before = {}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
