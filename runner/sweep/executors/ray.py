"""The trials of a sweep as tasks of a Ray cluster."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runner.launch.ray import connect, handed_on, resources_of
from runner.launch.ray_worker import RankActor
from runner.sweep.executors.cluster import ClusterExecutor, End
from runner.sweep.running_trial import Attempt

__all__ = ["RayExecutor"]


@dataclass
class Task:
    """
    Attributes:
        host: to come: where the actor is.
        code: to come: how its process ended.
    """

    actor: Any
    host: Any
    code: Any


class RayExecutor(ClusterExecutor):
    """
    Raises:
        UserError: no cluster answers.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(config)
        connect(self.launcher.address)

    def submit(self, attempt: Attempt) -> Task:
        import ray

        one = resources_of(self.launcher, self.config["hardware"])
        actor = ray.remote(RankActor).options(
            num_cpus=one["CPU"] * attempt.num_devices,
            num_gpus=one.get("GPU", 0) * attempt.num_devices,
            max_concurrency=4,
        ).remote()  # fmt: skip
        code = actor.carry_out.remote(
            "runner.sweep.executors.remote", str(attempt.run), str(attempt.output), os.getcwd(), handed_on()
        )
        return Task(actor, actor.host.remote(), code)

    def place_of(self, job: Task) -> str | None:
        import ray

        return came(job.host) if ray.wait([job.host], timeout=0)[0] else None

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

    def drop(self, job: Task) -> None:
        import ray

        ray.kill(job.actor)

    def close(self) -> None:
        import ray

        super().close()
        ray.shutdown()


def came(reference: Any) -> str | None:
    import ray

    try:
        return ray.get(reference)
    except ray.exceptions.RayError:  # its end says so too
        return None
