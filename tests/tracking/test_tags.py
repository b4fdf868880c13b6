from __future__ import annotations

from runner.run.files import read_json, write_json
from runner.run.state import RunState
from runner.tracking.settings import read_config
from runner.tracking.tags import MAX_TAG_LENGTH, command_of, tags_of


def tags(run) -> dict[str, str]:
    return tags_of(RunState(run), read_config(run))


def test_revision_and_command(make_run):
    run = make_run(state="failed")
    git = {"revision": "a" * 40, "branch": "main", "dirty": True}
    write_json(run.provenance_path, read_json(run.provenance_path) | {"git": git})
    values = tags(run)
    assert values["mlflow.source.git.commit"] == "a" * 40
    assert values["mlflow.source.git.branch"] == "main"
    assert values["runner.git.dirty"] == "true"
    assert values["runner.command"] == "runner train model=mlp"
    assert (values["runner.state"], values["runner.reason"]) == ("failed", "because")
    assert values["mlflow.note.content"].startswith("**MLP on DigitsDataModule** · failed: because")


def test_unknown_values_are_omitted(make_run):
    run = make_run()
    run.provenance_path.unlink()
    run.results_path.unlink()
    values = tags(run)
    assert not values.keys() & {"mlflow.source.git.commit", "runner.git.dirty", "runner.reason"}
    assert all(isinstance(value, str) for value in values.values())


def test_command_can_be_repeated():
    assert (
        command_of({"command": ["/opt/bin/runner", "train", "run.name=a b"]}) == "runner train 'run.name=a b'"
    )
    assert command_of({"command": ["train.py", 3]}) == "train.py 3"
    assert command_of({}) == ""


def test_long_text_is_truncated(make_run):
    run = make_run()
    write_json(run.provenance_path, {"command": ["runner", "train", "x" * 20_000]})
    assert len(tags(run)["runner.command"]) == MAX_TAG_LENGTH
