"""What a sweep costs over training itself: ``scripts/bench_sweep [--trials N] [--workers N] [--steps N]
[--alone N]``.

The same trainings in five ways, each with all that it takes, imports included: in turn in one process; by
``runner sweep``; by ``runner train -m`` with Hydra's basic launcher, and with its joblib launcher; by a
process for each.
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
from dataclasses import dataclass
from pathlib import Path

from runner.sweep.directory import SweepDir

__all__ = ["main"]

LOOP = "import sys; from runner.training.worker import execute; [execute(path) for path in sys.argv[1:]]"
QUIET = ["plots=false", "baselines=false", "report=false"]


@dataclass(frozen=True)
class Measured:
    """
    Attributes:
        seconds: on the clock.
        processor_s: that its processes were given.
    """

    seconds: float
    processor_s: float

    def times(self, factor: float) -> Measured:
        return Measured(self.seconds * factor, self.processor_s * factor)


def measured(action: Callable[[], object]) -> Measured:
    before, began = os.times(), time.perf_counter()
    action()
    after = os.times()
    spent = (after.children_user + after.children_system) - (before.children_user + before.children_system)
    return Measured(time.perf_counter() - began, spent)


def run_quiet(words: list[str]) -> None:
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


class Bench:
    """
    Args:
        folder: an empty one.
        steps: of each trial, in one epoch.
    """

    def __init__(self, folder: Path, trials: int, workers: int, steps: int):
        self.folder, self.trials, self.workers = folder, trials, workers
        self.rates = ",".join(f"{1e-4 * 1.2**i:.3g}" for i in range(trials))
        self.tiny = ["model=mlp", "data=digits", "hardware=cpu", "tracking=none", "seed=1", *QUIET]
        self.tiny += ["data.batch_size=8", "trainer.max_epochs=1", f"trainer.limit_train_batches={steps}"]

    def runner(self, verb: str, *words: str) -> None:
        run_quiet([sys.executable, "-m", "runner", *verb.split(), *self.tiny, *words])

    def sweep(self) -> None:
        settings = [f"sweep.num_trials={self.trials}", f"sweep.num_workers={self.workers}", "sweep.name=s"]
        rates = f"optimizer.lr={self.rates}"
        self.runner("sweep", f"run.root={self.folder}", "sweep=grid", *settings, rates)

    def multirun(self, *words: str) -> None:
        self.runner("train -m", f"run.root={self.folder / 'multirun'}", f"optimizer.lr={self.rates}", *words)

    def joblib(self) -> None:
        self.multirun("hydra/launcher=joblib", f"hydra.launcher.n_jobs={self.workers}")

    def fresh(self, name: str) -> list[str]:
        """The trials' directories as they were before they were executed."""
        copies = []
        trials = SweepDir(self.folder / "s").trials
        for trial in sorted(trials.iterdir(), key=lambda path: int(path.name)):
            copy = self.folder / name / trial.name
            for inner in ("checkpoints", "plots", "logs"):
                (copy / inner).mkdir(parents=True)
            (copy / "config.yaml").write_bytes((trial / "config.yaml").read_bytes())
            copies.append(str(copy))
        return copies

    def loop(self) -> None:
        run_quiet([sys.executable, "-c", LOOP, *self.fresh("loop")])

    def alone(self, count: int) -> None:
        """Runs each trial in a process of its own, ``num_workers`` at a time."""
        one = [
            [sys.executable, "-m", "runner.launch.rank_worker", path] for path in self.fresh("alone")[:count]
        ]
        with ThreadPoolExecutor(self.workers) as pool:
            list(pool.map(run_quiet, one))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench_sweep", description=__doc__)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--steps", type=int, default=100, help="of each trial")
    parser.add_argument("--alone", type=int, help="trials that get a process of their own; scaled up to all")
    given = parser.parse_args(arguments)
    alone = min(given.alone or given.trials, given.trials)
    with tempfile.TemporaryDirectory() as place:
        bench = Bench(Path(place), given.trials, given.workers, given.steps)
        rows = {"runner sweep": measured(bench.sweep), "in turn in one process": measured(bench.loop)}
        rows["Hydra's basic launcher"] = measured(bench.multirun)
        rows[f"Hydra's joblib launcher, {given.workers} jobs"] = measured(bench.joblib)
        label = "a process for each" + (f" ({alone} measured)" if alone < given.trials else "")
        rows[label] = measured(lambda: bench.alone(alone)).times(given.trials / alone)
    print(
        f"{given.trials} trials of {given.steps} steps, {given.workers} at a time: seconds (of the processor)"
    )
    base = rows["runner sweep"]
    for name, row in sorted(rows.items(), key=lambda item: item[1].seconds):
        ratios = (
            f"{row.seconds / base.seconds:5.2f} × the sweep, processor "
            f"{row.processor_s / base.processor_s:.2f} ×"
        )
        print(f"{name:<36}{row.seconds:8.1f} ({row.processor_s:.1f})  {ratios}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
