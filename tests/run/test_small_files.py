"""Damaged small files and checkpoints: one sentence, and the other runs are unaffected."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from runner.distributed.load_errors import describe_unloadable
from runner.errors import CheckpointError, DamagedFileError
from runner.run.checkpoints import Checkpoint, file_digest, last_checkpoint, write_index
from runner.run.directory import RunDir
from runner.run.format import read_stored_config
from runner.run.small_files import parse_json, parse_yaml
from runner.run.status import write_status

JSON_FILES = ("status.json", "results.json", "provenance.json", "facts.json", "checkpoints/index.json")
FILES = (*JSON_FILES, "config.yaml")
DEEP = b"[" * 10_000 + b"]" * 10_000
DAMAGES: dict[str, bytes] = {
    "empty": b"",
    "binary": bytes(range(256)),
    "truncated": b'{"state": "fin',
    "deep": DEEP,
    "text": b'"text"',
    "number": b"5",
}
VERBS = (
    ("resume", "{run}"),
    ("evaluate", "{run}"),
    ("report", "{run}"),
    ("compare", "{run}", "other"),
    ("reproduce", "{run}"),
    ("predict", "{run}", "x.png"),
    ("sync", "{run}"),
)


@pytest.mark.parametrize("name", ["empty", "binary", "truncated", "deep"])
def test_damaged_json_is_one_sentence(tmp_path: Path, name: str) -> None:
    path = tmp_path / "any.json"
    path.write_bytes(DAMAGES[name])
    with pytest.raises(DamagedFileError) as raised:
        parse_json(path)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("file", "value", "named"),
    [
        ("status.json", {"state": 5}, "state is an integer, expected a text"),
        ("status.json", {"step": True}, "step is a Boolean"),
        ("status.json", [], "expected a mapping, got a list"),
        ("results.json", {"val": {"val/loss": []}}, "val.val/loss is a list"),
        ("provenance.json", {"choices": {"model": {}}}, "choices.model is a mapping"),
        ("index.json", {}, "expected a list of mappings"),
        ("index.json", [[]], "expected a list of mappings"),
    ],
)
def test_wrong_type_names_the_key(tmp_path: Path, file: str, value: object, named: str) -> None:
    path = tmp_path / file
    path.write_text(json.dumps(value))
    with pytest.raises(DamagedFileError, match=named):
        parse_json(path)


def test_duplicated_key_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    path.write_text('{"state": "finished", "state": "failed"}')
    with pytest.raises(DamagedFileError, match="'state' is duplicated"):
        parse_json(path)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: " + "[" * 10_000, "nested deeper than 100"),
        ("- " * 10_000 + "a", "nested deeper than 100"),
        ("a: &a [*a]", "part of itself"),
        ("a0: &a0 [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
            f"a{n + 1}: &a{n + 1} [{','.join([f'*a{n}'] * 10)}]\n" for n in range(9)
        ), "expand to more than"),
        ("model: 5", "model is an integer, expected a mapping"),
        ("a: [", "line"),
    ],
)  # fmt: skip
def test_hostile_yaml_is_rejected_before_it_is_composed(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(DamagedFileError, match=reason):
        parse_yaml(path)
    with pytest.raises(DamagedFileError, match=reason):
        read_stored_config(path)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two finished runs of two batches each."""
    from runner.cli import main

    root = tmp_path_factory.mktemp("finished") / "runs"
    words = ["model=logistic", "data=digits", "tracking=none", "plots=false", "report=false", "hardware=cpu"]
    words += ["trainer.max_epochs=1", "trainer.limit_train_batches=2", "trainer.limit_val_batches=1"]
    assert main(["train", *words, f"run.root={root}", "run.name=other"]) == 0
    shutil.copytree(root / "other", root / "target")
    return root


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES)
def test_verbs_on_a_damaged_run_show_no_traceback(finished, tmp_path, file, capsys, monkeypatch) -> None:
    from runner.cli import main

    monkeypatch.chdir(tmp_path)
    root = tmp_path / "runs"
    for name, content in DAMAGES.items():
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(finished, root)
        (root / "target" / file).write_bytes(content)
        assert main(["runs", "--json"]) == 0
        states = {run["name"]: run["state"] for run in json.loads(capsys.readouterr().out)}
        assert states == {"other": "finished", "target": "damaged"}, name
        assert main(["runs"]) == 0
        assert "damaged" in capsys.readouterr().out
        for verb in VERBS if name == "truncated" else ():
            code = main([word.format(run="target") for word in verb])
            captured = capsys.readouterr()
            assert "Traceback" not in captured.err, (verb, captured.err)
            assert code in (0, 1, 2)


@pytest.mark.parametrize("file", FILES)
def test_damaged_run_is_listed_and_others_are_unaffected(tmp_path, file, capsys, monkeypatch) -> None:
    from runner.cli import main

    monkeypatch.chdir(tmp_path)
    for name in ("other", "target"):
        run = RunDir.create("runs", name)
        run.config_path.write_text("model: {}\n")
        write_status(run, state="finished")
    for content in DAMAGES.values():
        (run.path / file).write_bytes(content)
        assert main(["runs", "--json"]) == 0
        states = {entry["name"]: entry["state"] for entry in json.loads(capsys.readouterr().out)}
        assert states == {"other": "finished", "target": "damaged"}
    assert main(["runs"]) == 0
    assert "damaged" in capsys.readouterr().out


def checkpoint(run: RunDir, step: int, content: object) -> Checkpoint:
    path = run.checkpoints / f"step-{step}.ckpt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    return Checkpoint(path.name, step, 0, "epoch", file_digest(path))


class Foreign:
    """A class that weights-only loading rejects."""


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", {"x": 1}, [1], {"state_dict": Foreign()}])
def test_unloadable_checkpoint_falls_back_to_the_previous_one(tmp_path: Path, content: object) -> None:
    run = RunDir(tmp_path)
    run.checkpoints.mkdir()
    good = checkpoint(run, 1, {"state_dict": {}})
    write_index(run.checkpoints, [good, checkpoint(run, 2, content)])
    entry = last_checkpoint(run, describe_unloadable)
    assert entry is not None
    assert entry.step == 1
    write_index(run.checkpoints, [checkpoint(run, 2, content)])
    with pytest.raises(CheckpointError) as raised:
        last_checkpoint(run, describe_unloadable)
    assert "weights_only=False" not in str(raised.value)
    assert "trust" not in str(raised.value)


def test_index_entry_outside_the_folder_is_rejected(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    run.checkpoints.mkdir()
    write_index(run.checkpoints, [Checkpoint("../../x.ckpt", 1, 0, "epoch", "0")])
    with pytest.raises(CheckpointError, match="no valid entry"):
        last_checkpoint(run)
