"""Checks whether this machine or the cluster provides what a config requires."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from runner.config.checks.context import CheckContext
from runner.config.checks.values import is_count, is_number
from runner.config.plain import texts_of
from runner.config.tracking import TRACKING_SCHEMES
from runner.errors import ConfigError, Problem

__all__ = [
    "CLUSTERS",
    "KEYS",
    "batch_division_problems",
    "check_batch_division",
    "device_problems",
    "launcher_problems",
    "launching_problems",
    "run_problems",
    "tracking_store_problems",
    "weights_problems",
]


def batch_division_problems(context: CheckContext) -> list[Problem]:
    """Checks the batch sizes, where the config gives the number of devices and the batch size."""
    hardware, data = context.node("hardware"), context.node("data")
    devices, batch_size = hardware.get("devices", 1), data.get("batch_size")
    if is_count(devices) and is_count(hardware.get("num_nodes")):
        devices *= hardware["num_nodes"]
    if not is_count(devices) or devices == 1 or not is_count(batch_size):
        return []
    eval_batch_size = data.get("eval_batch_size")
    return division_problems(
        batch_size, eval_batch_size if is_count(eval_batch_size) else batch_size, devices
    )


def check_batch_division(batch_size: int, eval_batch_size: int, num_devices: int) -> None:
    """Checks that every device receives the same share of a batch and at least one evaluation sample.

    Args:
        batch_size: number of training samples of all devices together.
        eval_batch_size: number of evaluation samples of all devices together.
        num_devices: number of devices of all machines.

    Raises:
        ConfigError: a batch cannot be divided evenly, or leaves a device without a sample.
    """
    if problems := division_problems(batch_size, eval_batch_size, num_devices):
        raise ConfigError(problems)


def division_problems(batch_size: int, eval_batch_size: int, num_devices: int) -> list[Problem]:
    problems = []
    if batch_size % num_devices:
        next_multiple = -(-batch_size // num_devices) * num_devices
        text = (
            f"data.batch_size={batch_size} is the total batch of all {num_devices} devices, and cannot be "
            "divided evenly."
        )
        remedy = f"Use data.batch_size={next_multiple}, or another number of devices."
        problems.append(Problem("data.batch_size", text, "incompatible", remedy))
    if eval_batch_size < num_devices:
        text = (
            f"data.eval_batch_size={eval_batch_size} is the total batch of all {num_devices} devices: "
            f"expected at least {num_devices}."
        )
        problems.append(Problem("data.eval_batch_size", text, "out_of_bounds"))
    return problems


CLUSTERS = ("slurm", "ray")
"""Launchers whose workers run on other machines, with other devices."""

ALL = ("hang_after_s",)
NODES = ("rendezvous", "wait_for_nodes_s")
KEYS = {
    "local": ("max_restarts", *NODES, *ALL),
    "elastic": ("max_restarts", *NODES, *ALL),
    "slurm": (
        "partition",
        "account",
        "qos",
        "constraint",
        "time_min",
        "save_before_end_s",
        "max_requeues",
        "mem_gb",
        "gpus_per_node",
        "setup",
        "options",
        "follow",
        "cpus_per_worker",
        *ALL,
    ),
    "ray": (
        "max_restarts",
        "wait_for_nodes_s",
        "address",
        "cpus_per_worker",
        "gpus_per_worker",
        "spread",
        *ALL,
    ),
}
"""Launcher kind → the keys that it reads."""

SIGNALLED_EARLIER_S = 60
"""SLURM checks time limits once a minute, so a signal may arrive up to 60 s earlier than requested."""


def launcher_problems(context: CheckContext) -> list[Problem]:
    """Checks the ``launcher`` node, and what else reaches a batch script."""
    launcher = context.node("launcher")
    texts = [*texts_of(launcher, "launcher"), *texts_of(context.node("run"), "run")]
    unprintable = [
        Problem(
            key,
            f"{key}={text!r} contains a control character, such as a line break, and reaches a batch script.",
            "invalid_value",
            "Remove it; launcher.setup takes a list with an entry per line.",
        )
        for key, text in texts
        if not text.isprintable()
    ]
    return [*unprintable, *launching_problems(launcher, context.node("hardware"))]


def launching_problems(launcher: dict[str, Any], hardware: dict[str, Any]) -> list[Problem]:
    """Checks that the launcher reads the given keys and is available here.

    Args:
        launcher: the ``launcher`` node of a config.
        hardware: its ``hardware`` node.
    """
    kind = launcher.get("kind", "local")
    if not isinstance(kind, str) or kind not in KEYS:
        return []  # reported by the check of its type
    known = {key for keys in KEYS.values() for key in keys}
    problems = []
    for key in launcher:
        if key in known and key not in KEYS[kind]:
            owners = " or ".join(f"launcher={other}" for other in KEYS if key in KEYS[other])
            text = f"launcher.{key} would have no effect: it is for {owners}, and this is launcher={kind}."
            problems.append(Problem(f"launcher.{key}", text, "no_effect"))
    if kind == "slurm":
        return [*problems, *slurm_problems(launcher, hardware)]
    if kind == "ray":
        return [*problems, *ray_problems(hardware)]
    return [*problems, *rendezvous_problems(launcher, hardware)]


def rendezvous_problems(launcher: dict[str, Any], hardware: dict[str, Any]) -> list[Problem]:
    """Checks the rendezvous of several machines without a cluster."""
    nodes, endpoint = hardware.get("num_nodes", 1), launcher.get("rendezvous")
    if nodes == 1:
        return [
            Problem(
                f"launcher.{key}",
                f"launcher.{key} would have no effect: hardware.num_nodes is 1.",
                "no_effect",
                "Use hardware=multi_node.",
            )
            for key in NODES
            if launcher.get(key) is not None
        ]
    if not endpoint:
        text = f"hardware.num_nodes={nodes}: the machines need a rendezvous."
        remedy = (
            "Set launcher.rendezvous=HOST:PORT, an address of one of them, and start the same command on "
            "each; or use launcher=slurm or launcher=ray."
        )
        return [Problem("launcher.rendezvous", text, "missing", remedy)]
    host, _, port = str(endpoint).rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        text = f"launcher.rendezvous={endpoint}: expected HOST:PORT, such as 10.0.0.1:29400."
        return [Problem("launcher.rendezvous", text, "invalid_value")]
    return []


def slurm_problems(launcher: dict[str, Any], hardware: dict[str, Any]) -> list[Problem]:
    """Checks that jobs can be submitted from here, and that they have time to train."""
    problems = []
    if importlib.util.find_spec("submitit") is None:
        text = "launcher=slurm needs the package submitit: pip install 'runner[slurm]'."
        problems.append(Problem("launcher", text, "unavailable"))
    absent = [name for name in ("sbatch", "srun", "scontrol") if shutil.which(name) is None]
    if absent:
        text = f"launcher=slurm: {' and '.join(absent)} not found on the PATH of this machine."
        remedy = "Submit from a machine of the SLURM cluster, or omit launcher=slurm to train here."
        problems.append(Problem("launcher", text, "unavailable", remedy))
    minutes, before = launcher.get("time_min", 60), launcher.get("save_before_end_s", 120)
    if is_number(minutes) and is_number(before) and minutes * 60 <= before + 2 * SIGNALLED_EARLIER_S:
        least = -(-(before + 2 * SIGNALLED_EARLIER_S) // 60) + 1
        text = (
            f"launcher.time_min={minutes} leaves no time to train: {before} s before the end "
            "(launcher.save_before_end_s), or a minute earlier, the job has to save."
        )
        remedy = f"Use {least:.0f} minutes or more."
        problems.append(Problem("launcher.time_min", text, "out_of_bounds", remedy))
    if hardware.get("devices") == "all" and not launcher.get("gpus_per_node"):
        text = "hardware.devices=all: the number of GPUs of the job's machines is unknown."
        remedy = "Give their number, or set launcher.gpus_per_node."
        problems.append(Problem("hardware.devices", text, "incompatible", remedy))
    return problems


def ray_problems(hardware: dict[str, Any]) -> list[Problem]:
    problems = []
    if importlib.util.find_spec("ray") is None:
        text = "launcher=ray needs the package ray: pip install 'runner[ray]'."
        problems.append(Problem("launcher", text, "unavailable"))
    if hardware.get("devices") == "all":
        text = "hardware.devices=all is for the GPUs of one machine."
        remedy = "Give their number for launcher=ray."
        problems.append(Problem("hardware.devices", text, "incompatible", remedy))
    return problems


RESERVED_NAMES = ("latest",)
"""Run names that have a special meaning on the command line."""


def device_problems(context: CheckContext) -> list[Problem]:
    """Checks that this machine has the devices, unless the workers run on a cluster."""
    hardware = context.node("hardware")
    devices, accelerator = hardware.get("devices"), hardware.get("accelerator")
    if context.node("launcher").get("kind") in CLUSTERS:
        return []
    if accelerator == "tpu":
        return tpu_problems()
    if accelerator not in ("gpu", "mps") and devices != "all":
        return []
    import torch

    num_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    remedy = "Use hardware=auto or hardware=cpu."
    if accelerator == "mps" and not torch.backends.mps.is_available():
        text = "hardware.accelerator=mps, but PyTorch sees no Apple GPU here."
        return [Problem("hardware.accelerator", text, "unavailable", remedy)]
    if accelerator == "gpu" and not num_gpus:
        text = "hardware.accelerator=gpu, but PyTorch sees no CUDA device here."
        return [Problem("hardware.accelerator", text, "unavailable", remedy)]
    if devices == "all" and (accelerator in ("cpu", "mps") or not num_gpus):
        text = "hardware.devices=all is for the GPUs of a machine, and none can be used here."
        return [Problem("hardware.devices", text, "unavailable", "Give their number.")]
    if accelerator == "gpu" and isinstance(devices, int) and devices > num_gpus:
        text = f"hardware.devices={devices}, but PyTorch sees {num_gpus} CUDA devices here."
        return [Problem("hardware.devices", text, "unavailable")]
    return []


def tpu_problems() -> list[Problem]:
    """Checks that PyTorch/XLA is installed.

    The option only passes ``tpu`` to Lightning and is untested on a TPU.
    """
    if importlib.util.find_spec("torch_xla") is not None:
        return []
    text = "hardware.accelerator=tpu needs PyTorch/XLA and a TPU, and torch_xla is not installed here."
    return [Problem("hardware.accelerator", text, "unavailable", "Use hardware=auto or hardware=cpu.")]


def weights_problems(context: CheckContext) -> list[Problem]:
    """Checks that the file of initial weights exists."""
    weights = context.plain.get("weights")
    if not isinstance(weights, str) or Path(weights).expanduser().is_file():
        return []
    text = f"weights={weights}: no such file."
    return [Problem("weights", text, "not_found", "Give a .safetensors or .pt file.")]


def run_problems(context: CheckContext) -> list[Problem]:
    """Checks the name of the run, and that its folder can be written to."""
    run, problems = context.node("run"), []
    name = run.get("name")
    if isinstance(name, str) and (Path(name).name != name or name.startswith(".") or name in RESERVED_NAMES):
        text = f"run.name={name!r} cannot be the name of a run."
        problems.append(Problem("run.name", text, "invalid_value", "Use letters, digits, '-' and '_'."))
    if isinstance(run.get("root"), str):
        root = Path(run["root"]).expanduser()
        existing = next(folder for folder in (root.absolute(), *root.absolute().parents) if folder.exists())
        if not existing.is_dir() or not os.access(existing, os.W_OK):
            text = f"run.root={run['root']}: {existing} is not a writable folder."
            problems.append(Problem("run.root", text, "unavailable", "Choose another folder."))
    return problems


def has_password(uri: str) -> bool:
    """Return whether an address contains a password, or is malformed with one."""
    try:
        return urlsplit(uri).password is not None
    except ValueError:
        return "@" in uri


def tracking_store_problems(context: CheckContext) -> list[Problem]:
    """Checks that ``tracking.uri`` is an address that MLflow can store runs at."""
    uri = context.node("tracking").get("uri")
    if isinstance(uri, str) and has_password(uri):
        text = "tracking.uri contains a password, which would be stored in the run and its checkpoints."
        remedy = (
            "Remove it, and set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD for a server, or use "
            "~/.pgpass for PostgreSQL."
        )
        return [Problem("tracking.uri", text, "rejected", remedy)]
    if not isinstance(uri, str) or urlsplit(uri).scheme.partition("+")[0] in TRACKING_SCHEMES:
        return []
    text = (
        f"tracking.uri={uri}: expected the address of a server or a database, such as http://127.0.0.1:5000 "
        "or sqlite:////folder/mlflow.db; null is a database next to the runs."
    )
    return [Problem("tracking.uri", text, "invalid_value")]
