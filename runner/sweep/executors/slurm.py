"""The trials of a sweep as jobs of a SLURM cluster."""

from __future__ import annotations

import io
import signal
import subprocess
import time
from contextlib import redirect_stderr
from dataclasses import dataclass

from runner.errors import UserError
from runner.launch.slurm import make_executor, parameters, sbatch_message
from runner.launch.slurm_query import Job, job_of
from runner.sweep.executors.cluster import ClusterExecutor, End
from runner.sweep.executors.remote import run_job
from runner.sweep.running_trial import Attempt

__all__ = ["SlurmExecutor"]

QUERY_INTERVAL_S = 2.0
"""Minimum interval between queries of a job, because the scheduler serves all users."""


@dataclass
class Submitted:
    """A submitted job.

    Attributes:
        id: the job id.
        last: the job's state at the last query.
        queried_at: time of that query by the monotonic clock.
    """

    id: str
    last: Job
    queried_at: float = 0.0

    def query(self) -> Job:
        """Return the job's state, at most `QUERY_INTERVAL_S` old."""
        if time.monotonic() - self.queried_at > QUERY_INTERVAL_S:
            self.last, self.queried_at = job_of(self.id), time.monotonic()
        return self.last


class SlurmExecutor(ClusterExecutor):
    """Executes each trial as a SLURM job."""

    def submit(self, attempt: Attempt) -> Submitted:
        """Submit a job.

        Raises:
            UserError: SLURM rejects the job.
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
                number = executor.submit(run_job, str(attempt.run)).job_id
        except (submitit.core.utils.FailedJobError, submitit.core.utils.FailedSubmissionError) as error:
            raise UserError(f"SLURM rejected the job of a trial: {sbatch_message(error)}.") from error
        return Submitted(number, Job(number, "PENDING"))

    def location_of(self, job: Submitted) -> str | None:
        state = job.query()
        waits = state.state in ("PENDING", "CONFIGURING", "UNKNOWN")
        return None if waits else f"{state.node or 'unknown node'}, job {job.id}"

    def end_of(self, job: Submitted) -> End | None:
        state = job.query()
        if state.is_active:
            return None
        if state.state == "COMPLETED":
            return End(0)
        if state.state == "FAILED":
            return End(state.exit_status, f"SLURM job {job.id} failed")
        return End(-signal.SIGKILL, f"SLURM job {job.id} ended as {state.state}")

    def send(self, job: Submitted, signum: int) -> None:
        if signum == signal.SIGKILL or job.query().state == "PENDING":
            self.discard(job)
        else:
            scancel(f"--signal={signal.Signals(signum).name.removeprefix('SIG')}", job.id)

    def discard(self, job: Submitted) -> None:
        if not job.query().is_active:
            return
        scancel("--signal=KILL", job.id)
        scancel(job.id)


def scancel(*words: str) -> None:
    subprocess.run(["scancel", "--quiet", *words], capture_output=True, timeout=60, check=False)
