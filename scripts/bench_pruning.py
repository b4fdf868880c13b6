"""What pruning saves: ``scripts/bench_pruning [--seeds N] [--trials N] [--epochs N] [--output FOLDER]``.

The same random points with and without successive halving (ASHA), by ``runner sweep`` on digits: the best
value so far against the epochs spent so far, over all trials. A table, and a picture.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from runner.sweep.directory import SweepDir
from runner.sweep.study import load_study

__all__ = ["main"]

SPACE = (
    "optimizer.lr=tag(log,interval(1e-5,1))",
    "model.hidden_sizes=choice([8],[32],[128])",
    "regularization.dropout=interval(0,0.8)",
)


def search(folder: Path, pruner: str, seed: int, trials: int, epochs: int) -> list[tuple[int, float]]:
    """Epochs spent and the best value so far, after each trial in the order of their numbers."""
    name = f"{pruner}{seed}"
    words = ["model=mlp", "data=digits", "hardware=cpu", "tracking=none", f"trainer.max_epochs={epochs}"]
    words += [f"run.root={folder}", f"sweep.name={name}", "sweep=random", f"sweep.pruner={pruner}"]
    words += [f"sweep.seed={seed}", f"sweep.num_trials={trials}", "sweep.try_default=false", *SPACE]
    subprocess.run(
        [sys.executable, "-m", "runner", "sweep", *words],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
    )
    spent, best, history = 0, -np.inf, []
    for trial in load_study(SweepDir(folder / name)).get_trials(deepcopy=False):
        spent += len(trial.intermediate_values)
        best = max(best, max(trial.intermediate_values.values(), default=-np.inf))
        history.append((spent, best))
    return history


def reached(history: list[tuple[int, float]], budget: int) -> float:
    """The best value after a number of epochs, summed over all trials."""
    return max((best for spent, best in history if spent <= budget), default=float("nan"))


def draw(found: dict[str, list[list[tuple[int, float]]]], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4), layout="constrained")
    axes = figure.subplots()
    for (name, histories), colour in zip(found.items(), ("#1f77b4", "#d95f02"), strict=True):
        for number, history in enumerate(histories):
            spent, best = zip(*history, strict=True)
            label = f"{name}, {len(histories)} seeds" if number == 0 else None
            axes.step(spent, best, where="post", color=colour, alpha=0.8, linewidth=1.2, label=label)
    axes.set_xlabel("epochs of all trials together")
    axes.set_ylabel("best validation accuracy so far")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", frameon=False)
    figure.savefig(path, dpi=150)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench_pruning", description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=9)
    parser.add_argument("--output", type=Path, default=Path("pruning.png"), help="the picture (pruning.png)")
    given = parser.parse_args(arguments)
    found: dict[str, list[list[tuple[int, float]]]] = {"without pruning": [], "asha": []}
    print("seed   epochs: all  asha  saved    best: all    asha   all, at asha's epochs")
    with tempfile.TemporaryDirectory() as place:
        for seed in range(given.seeds):
            full = search(Path(place), "none", seed, given.trials, given.epochs)
            pruned = search(Path(place), "asha", seed, given.trials, given.epochs)
            found["without pruning"].append(full)
            found["asha"].append(pruned)
            (all_spent, all_best), (spent, best) = full[-1], pruned[-1]
            print(
                f"{seed:4d}{all_spent:14d}{spent:6d}{1 - spent / all_spent:7.0%}{all_best:13.4f}{best:8.4f}"
                f"{reached(full, spent):12.4f}",
                flush=True,
            )
    draw(found, given.output)
    print(f"picture: {given.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
