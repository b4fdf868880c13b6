"""Starts pairs of processes that resume the same run at the same time, and counts how many attempts start.

Two processes stay alive, so that imports do not delay one of a pair. Each attempt holds its run for a moment.
Exit code 1 if both attempts of a pair start.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from omegaconf import OmegaConf

from runner.run.directory import RunDir
from runner.run.files import write_json
from runner.run.status import write_status


def attempts(folder: Path, number: int, pairs: int) -> None:
    """Resume each run as soon as the other process is ready."""
    from runner.distributed.heartbeat import Heartbeat
    from runner.distributed.process_info import ProcessInfo
    from runner.errors import UserError
    from runner.launch import local
    from runner.launch.resume import prepare_resume
    from runner.training.recording import recorded

    def start(run: RunDir) -> None:
        config = OmegaConf.load(run.config_path)
        with recorded(run, config, None, Heartbeat.of(ProcessInfo.here())):
            (run.path / f"started-{number}").touch()
            time.sleep(0.05)
            write_json(run.results_path, {"step": 1, "epoch": 1, "stopped": "end of the attempt"})

    local.start = start
    for index in range(pairs):
        run = RunDir(folder / str(index))
        (run.path / f"ready-{number}").touch()
        while not (run.path / f"ready-{1 - number}").exists():
            pass
        with contextlib.suppress(UserError), contextlib.redirect_stdout(io.StringIO()):
            if prepare_resume(run, None):
                local.launch(run)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--attempt", nargs=2, metavar=("FOLDER", "NUMBER"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.attempt:
        attempts(Path(given.attempt[0]), int(given.attempt[1]), given.pairs)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        for index in range(given.pairs):
            run = RunDir(Path(folder) / str(index))
            run.logs.mkdir(parents=True)
            OmegaConf.save(OmegaConf.create({"trainer": {"max_epochs": 2}, "report": False}), run.config_path)
            write_status(run, state="interrupted", attempt=1)
        command = [sys.executable, __file__, "--pairs", str(given.pairs), "--attempt", folder]
        processes = [subprocess.Popen([*command, str(number)]) for number in range(2)]
        codes = [process.wait() for process in processes]
        started = [len(list((Path(folder) / str(i)).glob("started-*"))) for i in range(given.pairs)]
    print(
        f"{given.pairs} pairs: {started.count(1)} with one start, {started.count(2)} with two, "
        f"{started.count(0)} with none; exit codes {codes}"
    )
    return int(started.count(1) != given.pairs or any(codes))


if __name__ == "__main__":
    sys.exit(main())
