"""Records an attempt: its status, mirror, report and log."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from omegaconf import OmegaConf

from runner.distributed.heartbeat import Heartbeat
from runner.distributed.process_info import ProcessInfo
from runner.errors import Interrupted, Pruned, RunFailedError, UserError
from runner.report import console
from runner.report.page import write_report
from runner.run.directory import RunDir, is_fold, is_trial
from runner.run.files import DISK_FULL_ERRORS, cannot_write, read_json
from runner.run.lock import locked
from runner.run.status import (
    has_trained,
    is_untouched,
    keep_status_fresh,
    reject_running,
    release_space,
    reserve_space,
    write_status,
)

__all__ = ["Mirror", "StartMirror", "log_file", "recorded"]

log = logging.getLogger("runner.training.worker")

TALKATIVE = ("pytorch_lightning", "lightning_fabric", "lightning.pytorch")
"""Loggers whose messages repeat the run's own output."""


class Mirror(Protocol):
    """The process that mirrors a run directory to a tracking server, as seen by the worker."""

    def finish(self) -> bool:
        """Wait until everything has been sent, for at most the configured time; return whether it has."""
        ...

    def abandon(self) -> None:
        """End the mirror of a run that was rejected before its first metric."""
        ...

    def note(self) -> str | None:
        """Return a sentence on what has not been sent, or None."""
        ...


StartMirror = Callable[[RunDir, Mapping[str, Any] | None], Mirror]
"""Starts the mirror of a run, given its whole config."""


@contextmanager
def recorded(
    run: RunDir, config: Any, start_mirror: StartMirror | None, heartbeat: Heartbeat
) -> Iterator[None]:
    """Maintains the run's status, tracking mirror and report within the context; for rank 0.

    Args:
        run: the run directory.
        config: the run's config.
        start_mirror: starts the tracking mirror; None for none.
        heartbeat: the progress of the training.

    Raises:
        RunInUseError: another process executes the run.
    """
    with locked(run), recorded_attempt(run, config, start_mirror, heartbeat):
        yield


@contextmanager
def recorded_attempt(
    run: RunDir, config: Any, start_mirror: StartMirror | None, heartbeat: Heartbeat
) -> Iterator[None]:
    """Maintain the files of a locked run; see `recorded`."""

    def progress() -> dict[str, int]:
        return {"step": heartbeat.step, "epoch": heartbeat.epoch} if heartbeat.step else {}

    def ended(state: str, reason: str) -> None:
        write_status(run, state=state, reason=reason, **progress())

    reject_running(run, elsewhere=False)  # two processes must not write to the same directory
    reserve_space(run)
    is_new = is_untouched(run) and not is_trial(run)
    write_status(run, state="running")
    mirror = None
    if start_mirror is not None and not is_fold(run):  # the parent run mirrors its folds
        mirror = start_mirror(run, plain_config(config))
    try:
        with keep_status_fresh(run, progress=progress):
            yield
        results = read_json(run.results_path)
        ended_early = {"reason": results["stopped"]} if results.get("stopped") else {}
        write_status(run, state="finished", step=results["step"], epoch=results["epoch"], **ended_early)
    except (Interrupted, KeyboardInterrupt) as error:
        ended("interrupted", str(error) or "interrupted from the keyboard")
        raise
    except Pruned as error:
        ended("pruned", str(error))
        raise
    except BaseException as error:
        release_space(run)
        with open(run.logs / "rank0.log", "a", encoding="utf-8") as file:
            file.write(traceback.format_exc())
        if isinstance(error, OSError) and error.errno in DISK_FULL_ERRORS:
            reason = cannot_write(Path(error.filename or run.path), error)
            ended("failed", reason)
            raise RunFailedError(reason) from error
        ended("failed", f"{type(error).__name__}: {error}")
        if mirror is not None and isinstance(error, UserError) and is_new and not has_trained(run):
            mirror.abandon()  # the directory is about to be removed
        raise
    finally:
        release_space(run)
        if config.report:
            write_page(run)
        if mirror is not None:
            mirror.finish()
            console.text(mirror.note())


def plain_config(config: Any) -> dict[str, Any]:
    """Returns a config as plain containers, with unresolved interpolations."""
    plain = OmegaConf.to_container(config, resolve=False)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def write_page(run: RunDir) -> None:
    """Writes the report page. A failure is only logged, since ``runner report`` can recreate the page."""
    try:
        write_report(run)
    except Exception as error:  # templates and plots raise many exception types
        log.warning("the report page was not written: %s: %s", type(error).__name__, error)


class QuietFileHandler(logging.FileHandler):
    """A file handler that ignores write errors: a full disk is reported by the writes that require space."""

    def handleError(self, record: logging.LogRecord) -> None:
        pass


@contextmanager
def log_file(run: RunDir, process_info: ProcessInfo) -> Iterator[None]:
    """Writes log records and warnings of this process to ``logs/rankN.log`` within the context.

    Records of runner itself also appear on the console of rank 0.
    """
    handler = QuietFileHandler(run.logs / f"rank{process_info.rank}.log", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    console = logging.StreamHandler()
    console.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    if process_info.is_first:
        logging.getLogger("runner").addHandler(console)
    logging.captureWarnings(True)
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        root.removeHandler(handler)
        logging.getLogger("runner").removeHandler(console)
        handler.close()
