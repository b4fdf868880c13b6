"""Data, model, code and machine of a run as rows of text."""

from __future__ import annotations

from typing import Any

from runner.report.format import number
from runner.report.summary import Summary

__all__ = ["Rows", "class_rows", "environment_rows", "fact_rows", "part_rows"]

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
    return [(name, _text(value)) for name, value in rows if value not in (None, "", [], {})]


def class_rows(facts: dict[str, Any]) -> list[tuple[str, int, float]]:
    """Return name, number of training samples, and size in percent of the largest class, for each class."""
    names, counts = facts.get("class_names") or [], facts.get("class_counts") or []
    largest = max(counts, default=0) or 1
    return [(str(name), size, 100 * size / largest) for name, size in zip(names, counts, strict=False)]


def part_rows(summary: Summary) -> list[tuple[str, str, Rows]]:
    """Return group, constructor and settings of each component of the config."""
    rows = []
    for group in PARTS:
        node = summary.config.get(group)
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
