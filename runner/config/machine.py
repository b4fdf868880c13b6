"""Checks whether this machine provides what a config requires: devices, files, folders and a tracking address."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from runner.config.batch_divisibility import dealing_problems
from runner.config.launching import CLUSTERS, launching_problems

__all__ = ["machine_problems"]

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
    """Checks that PyTorch/XLA is installed. The option only passes ``tpu`` to Lightning and is untested on a TPU."""
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
        f"tracking.uri={uri}: expected the address of a server or a database, such as http://127.0.0.1:5000 or "
        "sqlite:////folder/mlflow.db; null is a database next to the runs."
    ]
