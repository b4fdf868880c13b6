"""A real Ray cluster of two nodes in a network namespace that has only the loopback interface.

Inside ``unshare -n``, the script prints the cluster's address and reads commands from its input: ``remove``
removes the second node, the end of the input stops the cluster.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

__all__ = ["RayCluster", "missing"]


PATIENT = {
    "RAY_raylet_start_wait_time_s": "300",
    "RAY_worker_register_timeout_seconds": "300",
    "RAY_health_check_timeout_ms": "60000",
    "RAY_worker_niceness": "0",
}
"""On a busy machine a process of Ray's, of niceness 15, takes longer to start than Ray allows for."""


def missing() -> str | None:
    """Return why a Ray cluster cannot run on this machine, or None."""
    try:
        import ray  # noqa: F401
    except ImportError:
        return "Ray is not installed here: pip install 'runner[ray]'"
    if os.geteuid() != 0 or shutil.which("unshare") is None or shutil.which("nsenter") is None:
        return "a network namespace needs root and util-linux"
    done = subprocess.run(["unshare", "-n", "true"], capture_output=True)
    return None if done.returncode == 0 else "no network namespaces here"


class RayCluster:
    """
    Attributes:
        address: for ``launcher.address``.
        prefix: words before a command that runs in the cluster's network namespace.
    """

    def __init__(self, cpus_per_node: int = 2):
        script = f"ip link set lo up && exec {sys.executable} {__file__} {cpus_per_node}"
        self._process = subprocess.Popen(
            ["unshare", "-n", "sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=os.environ | {"RAY_USAGE_STATS_ENABLED": "0"} | PATIENT,
        )  # fmt: skip
        self.address = self._next()
        self.prefix = ["nsenter", "-t", str(self._process.pid), "-n"]

    def _next(self) -> str:
        for line in self._process.stdout:
            if line.startswith("cluster: "):
                return line.removeprefix("cluster: ").strip()
        raise RuntimeError("the Ray cluster does not come up")

    def remove_node(self) -> None:
        self._process.stdin.write("remove\n")
        self._process.stdin.flush()
        assert self._next() == "removed"

    def __enter__(self) -> RayCluster:
        return self

    def __exit__(self, *_error: object) -> None:
        self._process.stdin.close()
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()


def main(cpus: int) -> None:
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": cpus, "include_dashboard": False})
    second = cluster.add_node(num_cpus=cpus)
    cluster.wait_for_nodes()
    print(f"cluster: {cluster.address}", flush=True)
    for line in sys.stdin:
        if line.strip() == "remove":
            cluster.remove_node(second, allow_graceful=False)
            print("cluster: removed", flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    main(int(sys.argv[1]))
