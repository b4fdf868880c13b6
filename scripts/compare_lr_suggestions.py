"""The suggestions of the learning-rate range test on five tasks: which of them trains best.

    scripts/compare_lr_suggestions
    scripts/compare_lr_suggestions --seeds 5 --output runs/lr_suggestions optimizer=sgd

For each task and seed one range test, then one training at each of its suggestions, otherwise alike. The
table holds the learning rates and the best monitored value on the validation split. The last two lines are,
over all tasks and seeds, each suggestion's mean rank (1 is best; one that the range test did not find counts
as last) and the geometric mean and maximum of its error over that of the best suggestion (the error is the
loss, or 1 − accuracy). A run that is finished is not trained again.
"""

from __future__ import annotations

import json
import math
import statistics
from pathlib import Path
from typing import Any

from comparison import QUIET, make_parser

from runner import train
from runner.errors import RunnerError
from runner.run.directory import RunDir
from runner.run.files import read_json
from runner.run.status import read_status

WAYS = ["valley", "steepest", "minimum/10", "slide"]
TASKS = {
    "digits mlp": ["model=mlp", "data=digits", "trainer.max_epochs=5"],
    "digits small_cnn": ["model=small_cnn", "data=digits", "trainer.max_epochs=3"],
    "diabetes mlp": ["task=regression", "model=mlp", "data=diabetes", "trainer.max_epochs=15"],
    "bracket_depth lstm": [
        "task=labelling",
        "model=lstm",
        "model.hidden_size=32",
        "data=bracket_depth",
        "trainer.max_epochs=3",
    ],
    "waves lstm": [
        "task=forecasting",
        "model=lstm",
        "model.hidden_size=32",
        "data=waves",
        "trainer.max_epochs=3",
    ],
}
ALIKE = [
    "regularization=none",
    "hardware=cpu",
    *QUIET,
    "data.batch_size=32",
]


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=TASKS, metavar="TASK")
    parser.add_argument("--seeds", type=int, default=3, help="range tests, and runs of each suggestion (3)")
    parser.add_argument("--output", default="runs/lr_suggestions", help="where runs and table go")
    args = parser.parse_args()
    output = Path(args.output)
    try:
        rows = [row(task, seed, args.words, output) for task in args.tasks for seed in range(args.seeds)]
    except RunnerError as error:
        print(f"error: {error}")
        return error.exit_code
    (output / "comparison.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    print("\n" + "\n".join(table(rows)))
    return 0


def row(task: str, seed: int, words: list[str], output: Path) -> dict[str, Any]:
    """Rates, values and ranks by suggestion."""
    name = f"{task.replace(' ', '-')}-{seed}"
    fixed = [*TASKS[task], *ALIKE, f"seed={seed}", f"run.root={output}", *words]
    rates = read_json(trained(output / f"{name}-find", "debug=find_lr", *fixed).results_path)["find_lr"]
    values: dict[str, float] = {}
    monitor = ""
    for way in [way for way in WAYS if way in rates]:
        run = trained(output / f"{name}-{way.replace('/', '-')}", f"optimizer.lr={rates[way]:.3g}", *fixed)
        best = read_json(run.results_path)["best"]
        values[way], monitor = best["value"], best["monitor"]
    lower_is_better = not monitor.endswith("accuracy")
    return {"task": task, "seed": seed, "monitor": monitor, "rates": rates, "values": values,
            "ranks": ranks(values, lower_is_better)}  # fmt: skip


def trained(path: Path, *words: str) -> RunDir:
    run = RunDir(path.absolute())
    if run.path.is_dir() and read_status(run).state == "finished":
        return run
    return train(*words, f"run.name={path.name}").directory


def ranks(values: dict[str, float], lower_is_better: bool) -> dict[str, float]:
    """1 is the best; equal values share the mean of their ranks, and missing ones come last."""
    worst = math.inf if lower_is_better else -math.inf
    every = [values.get(way, worst) for way in WAYS]
    better = [sum((other < own) if lower_is_better else (other > own) for other in every) for own in every]
    return {way: 1 + better[i] + (every.count(every[i]) - 1) / 2 for i, way in enumerate(WAYS)}


def table(rows: list[dict[str, Any]]) -> list[str]:
    lines = [f"{'':<19}{'':<14}" + "".join(f"{way:>26}" for way in WAYS)]
    for task in dict.fromkeys(entry["task"] for entry in rows):
        of_task = [entry for entry in rows if entry["task"] == task]
        cells = [cell(of_task, way) for way in WAYS]
        lines.append(f"{task:<19}{of_task[0]['monitor']:<14}" + "".join(f"{text:>26}" for text in cells))
    means = [statistics.mean(entry["ranks"][way] for entry in rows) for way in WAYS]
    lines.append(f"{'mean rank':<33}" + "".join(f"{mean:>26.2f}" for mean in means))
    ratios = [[entry[way] for entry in map(error_ratios, rows) if way in entry] for way in WAYS]
    shown = [
        f"{statistics.geometric_mean(found):.2f}, {max(found):.2f}" if found else "none" for found in ratios
    ]
    return [*lines, f"{'error / best error: mean, max':<33}" + "".join(f"{text:>26}" for text in shown)]


def error_ratios(entry: dict[str, Any]) -> dict[str, float]:
    is_accuracy = entry["monitor"].endswith("accuracy")
    errors = {way: 1 - value if is_accuracy else value for way, value in entry["values"].items()}
    return {way: error / min(errors.values()) for way, error in errors.items()} if errors else {}


def cell(rows: list[dict[str, Any]], way: str) -> str:
    """Mean ± deviation of the values, at the geometric mean of the rates; of how many seeds, if not of
    all."""
    values = [entry["values"][way] for entry in rows if way in entry["values"]]
    if not values:
        return "none"
    rate = math.exp(statistics.mean(math.log(entry["rates"][way]) for entry in rows if way in entry["rates"]))
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    count = "" if len(values) == len(rows) else f" ({len(values)})"
    return f"{statistics.mean(values):.3f}±{spread:.3f} @{rate:.1e}{count}"


if __name__ == "__main__":
    raise SystemExit(main())
