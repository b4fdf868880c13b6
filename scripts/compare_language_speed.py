"""A step of a language model trained by runner against one of a bare PyTorch loop.

    scripts/compare_language_speed
    scripts/compare_language_speed --steps 40 model.hidden_size=256

A run with everything on (progress, metrics, journal, checkpoints) trains a 2 × 512 LSTM on Python's own
documentation. Behind each of its steps the same step is taken by a bare loop with its own copy of model,
optimizer, loader and carried state, so whatever else the machine does meets both alike. Ratios are those of
the medians: of the time that passed, and of the processor's time, which other work on the machine disturbs
less.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch.nn.functional import cross_entropy
from torch.nn.utils import clip_grad_norm_

from runner.config.compose import compose
from runner.config.plain import to_yaml
from runner.run.directory import RunDir
from runner.run.files import write_text
from runner.training.worker import execute

OVERRIDES = [
    "data=python_topics",
    "model=lstm",
    "model.num_layers=2",
    "model.hidden_size=512",
    "data.window=64",
    "data.batch_size=32",
    "trainer.max_epochs=1",
    "trainer.gradient_clip_val=1.0",
    "trainer.enable_progress_bar=true",
    "scheduler=none",
    "plots=false",
    "baselines=false",
    "report=false",
    "tracking=none",
    "hardware=cpu",
]
CLIP, WARM_UP = 1.0, 3


class Beside(pl.Callback):
    """Takes a step of a bare loop behind each step of the run; measures both.

    The run's step is all that lies between the end of one bare step and that of its own next batch.
    """

    def __init__(self, steps: int):
        self.steps = steps
        self.of_run: list[tuple[float, float]] = []
        self.of_loop: list[tuple[float, float]] = []
        self.mark: tuple[float, float] | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        self.model = copy.deepcopy(pl_module.model)
        groups = [dict(group, params=[]) for group in trainer.optimizers[0].param_groups]
        copies = dict(zip(pl_module.model.parameters(), self.model.parameters(), strict=True))
        for group, original in zip(groups, trainer.optimizers[0].param_groups, strict=True):
            group["params"] = [copies[parameter] for parameter in original["params"]]
        self.optimizer = type(trainer.optimizers[0])(groups)
        self.batches = iter(trainer.datamodule.train_dataloader())
        self.state = None

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        begin = now()
        if self.mark is not None:
            self.of_run.append(between(self.mark, begin))
        self.step()
        self.mark = now()
        self.of_loop.append(between(begin, self.mark))

    def step(self) -> None:
        batch = next(self.batches)
        logits, state = self.model(batch["inputs"], self.state, True)
        loss = cross_entropy(logits.flatten(0, 1), batch["targets"].flatten())
        self.optimizer.zero_grad()
        loss.backward()
        clip_grad_norm_(self.model.parameters(), CLIP)
        self.optimizer.step()
        self.state = tuple(part.detach() for part in state)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    parser.add_argument("--steps", type=int, default=40, help="of each (40)")
    args = parser.parse_args()
    beside = Beside(args.steps)
    with tempfile.TemporaryDirectory() as folder:
        run = RunDir(Path(folder))
        for part in (run.checkpoints, run.plots, run.logs):
            part.mkdir(parents=True)
        limits = [
            f"+trainer.limit_{split}_batches={n}"
            for split, n in (("train", args.steps), ("val", 1), ("test", 1))
        ]
        write_text(run.config_path, to_yaml(compose([*OVERRIDES, *limits, *args.overrides]).config))
        execute(run, callbacks=[beside])
    show(beside.of_run[WARM_UP:], beside.of_loop[WARM_UP:])
    return 0


def now() -> tuple[float, float]:
    """Seconds of the clock, and of the processor in all threads of this process."""
    return time.perf_counter(), time.process_time()


def between(begin: tuple[float, float], end: tuple[float, float]) -> tuple[float, float]:
    return end[0] - begin[0], end[1] - begin[1]


def show(of_run: list[tuple[float, float]], of_loop: list[tuple[float, float]]) -> None:
    run, loop = (
        [1000 * statistics.median(column) for column in zip(*times, strict=True)]
        for times in (of_run, of_loop)
    )
    print(f"\nmedian ms   {'passed':>10}{'processor':>12}{'steps':>7}")
    print(f"runner      {run[0]:>10.1f}{run[1]:>12.1f}{len(of_run):>7}")
    print(f"bare loop   {loop[0]:>10.1f}{loop[1]:>12.1f}{len(of_loop):>7}")
    print(f"ratio       {run[0] / loop[0]:>10.3f}{run[1] / loop[1]:>12.3f}")
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")


if __name__ == "__main__":
    raise SystemExit(main())
