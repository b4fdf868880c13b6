"""Runs on several ranks within seconds: the processes are forked from one that has imported everything."""

from __future__ import annotations

import multiprocessing
import os
import socket
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import torch

from runner.config.checks.check import check
from runner.config.compose import compose
from runner.config.plain import to_plain, to_yaml
from runner.run.directory import RunDir
from runner.run.files import read_json, write_text
from runner.run.journal import load_metrics
from runner.training.worker import execute
from tests.overrides import QUIET

COMMON = (
    *QUIET,
    "trainer.log_every_n_steps=1",
    "hardware.num_threads=1",
)

TINY = {
    "classification": ("data=digits", "model=small_cnn", "regularization=none", "data.batch_size=64"),
    "regression": ("data=diabetes", "model=mlp", "regularization=none", "data.batch_size=48"),
    "segmentation": (
        "data=shapes_segmentation",
        "data.num_train=22",
        "data.num_val=7",
        "data.num_test=5",
        "data.image_size=32",
        "data.batch_size=8",
        "model.encoder_depth=3",
        "model.decoder_channels=[8,8,8]",
        "regularization=none",
    ),
    "detection": (
        "data=shapes_detection",
        "data.num_train=16",
        "data.num_val=7",
        "data.num_test=5",
        "data.image_size=64",
        "data.batch_size=4",
        "model=retinanet",
        "model.backbone=resnet18",
        "model.channels=16",
        "regularization=none",
    ),
}
"""A model and a data set for each task, small enough for a test."""


def written(folder: Path, *words: str) -> RunDir:
    """Return the directory of a run that has not started."""
    composition = compose([*COMMON, *words, f"run.root={folder.parent}"])
    check(composition)
    run = RunDir(folder)
    for part in (run.checkpoints, run.plots, run.logs):
        part.mkdir(parents=True)
    write_text(run.config_path, to_yaml(to_plain(composition.config, [])))
    return run


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def call_and_exit(call: Callable[..., Any], *arguments: Any) -> NoReturn:
    """Call a function in a forked process and end the process: with exit code 1 after an exception."""
    try:
        call(*arguments)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)


def in_ranks(number: int, call: Callable[..., Any], *arguments: Any) -> None:
    """Call a function in ``number`` processes of one process group.

    Raises:
        AssertionError: one of them failed.
    """
    context, port = multiprocessing.get_context("fork"), free_port()

    def rank(place: int) -> None:
        os.environ.update(
            TORCHELASTIC_RUN_ID="test", RANK=str(place), LOCAL_RANK=str(place), WORLD_SIZE=str(number),
            LOCAL_WORLD_SIZE=str(number), MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), GROUP_RANK="0",
            TORCHELASTIC_RESTART_COUNT="0",
        )  # fmt: skip
        torch.set_num_threads(1)
        call_and_exit(call, *arguments)

    processes = [context.Process(target=rank, args=(place,)) for place in range(number)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=240)
    still = [process for process in processes if process.is_alive()]
    for process in still:
        process.kill()
    assert not still, "a rank hangs"
    assert [process.exitcode for process in processes] == [0] * number


def trained(folder: Path, number: int, *words: str, callbacks: Sequence[Any] = ()) -> RunDir:
    """Return a finished run, trained on ``number`` ranks."""
    run = written(
        folder,
        *words,
        *(("hardware=cpu_ddp", f"hardware.devices={number}") if number > 1 else ("hardware=cpu",)),
    )
    in_ranks(number, execute, run, callbacks) if number > 1 else execute(run, callbacks)
    return run


def points(run: RunDir) -> dict[str, list]:
    return load_metrics(run.metrics_path)


def results(run: RunDir) -> dict[str, Any]:
    return read_json(run.results_path)


def largest_difference(one: RunDir, other: RunDir, prefix: str = "") -> float:
    """Between the metrics of two runs, at the same steps, relative to their size where that is above one."""
    first, second = points(one), points(other)
    assert first.keys() == second.keys()
    worst = 0.0
    for key in first:
        assert [point[:2] for point in first[key]] == [point[:2] for point in second[key]], key
        if key.startswith(prefix):
            for (*_, a), (*_, b) in zip(first[key], second[key], strict=True):
                worst = max(worst, abs(a - b) / max(1.0, abs(a)))
    return worst
