"""Submits a SLURM job for a run directory with submitit and follows it until it ends."""

from __future__ import annotations

import io
import os
import shlex
import shutil
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

from runner.config.plain import texts_of
from runner.config.schema import Launcher
from runner.errors import ConfigError, Interrupted, Problem, RunFailedError, UserError
from runner.launch.node_rendezvous import num_nodes
from runner.launch.slurm_job import run_task
from runner.launch.slurm_query import Job, job_of
from runner.run.directory import RunDir
from runner.run.files import read_json, write_json
from runner.run.state import RunState
from runner.run.status import is_untouched, write_status

__all__ = ["launch", "make_executor", "parameters", "print_new_lines", "sbatch_message", "submit"]

NOISE = ("submitit ", "slurmstepd", "srun: ")
"""Prefixes of lines written by SLURM and submitit that repeat what runner reports itself."""


def print_new_lines(log: Path, read: int) -> int:
    """Print the complete lines after byte offset ``read``.

    Args:
        log: the file; it need not exist yet.
        read: number of bytes printed so far.

    Returns:
        The offset after the last printed line.
    """
    try:
        with open(log, "rb") as file:
            file.seek(read)
            data = file.read()
    except FileNotFoundError:
        return read
    whole = data[: data.rfind(b"\n") + 1]
    for line in whole.decode(errors="replace").splitlines():
        if not line.startswith(NOISE):
            print(line, flush=True)
    return read + len(whole)


POLL_INTERVAL_S = 1.0


def launch(run: RunDir, config: Mapping[str, Any]) -> dict[str, Any] | None:
    """Submit a job for the run and, unless ``launcher.follow=false``, print its output until it ends.

    Returns:
        The run's results; None if this command does not wait for them.

    Raises:
        UserError: SLURM rejects the job, or the run already has an active job.
        Interrupted: the job was cancelled.
        RunFailedError: the job failed.
    """
    run = RunDir(run.path.absolute())
    reject_active_job(run)
    launcher = Launcher(**config["launcher"])
    number = submit(run, parameters(run.name, config), launcher.max_requeues)
    write_json(job_path(run), {"job": number, "submitted_at": time.time()})
    log = log_path(run, number)
    print(f"SLURM job {number} for {run.path}", flush=True)
    hint = f"`tail -f {log}` shows its output, `scancel {number}` saves its state and ends it."
    if not launcher.follow:
        print(hint)
        return None
    try:
        job = follow(number, log)
    except KeyboardInterrupt:
        print(f"\njob {number} continues in the background. {hint}", flush=True)
        return None
    return outcome(run, job)


def job_path(run: RunDir) -> Path:
    return run.logs / "slurm.json"


def log_path(run: RunDir, number: str) -> Path:
    return run.logs / "slurm" / f"{number}_0_log.out"


def reject_active_job(run: RunDir) -> None:
    """Reject a run that already has a job.

    Raises:
        UserError: an earlier job is still active.
    """
    number = read_json(job_path(run), {}).get("job")
    if number is None:
        return
    job = job_of(number)
    if job.is_active:
        raise UserError(
            f"{run.name} already has SLURM job {number} ({job.state.lower()}). `tail -f "
            f"{log_path(run, number)}` shows its output, `scancel {number}` saves its state and ends it."
        )


def parameters(name: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that submitit passes to sbatch.

    Args:
        name: name of the job.
        config: the run's config, with the nodes ``hardware`` and ``launcher``.

    Raises:
        ConfigError: an option has a control character.
    """
    hardware, launcher = config["hardware"], Launcher(**config["launcher"])
    devices = hardware.get("devices") or 1
    gpus = launcher.gpus_per_node
    if gpus is None and hardware.get("accelerator") == "gpu":
        gpus = devices
    wanted = {
        "job_name": name,
        "partition": launcher.partition,
        "account": launcher.account,
        "qos": launcher.qos,
        "constraint": launcher.constraint,
        "time": launcher.time_min,
        "nodes": num_nodes(config),
        "ntasks_per_node": gpus if devices == "all" else devices,
        "cpus_per_task": launcher.cpus_per_worker,
        "gpus_per_node": gpus or None,
        "mem": None if launcher.mem_gb is None else f"{int(launcher.mem_gb * 1024)}MB",
        "setup": list(launcher.setup) or None,
        "stderr_to_stdout": True,
        "additional_parameters": {"requeue": True, "signal": f"USR1@{launcher.save_before_end_s}"}
        | dict(launcher.options),
    }
    options = {key: value for key, value in wanted.items() if value is not None}
    reject_control_characters(options)
    return options


def reject_control_characters(values: dict[str, Any]) -> None:
    """Reject line breaks and other control characters, which could add lines to a batch script.

    The check of a config does the same; this one also covers a stored config, and the folder of the run.

    Raises:
        ConfigError: a value has one.
    """
    problems = [
        Problem(key, f"{key}={text!r} contains a control character, such as a line break.", "invalid_value")
        for key, text in texts_of(values, "")
        if not text.isprintable()
    ]
    if problems:
        raise ConfigError(problems)


def submit(run: RunDir, options: dict[str, Any], max_requeues: int) -> str:
    """Submit a job that executes the run.

    Args:
        run: the run to execute.
        options: as returned by `parameters`.
        max_requeues: number of times that the job may be requeued.

    Returns:
        The job id.

    Raises:
        UserError: sbatch rejects the job. A run directory created only for it is removed.
    """
    executor = make_executor(run.logs / "slurm")
    executor.update_parameters(**options)
    import submitit

    try:
        with redirect_stderr(io.StringIO()):  # the exception contains sbatch's output
            return str(executor.submit(run_task, str(run.path), max_requeues).job_id)
    except (submitit.core.utils.FailedJobError, submitit.core.utils.FailedSubmissionError) as error:
        if is_untouched(run):
            shutil.rmtree(run.path)
        raise UserError(f"SLURM rejected the job: {sbatch_message(error)}. Nothing was submitted.") from error


def make_executor(folder: Path) -> Any:
    """Return a submitit executor that uses SIGUSR1 for preemption.

    submitit's default, SIGUSR2, makes a rank print its stack.

    Args:
        folder: folder of submitit's files and logs.

    Raises:
        ConfigError: its path has a control character.
    """
    reject_control_characters({"run.root": str(folder)})
    os.environ["SUBMITIT_PREEMPT_SIGNAL"] = "USR1"  # for the job
    import submitit

    return submitit.SlurmExecutor(folder=folder, python=f"{shlex.quote(sys.executable)} -P")


def sbatch_message(error: Exception) -> str:
    """Return the error message of sbatch, without the program's name."""
    lines = [line.rpartition("error: ")[2].strip() for line in str(error).splitlines() if "error: " in line]
    return "; ".join(dict.fromkeys(lines)).rstrip(".") or str(error)


def follow(number: str, log: Path) -> Job:
    """Print the job's output and its state changes until it ends."""
    reported, read = "", 0
    while True:
        job = job_of(number)
        read = print_new_lines(log, read)
        state = describe_state(job)
        if state and state != reported:
            reported = state
            print(f"job {number}: {state}", file=sys.stderr, flush=True)
        if not job.is_active:
            print_new_lines(log, read)
            return job
        time.sleep(POLL_INTERVAL_S)


def describe_state(job: Job) -> str:
    attempt = f", attempt {job.restarts + 1}" if job.restarts else ""
    if job.state == "PENDING":
        return f"waiting in the queue{attempt}" + (f" ({job.reason})" if job.reason else "")
    return f"running on {job.node}{attempt}" if job.state == "RUNNING" else ""


def outcome(run: RunDir, job: Job) -> dict[str, Any]:
    """Return the results of an ended job.

    The outcome is taken from the run's status or, if that is out of date, from SLURM.

    Raises:
        Interrupted: the job was cancelled.
        RunFailedError: the job failed.
    """
    state = RunState(run)
    if state.is_finished:
        return state.results
    status = state.status
    if status.state == "failed" and status.reason:
        raise RunFailedError(f"{status.reason}\nIts log: {log_path(run, job.id)}")
    if job.state == "CANCELLED":
        saved = status.reason or "cancelled before it started"
        write_status(run, state="interrupted", reason=saved)
        raise Interrupted(f"job {job.id} was cancelled. {saved}", signal.SIGTERM)
    details = f" ({job.reason})" if job.reason else ""
    reason = f"SLURM job {job.id} ended as {job.state}{details}"
    if status.state != "interrupted":
        write_status(run, state="failed", reason=reason)
    raise RunFailedError(f"{reason}. Its log: {log_path(run, job.id)}")
