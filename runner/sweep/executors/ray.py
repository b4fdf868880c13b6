"""The trials of a sweep as tasks of a Ray cluster."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runner.launch.ray import connect, forwarded_environment, resources_of
from runner.launch.ray_worker import RankActor
from runner.sweep.executors.cluster import ClusterExecutor, End
from runner.sweep.running_trial import Attempt

__all__ = ["RayExecutor"]


@dataclass
class Task:
    """A trial on the cluster.

    Attributes:
        actor: handle of its Ray actor.
        host: reference to the name of the actor's machine.
        code: reference to the exit code of its process.
    """

    actor: Any
    host: Any
    code: Any


class RayExecutor(ClusterExecutor):
    """Executes each trial in a Ray actor.

    Args:
        config: the config that all trials share.

    Raises:
        UserError: no cluster responds.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(config)
        connect(self.launcher.address)

    def submit(self, attempt: Attempt) -> Task:
        import ray

        per_device = resources_of(self.launcher, self.config["hardware"])
        actor_class: Any = ray.remote(RankActor)
        actor = actor_class.options(
            num_cpus=per_device["CPU"] * attempt.num_devices,
            num_gpus=per_device.get("GPU", 0) * attempt.num_devices,
            max_concurrency=4,
        ).remote()
        code = actor.run.remote(
            "runner.sweep.executors.remote",
            str(attempt.run),
            str(attempt.output),
            os.getcwd(),
            forwarded_environment(),
        )
        return Task(actor, actor.host.remote(), code)

    def location_of(self, job: Task) -> str | None:
        import ray

        return get_or_none(job.host) if ray.wait([job.host], timeout=0)[0] else None

    def end_of(self, job: Task) -> End | None:
        import ray

        if not ray.wait([job.code], timeout=0)[0]:
            return None
        try:
            return End(ray.get(job.code))
        except ray.exceptions.RayActorError:
            return End(-signal.SIGKILL, "its worker of the Ray cluster was lost")
        except ray.exceptions.RayError as error:
            return End(1, str(error).splitlines()[-1])

    def send(self, job: Task, signum: int) -> None:
        job.actor.signal.remote(int(signum))

    def discard(self, job: Task) -> None:
        import ray

        ray.kill(job.actor)

    def close(self) -> None:
        import ray

        super().close()
        ray.shutdown()


def get_or_none(reference: Any) -> str | None:
    import ray

    try:
        return str(ray.get(reference))
    except ray.exceptions.RayError:  # reported by the end of the job too
        return None
