"""The tags, parameters and description of a run in MLflow."""

from __future__ import annotations

import getpass
import hashlib
import json
import posixpath
import re
import shlex
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from runner.run.flatten import flatten
from runner.run.state import RunState
from runner.run.status import Status

__all__ = ["command_of", "headline", "note_of", "params_of", "tags_of", "user", "valid_key"]

MAX_METRICS = 8


def headline(results: dict[str, Any]) -> dict[str, float]:
    """Return the main metrics: those of the test or else of the validation split, the monitored one first.

    Args:
        results: the content of ``results.json``.
    """
    monitor = (results.get("best") or {}).get("monitor") or ""
    split = "test" if results.get("test") else "val"
    metrics = results.get(split) or {}
    named = {key if "/" in key else f"{split}/{key}": value for key, value in metrics.items()}
    first = f"{split}/{monitor.partition('/')[2]}"
    order = sorted(named, key=lambda key: (key != first, key.endswith("/loss"), key.count("/"), key))
    return {key: named[key] for key in order[:MAX_METRICS]}


def note_of(name: str, label: str, command: str, status: Status, results: dict[str, Any]) -> str:
    """Return the run's description, Markdown for the tag ``mlflow.note.content``."""
    lines = [f"**{label}** · {status.state}" + (f": {status.reason}" if status.reason else ""), ""]
    metrics = headline(results)
    if metrics:
        lines += ["| metric | value |", "|---|---|"]
        lines += [f"| {key} | {_number(value)} |" for key, value in metrics.items()]
        lines += [""]
    best = results.get("best") or {}
    if best.get("step") is not None:
        monitored = f" ({best['monitor']} {_number(best.get('value'))})" if best.get("monitor") else ""
        lines += [f"Best checkpoint: step {best['step']}, epoch {best.get('epoch')}{monitored}", ""]
    if command:
        lines += ["```", command, "```", ""]
    lines += [f"`runner report {name}` · `runner reproduce {name}`"]
    return "\n".join(lines)


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


MAX_VALUE_LENGTH = 6000  # MLflow 3.17 rejects or truncates longer parameters
MAX_KEY_LENGTH = 250


def params_of(config: dict[str, Any]) -> dict[str, str]:
    """Return every value of a config by its dotted key, spelled as on the command line.

    Values that depend on facts of the data that are not known yet are omitted. A value that is too long for
    MLflow is truncated with a note; the artifact ``config.yaml`` contains it completely.
    """
    params = {}
    for key, value in flatten(config, lists="nested"):
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
        if "${" not in text:
            params[valid_key(key)] = shorten(without_password(text))
    return params


def shorten(text: str) -> str:
    if len(text) <= MAX_VALUE_LENGTH:
        return text
    note = f" … [{len(text)} characters; whole in the artifact config.yaml]"
    return text[: MAX_VALUE_LENGTH - len(note)] + note


def without_password(text: str) -> str:
    """Return a URL without user and password."""
    if "://" not in text or "@" not in text:
        return text
    try:
        parts = urlsplit(text)
    except ValueError:
        return text
    if not parts.password:
        return text
    return urlunsplit(parts._replace(netloc=f"…@{parts.netloc.rpartition('@')[2]}"))


def valid_key(key: str) -> str:
    """Return a key that MLflow accepts; a changed key gets a digest, so that it stays unique."""
    valid = posixpath.normpath(re.sub(r"[^/\w.\- :]", "_", key)).lstrip("./") or "_"
    if valid == key and len(key) <= MAX_KEY_LENGTH:
        return key
    digest = hashlib.sha1(key.encode(), usedforsecurity=False).hexdigest()[:8]
    return f"{valid[: MAX_KEY_LENGTH - 9]}-{digest}"


MAX_TAG_LENGTH = 8000


def tags_of(run: RunState, config: dict[str, Any]) -> dict[str, str]:
    """Return the tags of a run, under MLflow's own names if it has one.

    Args:
        run: the recorded state of the run.
        config: the run's config in plain containers.
    """
    status, command = run.status, command_of(run.provenance)
    git = run.provenance.get("git") or {}
    tags = {
        "mlflow.user": user(),
        "mlflow.source.name": command or run.name,
        "mlflow.source.type": "LOCAL",
        "mlflow.source.git.commit": git.get("revision"),
        "mlflow.source.git.branch": git.get("branch"),
        "mlflow.note.content": note_of(run.name, label_of(config, run.name), command, status, run.results),
        "runner.directory": str(run.directory.path.absolute()),
        "runner.command": command,
        "runner.git.dirty": git.get("dirty"),
        "runner.host": status.host,
        "runner.state": status.state,
        "runner.reason": status.reason,
        "runner.attempt": status.attempt or None,
    } | _own_tags(config)
    return {key: _text(value) for key, value in tags.items() if value is not None}


def command_of(provenance: dict[str, Any]) -> str:
    """Return the command line in a form that can be repeated, without the path of the program.

    Args:
        provenance: the content of ``provenance.json``.
    """
    words = [str(word) for word in provenance.get("command") or []]
    if words and words[0].endswith(("/runner", "runner/__main__.py", "runner/cli/__init__.py")):
        words[0] = "runner"
    return shlex.join(words)


def label_of(config: dict[str, Any], default: str) -> str:
    """Return ``MODEL on DATA``, with the names of the constructors."""
    names = [str((config.get(key) or {}).get("_target_", "")).rpartition(".")[2] for key in ("model", "data")]
    return " on ".join(names) if all(names) else default


def _own_tags(config: dict[str, Any]) -> dict[str, str]:
    """Return the tags of ``run.tags``, such as ``[baseline, paper=figure 3]``."""
    own = {}
    for tag in (config.get("run") or {}).get("tags") or []:
        key, _, value = str(tag).partition("=")
        if key.strip():
            own[valid_key(key.strip())] = value.strip() or "true"
    return own


def user() -> str | None:
    """Return the name of the current user, if known."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return None


def _text(value: Any) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= MAX_TAG_LENGTH else text[: MAX_TAG_LENGTH - 2] + " …"
