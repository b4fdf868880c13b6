"""The table of former names covers every name that a config of format 0 may contain."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from runner.cli import main
from runner.config.allow_list import resolve_target, why_not_imported
from runner.config.build import build
from runner.config.groups import package_conf
from runner.config.introspect import parameters_of
from runner.errors import ConfigError, UserError
from runner.run.directory import RunDir, find_run
from runner.run.format import FORMAT_VERSION, read_stored_config
from runner.run.migrations import MOVED, migrate_checkpoint, migrate_names
from runner.run.status import read_status, write_status
from runner.sweep.directory import find_sweep

TARGETS = dict(
    line.split(": ")
    for line in (Path(__file__).parent / "targets_format_0.txt").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
)
"""Name of each class or function that a config of format 0 may name → its parameters."""


def write_run(path: Path, **status: Any) -> RunDir:
    path.mkdir(parents=True)
    (path / "config.yaml").write_text("seed: 0\n", encoding="utf-8")
    (path / "status.json").write_text(json.dumps({"state": "finished"} | status), encoding="utf-8")
    return RunDir(path)


@pytest.mark.parametrize("target", TARGETS)
def test_every_former_target_resolves_with_its_arguments(target: str) -> None:
    now = migrate_names(target)
    parameters = parameters_of(resolve_target(now))
    missing = [name for name in TARGETS[target].split() if name not in {*(parameters or {}), "-"}]
    assert not missing, f"{now} no longer takes {missing}: rename the arguments of stored configs"


@pytest.mark.parametrize("former", MOVED)
def test_former_names_are_not_reused(former: str) -> None:
    module, _, name = former.rpartition(".")
    parent = module if name[0].isupper() else former
    try:
        exists = importlib.util.find_spec(parent) is not None
    except ModuleNotFoundError:
        exists = False
    if exists and name[0].isupper():
        exists = hasattr(importlib.import_module(module), name)
    assert not exists, f"{former} exists: configs that name it would be changed to {MOVED[former]}"
    assert migrate_names(MOVED[former]) == MOVED[former], "a current name must not be migrated again"


def test_only_whole_names_are_replaced() -> None:
    former = "runner.callbacks.guards.NonFiniteGuard"
    assert migrate_names(f"_target_: {former}\n") == (
        "_target_: runner.callbacks.non_finite_guard.NonFiniteGuard\n"
    )
    for other in (f"my.{former}", f"my_{former}", "runner.callbacks.guards_of_mine.Guard", "os.system"):
        assert migrate_names(other) == other


def test_migrated_names_pass_the_allow_list() -> None:
    assert not [name for name in MOVED.values() if why_not_imported(f"{name}.Part") is not None]
    with pytest.raises(ConfigError):
        resolve_target(migrate_names("runner.callbacks.guards.torch.load"))


def test_checkpoint_is_migrated_with_its_config() -> None:
    weights = object()
    checkpoint = {
        "state_dict": {"weight": weights},
        "callbacks": {"TrainMetrics{'of': 'loss'}": {"count": 1}, "PassSize": {"size": 4}},
        "recovery": {"epoch": 3, "config": {"data": {"task": ["runner.models.logistic.Logistic", 1]}}},
    }
    migrated = migrate_checkpoint(checkpoint)
    assert migrated["recovery"] == {
        "epoch": 3,
        "config": {"data": {"task": ["runner.models.linear.Logistic", 1]}},
    }
    assert migrated["state_dict"]["weight"] is weights
    assert migrated["callbacks"] == {
        "TrainMetrics{'of': 'loss'}": {"count": 1},
        "MicroBatchSize": {"size": 4},
    }
    assert migrate_checkpoint({"state_dict": {}}) == {"state_dict": {}}
    assert migrate_checkpoint({0: "a file that is not a checkpoint"}) == {
        0: "a file that is not a checkpoint"
    }


def test_stored_configs_are_read_by_the_function_that_migrates_them() -> None:
    package = Path(__file__).parents[2] / "runner"
    direct = re.compile(r"OmegaConf\.load\([\w.]*(?:config_path|base_path|plan_path)\)")
    files = [path.name for path in package.rglob("*.py") if direct.search(path.read_text(encoding="utf-8"))]
    assert files == ["reproduce.py"], "only the original code of a run reads its config as it was written"


def shape_of_state(model: torch.nn.Module) -> str:
    lines = sorted(f"{key} {tuple(value.shape)}" for key, value in model.state_dict().items())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


FACTS = {
    "in_features": 12,
    "num_outputs": 3,
    "num_classes": 3,
    "in_channels": 3,
    "num_features": 0,
    "vocab_size": 50,
    "per_step": False,
    "shorter_side": 64,
    "longer_side": 64,
    "input_steps": 24,
    "horizon_steps": 6,
    "target_columns": [0],
    "image_size": 64,
}


def with_facts(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: with_facts(inner) for key, inner in value.items()}
    if not isinstance(value, str):
        return value
    if value.startswith("${regularization"):
        return 0.1
    fact = re.fullmatch(r"\$\{facts:(\w+)\}", value)
    return FACTS[fact[1]] if fact else {"${pretrained}": False, "???": "resnet18"}.get(value, value)


STATES = json.loads((Path(__file__).parent / "model_states_format_0.json").read_text(encoding="utf-8"))
"""Option of conf/model → digest of the names and shapes of its model's state in format 0."""


@pytest.mark.slow
@pytest.mark.parametrize("option", STATES)
def test_weights_of_format_0_fit_the_models(option: str) -> None:
    node = yaml.safe_load((package_conf() / "model" / f"{option}.yaml").read_text(encoding="utf-8"))
    with torch.device("cpu" if option == "segformer" else "meta"):
        model = build(with_facts(node))
    assert shape_of_state(model) == STATES[option], "checkpoints of format 0 no longer fit this model"


def test_new_runs_have_the_current_format(tmp_path: Path) -> None:
    run = RunDir.create(tmp_path, "new")
    write_status(run, state="created")
    assert json.loads(run.status_path.read_text(encoding="utf-8"))["format_version"] == FORMAT_VERSION


def test_status_without_a_format_is_of_format_0_and_stays_so(tmp_path: Path) -> None:
    run = write_run(tmp_path / "old")
    assert read_status(run).format_version == 0
    write_status(run, state="interrupted")
    assert json.loads(run.status_path.read_text(encoding="utf-8"))["format_version"] == 0


NEWER = FORMAT_VERSION + 1


@pytest.mark.parametrize(
    "verb",
    [
        ["evaluate", "runs/new"],
        ["predict", "new", "1"],
        ["explain", "runs/new"],
        ["embed", "runs/new"],
        ["landscape", "runs/new"],
        ["report", "runs/new"],
        ["compare", "runs/new", "runs/other"],
        ["resume", "latest"],
        ["reproduce", "runs/new"],
        ["train", "runs/new/config.yaml"],
        ["config", "show", "runs/new/config.yaml"],
    ],
    ids=lambda verb: verb[0],
)
def test_newer_format_is_rejected_by_every_verb(
    verb: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "runs" / "new", format_version=NEWER)
    if verb[0] == "compare":
        write_run(tmp_path / "runs" / "other")
    assert main(verb) == 2
    error = capsys.readouterr().err
    assert f"has format {NEWER}, and this version of runner reads formats up to {FORMAT_VERSION}" in error
    assert "Traceback" not in error


def test_newer_sweep_is_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    sweep = tmp_path / "runs" / "search"
    sweep.mkdir(parents=True)
    (sweep / "sweep.yaml").write_text("settings: {}\n", encoding="utf-8")
    (sweep / "status.json").write_text(json.dumps({"format_version": NEWER}), encoding="utf-8")
    for verb in ("show", "best"):
        assert main(["sweep", verb, "search"]) == 2
        assert f"has format {NEWER}" in capsys.readouterr().err
    with pytest.raises(UserError, match=f"has format {NEWER}"):
        find_sweep("latest", tmp_path / "runs")


def test_runs_of_a_newer_format_are_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "runs" / "new", format_version=NEWER, unknown=1)
    assert main(["runs"]) == 0
    assert "new" in capsys.readouterr().out


def test_damaged_status_does_not_hide_the_run(tmp_path: Path) -> None:
    run = write_run(tmp_path / "damaged")
    run.status_path.write_text("{", encoding="utf-8")
    assert find_run(run.path) == run


def test_stored_configs_keep_interpolations(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("data: {seed: '${seed}', _target_: runner.models.resnet.resnet}\n", encoding="utf-8")
    config = read_stored_config(path)
    assert config._get_node("data")._get_node("seed")._value() == "${seed}"
    assert config.data["_target_"] == "runner.models.pretrained.resnet"
    assert (
        yaml.safe_load(path.read_text(encoding="utf-8"))["data"]["_target_"] == "runner.models.resnet.resnet"
    )
