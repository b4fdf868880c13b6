"""How far a perceptron learns a small part of Fashion-MNIST by heart under each regularization preset.

    scripts/compare_regularization --data FOLDER
    scripts/compare_regularization --data FOLDER --seeds 5 --samples 600 trainer.max_epochs=30

Every preset trains with the same seeds; a run that is finished is not trained again, so an interrupted
comparison goes on where it was. The gap is training accuracy minus validation accuracy after the last epoch,
both measured without dropout and augmentation.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path

import numpy as np
from comparison import QUIET, make_parser

from runner import train
from runner.data.images.mnist import find_idx, read_idx
from runner.errors import DataError, RunnerError
from runner.inference.evaluate import evaluate
from runner.plots.curves import overfitting_gap
from runner.plots.style import to_png
from runner.run.directory import RunDir
from runner.run.files import read_json
from runner.run.status import read_status

NUM_VAL = 1000
PRESETS = ("none", "light", "medium", "strong")


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument("--data", required=True, metavar="FOLDER", help="the four files of Fashion-MNIST")
    parser.add_argument("--seeds", type=int, default=5, help="runs of each preset (5)")
    parser.add_argument("--samples", type=int, default=600, help="training images, the first ones (600)")
    parser.add_argument("--output", default="runs/regularization", help="where runs, table and plot go")
    args = parser.parse_args()
    output = Path(args.output)
    try:
        make_part(Path(args.data), output / "part", args.samples)
        rows = [row(preset, seed, args, output) for preset in PRESETS for seed in range(args.seeds)]
    except RunnerError as error:
        print(f"error: {error}")
        return error.exit_code
    (output / "comparison.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    show(rows)
    values = {p: [(r["train"], r["val"]) for r in rows if r["preset"] == p] for p in PRESETS}
    title = f"Overfitting: {args.samples} training samples, {args.seeds} seeds"
    print(f"\n{to_png(overfitting_gap(values, title), output / 'overfitting_gap.png')}")
    return 0


def make_part(folder: Path, part: Path, samples: int) -> None:
    """Idx files of the first images: those to train on and 1000 to validate, 1000 of the test files."""
    part.mkdir(parents=True, exist_ok=True)
    for name, count in (("train", samples + NUM_VAL), ("t10k", NUM_VAL)):
        for kind in ("images-idx3", "labels-idx1"):
            file = f"{name}-{kind}-ubyte"
            source = find_idx(folder, file)
            if source is None:
                raise DataError(f"--data {folder}: there is no {file} or {file}.gz in it.")
            array = read_idx(source)[:count]
            header = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
            (part / file).write_bytes(header + array.numpy().astype(np.uint8).tobytes())


def row(preset: str, seed: int, args: argparse.Namespace, output: Path) -> dict:
    run = trained(preset, seed, args, output)
    kept = run.path / "gap.json"
    if not kept.is_file():
        found = {split: evaluate(run, split, "last")[f"{split}/accuracy"] for split in ("train", "val")}
        kept.write_text(json.dumps(found))
    return {"preset": preset, "seed": seed, "steps": read_json(run.results_path)["step"], **read_json(kept)}


def trained(preset: str, seed: int, args: argparse.Namespace, output: Path) -> RunDir:
    name = f"{preset}-{seed}"
    run = RunDir(output.absolute() / name)
    if run.path.is_dir() and read_status(run).state == "finished":
        return run
    words = [
        "data=fashion_mnist",
        f"data.root={output / 'part'}",
        f"data.val_size={NUM_VAL}",
        "data.batch_size=50",
        "data.eval_batch_size=500",
        "model=mlp",
        "model.hidden_sizes=[256,256]",
        "trainer.max_epochs=30",
        *QUIET,
        "hardware=cpu",
        f"regularization={preset}",
        f"seed={seed}",
        f"run.root={output}",
        f"run.name={name}",
    ]
    return train(*words, *args.words).directory


def show(rows: list[dict]) -> None:
    print(f"\n{'':<10}{'train':>18}{'validation':>18}{'gap':>18}")
    for preset in PRESETS:
        mine = [entry for entry in rows if entry["preset"] == preset]
        columns = [
            [r["train"] for r in mine],
            [r["val"] for r in mine],
            [r["train"] - r["val"] for r in mine],
        ]
        print(f"{preset:<10}" + "".join(f"{statistics.mean(c):>11.4f} ± {spread(c):.4f}" for c in columns))


def spread(values: list[float]) -> float:
    return statistics.stdev(values) if len(values) > 1 else 0.0


if __name__ == "__main__":
    raise SystemExit(main())
