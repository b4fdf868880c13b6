"""The trials of a sweep as jobs of a SLURM cluster."""

from __future__ import annotations

import io
import signal
import subprocess
import time
from contextlib import redirect_stderr
from dataclasses import dataclass

from runner.errors import UserError
from runner.launch.slurm import make_executor, parameters, words_of
from runner.launch.slurm_query import Job, job_of
from runner.sweep.executors.cluster import ClusterExecutor, End
from runner.sweep.executors.remote import carry_out
from runner.sweep.running_trial import Attempt

__all__ = ["SlurmExecutor"]

ASK_EVERY_S = 2.0
"""The scheduler is everybody's: each job is asked for no more often."""


@dataclass
class Submitted:
    id: str
    seen: Job
    asked_at: float = 0.0

    def look(self) -> Job:
        if time.monotonic() - self.asked_at > ASK_EVERY_S:
            self.seen, self.asked_at = job_of(self.id), time.monotonic()
        return self.seen


class SlurmExecutor(ClusterExecutor):
    def submit(self, attempt: Attempt) -> Submitted:
        """
        Raises:
            UserError: SLURM does not take the job.
        """
        import submitit

        options = parameters(f"trial-{attempt.trial}", self.config)
        options |= {
            "nodes": 1,
            "ntasks_per_node": 1,
            "cpus_per_task": self.launcher.cpus_per_worker * attempt.num_devices,
        }
        executor = make_executor(attempt.run / "logs" / "slurm")
        executor.update_parameters(**options)
        try:
            with redirect_stderr(io.StringIO()):
                number = executor.submit(carry_out, str(attempt.run)).job_id
        except (submitit.core.utils.FailedJobError, submitit.core.utils.FailedSubmissionError) as error:
            raise UserError(f"SLURM does not take the job of a trial: {words_of(error)}.") from error
        return Submitted(number, Job(number, "PENDING"))

    def place_of(self, job: Submitted) -> str | None:
        found = job.look()
        waits = found.state in ("PENDING", "CONFIGURING", "UNKNOWN")
        return None if waits else f"{found.node or 'somewhere'}, job {job.id}"

    def end_of(self, job: Submitted) -> End | None:
        found = job.look()
        if found.is_active:
            return None
        if found.state == "COMPLETED":
            return End(0)
        if found.state == "FAILED":
            return End(found.exit_status, f"SLURM job {job.id} failed")
        return End(-signal.SIGKILL, f"SLURM job {job.id} ended as {found.state}")

    def send(self, job: Submitted, signum: int) -> None:
        if signum == signal.SIGKILL or job.look().state == "PENDING":
            self.drop(job)
        else:
            scancel(f"--signal={signal.Signals(signum).name.removeprefix('SIG')}", job.id)

    def drop(self, job: Submitted) -> None:
        if not job.look().is_active:
            return
        scancel("--signal=KILL", job.id)
        scancel(job.id)


def scancel(*words: str) -> None:
    subprocess.run(["scancel", "--quiet", *words], capture_output=True, timeout=60)
