"""Samples the usage of CPU, memory, disk, network and GPU during a run.

MLflow 3.17's own monitor sends to the store directly, so that samples are lost while the store is
unavailable, and it measures its own process instead of the training.
"""

from __future__ import annotations

import shutil
import subprocess
import threading
from pathlib import Path

import psutil

from runner.run.journal import Journal

__all__ = ["SystemSampler", "sample_gpus"]

FIRST_INTERVAL_S = 1.0
LAST_INTERVAL_S = 10.0
GPU_QUERY = [
    "--query-gpu=utilization.gpu,memory.used,memory.total,power.draw",
    "--format=csv,noheader,nounits",
]
MIB = 2**20 / 1e6  # nvidia-smi counts in MiB, MLflow's metric names in megabytes


class SystemSampler(threading.Thread):
    """Writes a point to a journal at intervals that grow from one to ten seconds.

    The names are those that MLflow's dashboard shows under *System metrics*. One sample costs a few
    milliseconds.

    Args:
        path: the journal; an existing one is continued.
        pid: the process whose memory is reported separately, including its children's.
    """

    def __init__(self, path: Path, pid: int) -> None:
        super().__init__(name="system-metrics", daemon=True)
        self.path = path
        self.pid = pid
        self._stopped = threading.Event()
        self._network = psutil.net_io_counters()

    def run(self) -> None:
        """Sample until `stop` is called."""
        journal = Journal(self.path)
        step = _num_lines(self.path)
        interval_s = FIRST_INTERVAL_S
        psutil.cpu_percent()  # psutil measures the usage since the previous call
        while not self._stopped.wait(interval_s):
            journal.log(step, 0, self.sample())
            journal.flush()
            step += 1
            interval_s = min(interval_s * 1.5, LAST_INTERVAL_S)
        journal.close()

    def stop(self) -> None:
        """End the thread."""
        self._stopped.set()
        if self.is_alive():
            self.join(timeout=10)

    def sample(self) -> dict[str, float]:
        """Return the current usage by metric name."""
        memory = psutil.virtual_memory()
        disk = psutil.disk_usage(str(self.path.parent))
        values = {
            "cpu_utilization_percentage": psutil.cpu_percent(),
            "system_memory_usage_megabytes": memory.used / 1e6,
            "system_memory_usage_percentage": 100 * memory.used / memory.total,
            "disk_usage_percentage": disk.percent,
            "disk_available_megabytes": disk.free / 1e6,
            "run_memory_usage_megabytes": self._own_memory() / 1e6,
        }
        network = psutil.net_io_counters()
        if network is not None and self._network is not None:
            values["network_receive_megabytes"] = (network.bytes_recv - self._network.bytes_recv) / 1e6
            values["network_transmit_megabytes"] = (network.bytes_sent - self._network.bytes_sent) / 1e6
        values |= sample_gpus()
        return {f"system/{key}": round(value, 1) for key, value in values.items()}

    def _own_memory(self) -> int:
        """Return the resident memory of the run's process and its children without this process, in bytes."""
        total = 0
        try:
            worker = psutil.Process(self.pid)
            processes = [worker, *worker.children(recursive=True)]
        except psutil.Error:
            return 0
        for process in processes:
            try:
                total += process.memory_info().rss if process.pid != psutil.Process().pid else 0
            except psutil.Error:
                continue
        return total


def sample_gpus() -> dict[str, float]:
    """Return utilization, memory and power of each NVIDIA GPU; empty without one."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return {}
    try:
        output = subprocess.run([program, *GPU_QUERY], capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return {}
    values: dict[str, float | None] = {}
    for index, line in enumerate(output.stdout.strip().splitlines()):
        fields = [_number(field) for field in line.split(",")]
        if len(fields) != 4:
            continue
        use, used, total, power = fields
        values[f"gpu_{index}_utilization_percentage"] = use
        values[f"gpu_{index}_power_usage_watts"] = power
        if used is not None and total:
            values[f"gpu_{index}_memory_usage_megabytes"] = used * MIB
            values[f"gpu_{index}_memory_usage_percentage"] = 100 * used / total
    return {key: value for key, value in values.items() if value is not None}


def _number(field: str) -> float | None:
    try:
        return float(field)
    except ValueError:  # "[N/A]" if the device does not report a value
        return None


def _num_lines(path: Path) -> int:
    with open(path, "rb") as file:
        return sum(1 for _ in file)
