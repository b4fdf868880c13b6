"""``hardware.measure``: benchmarks precision and memory format where the config leaves them open.

The result replaces null in the run's config, so that a resumed or repeated run computes identically. It is
cached in the root folder for runs, for the same model on the same device.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import nullcontext
from math import prod
from typing import Any

import torch
from filelock import FileLock

from runner.callbacks.random_state import get_random_state, set_random_state
from runner.data.base import DataModule
from runner.distributed.hardware import SMALL_MODEL, ResolvedHardware, cpu_has_bf16, describe_device
from runner.distributed.hardware_timing import Candidate, measure
from runner.distributed.process_info import ProcessInfo
from runner.errors import RunnerError
from runner.run.directory import RunDir
from runner.run.files import read_json, write_json
from runner.tasks.base import Task

__all__ = ["hardware_by_measure"]

NUMBERS = {"cpu": 300_000, "gpu": 5_000_000}
"""Number of values in a benchmark batch: enough to keep the device busy, few enough to be quick."""


def hardware_by_measure(
    run: RunDir,
    config: dict[str, Any],
    data: DataModule,
    make: Callable[[dict[str, Any]], tuple[Task, ResolvedHardware]],
    process_info: ProcessInfo,
) -> tuple[dict[str, Any], str]:
    """Returns the config's ``hardware`` node with the chosen settings, and the reason; equal on all ranks.

    Args:
        run: the run directory, which stores the choice.
        config: the resolved config.
        data: the data module after ``setup``.
        make: builds task and hardware from a config.
        process_info: this process among the ranks.
    """
    node = config["hardware"]
    path = run.path / "hardware.json"
    with FileLock(run.path / ".measure.lock") if process_info.under_agent else nullcontext():
        choice = read_json(path)
        if choice is None:
            choice = measured(run, config, data, make)
            write_json(path, choice)
    if not choice:
        return node, ""
    return node | {
        "precision": choice["precision"],
        "channels_last": choice["channels_last"],
        "measure": False,
    }, choice["reason"]


def measured(
    run: RunDir,
    config: dict[str, Any],
    data: DataModule,
    make: Callable[[dict[str, Any]], tuple[Task, ResolvedHardware]],
) -> dict[str, Any]:
    """Returns precision, memory format and the reason.

    The result is empty if the config sets both or a benchmark is not worthwhile.
    """
    node = config["hardware"]
    if node.get("precision") is not None and node.get("channels_last") is not None:
        return {}
    random = get_random_state()
    try:
        task, chosen = make(config)
        parameters = list(task.model.parameters())
        if sum(p.numel() for p in parameters) < SMALL_MODEL or chosen.accelerator not in NUMBERS:
            return {}
        batch = few_samples(data, chosen.accelerator)
        cache, key = run.path.parent / ".hardware.json", key_of(task, batch, chosen)
        known = read_json(cache, {})
        if key not in known:
            choice = by_the_clock(config["hardware"], task, batch, chosen)
            if "ms_per_step" not in choice:  # not measured: another run may have the time
                return choice
            known = read_json(cache, {}) | {key: choice}
            write_json(cache, known)
        return known[key]
    finally:
        set_random_state(random)


def few_samples(data: DataModule, accelerator: str) -> dict[str, Any]:
    split = data.splits["train"]
    share = max(1, data.batch_size // data.world_size)
    count = NUMBERS[accelerator] // max(1, prod(data.require_facts().input_shape))
    count = max(1, min(share, len(split), max(2, count)))
    return data.on_after_batch_transfer(split.__getitems__([(0, position) for position in range(count)]), 0)


def key_of(task: Task, batch: dict[str, Any], chosen: ResolvedHardware) -> str:
    """Returns the cache key, a hash of everything that the measurements depend on."""
    model = task.model
    shapes = [tuple(parameter.shape) for parameter in model.parameters()]
    sizes = [tuple(sample.shape) for sample in batch["inputs"]] if len(batch["index"]) else []
    words = (
        type(task).__qualname__, type(model).__qualname__, shapes, sizes, torch.__version__, chosen.precision,
        chosen.channels_last, describe_device(chosen.accelerator), torch.get_num_threads(),
    )  # fmt: skip
    return hashlib.sha256(repr(words).encode()).hexdigest()[:32]


def by_the_clock(
    node: dict[str, Any], task: Task, batch: dict[str, Any], chosen: ResolvedHardware
) -> dict[str, Any]:
    on_gpu = chosen.accelerator == "gpu"
    expected = Candidate(chosen.precision.partition("-")[0], chosen.channels_last)
    if node.get("precision") is not None:
        precisions = [expected.precision]
    elif on_gpu:
        precisions = ["32", "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "16"]
    else:
        precisions = ["32", *(["bf16"] if cpu_has_bf16() else [])]
    convolutional = any(isinstance(module, torch.nn.Conv2d) for module in task.model.modules())
    formats = (
        [False, True] if node.get("channels_last") is None and convolutional else [expected.channels_last]
    )
    candidates = [Candidate(precision, layout) for precision in precisions for layout in formats]
    if candidates == [expected]:
        reason = f"{expected}: nothing to measure, the only choice for this model on this device"
        return {"precision": expected.precision, "channels_last": expected.channels_last, "reason": reason}
    try:
        result = measure(task, batch, torch.device("cuda" if on_gpu else "cpu"), expected, candidates)
    except (RunnerError, RuntimeError, ValueError) as error:  # the training itself reports the error in full
        reason = f"{expected}: by rule, since a measurement failed ({type(error).__name__})"
        return {"precision": expected.precision, "channels_last": expected.channels_last, "reason": reason}
    timings = {str(candidate): round(1e3 * took, 3) for candidate, took in result.seconds.items()}
    return {
        "precision": result.chosen.precision,
        "channels_last": result.chosen.channels_last,
        "reason": result.reason,
        **({"ms_per_step": timings} if result.is_complete else {}),
    }
