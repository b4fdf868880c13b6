"""The few lines MLflow shows above a run: what it was, what came out, how to go on."""

from __future__ import annotations

from typing import Any

from runner.run.status import Status

__all__ = ["headline", "note_of"]

MAX_METRICS = 8


def headline(results: dict[str, Any]) -> dict[str, float]:
    """The numbers to show first: the test split's; without one, validation's; the monitored one in front."""
    monitor = (results.get("best") or {}).get("monitor") or ""
    split = "test" if results.get("test") else "val"
    metrics = results.get(split) or {}
    named = {key if "/" in key else f"{split}/{key}": value for key, value in metrics.items()}
    first = f"{split}/{monitor.partition('/')[2]}"
    order = sorted(named, key=lambda key: (key != first, key.endswith("/loss"), key.count("/"), key))
    return {key: named[key] for key in order[:MAX_METRICS]}


def note_of(name: str, label: str, command: str, status: Status, results: dict[str, Any]) -> str:
    """Markdown for the tag ``mlflow.note.content``."""
    lines = [f"**{label}** · {status.state}" + (f": {status.reason}" if status.reason else ""), ""]
    metrics = headline(results)
    if metrics:
        lines += ["| metric | value |", "|---|---|"]
        lines += [f"| {key} | {_number(value)} |" for key, value in metrics.items()]
        lines += [""]
    best = results.get("best") or {}
    if best.get("step") is not None:
        what = f" ({best['monitor']} {_number(best.get('value'))})" if best.get("monitor") else ""
        lines += [f"Best checkpoint: step {best['step']}, epoch {best.get('epoch')}{what}", ""]
    if command:
        lines += ["```", command, "```", ""]
    lines += [f"`runner report {name}` · `runner reproduce {name}`"]
    return "\n".join(lines)


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
