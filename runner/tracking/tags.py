"""What a run says of itself in MLflow's tags."""

from __future__ import annotations

import getpass
import shlex
from typing import Any

from runner.run.directory import RunDir
from runner.run.files import read_json
from runner.run.status import Status
from runner.tracking.description import note_of
from runner.tracking.flatten import valid_key

__all__ = ["command_of", "tags_of", "user"]

MAX_TAG_LENGTH = 8000


def tags_of(run: RunDir, config: dict[str, Any], status: Status) -> dict[str, str]:
    """Tags by name; MLflow's own names where it has one."""
    provenance = read_json(run.provenance_path, {})
    results = read_json(run.results_path, {})
    command = command_of(provenance)
    git = provenance.get("git") or {}
    tags = {
        "mlflow.user": user(),
        "mlflow.source.name": command or run.name,
        "mlflow.source.type": "LOCAL",
        "mlflow.source.git.commit": git.get("revision"),
        "mlflow.source.git.branch": git.get("branch"),
        "mlflow.note.content": note_of(run.name, label_of(config, run.name), command, status, results),
        "runner.directory": str(run.path.absolute()),
        "runner.command": command,
        "runner.git.dirty": git.get("dirty"),
        "runner.host": status.host,
        "runner.state": status.state,
        "runner.reason": status.reason,
        "runner.attempt": status.attempt or None,
    } | _own_tags(config)
    return {key: _text(value) for key, value in tags.items() if value is not None}


def command_of(provenance: dict[str, Any]) -> str:
    """The command line as it can be typed again; without the path of the program."""
    words = [str(word) for word in provenance.get("command") or []]
    if words and words[0].endswith(("/runner", "runner/__main__.py", "runner/cli/__init__.py")):
        words[0] = "runner"
    return shlex.join(words)


def label_of(config: dict[str, Any], default: str) -> str:
    """``model on data`` by the last names of their constructors."""
    names = [str((config.get(key) or {}).get("_target_", "")).rpartition(".")[2] for key in ("model", "data")]
    return " on ".join(names) if all(names) else default


def _own_tags(config: dict[str, Any]) -> dict[str, str]:
    """``run.tags: [baseline, paper=figure 3]``."""
    own = {}
    for tag in (config.get("run") or {}).get("tags") or []:
        key, _, value = str(tag).partition("=")
        if key.strip():
            own[valid_key(key.strip())] = value.strip() or "true"
    return own


def user() -> str | None:
    """The name of who runs this."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return None


def _text(value: Any) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= MAX_TAG_LENGTH else text[: MAX_TAG_LENGTH - 2] + " …"
