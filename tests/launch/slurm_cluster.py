"""A real SLURM of one machine, on the loopback, from the packages ``slurmctld slurmd slurm-client munge``.

``python tests/launch/slurm_cluster.py FOLDER`` starts one and waits for Ctrl-C; ``export
SLURM_CONF=FOLDER/slurm.conf`` makes it the one that ``sbatch`` and ``srun`` talk to.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol", "squeue")
PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])

CONF = """\
ClusterName=loopback
SlurmctldHost={host}(127.0.0.1)
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CryptoType=crypto/munge
SlurmUser=root
SlurmdUser=root
SlurmctldPort={ctld}
SlurmdPort={slurmd}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=2,preempt_youngest_first
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
KillWait=20
MinJobAge=600
ReturnToService=2
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=low Nodes={host} Default=YES PriorityTier=1 PreemptMode=REQUEUE GraceTime=60 \\
  MaxTime=INFINITE State=UP
PartitionName=high Nodes={host} PriorityTier=10 PreemptMode=OFF MaxTime=INFINITE State=UP
"""


def missing() -> str | None:
    """Return why SLURM cannot run on this machine, or None."""
    absent = [name for name in PROGRAMS if shutil.which(name, path=PATH) is None]
    if absent:
        return (
            f"SLURM is not installed here: no {', '.join(absent)} (Debian: slurmctld slurmd slurm-client "
            "munge)"
        )
    return None if os.geteuid() == 0 else "only root can start SLURM's daemons"


class SlurmCluster:
    """
    Args:
        folder: of its configuration, its state and its logs; a short path, for a socket lies in it.
    """

    def __init__(self, folder: Path, cpus: int = 2):
        self.folder = folder
        self.cpus = cpus
        self.environment = {"SLURM_CONF": str(folder / "slurm.conf")}
        self._daemons: list[subprocess.Popen] = []

    def start(self) -> None:
        for name in ("state", "spool"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o755)
        key = self.folder / "munge.key"
        key.write_bytes(secrets.token_bytes(1024))
        key.chmod(0o400)
        ctld, slurmd = free_port(), free_port()
        host = socket.gethostname().partition(".")[0]
        conf = CONF.format(folder=self.folder, host=host, ctld=ctld, slurmd=slurmd, cpus=self.cpus)
        (self.folder / "slurm.conf").write_text(conf, encoding="utf-8")
        files = {name: f"{self.folder}/munge.{name}" for name in ("socket", "key", "pid", "log", "seed")}
        self.daemon(
            "munged", "--foreground", "--force", f"--socket={files['socket']}", f"--key-file={files['key']}",
            f"--pid-file={files['pid']}", f"--log-file={files['log']}", f"--seed-file={files['seed']}",
        )  # fmt: skip
        self.wait_until(lambda: Path(files["socket"]).exists(), "munged")
        self.daemon("slurmctld", "-D")
        self.wait_until(lambda: self.ask("scontrol", "ping").returncode == 0, "slurmctld")
        self.daemon("slurmd", "-D")
        self.wait_until(lambda: "idle" in self.ask("sinfo", "-h", "-o", "%T").stdout, "slurmd")

    def daemon(self, *command: str) -> None:
        with open(self.folder / f"{command[0]}.out", "ab") as output:
            self._daemons.append(
                subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    env=self.full_environment(),
                    start_new_session=True,
                )
            )

    def full_environment(self) -> dict[str, str]:
        return (
            {k: v for k, v in os.environ.items() if not k.startswith("SLURM")}
            | self.environment
            | {"PATH": PATH}
        )

    def ask(self, *command: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            command, env=self.full_environment(), capture_output=True, text=True, timeout=60
        )

    def wait_until(self, condition, what: str) -> None:
        until = time.monotonic() + 60
        while not condition():
            if time.monotonic() > until:
                raise RuntimeError(f"{what} does not come up; see {self.folder}")
            time.sleep(0.2)

    def jobs(self) -> list[str]:
        return self.ask("squeue", "-h", "-o", "%i %T").stdout.split("\n")[:-1]

    def stop(self) -> None:
        for job in self.jobs():
            self.ask("scancel", "--signal=KILL", job.split()[0])
            self.ask("scancel", job.split()[0])
        until = time.monotonic() + 30
        while self.jobs() and time.monotonic() < until:
            time.sleep(0.5)
        for daemon in reversed(self._daemons):
            daemon.send_signal(signal.SIGTERM)
            try:
                daemon.wait(20)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()

    def __enter__(self) -> SlurmCluster:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


if __name__ == "__main__":
    if reason := missing():
        sys.exit(reason)
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, signal.default_int_handler)
    with SlurmCluster(Path(sys.argv[1]).absolute()) as cluster:
        print(f"export SLURM_CONF={cluster.environment['SLURM_CONF']}", flush=True)
        try:
            signal.pause()
        except KeyboardInterrupt:
            pass
