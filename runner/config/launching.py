"""Checks whether workers can be started as configured, on this machine or on a cluster."""

from __future__ import annotations

import importlib.util
import shutil
from typing import Any

__all__ = ["CLUSTERS", "KEYS", "launching_problems"]

CLUSTERS = ("slurm", "ray")
"""Launchers whose workers run on other machines, with other devices."""

ALL = ("hang_after_s",)
NODES = ("rendezvous", "wait_for_nodes_s")
KEYS = {
    "local": ("max_restarts", *NODES, *ALL),
    "elastic": ("max_restarts", *NODES, *ALL),
    "slurm": (
        "partition", "account", "qos", "constraint", "time_min", "save_before_end_s", "max_requeues", "mem_gb",
        "gpus_per_node", "setup", "options", "follow", "cpus_per_worker", *ALL,
    ),
    "ray": ("max_restarts", "wait_for_nodes_s", "address", "cpus_per_worker", "gpus_per_worker", "spread", *ALL),
}  # fmt: skip
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
            f"hardware.num_nodes={nodes}: the machines need a rendezvous. Set launcher.rendezvous=HOST:PORT, an "
            "address of one of them, and start the same command on each; or use launcher=slurm or launcher=ray."
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
            f"launcher=slurm: {' and '.join(absent)} not found on the PATH of this machine. Submit from a machine "
            "of the SLURM cluster, or omit launcher=slurm to train here."
        )
    minutes, before = launcher.get("time_min", 60), launcher.get("save_before_end_s", 120)
    if is_number(minutes) and is_number(before) and minutes * 60 <= before + 2 * SIGNALLED_EARLIER_S:
        least = -(-(before + 2 * SIGNALLED_EARLIER_S) // 60) + 1
        problems.append(
            f"launcher.time_min={minutes} leaves no time to train: {before} s before the end "
            f"(launcher.save_before_end_s), or a minute earlier, the job has to save. Use {least:.0f} minutes or more."
        )
    if hardware.get("devices") == "all" and not launcher.get("gpus_per_node"):
        problems.append(
            "hardware.devices=all: the number of GPUs of the job's machines is unknown. Give their number, or set "
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
