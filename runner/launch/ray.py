"""Runs the workers on a Ray cluster: one actor per rank; if one is lost, all are restarted."""

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
from runner.launch.elastic import FAILURE_GRACE_S, NON_RETRYABLE, SIGNALS, reason_of, tidy
from runner.launch.node_rendezvous import num_nodes
from runner.launch.ray_worker import RankActor
from runner.launch.slurm import show_new
from runner.run.directory import RunDir
from runner.run.files import read_json
from runner.run.status import is_untouched, read_status

__all__ = ["connect", "handed_on", "launch", "resources_of"]

SHOWN = ("PYTHONPATH", "RUNNER_")
"""Prefixes of variables passed to Ray's own processes. Its dashboard shows them to every user."""

HANDED_ON = (*SHOWN, "MLFLOW_", "HYDRA_", "HF_", "TORCH_HOME")
"""Prefixes of variables passed to the workers."""


def connect(address: str) -> None:
    """
    Raises:
        UserError: no cluster responds.
    """
    import ray

    if ray.is_initialized():
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    options = {
        "log_to_driver": False,
        "logging_level": logging.ERROR,
        "runtime_env": {"env_vars": handed_on(SHOWN)},
    }
    try:
        if address == "local":
            ray.init(include_dashboard=False, **options)
        else:
            ray.init(address=address, **options)
    except Exception as error:  # Ray raises many unrelated exception types here
        raise UserError(
            f"launcher.address={address}: no Ray cluster answers ({str(error).splitlines()[0]}). Start one "
            "with "
            "`ray start --head` on one machine and `ray start --address=HOST:PORT` on the others, or use "
            "launcher.address=local for this machine alone."
        ) from error


def handed_on(beginnings: tuple[str, ...] = HANDED_ON) -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if key.startswith(beginnings)}


def resources_of(launcher: Launcher, hardware: Mapping[str, Any]) -> dict[str, float]:
    """Resources that Ray reserves for one worker."""
    gpus = launcher.gpus_per_worker
    if gpus is None:
        gpus = 1 if hardware.get("accelerator") == "gpu" else 0
    return {"CPU": launcher.cpus_per_worker} | ({"GPU": gpus} if gpus else {})


POLL_INTERVAL_S = 0.5
MAX_SHOWN = 400
GRACE_S = 45.0
"""Time in seconds that the ranks have after a signal to save their state at the next step."""


def launch(run: RunDir, config: Mapping[str, Any]) -> dict[str, Any]:
    """Starts the workers, waits until they end, and returns the run's results.

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
            tidy(run, None)
            if attempts.carry_out(number) or attempts.is_hopeless():
                break
            if number < launcher.max_restarts:
                print(
                    "a worker was lost or has failed; all workers resume from the last checkpoint (restart "
                    f"{number + 1})"
                )
    if read_status(run).state == "finished":
        return read_json(run.results_path)
    raise reason_of(run, attempts.signals[0] if attempts.signals else None)


class Attempts:
    """
    Attributes:
        signals: signals received by this process.
    """

    def __init__(self, run: RunDir, launcher: Launcher, num_workers: int) -> None:
        self.run, self.launcher, self.num_workers = run, launcher, num_workers
        self.bundle: dict[str, float] = {"CPU": 1}
        self.signals: list[int] = []
        self.log = run.logs / "output.log"
        self._read = 0
        self._actors: list[Any] = []

    def is_hopeless(self) -> bool:
        """Whether a retry is pointless or unwanted."""
        return bool(self.signals) or any(f.kind in NON_RETRYABLE for f in read_failures(self.run))

    def carry_out(self, number: int) -> bool:
        """Starts all workers once and waits for them.

        Returns:
            Whether all of them succeeded.
        """
        import ray
        from ray.util.placement_group import placement_group, remove_placement_group

        strategy = "SPREAD" if self.launcher.spread else "PACK"
        group = placement_group([self.bundle] * self.num_workers, strategy=strategy)
        try:
            self._wait_for_place(group)
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
            self._read = show_new(self.log, self._read)

    def _wait_for_place(self, group: Any) -> None:
        import ray

        wanted = f"{self.num_workers} × " + " + ".join(f"{n:g} {kind}" for kind, n in self.bundle.items())
        until = time.monotonic() + self.launcher.wait_for_nodes_s
        reported = False
        while not ray.wait([group.ready()], timeout=2)[0]:
            available = {kind: ray.cluster_resources().get(kind, 0) for kind in self.bundle}
            has = ", ".join(f"{n:g} {kind}" for kind, n in available.items())
            if not reported:
                reported = True
                print(
                    f"waiting for {wanted} on the Ray cluster, which has {has} in total",
                    file=sys.stderr,
                    flush=True,
                )
            if self.signals:
                raise Interrupted("interrupted while waiting for the Ray cluster.", self.signals[0])
            if time.monotonic() > until:
                raise RunFailedError(
                    f"the Ray cluster did not provide {wanted} within {self.launcher.wait_for_nodes_s:.0f} "
                    f"s; it has {has} "
                    "in total. Add machines, or request fewer resources."
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
        places = ray.get([actor.where.remote(path) for actor in self._actors])
        for address, _, sees in places:
            if not sees:
                raise UserError(
                    f"the machine {address} of the Ray cluster does not see {path}. Keep runs on a shared "
                    "disk."
                )
        address, port, _ = places[0]
        common = handed_on() | {
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
        told_at = failed_at = None
        while waiting:
            ended, waiting = ray.wait(waiting, timeout=POLL_INTERVAL_S)
            self._read = show_new(self.log, self._read)
            now = time.monotonic()
            if self.signals and told_at is None:
                told_at = now
                for actor in self._actors:
                    actor.signal.remote(int(signal.SIGTERM))
            if any(not came_well(reference) for reference in ended) and failed_at is None:
                failed_at = now
            grace = GRACE_S if self.signals else FAILURE_GRACE_S
            if failed_at is not None and now - max(failed_at, told_at or 0) > grace:
                return False
            if told_at is not None and (now - told_at > GRACE_S or self.signals.count(signal.SIGINT) > 1):
                return False
        return failed_at is None


def came_well(reference: Any) -> bool:
    import ray

    try:
        return ray.get(reference) == 0
    except ray.exceptions.RayError:  # the actor is gone, perhaps with its machine
        return False


@contextmanager
def forward_signals(attempts: Attempts) -> Iterator[None]:
    """Forwards signals to the ranks, which then save their state."""

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
