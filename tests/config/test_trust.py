"""Configs of run directories that this user has not written need ``--trust`` for own code and commands."""

from __future__ import annotations

import json
import shutil
import stat
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from runner.config.checks.check import check_config
from runner.config.compose import compose
from runner.config.trust import SIGNATURE, TRUST, guarded_values, reject_untrusted, sign, user_key
from runner.errors import UserError

pytestmark = pytest.mark.attack("received runs")

OWN_CODE = {"model": {"_target_": "mine.Net", "inner": {"_target_": "torch.nn.ReLU"}}}
COMMANDS = {"launcher": {"kind": "slurm", "setup": ["touch marker"], "options": {"wrap": "x"}}}
CLUSTER = {"launcher": {"kind": "ray", "address": "203.0.113.1:6379"}}
HARMLESS = {
    "model": {"_target_": "torch.nn.ReLU"},
    "launcher": {"setup": [], "options": {}, "address": "auto"},
}


@pytest.fixture(autouse=True)
def untrusting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(TRUST, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))


@pytest.mark.parametrize(
    ("config", "values"),
    [
        (OWN_CODE, ["_target_: mine.Net"]),
        (COMMANDS, ['launcher.setup: ["touch marker"]', 'launcher.options: {"wrap": "x"}']),
        (CLUSTER, ["launcher.address: 203.0.113.1:6379"]),
        (HARMLESS, []),
    ],
)
def test_guarded_values_need_a_signature(tmp_path: Path, config: dict, values: list[str]) -> None:
    assert guarded_values(config) == values
    if not values:
        reject_untrusted(tmp_path, config)
        return
    with pytest.raises(UserError, match="--trust") as error:
        reject_untrusted(tmp_path, OmegaConf.create(config))
    assert all(value in str(error.value) for value in values)
    sign(tmp_path, config)
    reject_untrusted(tmp_path, OmegaConf.create(config))


def test_signature_is_valid_for_its_values_only(tmp_path: Path) -> None:
    sign(tmp_path, OWN_CODE)
    reject_untrusted(tmp_path, OWN_CODE | {"optimizer": {"lr": 0.1}})
    for other in (COMMANDS, {"model": {"_target_": "mine.Other"}}, OWN_CODE | COMMANDS):
        with pytest.raises(UserError):
            reject_untrusted(tmp_path, other)


def test_signature_of_another_user_is_invalid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sign(tmp_path, OWN_CODE)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "other"))
    with pytest.raises(UserError):
        reject_untrusted(tmp_path, OWN_CODE)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"0" * 64])
def test_damaged_signature_is_invalid(tmp_path: Path, content: bytes) -> None:
    (tmp_path / SIGNATURE).write_bytes(content)
    with pytest.raises(UserError):
        reject_untrusted(tmp_path, OWN_CODE)


def test_trust_signs_the_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TRUST, "1")
    reject_untrusted(tmp_path, OWN_CODE)
    monkeypatch.delenv(TRUST)
    reject_untrusted(tmp_path, OWN_CODE)


def test_only_the_user_can_read_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert user_key() == user_key()
    assert stat.S_IMODE((tmp_path / "home" / "runner" / "key").stat().st_mode) == 0o600
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "file"))
    assert user_key() is None
    sign(tmp_path, OWN_CODE)
    assert not (tmp_path / SIGNATURE).exists()


def test_config_of_a_received_run_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("trusted_nets.py").write_text("from torch import nn\n\n\nclass Net(nn.Linear):\n    pass\n")
    made = compose(["model={_target_:trusted_nets.Net,in_features:64,out_features:10}", "data=digits"]).config
    run = tmp_path / "runs" / "received"
    run.mkdir(parents=True)
    OmegaConf.save(made, run / "config.yaml")
    (run / "status.json").write_text(json.dumps({"state": "finished", "format_version": 1}))
    with pytest.raises(UserError, match=r"trusted_nets\.Net"):
        compose([], run / "config.yaml")
    monkeypatch.setenv(TRUST, "1")
    assert compose([], run / "config.yaml").config.model._target_ == "trusted_nets.Net"
    monkeypatch.delenv(TRUST)
    shutil.copytree(run, tmp_path / "copy")
    compose([], tmp_path / "copy" / "config.yaml")


@pytest.mark.parametrize("key", ["setup: [touch marker]", "options: {wrap: x}", "address: 'host:1'"])
def test_experiment_contains_no_commands(tmp_path: Path, key: str) -> None:
    (tmp_path / "received.yaml").write_text(f"launcher: {{{key}}}")
    problems = compose([], tmp_path / "received.yaml").problems
    assert [(item.key, item.kind) for item in problems] == [
        (f"launcher.{key.partition(':')[0]}", "not_allowed")
    ]


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ('launcher.partition="a\\nb"', "launcher.partition"),
        ('launcher.setup=["a\\u001b"]', "launcher.setup[0]"),
        ('run.name="a\\nrm"', "run.name"),
    ],
)
def test_control_characters_do_not_reach_a_batch_script(line: str, key: str) -> None:
    value = json.loads(line.partition("=")[2])
    composition = compose(["launcher=slurm"])
    OmegaConf.update(composition.config, key.partition("[")[0], value)
    found = [(item.key, item.kind) for item in check_config(composition)]
    assert (key, "invalid_value") in found
