"""Remedies for unequal classes on photographs of which one class was made rare.

    scripts/compare_imbalance --data FOLDER [--weights FILE] [--rare 0.05] [key=value ...]

FOLDER holds train and val folders of two classes. Of the first class's training photographs only a part is
kept (as links in the output folder); validation stays as it is. All trainings are of a new head on the cached
features of one frozen backbone.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path

from comparison import QUIET, add_photographs, make_parser

from runner import train
from runner.errors import RunnerError
from runner.run.directory import RunDir
from runner.run.files import read_json
from runner.run.status import read_status

BINARY = ["task=binary"]
REMEDIES = {
    "nothing": [],
    "class weights": ["+task.class_weights=balanced"],
    "effective number": ["+task.class_weights=effective"],
    "balanced draws": ["+sampling.balance=1"],
    "focal loss": ["task.loss._target_=runner.losses.focal.BinaryFocalLoss"],
    "tuned threshold": ["+task.threshold=auto", "+task.tuned_for=balanced_accuracy"],
}
SHOWN = ("accuracy", "balanced_accuracy", "f1_macro", "auroc", "pr_auc")


def main() -> int:
    parser = make_parser(__doc__)
    add_photographs(parser)
    parser.add_argument(
        "--rare", type=float, default=0.05, help="part of the first class that is kept (0.05)"
    )
    parser.add_argument(
        "--per-class", type=int, default=None, help="photographs of a class at most, before that"
    )
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--output", default="runs/imbalance")
    args = parser.parse_args()
    output = Path(args.output)
    try:
        make_skewed(Path(args.data), output / "photos", args.rare, args.per_class)
        rows = [row(name, args, output) for name in REMEDIES]
    except RunnerError as error:
        print(f"error: {error}")
        return error.exit_code
    (output / "comparison.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    recalls = [key for key in rows[0] if key.startswith("recall_class/")]
    columns = [*SHOWN, *recalls]
    print(
        "\n"
        + f"{'':<18}"
        + "".join(f"{column.replace('recall_class/', 'recall '):>19}" for column in columns)
    )
    for entry in rows:
        print(f"{entry['name']:<18}" + "".join(f"{cell(entry[column]):>19}" for column in columns))
    return 0


def cell(values: list[float]) -> str:
    """Mean, and the deviation over seeds where there are several."""
    mean = f"{statistics.mean(values):.4f}"
    return mean if len(values) == 1 else f"{mean} ± {statistics.stdev(values):.4f}"


def make_skewed(folder: Path, skewed: Path, rare: float, per_class: int | None) -> None:
    for split in ("train", "val"):
        classes = sorted(path for path in (folder / split).iterdir() if path.is_dir())
        for position, photos in enumerate(classes):
            files = sorted(photos.iterdir())[:per_class]
            kept = files[: max(2, round(rare * len(files)))] if position == 0 and split == "train" else files
            place = skewed / split / photos.name
            place.mkdir(parents=True, exist_ok=True)
            for file in kept:
                if not (place / file.name).exists():
                    (place / file.name).symlink_to(file.absolute())


def row(name: str, args: argparse.Namespace, output: Path) -> dict:
    results = [read_json(trained(name, seed, args, output).results_path)["val"] for seed in range(args.seeds)]
    return {"name": name, **{key.removeprefix("val/"): [r[key] for r in results] for key in results[0]}}


def trained(name: str, seed: int, args: argparse.Namespace, output: Path) -> RunDir:
    run = RunDir(output.absolute() / f"{name.replace(' ', '_')}-{seed}")
    if run.path.is_dir() and read_status(run).state == "finished":
        return run
    start = f"weights={args.weights}" if args.weights else "pretrained=true"
    words = [
        *BINARY,
        "data=image_folder",
        f"data.root={output / 'photos'}",
        "model=mobilenet_v2",
        "transfer=frozen",
        start,
        "regularization=none",
        "trainer.max_epochs=10",
        *QUIET,
        f"seed={seed}",
        f"run.root={output}",
        f"run.name={run.name}",
    ]
    return train(*words, *REMEDIES[name], *args.words).directory


if __name__ == "__main__":
    raise SystemExit(main())
