import json
import subprocess

from runner.run.directory import RunDir
from runner.run.provenance import collect_provenance, git_state, write_provenance


def git(folder, *arguments):
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True)


def test_revision_and_diff_of_the_working_directory(tmp_path):
    git(tmp_path, "init")
    (tmp_path / "a.txt").write_text("one\n")
    git(tmp_path, "add", "a.txt")
    git(tmp_path, "commit", "-m", "first")
    state, diff = git_state(tmp_path)
    assert len(state["revision"]) == 40 and state["dirty"] is False and diff == ""
    (tmp_path / "a.txt").write_text("two\n")
    (tmp_path / "b.txt").write_text("new\n")
    state, diff = git_state(tmp_path)
    assert state["dirty"] is True and "+two" in diff and state["untracked"] == ["b.txt"]


def test_repository_is_optional(tmp_path):
    assert git_state(tmp_path) == (None, "")


def test_provenance_contains_versions_and_hardware(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = RunDir.create(tmp_path, "r")
    write_provenance(run, ["runner", "train"], seed=3)
    stored = json.loads(run.provenance_path.read_text())
    assert stored["command"] == ["runner", "train"] and stored["seed"] == 3
    assert stored["packages"]["torch"] and stored["hardware"]["cpu_count"] >= 1
    assert collect_provenance(["x"])[0]["git"] is None
