"""Files that look like secrets are not part of ``git.diff``."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from runner.config.checks.environment import has_password
from runner.report.format import aligned
from runner.run.provenance import git_state

NAMES = (
    ".env",
    "a/.env.local",
    "key.pem",
    "a/b/server.KEY",
    "secrets.yaml",
    "credentials.json",
    "id_rsa",
    ".netrc",
)


def test_diff_excludes_and_lists_files_that_look_like_secrets(tmp_path: Path) -> None:
    def git(*words: str) -> None:
        subprocess.run(["git", "-C", tmp_path, "-c", "user.name=a", "-c", "user.email=a", *words], check=True)

    git("init", "-q")
    for name in (*NAMES, "train.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("before")
    git("add", "-A")
    git("commit", "-qm", "first")
    for name in (*NAMES, "train.py"):
        (tmp_path / name).write_text("S3cret" if name != "train.py" else "lr = 2")
    state, diff = git_state(tmp_path)
    assert "lr = 2" in diff
    assert "S3cret" not in diff
    assert state is not None
    assert sorted(state["excluded_from_diff"]) == sorted(NAMES)


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("http://a:b@host", True),
        ("postgresql://u:p@h/x", True),
        ("http://a@host", False),
        ("sqlite:///x", False),
    ],
)
def test_password_of_an_address(uri: str, expected: bool) -> None:
    assert has_password(uri) is expected


def test_control_characters_in_tables_are_visible() -> None:
    assert aligned([["\x1b]0;x\x07", "\u202eb"]]) == ["\\x1b]0;x\\x07  \\u202eb"]
