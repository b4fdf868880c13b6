"""One- against two-stage detectors: the same data, the same machine, one table and one plot.

    scripts/compare_detectors
    scripts/compare_detectors data=coco data.root=FOLDER model.min_size=480
    scripts/compare_detectors experiments/shapes_fcos.yaml experiments/shapes_retinanet.yaml --output
    runs/other

Words with ``=`` change every recipe alike. A model that is trained already (a run of its name in the output
folder) is not trained again, so an interrupted comparison goes on where it was. Times are of single images,
the models taking turns, so that whatever else the machine does meets all of them alike.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

import torch

from runner import train
from runner.errors import RunnerError
from runner.inference.load import load_trained
from runner.plots.comparison import speed_accuracy
from runner.plots.style import to_png
from runner.run.directory import RunDir
from runner.run.files import read_json
from runner.run.status import read_status

RECIPES = ("experiments/shapes_faster_rcnn.yaml", "experiments/shapes_fcos.yaml")
NUM_IMAGES, NUM_ROUNDS = 20, 5


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("words", nargs="*", metavar="RECIPE.yaml | key=value")
    parser.add_argument(
        "--output", default="runs/detectors", help="where runs, table and plot go (runs/detectors)"
    )
    args = parser.parse_args()
    recipes = [Path(word) for word in args.words if "=" not in word] or [Path(recipe) for recipe in RECIPES]
    overrides = [word for word in args.words if "=" in word]
    output = Path(args.output)
    try:
        runs = {recipe.stem: trained(recipe, output, overrides) for recipe in recipes}
        rows = compare(runs)
    except RunnerError as error:
        print(f"error: {error}")
        return error.exit_code
    output.mkdir(parents=True, exist_ok=True)
    (output / "comparison.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    show(rows)
    figure = speed_accuracy(
        {row["name"]: row["times_ms"] for row in rows},
        {row["name"]: row["map"] for row in rows},
        {row["name"]: row["stages"] for row in rows},
        score_name="mAP (IoU 0.50–0.95)",
        title="Detectors: what accuracy costs",
    )
    print(f"\n{to_png(figure, output / 'speed_accuracy.png')}")
    return 0


def trained(recipe: Path, output: Path, overrides: list[str]) -> RunDir:
    """The finished run of a recipe, trained now if there is none."""
    run = RunDir(output.absolute() / recipe.stem)
    if run.path.is_dir() and read_status(run).state == "finished":
        print(f"{recipe.stem} is trained already: {run.path}")
        return run
    return train(f"run.root={output}", f"run.name={recipe.stem}", *overrides, experiment=recipe).directory


def compare(runs: dict[str, RunDir]) -> list[dict]:
    """One row a run, the fastest first."""
    tasks, images = {}, []
    for name, run in runs.items():
        found = load_trained(run)
        tasks[name] = found.task
        if not images:
            found.data.setup("test")
            split = found.data.splits.get("test") or found.data.splits["val"]
            images = [found.data.normalize(split.source[int(i)][0]) for i in split.indices[:NUM_IMAGES]]
    times = {name: [] for name in runs}
    with torch.inference_mode():
        for task in tasks.values():
            task.predict_outputs(images[:1])  # the first call makes caches
        for _ in range(NUM_ROUNDS):
            for name, task in tasks.items():
                times[name] += [timed(task, image) for image in images]
    return sorted(
        (row(name, runs[name], tasks[name], times[name]) for name in runs), key=lambda row: row["ms"]
    )


def timed(task, image) -> float:
    """Milliseconds for one image."""
    started = time.perf_counter()
    task.predict_outputs([image])
    return 1000 * (time.perf_counter() - started)


def row(name: str, run: RunDir, task, times_ms: list[float]) -> dict:
    results = read_json(run.results_path)
    split = "test" if "test" in results else "val"
    return {
        "name": name,
        "stages": "two stages" if hasattr(task.model, "rpn") else "one stage",
        "ms": round(statistics.median(times_ms), 1),
        "split": split,
        "map": results[split][f"{split}/map"],
        "map_50": results[split][f"{split}/map_50"],
        "million_parameters": round(results["num_parameters"] / 1e6, 1),
        "training_s": round(results["seconds"]),
        "times_ms": [round(value, 2) for value in times_ms],
    }


def show(rows: list[dict]) -> None:
    print(f"\n{'':<28}{'':<12}{'ms/image':>9}{'mAP':>8}{'mAP@50':>8}{'params':>9}{'training':>10}")
    for row in rows:
        print(
            f"{row['name']:<28}{row['stages']:<12}{row['ms']:>9.1f}{row['map']:>8.3f}{row['map_50']:>8.3f}"
            f"{row['million_parameters']:>7.1f} M{row['training_s']:>8} s"
        )
    fast, slow = rows[0], rows[-1]
    if len(rows) > 1:
        print(
            f"\n{slow['name']} takes {slow['ms'] / fast['ms']:.1f} × the time of {fast['name']} for an "
            "image and has "
            f"{slow['map'] - fast['map']:+.3f} mAP. {fast['split'].capitalize()} images, one at a time, "
            f"{torch.get_num_threads()} threads, 32 bits."
        )


if __name__ == "__main__":
    raise SystemExit(main())
