"""Checks of the CPU, its threads, the memory and the devices that torch can use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from runner.cli.doctor.finding import Finding

__all__ = ["devices", "memory", "processor", "threads"]

FAST_BF16 = ("avx512_bf16", "amx_bf16", "bf16")  # the last one is Arm's name
ENOUGH_MEMORY_GIB = 2.0


def processor() -> Iterator[Finding]:
    """Check whether the CPU supports bf16 in hardware."""
    from runner.run.provenance import hardware

    name = hardware().get("cpu") or "unknown processor"
    flags = _cpu_flags()
    if flags & set(FAST_BF16):
        yield Finding(
            "ok", "processor", f"{name}; bf16 in hardware ({', '.join(sorted(flags & set(FAST_BF16)))})"
        )
    else:
        yield Finding("ok", "processor", f"{name}; no bf16 in hardware: fp32 is the faster precision here")


def threads() -> Iterator[Finding]:
    """Check that torch does not use more threads than cores."""
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _cpu_quota()
    usable = min(cores, quota) if quota else cores
    used = torch.get_num_threads()
    requested = os.environ.get("OMP_NUM_THREADS")
    text = f"torch uses {used} of {usable:g} cores" + (f" (OMP_NUM_THREADS={requested})" if requested else "")
    if used > usable + 0.5:
        yield Finding(
            "warn",
            "threads",
            text,
            f"More threads than cores slow each other down. Set OMP_NUM_THREADS={int(usable) or 1}",
        )
    else:
        yield Finding("ok", "threads", text)


def memory() -> Iterator[Finding]:
    """Check the free memory."""
    import psutil

    state = psutil.virtual_memory()
    free_gib, total_gib = state.available / 2**30, state.total / 2**30
    text = f"{free_gib:.1f} of {total_gib:.1f} GiB free"
    if free_gib < ENOUGH_MEMORY_GIB:
        yield Finding(
            "warn", "memory", text, "Close other programs, or use smaller batches (data.batch_size=…)."
        )
    else:
        yield Finding("ok", "memory", text)


def devices() -> Iterator[Finding]:
    """List the devices that torch can use."""
    import torch

    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            device = torch.cuda.get_device_properties(index)
            bf16 = ", bf16" if torch.cuda.is_bf16_supported() else ""
            yield Finding(
                "ok", "devices", f"cuda:{index} {device.name}, {device.total_memory / 2**30:.0f} GiB{bf16}"
            )
    elif torch.backends.mps.is_available():
        yield Finding("ok", "devices", "mps (Apple GPU)")
    elif Path("/dev/nvidia0").exists() or Path("/proc/driver/nvidia").exists():
        remedy = "The driver may be older than torch's CUDA: compare `nvidia-smi` with torch.version.cuda."
        text = f"a GPU exists, but torch {torch.__version__} (CUDA {torch.version.cuda}) cannot use it"
        yield Finding("fail", "devices", text, remedy)
    else:
        yield Finding("ok", "devices", "cpu (no GPU)")


def _cpu_flags() -> set[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return set()
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() in ("flags", "Features"):
            return set(value.split())
    return set()


def _cpu_quota() -> float | None:
    """Return the number of cores that a container may use, from its cgroup; None without a limit."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return None
    return None if quota == "max" else int(quota) / int(period)
