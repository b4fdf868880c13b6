"""Data, model, code and machine of a run as rows of text."""

from __future__ import annotations

from typing import Any

from runner.report.format import number
from runner.report.summary import Summary

__all__ = [
    "Rows",
    "applied_regularization",
    "changed_rows",
    "class_rows",
    "environment_rows",
    "fact_rows",
    "part_rows",
]

Rows = list[tuple[str, str]]
PARTS = ("model", "optimizer", "scheduler", "regularization", "transfer", "task")
KNOWN_FACTS = (
    "name",
    "task",
    "source",
    "digest",
    "input_shape",
    "num_outputs",
    "num_train",
    "num_val",
    "num_test",
    "class_names",
    "class_counts",
    "class_counts_of",
    "num_classes",
    "in_features",
    "num_numeric",
    "dropped",
)


def fact_rows(facts: dict[str, Any]) -> Rows:
    """Return the facts of the data set as pairs of label and value."""
    if not facts:
        return []
    sizes = [
        f"{facts[f'num_{split}']:,} {split}"
        for split in ("train", "val", "test")
        if facts.get(f"num_{split}")
    ]
    rows = [
        ("data set", facts.get("name")),
        ("problem", facts.get("task")),
        ("samples", ", ".join(sizes)),
        ("an input", " × ".join(map(str, facts.get("input_shape") or ()))),
        ("outputs", facts.get("num_outputs")),
        ("source", facts.get("source")),
        ("digest", facts.get("digest")),
    ]
    rows += [(key, value) for key, value in facts.items() if key not in KNOWN_FACTS]
    rows += [("left out", _dropped_text(entry)) for entry in facts.get("dropped") or []]
    return [(name, _text(value)) for name, value in rows if value not in (None, "", [], {})]


def _dropped_text(entry: dict[str, Any]) -> str:
    """Format samples that were left out: ``16 of 1,003,857 tokens (train): they do not fill a stream``."""
    counts = " of ".join(number(entry[key]) for key in ("count", "total") if entry.get(key) is not None)
    where = f" ({entry['where']})" if entry.get("where") else ""
    examples = f", such as {_text(entry['examples'])}" if entry.get("examples") else ""
    return f"{counts} {entry.get('what', 'samples')}{where}: {entry.get('reason', '')}{examples}"


def class_rows(facts: dict[str, Any]) -> list[tuple[str, int, float]]:
    """Return name, number of training samples, and size in percent of the largest class, for each class."""
    names, counts = facts.get("class_names") or [], facts.get("class_counts") or []
    largest = max(counts, default=0) or 1
    return [(str(name), size, 100 * size / largest) for name, size in zip(names, counts, strict=False)]


WHERE_USED = {
    "dropout": "model",
    "spatial_dropout": "model",
    "stochastic_depth": "model",
    "weight_decay": "optimizer",
    "label_smoothing": "task",
    "augment": "data",
}
"""Regularization settings that other nodes refer to; they apply if the node uses them."""
OFF: tuple[Any, ...] = (None, False, 0, 0.0)


def applied_regularization(config: dict[str, Any]) -> dict[str, Any]:
    """Return the regularization settings that apply to a run."""
    settings = config.get("regularization")
    if not isinstance(settings, dict):
        return {}
    return {
        key: value
        for key, value in settings.items()
        if value not in OFF and (key not in WHERE_USED or _is_used(config.get(WHERE_USED[key]), key))
    }


def _is_used(node: Any, key: str) -> bool:
    """Return whether a node or one inside it has a value for a key."""
    if isinstance(node, list):
        return any(_is_used(item, key) for item in node)
    if not isinstance(node, dict):
        return False
    return node.get(key) not in OFF or any(_is_used(item, key) for item in node.values())


def changed_rows(provenance: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Return key, default and value of each setting that differs from the default config."""
    changed = provenance.get("changed_settings") or {}
    return [(key, _text(default), _text(value)) for key, (default, value) in changed.items()]


def part_rows(summary: Summary) -> list[tuple[str, str, Rows]]:
    """Return group, constructor and settings of each component of the config."""
    rows = []
    for group in PARTS:
        node = summary.config.get(group)
        if group == "regularization":
            node = applied_regularization(summary.config) or None
        if isinstance(node, dict):
            settings = [
                (str(key), _text(value))
                for key, value in node.items()
                if str(key)[:1] != "_" and key != "class_names"
            ]
            rows.append((group, str(node.get("_target_", "")), settings))
    results = summary.results
    if results.get("num_parameters") is not None:
        sizes = [
            ("all", number(results["num_parameters"])),
            ("trainable", number(results.get("num_trainable"))),
        ]
        rows.insert(0, ("parameters", "", sizes))
    return rows


def environment_rows(summary: Summary) -> Rows:
    """Return code revision, seed, versions and machine as pairs of label and value."""
    provenance, git = summary.provenance, summary.provenance.get("git") or {}
    revision = git.get("revision")
    if revision and git.get("dirty"):
        revision += f", with uncommitted changes in {git.get('diff_file', 'git.diff')}"
    rows = [
        ("code", revision),
        ("branch", git.get("branch")),
        ("seed", provenance.get("seed")),
        ("python", provenance.get("python")),
        ("platform", provenance.get("platform")),
        ("host", summary.status.host),
        *((provenance.get("hardware") or {}).items()),
    ]
    return [(str(name), _text(value)) for name, value in rows if value is not None]


def _text(value: Any) -> str:
    if isinstance(value, dict):
        inner = ", ".join(f"{key}: {_text(item)}" for key, item in value.items() if str(key)[:1] != "_")
        target = str(value.get("_target_", "")).rpartition(".")[2]
        return f"{target}({inner})" if target else inner
    if isinstance(value, list):
        text = ", ".join(_text(item) for item in value)
        return text if len(text) <= 400 else f"{text[:400]} … ({len(value)} in all)"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.6g}"
    return "none" if value is None else str(value)
