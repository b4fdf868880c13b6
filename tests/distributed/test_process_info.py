"""Which rank a process is."""

import pytest

from runner.distributed.process_info import ProcessInfo, master_of_step


def test_single_process_is_the_only_rank() -> None:
    assert ProcessInfo.here({}) == ProcessInfo() and ProcessInfo().is_first
    assert ProcessInfo.here({"RANK": "3", "WORLD_SIZE": "8"}) == ProcessInfo(), (
        "left behind by something else"
    )


def test_elastic_agent_environment() -> None:
    environment = {
        "TORCHELASTIC_RUN_ID": "x",
        "RANK": "3",
        "WORLD_SIZE": "8",
        "LOCAL_RANK": "1",
        "LOCAL_WORLD_SIZE": "2",
        "TORCHELASTIC_RESTART_COUNT": "2",
    }
    process_info = ProcessInfo.here(environment)
    assert process_info == ProcessInfo(3, 8, 1, 2, 2, True, "torchrun") and not process_info.is_first
    assert process_info.num_nodes == 4


STEP = {
    "SLURM_JOB_ID": "12",
    "SLURM_STEP_ID": "0",
    "SLURM_PROCID": "5",
    "SLURM_LOCALID": "1",
    "SLURM_STEP_NUM_TASKS": "8",
    "SLURM_STEP_TASKS_PER_NODE": "4(x2)",
    "SLURM_STEP_NODELIST": "gpu[007-008,11]",
    "SLURM_STEP_NUM_NODES": "2",
}


def test_srun_environment() -> None:
    assert ProcessInfo.here(STEP) == ProcessInfo(5, 8, 1, 4, 0, True, "srun")
    assert ProcessInfo.here(STEP | {"SLURM_RESTART_COUNT": "2"}).restart == 2


def test_batch_script_is_not_a_slurm_step_task() -> None:
    assert ProcessInfo.here({"SLURM_JOB_ID": "12", "SLURM_PROCID": "0", "SLURM_NTASKS": "2"}) == ProcessInfo()
    assert ProcessInfo.here(STEP | {"SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0"}) == ProcessInfo()


def test_torchrun_within_a_slurm_step_takes_precedence() -> None:
    inner = {"TORCHELASTIC_RUN_ID": "x", "RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1"}
    assert ProcessInfo.here(STEP | inner).started_by == "torchrun"


def test_pytorch_environment_variables_are_sufficient() -> None:
    environment = {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "1234"}
    assert ProcessInfo.here(environment) == ProcessInfo(1, 2, 0, 1, 0, True, "environment")


@pytest.mark.parametrize(
    ("nodes", "first"),
    [("gpu[007-008,11]", "gpu007"), ("gpu[3,5]", "gpu3"), ("a1,b2", "a1"), ("solo", "solo")],
)
def test_master_address_is_the_first_node(nodes: str, first: str) -> None:
    assert master_of_step(STEP | {"SLURM_STEP_NODELIST": nodes})[0] == first
    assert (
        master_of_step(STEP | {"SLURM_STEP_NODELIST": nodes, "SLURM_STEP_NUM_NODES": "1"})[0] == "127.0.0.1"
    )


def test_slurm_steps_of_a_job_use_different_ports() -> None:
    ports = {master_of_step(STEP | {"SLURM_STEP_ID": str(step)})[1] for step in range(20)}
    assert len(ports) == 20 and all(20_000 <= port < 32_768 for port in ports)
