"""What ``scripts/gpu_check`` tries.

Tensors of a GPU are touched in processes of their own only: see ``alone``.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import torch
import torchvision
from distributed.ranks import COMMON, TINY, in_ranks, largest_difference, points, results, written
from gpu_check.bench import Check, Failed, alone

from runner.config.checks.check import check_config
from runner.config.compose import compose
from runner.distributed.activation_checkpointing import checkpoint_activations
from runner.distributed.hardware import available_accelerator
from runner.distributed.hardware_timing import Candidate, seconds_of_step
from runner.run.directory import RunDir
from runner.run.files import read_json, write_json
from runner.tasks.classification import ClassificationTask
from runner.training.worker import execute

__all__ = ["all_checks"]

GIB = 2**30


def all_checks(num_devices: int) -> list[Check]:
    """Those of the GPU first, where there is one: what the time does not reach is the processor's."""
    cpu, gpu = "cpu", "gpu"
    found = [
        *(Check(cpu, f"train {task}", training(task, "hardware=cpu")) for task in TINY),
        Check(cpu, "2 ranks as 1 (gloo)", ranks_as_one("hardware=cpu", "hardware=cpu_ddp", 2)),
        Check(cpu, "fsdp: save, resume (gloo)", shards_resumed(2, "cpu")),
        Check(cpu, "SIGKILL, resume: same bits", killed_and_resumed("hardware=cpu")),
        *(Check(gpu, f"train {task}", training(task, "hardware=gpu"), 1) for task in TINY),
        Check(
            gpu,
            "train fp16 with scaling",
            training("classification", "hardware=gpu", "hardware.precision=16"),
            1,
        ),
        Check(gpu, "train bf16", training("classification", "hardware=gpu", "hardware.precision=bf16"), 1),
        Check(gpu, "speed: bf16, fp16, layout", speed_ratios, 1),
        Check(gpu, "speed: torch.compile", speed_compiled, 1, timeout_s=150),
        Check(gpu, "hardware=auto measures", measured, 1),
        Check(gpu, "activation checkpointing", checkpointing_memory, 1),
        Check(gpu, "micro-batch that fits 2 GiB", fits_memory, 1),
        Check(gpu, "real out of memory", runs_out, 1),
        Check(
            gpu,
            "SIGKILL, resume: same bits",
            killed_and_resumed("hardware=gpu", "trainer.deterministic=true"),
            1,
        ),
        Check(gpu, "CUDA_VISIBLE_DEVICES", visible_devices, 1),
        Check(gpu, "fsdp: save, resume (1 rank)", shards_resumed(1, "gpu"), 1),
        Check(
            gpu,
            f"ddp over {max(2, num_devices)} GPUs",
            ranks_as_one("hardware=gpu", "hardware=ddp", max(2, num_devices)),
            2,
        ),
        Check(gpu, "fsdp over 2 GPUs", shards_resumed(2, "gpu"), 2),
    ]
    return sorted(found, key=lambda check: check.device == cpu) if num_devices else found


def losses(run: RunDir) -> list[float]:
    return [value for _, _, value in points(run)["train/loss"]]


# Training


def training(task: str, *hardware: str):
    """Some epochs on the little data of a task: the loss is finite, and falls."""

    def check(folder: Path) -> str:
        run = written(folder / "run", *TINY[task], "trainer.max_epochs=3", "optimizer.lr=0.002", *hardware)
        alone(execute, run)
        found = losses(run)
        third = max(1, len(found) // 3)
        first, last = sum(found[:third]) / third, sum(found[-third:]) / third
        if not all(map(math.isfinite, found)) or not last < first:
            raise Failed(f"the loss went from {first:.3f} to {last:.3f}")
        return f"loss {first:.3f} → {last:.3f}, {results(run)['seconds']:.1f} s a run"

    return check


def ranks_as_one(single: str, several: str, number: int):
    def check(folder: Path) -> str:
        words = (
            *TINY["classification"],
            f"data.batch_size={30 * number}",
            "trainer.max_epochs=2",
            "optimizer=sgd",
        )
        one = written(folder / "one", *words, single, "hardware.precision=32", "hardware.channels_last=false")
        alone(execute, one)
        many = written(
            folder / "many", *words, several, f"hardware.devices={number}", "hardware.sync_batchnorm=true",
            "hardware.precision=32", "hardware.channels_last=false",
        )  # fmt: skip
        in_ranks(number, execute, many)
        worst = largest_difference(one, many, "train/")
        if worst > 2e-3:
            raise Failed(f"losses differ by {worst:.1e}")
        return f"losses differ by {worst:.1e}"

    return check


def shards_resumed(number: int, accelerator: str):
    """A run in two attempts, with sharded checkpoints between, against one in one go."""

    def check(folder: Path) -> str:
        words = (
            "data=digits",
            "model=mlp",
            "model.hidden_sizes=[64,64,64]",
            "regularization=none",
            "data.batch_size=64",
            "scheduler=none",
            f"hardware.accelerator={accelerator}",
            "hardware.precision=32",
            "hardware.measure=false",
        )
        whole, broken = (
            unchecked(
                folder / name,
                *words,
                "trainer.max_epochs=2",
                "hardware.strategy=fsdp",
                f"hardware.devices={number}",
            )
            for name in ("whole", "broken")
        )
        in_ranks(number, execute, whole)
        in_ranks(number, execute_until, broken, 1)
        saved = [path for path in broken.checkpoints.iterdir() if path.is_dir()]
        if not saved or not all((path / ".metadata").exists() for path in saved):
            raise Failed("no sharded checkpoint was written")
        in_ranks(number, execute, broken)
        if points(whole) != points(broken):
            raise Failed(f"the resumed run differs by {largest_difference(whole, broken):.1e}")
        return f"{len(list(saved[0].glob('*.distcp')))} shards, resumed bit for bit"

    return check


def unchecked(folder: Path, *words: str) -> RunDir:
    """A run whose config a user would not be let have: one shard."""
    from runner.config.plain import to_plain, to_yaml
    from runner.run.files import write_text

    run = RunDir(folder)
    for part in (run.checkpoints, run.plots, run.logs):
        part.mkdir(parents=True)
    write_text(
        run.config_path, to_yaml(to_plain(compose([*COMMON, *words, f"run.root={folder.parent}"]).config, []))
    )
    return run


class Stop(Exception):
    pass


def execute_until(run: RunDir, epoch: int) -> None:
    import pytorch_lightning as pl

    class Stops(pl.Callback):
        def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
            if trainer.current_epoch == epoch and batch_idx == 2:
                raise Stop

    try:
        execute(run, [Stops()])
    except Stop:
        return
    raise Failed("it came to its end")


def killed_and_resumed(*hardware: str):
    def check(folder: Path) -> str:
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
        words = (
            *TINY["classification"],
            "regularization.dropout=0",
            "trainer.max_epochs=4",
            "checkpoint.every_n_steps=5",
            "checkpoint.keep_last=3",
            "hardware.precision=32",
            "hardware.channels_last=false",
            *hardware,
        )
        whole, killed = written(folder / "whole", *words), written(folder / "killed", *words)
        alone(execute, whole)
        alone(execute, killed, kill_when=lambda: len(list(killed.checkpoints.glob("step-*"))) >= 2)
        alone(execute, killed)
        if points(whole) != points(killed):
            raise Failed(f"the resumed run differs by {largest_difference(whole, killed):.1e}")
        return f"{len(losses(whole))} steps, no bit differs"

    return check


# Speed and memory


def big_task() -> ClassificationTask:
    torch.manual_seed(0)
    return ClassificationTask(
        torchvision.models.resnet50(num_classes=10), class_names=[str(n) for n in range(10)]
    )


def big_batch(count: int) -> dict[str, torch.Tensor]:
    return {
        "inputs": torch.randn(count, 3, 224, 224, device="cuda"),
        "targets": torch.randint(10, (count,), device="cuda"), "index": torch.arange(count, device="cuda"),
    }  # fmt: skip


def from_child(folder: Path, call: Any) -> Any:
    """What a function found on the GPU, in a process of its own."""
    alone(lambda: write_json(folder / "found.json", call()))
    return read_json(folder / "found.json")


def speed_ratios(folder: Path) -> str:
    def call() -> dict[str, float]:
        kinds = [("32", False), ("32", True), ("bf16", False), ("bf16", True), ("16", True)]
        task, batch, device = big_task(), big_batch(64), torch.device("cuda")
        return {
            str(one): seconds_of_step(task, batch, device, one)
            for one in (Candidate(*kind) for kind in kinds)
        }

    found = from_child(folder, call)
    base = found["32-bit"]
    return f"ResNet-50, 64 × 224 px: 32-bit {64 / base:.0f} images/s; " + ", ".join(
        f"{name} × {base / took:.2f}" for name, took in found.items() if name != "32-bit"
    )


def speed_compiled(folder: Path) -> str:
    def call() -> list[float]:
        import time

        batch, times = big_batch(64), []
        for compiled in (False, True):
            task = big_task().cuda()
            task.model.to(memory_format=torch.channels_last)
            task.channels_last = True
            if compiled:
                task.model.compile()
            for count in (4, 10):  # the first ones compile
                torch.cuda.synchronize()
                begin = time.perf_counter()
                for _ in range(count):
                    with torch.autocast("cuda", torch.bfloat16):
                        loss = task.training_step(batch, 0)
                    loss.backward()
                torch.cuda.synchronize()
                took = (time.perf_counter() - begin) / count
            times.append(took)
        return times

    plain, compiled = from_child(folder, call)
    return f"ResNet-50 bf16 channels-last: × {plain / compiled:.2f} of {64 / plain:.0f} images/s"


def measured(folder: Path) -> str:
    words = (
        "data=digits",
        "model=resnet18_small",
        "regularization=none",
        "data.batch_size=64",
        "trainer.max_steps=3",
    )
    run = written(folder / "run", *words, "hardware=auto", "+trainer.limit_val_batches=1")
    alone(execute, run)
    return read_json(run.path / "hardware.json")["reason"]


def checkpointing_memory(folder: Path) -> str:
    def call() -> list[Any]:
        batch, found, gradients = big_batch(64), [], []
        for thrifty in (False, True):
            task = big_task().cuda()
            if thrifty:
                checkpoint_activations(task.model)
            torch.cuda.reset_peak_memory_stats()
            base = torch.cuda.memory_allocated()
            task.training_step(batch, 0).backward()
            found.append((torch.cuda.max_memory_allocated() - base) / GIB)
            gradients.append(torch.cat([p.grad.flatten() for p in task.parameters()]).cpu())
        scale = gradients[0].abs().max()
        return [*found, float((gradients[0] - gradients[1]).abs().max() / scale)]

    plain, thrifty, difference = from_child(folder, call)
    if not thrifty < 0.7 * plain or difference > 1e-3:
        raise Failed(f"{thrifty:.2f} of {plain:.2f} GiB, gradients differ by {difference:.1e}")
    return f"ResNet-50, 64 × 224 px: {plain:.2f} → {thrifty:.2f} GiB; gradients differ by {difference:.0e}"


SEGMENTER = (
    "data=shapes_segmentation",
    "data.num_train=128",
    "data.num_val=4",
    "data.num_test=0",
    "data.image_size=128",
    "data.batch_size=128",
    "model=unet",
    "regularization=none",
    "trainer.max_epochs=1",
    "hardware=gpu",
    "hardware.precision=32",
    "hardware.channels_last=false",
)


def within(limit_gib: float, run: RunDir, folder: Path) -> None:
    """A run in a process that the allocator gives no more than so much."""
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(limit_gib * GIB / total)
    execute(run)
    write_json(folder / "peak.json", torch.cuda.max_memory_allocated() / GIB)


def fits_memory(folder: Path) -> str:
    run = written(folder / "run", *SEGMENTER, "hardware.micro_batch=auto", "hardware.memory_gib=2")
    alone(within, 2, run, folder)
    from omegaconf import OmegaConf

    size, peak = OmegaConf.load(run.config_path).hardware.micro_batch, read_json(folder / "peak.json")
    log = (run.logs / "rank0.log").read_text()
    if size is None or "out of memory" in log:
        raise Failed(
            f"it chose {size} samples, and the memory was {'not ' if 'out of memory' in log else ''}enough"
        )
    return f"{size} of 128 samples at once, {peak:.2f} of 2 GiB filled"


def runs_out(folder: Path) -> str:
    run = written(folder / "run", *SEGMENTER)
    alone(within, 1.5, run, folder)
    if "out of memory" not in (run.logs / "rank0.log").read_text():
        raise Failed("1.5 GiB were enough")
    halvings = (run.logs / "rank0.log").read_text().count("out of memory with")
    size = 128 >> halvings
    asked = written(folder / "asked", *SEGMENTER, f"hardware.micro_batch={size}")
    alone(execute, asked)
    worst = largest_difference(run, asked)
    if worst > 1e-3:
        raise Failed(f"the run that halved to {size} differs from one that began so by {worst:.1e}")
    return f"halved {halvings} × to {size} of 128; differs from a run that began so by {worst:.0e}"


def visible_devices(folder: Path) -> str:
    def hidden() -> list[Any]:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
        return [available_accelerator(), check_config(compose(["hardware=gpu"]))]

    def one() -> list[Any]:
        os.environ["CUDA_VISIBLE_DEVICES"] = "0"
        return [
            torch.cuda.device_count(),
            check_config(compose(["hardware=multi_gpu", "hardware.devices=2"])),
        ]

    accelerator, refused = from_child(folder, hidden)
    count, too_many = from_child(folder, one)
    if accelerator != "cpu" or not refused or count != 1 or not too_many:
        raise Failed(f"hidden: {accelerator}, {refused}; one: {count}, {too_many}")
    return "hidden: the processor, hardware=gpu refused; one: two are refused"
