"""Every option of every group composes, and is found to be right."""

from __future__ import annotations

import re
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from runner.config.checks.compatibility import takes
from runner.config.describe import describe
from runner.config.groups import GROUPS, Option, find_groups, package_conf

OPTIONS = [option for options in find_groups().values() for option in options.values()]
ELSEWHERE = {
    "gpu": torch.cuda.is_available(),
    "multi_gpu": torch.cuda.is_available(),
    "multi_node": torch.cuda.is_available(),
    "mps": torch.backends.mps.is_available(),
    "tpu": find_spec("torch_xla") is not None,
    "slurm": shutil.which("sbatch") is not None and find_spec("submitit") is not None,
    "ray": find_spec("ray") is not None,
}
"""Options that need what not every machine has, and whether this one has it."""


def ids(option: Option) -> str:
    return f"{option.group}={option.name}"


def poses(data: Option) -> str:
    """The task a data set chooses."""
    chosen = re.search(r"override\s+/task\S*\s+(\w+)", data.path.read_text())
    return chosen.group(1) if chosen else "classification"


def companions(option: Option) -> list[str]:
    """What has to be chosen beside it: data that need no file, and a model that does their task."""
    groups = find_groups()
    if option.group == "data":
        return [model_for(option, poses(option))]
    if option.name == "multi_node":
        return ["launcher.rendezvous=10.0.0.1:29400"]
    if option.group not in ("task", "model"):
        return []
    task = option.name if option.group == "task" else (option.tasks or ("classification",))[0]
    ready = ("digits", "pass_fail", "diabetes", *groups["data"])
    fitting = [
        groups["data"][n]
        for n in ready
        if task in groups["data"][n].tasks or poses(groups["data"][n]) == task
    ]
    data = next((d for d in fitting if not option.inputs or takes(option, d)), None)
    assert data is not None, f"no data set for {option.group}={option.name}: does one say `# tasks: {task}`?"
    beside = [f"data={data.name}", f"task={task}"]
    return [*beside, model_for(data, task)] if option.group == "task" else beside


def model_for(data: Option, task: str) -> str:
    for name, model in find_groups()["model"].items():
        if task in model.tasks and takes(model, data):
            return f"model={name}"
    raise AssertionError(f"no model for data={data.name}: does one say `# tasks: {task}`?")


@pytest.mark.parametrize("option", OPTIONS, ids=ids)
def test_option_composes_and_passes_the_check(option: Option, find) -> None:
    problems = find(f"{option.group}={option.name}", *companions(option))
    # Files that only the user has, or that a download would bring:
    problems = [problem for problem in problems if not problem.concerns("data")]
    if not ELSEWHERE.get(option.name, True):
        assert {problem.kind for problem in problems} == {"unavailable"}
        assert {problem.key.partition(".")[0] for problem in problems} <= {"hardware", "launcher"}
        return
    assert problems == []


@pytest.mark.parametrize("option", OPTIONS, ids=ids)
def test_option_has_a_summary(option: Option) -> None:
    assert option.path.read_text().startswith("#")
    assert option.summary, f"{option.path} begins with a comment line that says what it is"
    assert option.group in GROUPS
    assert set(option.tasks) <= set(find_groups()["task"])


@pytest.mark.parametrize("option", OPTIONS, ids=ids)
def test_option_keys_can_be_described(option: Option) -> None:
    content = OmegaConf.load(option.path)
    keys = describe(option)
    if "_target_" in content:
        assert {key for key in content if not key.startswith("_") and key != "defaults"} <= {
            key.name for key in keys
        }


def test_first_config_names_every_group() -> None:
    defaults = OmegaConf.load(package_conf() / "runner.yaml").defaults
    named = {next(iter(entry)) for entry in defaults if entry != "_self_"}
    assert {path.name for path in Path(package_conf()).iterdir() if path.is_dir()} <= named | {"sweep"}
