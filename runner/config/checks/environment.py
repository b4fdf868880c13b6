"""Checks whether this machine or the cluster provides what a config requires."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from runner.errors import ConfigError

__all__ = ["CLUSTERS", "KEYS", "check_dealing", "dealing_problems", "launching_problems", "machine_problems"]


def dealing_problems(hardware: dict[str, Any], data: dict[str, Any]) -> list[str]:
    """Problems with the batch sizes, where the config gives the number of devices and the batch size."""
    devices, batch_size = hardware.get("devices", 1), data.get("batch_size")
    if is_count(devices) and is_count(hardware.get("num_nodes")):
        devices *= hardware["num_nodes"]
    if not is_count(devices) or devices == 1 or not is_count(batch_size):
        return []
    eval_batch_size = data.get("eval_batch_size")
    return problems_of(batch_size, eval_batch_size if is_count(eval_batch_size) else batch_size, devices)


def check_dealing(batch_size: int, eval_batch_size: int, num_devices: int) -> None:
    """Checks that every device receives the same share of a training batch and at least one evaluation
    sample.

    Raises:
        ConfigError: a batch cannot be divided evenly, or leaves a device without a sample.
    """
    if problems := problems_of(batch_size, eval_batch_size, num_devices):
        raise ConfigError(problems)


def problems_of(batch_size: int, eval_batch_size: int, num_devices: int) -> list[str]:
    problems = []
    if batch_size % num_devices:
        next_multiple = -(-batch_size // num_devices) * num_devices
        problems.append(
            f"data.batch_size={batch_size} is the total batch of all {num_devices} devices, and cannot be "
            "divided "
            f"evenly. Use data.batch_size={next_multiple}, or another number of devices."
        )
    if eval_batch_size < num_devices:
        problems.append(
            f"data.eval_batch_size={eval_batch_size} is the total batch of all {num_devices} devices: "
            "expected at "
            f"least {num_devices}."
        )
    return problems


def is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


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


def launching_problems(launcher: dict[str, Any], hardware: dict[str, Any]) -> list[str]:
    kind = launcher.get("kind", "local")
    if kind not in KEYS:
        return []  # reported by the check of its type
    known = {key for keys in KEYS.values() for key in keys}
    problems = []
    for key in launcher:
        if key in known and key not in KEYS[kind]:
            owners = " or ".join(f"launcher={other}" for other in KEYS if key in KEYS[other])
            problems.append(
                f"launcher.{key} would have no effect: it is for {owners}, and this is launcher={kind}."
            )
    if kind == "slurm":
        return [*problems, *slurm_problems(launcher, hardware)]
    if kind == "ray":
        return [*problems, *ray_problems(hardware)]
    return [*problems, *node_problems(launcher, hardware)]


def node_problems(launcher: dict[str, Any], hardware: dict[str, Any]) -> list[str]:
    """Checks the rendezvous of several machines without a cluster."""
    nodes, place = hardware.get("num_nodes", 1), launcher.get("rendezvous")
    if nodes == 1:
        keys = [key for key in NODES if launcher.get(key) is not None]
        return [
            f"launcher.{key} would have no effect: hardware.num_nodes is 1. Use hardware=multi_node."
            for key in keys
        ]
    if not place:
        return [
            f"hardware.num_nodes={nodes}: the machines need a rendezvous. Set "
            "launcher.rendezvous=HOST:PORT, an "
            "address of one of them, and start the same command on each; or use launcher=slurm or "
            "launcher=ray."
        ]
    host, _, port = str(place).rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        return [f"launcher.rendezvous={place}: expected HOST:PORT, such as 10.0.0.1:29400."]
    return []


def slurm_problems(launcher: dict[str, Any], hardware: dict[str, Any]) -> list[str]:
    problems = []
    if importlib.util.find_spec("submitit") is None:
        problems.append("launcher=slurm needs the package submitit: pip install 'runner[slurm]'.")
    absent = [name for name in ("sbatch", "srun", "scontrol") if shutil.which(name) is None]
    if absent:
        problems.append(
            f"launcher=slurm: {' and '.join(absent)} not found on the PATH of this machine. Submit from a "
            "machine "
            "of the SLURM cluster, or omit launcher=slurm to train here."
        )
    minutes, before = launcher.get("time_min", 60), launcher.get("save_before_end_s", 120)
    if is_number(minutes) and is_number(before) and minutes * 60 <= before + 2 * SIGNALLED_EARLIER_S:
        least = -(-(before + 2 * SIGNALLED_EARLIER_S) // 60) + 1
        problems.append(
            f"launcher.time_min={minutes} leaves no time to train: {before} s before the end "
            f"(launcher.save_before_end_s), or a minute earlier, the job has to save. Use {least:.0f} "
            "minutes or more."
        )
    if hardware.get("devices") == "all" and not launcher.get("gpus_per_node"):
        problems.append(
            "hardware.devices=all: the number of GPUs of the job's machines is unknown. Give their number, "
            "or set "
            "launcher.gpus_per_node."
        )
    return problems


def ray_problems(hardware: dict[str, Any]) -> list[str]:
    problems = []
    if importlib.util.find_spec("ray") is None:
        problems.append("launcher=ray needs the package ray: pip install 'runner[ray]'.")
    if hardware.get("devices") == "all":
        problems.append(
            "hardware.devices=all is for the GPUs of one machine. Give their number for launcher=ray."
        )
    return problems


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


STORES = ("http", "https", "sqlite", "postgresql", "mysql", "mssql", "databricks")
"""URI schemes of MLflow's tracking stores."""

RESERVED_NAMES = ("latest",)
"""Run names that have a special meaning on the command line."""


def machine_problems(plain: dict[str, Any]) -> list[str]:
    def node(name: str) -> dict[str, Any]:
        return plain[name] if isinstance(plain.get(name), dict) else {}

    return [
        *launching_problems(node("launcher"), node("hardware")),
        *([] if node("launcher").get("kind") in CLUSTERS else device_problems(node("hardware"))),
        *dealing_problems(node("hardware"), node("data")),
        *weights_problems(plain.get("weights")),
        *run_problems(node("run")),
        *store_problems(node("tracking")),
    ]


def device_problems(hardware: dict[str, Any]) -> list[str]:
    devices, wanted = hardware.get("devices"), hardware.get("accelerator")
    if wanted == "tpu":
        return tpu_problems()
    if wanted not in ("gpu", "mps") and devices != "all":
        return []
    import torch

    num_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    remedy = "Use hardware=auto or hardware=cpu."
    if wanted == "mps" and not torch.backends.mps.is_available():
        return [f"hardware.accelerator=mps, but PyTorch sees no Apple GPU here. {remedy}"]
    if wanted == "gpu" and not num_gpus:
        return [f"hardware.accelerator=gpu, but PyTorch sees no CUDA device here. {remedy}"]
    if devices == "all" and (wanted in ("cpu", "mps") or not num_gpus):
        return [
            "hardware.devices=all is for the GPUs of a machine, and there is none to use. Give their number."
        ]
    if wanted == "gpu" and isinstance(devices, int) and devices > num_gpus:
        return [f"hardware.devices={devices}, but PyTorch sees {num_gpus} CUDA devices here."]
    return []


def tpu_problems() -> list[str]:
    """Checks that PyTorch/XLA is installed.

    The option only passes ``tpu`` to Lightning and is untested on a TPU.
    """
    if importlib.util.find_spec("torch_xla") is not None:
        return []
    return [
        "hardware.accelerator=tpu needs PyTorch/XLA and a TPU, and torch_xla is not installed here. "
        "Use hardware=auto or hardware=cpu."
    ]


def weights_problems(weights: Any) -> list[str]:
    if not isinstance(weights, str) or Path(weights).expanduser().is_file():
        return []
    return [f"weights={weights}: no such file. Give a .safetensors or .pt file."]


def run_problems(run: dict[str, Any]) -> list[str]:
    problems = []
    name = run.get("name")
    if isinstance(name, str) and (Path(name).name != name or name.startswith(".") or name in RESERVED_NAMES):
        problems.append(f"run.name={name!r} cannot be the name of a run. Use letters, digits, '-' and '_'.")
    if isinstance(run.get("root"), str):
        root = Path(run["root"]).expanduser()
        existing = next(folder for folder in (root.absolute(), *root.absolute().parents) if folder.exists())
        if not existing.is_dir() or not os.access(existing, os.W_OK):
            problems.append(
                f"run.root={run['root']}: {existing} is not a writable folder. Choose another folder."
            )
    return problems


def store_problems(tracking: dict[str, Any]) -> list[str]:
    uri = tracking.get("uri")
    if not isinstance(uri, str) or urlsplit(uri).scheme.partition("+")[0] in STORES:
        return []
    return [
        f"tracking.uri={uri}: expected the address of a server or a database, such as http://127.0.0.1:5000 "
        "or "
        "sqlite:////folder/mlflow.db; null is a database next to the runs."
    ]
