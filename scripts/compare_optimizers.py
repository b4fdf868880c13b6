"""Optimizers on one problem: the same model, batches and seed, one table and one plot of all curves.

    scripts/compare_optimizers
    scripts/compare_optimizers data=fashion_mnist data.root=FOLDER --optimizers sgd adamw muon --seeds 3

Each trains at its option's own learning rate, or at the one that ``optimizer.lr=auto`` finds for it, with no
schedule and no regularization. A run that is finished is not trained again.
"""

from __future__ import annotations

import json
import statistics
from pathlib import Path

from comparison import QUIET, make_parser

from runner import train
from runner.errors import RunnerError
from runner.plots.comparison import optimizer_curves
from runner.plots.style import to_png
from runner.run.directory import RunDir
from runner.run.files import read_json
from runner.run.journal import load_metrics
from runner.run.status import read_status

OPTIMIZERS = {
    "sgd": ["optimizer=sgd", "optimizer.momentum=0", "optimizer.nesterov=false"],
    "momentum": ["optimizer=sgd"],
    "adagrad": ["optimizer=adagrad"],
    "rmsprop": ["optimizer=rmsprop"],
    "adam": ["optimizer=adam"],
    "adamw": ["optimizer=adamw"],
}


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument("--optimizers", nargs="+", default=list(OPTIMIZERS), metavar="NAME")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each (3)")
    parser.add_argument("--output", default="runs/optimizers", help="where runs, table and plot go")
    args = parser.parse_args()
    output = Path(args.output)
    try:
        runs = {n: [trained(n, s, args.words, output) for s in range(args.seeds)] for n in args.optimizers}
    except RunnerError as error:
        print(f"error: {error}")
        return error.exit_code
    rows = [row(name, of_seeds) for name, of_seeds in runs.items()]
    (output / "comparison.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    print(f"\n{'':<12}{'val/loss':>20}{'val/accuracy':>20}")
    for entry in rows:
        print(
            f"{entry['name']:<12}" + "".join(f"{mean_and_spread(entry[k]):>20}" for k in ("loss", "accuracy"))
        )
    curves = {name: load_metrics(of_seeds[0].metrics_path) for name, of_seeds in runs.items()}
    print(f"\n{to_png(optimizer_curves(curves), output / 'optimizers.png')}")
    return 0


def trained(name: str, seed: int, words: list[str], output: Path) -> RunDir:
    run = RunDir(output.absolute() / f"{name}-{seed}")
    if run.path.is_dir() and read_status(run).state == "finished":
        return run
    fixed = [
        "model=mlp",
        "data=digits",
        "scheduler=none",
        "regularization=none",
        "hardware=cpu",
        *QUIET,
        "trainer.max_epochs=10",
        "data.batch_size=32",
        f"seed={seed}",
        f"run.root={output}",
        f"run.name={name}-{seed}",
    ]
    return train(*fixed, *OPTIMIZERS.get(name, [f"optimizer={name}"]), *words).directory


def row(name: str, runs: list[RunDir]) -> dict:
    results = [read_json(run.results_path)["val"] for run in runs]
    return {
        "name": name,
        **{key: [result[f"val/{key}"] for result in results] for key in ("loss", "accuracy")},
    }


def mean_and_spread(values: list[float]) -> str:
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.4f} ± {spread:.4f}"


if __name__ == "__main__":
    raise SystemExit(main())
