"""What a sweep costs over training itself: ``scripts/bench_sweep [--trials N] [--workers N] [--epochs N]``.

The same run directories are executed in three ways, each with all that it takes, imports included: one after the
other in one process, by ``runner sweep``, and by a process for each, as many at a time.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from runner.sweep.directory import SweepDir

__all__ = ["main"]

TINY = ("model=mlp", "data=digits", "hardware=cpu", "tracking=none", "seed=1")
LOOP = "import sys; from runner.worker import execute; [execute(path) for path in sys.argv[1:]]"


def command(folder: Path, trials: int, workers: int, epochs: int) -> list[str]:
    rates = ",".join(f"{1e-4 * 1.2**i:.3g}" for i in range(trials))
    words = [f"sweep.num_trials={trials}", f"sweep.num_workers={workers}", f"trainer.max_epochs={epochs}"]
    words += [f"run.root={folder}", "sweep.name=s", "sweep=grid", f"optimizer.lr={rates}"]
    return [sys.executable, "-m", "runner", "sweep", *TINY, *words]


def measured(action: Callable[[], object]) -> tuple[float, float]:
    """Seconds on the clock, and of the processor."""
    before, began = os.times(), time.perf_counter()
    action()
    after = os.times()
    spent = (after.children_user + after.children_system) - (before.children_user + before.children_system)
    return time.perf_counter() - began, spent


def run_quiet(words: list[str]) -> None:
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def fresh_copies(sweep: SweepDir, folder: Path) -> list[str]:
    """The trials' directories as they were before they were executed."""
    copies = []
    for trial in sorted(sweep.trials.iterdir(), key=lambda path: int(path.name)):
        copy = folder / trial.name
        for name in ("checkpoints", "plots", "logs"):
            (copy / name).mkdir(parents=True)
        (copy / "config.yaml").write_bytes((trial / "config.yaml").read_bytes())
        copies.append(str(copy))
    return copies


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench_sweep", description=__doc__)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=2)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        words = command(folder / "runs", given.trials, given.workers, given.epochs)
        swept = measured(lambda: run_quiet(words))
        sweep = SweepDir(folder / "runs" / "s")
        loop = fresh_copies(sweep, folder / "loop")
        looped = measured(lambda: run_quiet([sys.executable, "-c", LOOP, *loop]))
        single = fresh_copies(sweep, folder / "single")
        one = [[sys.executable, "-m", "runner.worker", path] for path in single]
        with ThreadPoolExecutor(given.workers) as pool:
            alone = measured(lambda: list(pool.map(run_quiet, one)))
    print(
        f"{given.trials} trials of {given.epochs} epochs, {given.workers} at a time: seconds (of the processor)"
    )
    rows = (("in one process, in turn", looped), ("runner sweep", swept), ("a process for each", alone))
    for name, (seconds, spent) in rows:
        ratios = f"{seconds / looped[0]:5.2f} × the loop"
        print(f"{name:<24}{seconds:8.1f} ({spent:.1f})  {ratios}, processor {spent / looped[1]:.2f} ×")
    return 0


if __name__ == "__main__":
    sys.exit(main())
