"""``reproduce --checkout`` shows which code it runs, and runs nothing that is not confirmed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from runner.cli.reproduce import confirm_code
from runner.errors import UserError
from runner.launch.reproduce import changed_files, recorded_revision
from runner.run.directory import RunDir

pytestmark = [pytest.mark.attack("commands"), pytest.mark.quick]

DIFF = """diff --git a/nets.py b/nets.py
--- a/nets.py
+++ b/nets.py
@@ -1 +1 @@
-a
+b
diff --git a/old.py b/new name.py
similarity index 100%
rename from old.py
rename to new name.py
diff --git a/picture.png b/picture.png
index bdc955b..8835708 100644
Binary files a/picture.png and b/picture.png differ
"""


def run_with(folder: Path, revision: Any, diff: str | None = None) -> RunDir:
    run = RunDir(folder)
    run.provenance_path.write_text(json.dumps({"git": {"revision": revision}}))
    if diff is not None:
        (folder / "git.diff").write_text(diff)
    return run


def test_changed_files_are_listed(tmp_path: Path) -> None:
    run = run_with(tmp_path, "0" * 40, DIFF)
    assert changed_files(run) == ["nets.py", "new name.py", "picture.png"]
    assert changed_files(RunDir(tmp_path / "other")) == []


@pytest.mark.parametrize("revision", ["--upload-pack=touch marker", "HEAD; touch marker", 7, "main"])
def test_revision_is_the_name_of_a_commit(tmp_path: Path, revision: Any) -> None:
    with pytest.raises(UserError, match="is not the name of a commit"):
        recorded_revision(run_with(tmp_path, revision))


@pytest.mark.parametrize(("answer", "is_run"), [("y", True), ("yes", True), ("", False), ("n", False)])
def test_code_is_confirmed_on_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, answer: str, is_run: bool
) -> None:
    run = run_with(tmp_path, "a" * 40, DIFF)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda prompt: answer)
    if is_run:
        confirm_code(run, is_confirmed=False)
    else:
        with pytest.raises(UserError, match="nothing was run"):
            confirm_code(run, is_confirmed=False)
    assert "  nets.py\n  new name.py" in capsys.readouterr().out


def test_without_a_terminal_the_flag_is_required(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_with(tmp_path, "a" * 40)
    monkeypatch.setattr("sys.stdin.isatty", lambda: False)
    with pytest.raises(UserError, match="--yes"):
        confirm_code(run, is_confirmed=False)
    confirm_code(run, is_confirmed=True)
