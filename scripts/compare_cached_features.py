"""A frozen backbone with its features computed once, against the same with a pass in every epoch, side by
side.

    scripts/compare_cached_features --data FOLDER [--weights FILE] [--epochs 2] [key=value ...]

FOLDER holds photographs, one folder a class. Both trainings have the same seed and see the same samples in
the same order. Told are the seconds of each epoch's training and validation, and the validation metrics.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytorch_lightning as pl
from comparison import QUIET, add_photographs, make_parser

from runner.config.checks.check import check
from runner.config.compose import compose
from runner.errors import RunnerError
from runner.launch.local import prepare
from runner.run.files import read_json
from runner.training.worker import execute


class Clock(pl.Callback):
    """Seconds of each epoch, its validation included."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._begun = 0.0

    def on_train_epoch_start(self, trainer, pl_module) -> None:
        self._begun = time.perf_counter()

    def on_train_epoch_end(self, trainer, pl_module) -> None:
        self.seconds.append(time.perf_counter() - self._begun)


def main() -> int:
    parser = make_parser(__doc__)
    add_photographs(parser)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--output", default="runs/cached_features")
    args = parser.parse_args()
    start = f"weights={args.weights}" if args.weights else "pretrained=true"
    fixed = [
        "data=image_folder", f"data.root={args.data}", "model=mobilenet_v2", "transfer=frozen", start,
        "regularization.augment=null", *QUIET,
        f"trainer.max_epochs={args.epochs}", f"run.root={args.output}",
    ]  # fmt: skip
    rows = []
    try:
        for name, views in (("cached", 1), ("every epoch", 0)):
            composition = compose(
                [*fixed, f"run.name={name.replace(' ', '_')}", *args.words, f"transfer.cache_views={views}"]
            )
            check(composition)
            clock, begun = Clock(), time.perf_counter()
            run = prepare(composition)
            results = execute(run, [clock])
            rows.append(
                {
                    "name": name,
                    "epochs_s": [round(second, 3) for second in clock.seconds],
                    "whole_s": round(time.perf_counter() - begun, 1),
                    **{key: results["val"][f"val/{key}"] for key in ("accuracy", "loss")},
                    "samples": read_json(run.facts_path)["num_train"],
                }
            )
    except RunnerError as error:
        print(f"error: {error}")
        return error.exit_code
    Path(args.output, "comparison.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    print(f"\n{'':<14}{'s an epoch':>12}{'s in all':>10}{'val/accuracy':>14}{'val/loss':>10}")
    for row in rows:
        print(
            f"{row['name']:<14}{min(row['epochs_s']):>12.3f}{row['whole_s']:>10.1f}{row['accuracy']:>14.4f}{row['loss']:>10.4f}"
        )
    cached, plain = rows
    ratio = min(plain["epochs_s"]) / min(cached["epochs_s"])
    print(
        f"\nAn epoch is {ratio:.0f} × faster from stored features; accuracy "
        f"{cached['accuracy'] - plain['accuracy']:+.4f}."
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
