"""Received runs and sweeps: their configs import no modules, run no commands and reach no other machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runner.config.compose import compose
from runner.config.trust import TRUST, guarded_values, reject_untrusted, sign
from runner.errors import UserError
from runner.launch.local import prepare
from runner.launch.resume import prepare_resume
from runner.run.directory import RunDir

pytestmark = pytest.mark.attack("received runs")

NET = {"_target_": "mine.Net", "in_features": 64, "out_features": 10}
VERBS = [
    ["train", "{}/config.yaml"],
    ["train", "{}/config.yaml", "trainer.max_epochs=1"],
    ["find-lr", "{}/config.yaml"],
    ["data", "inspect", "{}/config.yaml"],
    ["config", "check", "{}/config.yaml"],
    ["config", "check", "{}"],
    ["resume", "{}"],
    ["resume", "{}", "trainer.max_epochs=3"],
    ["train", "resume=auto", "run.name=received", "model=mlp", "data=digits", "tracking=none"],
]
INTERPOLATED = [
    "${oc.create:{_target_:mine.Net,in_features:64,out_features:10}}",
    "${oc.decode:'{_target_: mine.Net, in_features: 64, out_features: 10}'}",
    "${oc.select:run.evil}",
]


@pytest.mark.parametrize("words", VERBS, ids=" ".join)
def test_own_code_is_not_imported_for_a_received_run(words, victim, marker, module, receive, call) -> None:
    module(victim / "mine.py")
    run = receive("received", model=NET)
    code, output = call(*(word.format(run) for word in words))
    assert code == 2 and not marker.exists(), output
    assert "mine.Net" in output and "--trust" in output


@pytest.mark.parametrize("text", INTERPOLATED)
def test_interpolations_of_a_received_run_construct_nothing(
    text, victim, marker, module, receive, call
) -> None:
    module(victim / "mine.py")
    for key, message in (("model", "model is a text"), ("model.inner", "--trust")):
        run = receive(f"received_{key}", **{key: text})
        for words in (["resume", str(run)], ["train", f"{run}/config.yaml"]):
            code, output = call(*words)
            assert code == 2 and not marker.exists() and message in output, output


@pytest.mark.parametrize(
    "launcher",
    [
        {"kind": "slurm", "setup": ["touch marker"]},
        {"kind": "slurm", "options": {"wrap": "touch marker"}},
        {"kind": "ray", "address": "203.0.113.1:6379"},
        {"kind": "local", "rendezvous": "203.0.113.1:29400"},
        "${model.launcher}",
    ],
)
def test_commands_and_addresses_of_a_received_run_are_rejected(launcher, receive, call) -> None:
    run = receive("received", launcher=launcher)
    for words in (["resume", str(run)], ["train", f"{run}/config.yaml"]):
        code, output = call(*words)
        is_node = isinstance(launcher, dict)
        assert code == 2 and ("--trust" if is_node else "launcher is a text") in output, output
        if is_node:
            assert all(str(launcher[key]) in output for key in launcher.keys() & {"address", "rendezvous"})


def test_folds_of_a_received_run_are_checked_too(victim, marker, module, receive, call) -> None:
    """The parent is harmless, and the stored config of a fold is not."""
    module(victim / "mine.py")
    run = receive("received", "folds=2")
    fold = receive("fold", "folds=2", "folds.index=0", model=NET)
    (run / "folds").mkdir()
    fold.rename(run / "folds" / "0")
    code, output = call("resume", str(run))
    assert code == 2 and not marker.exists() and "mine.Net" in output, output


def test_trust_lists_and_is_remembered(victim, receive, monkeypatch, capsys) -> None:
    run = receive("received", model=NET)
    with monkeypatch.context() as context:
        context.setenv(TRUST, "1")
        compose([], run / "config.yaml")
        assert "mine.Net" in capsys.readouterr().err
    compose([], run / "config.yaml")


def test_shown_values_contain_no_control_characters(tmp_path: Path, victim) -> None:
    config = {"model": {"_target_": "mine.\x1b[2J.Net"}}
    with pytest.raises(UserError) as error:
        reject_untrusted(tmp_path, config)
    assert "\x1b" not in str(error.value)


def test_own_run_with_own_code_is_resumed(victim, module) -> None:
    module(victim / "mine.py")
    words = [f"model={json.dumps(NET)}".replace('"', ""), "data=digits", "tracking=none", "run.name=own"]
    run = prepare(compose(words), ["runner", "train", *words])
    assert prepare_resume(run, None)


def test_same_command_resumes_own_code_without_the_key(victim, module, monkeypatch, tmp_path) -> None:
    """As in a container whose home folder is new at every start."""
    module(victim / "mine.py")
    words = [f"model={json.dumps(NET)}".replace('"', ""), "data=digits", "tracking=none", "run.name=own"]
    run = prepare(compose(words), ["runner", "train", *words])
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "new home"))
    assert prepare_resume(run, compose(words))
    with pytest.raises(UserError, match="--trust"):
        prepare_resume(run, None)


def test_config_is_signed_before_it_is_written(victim, monkeypatch, module) -> None:
    """A command that is killed in between must not leave a run that counts as received."""
    module(victim / "mine.py")
    words = [f"model={json.dumps(NET)}".replace('"', ""), "data=digits", "tracking=none", "run.name=own"]

    def fail(*args, **options) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("runner.config.trust.write_text", fail)
    with pytest.raises(KeyboardInterrupt):
        prepare(compose(words))
    assert (RunDir(victim / "runs" / "own").path / "signature").is_file()


def test_signature_covers_interpolations(tmp_path: Path, victim) -> None:
    facts = {"model": {"num_outputs": "${facts:num_outputs}", "name": r"a \${x}"}}
    assert guarded_values(facts) == []
    sign(tmp_path, {"model": {"_target_": "mine.Net"}})
    with pytest.raises(UserError):
        reject_untrusted(tmp_path, {"model": {"_target_": "mine.Net"}, "run": {"x": "${oc.env:HOME}"}})
