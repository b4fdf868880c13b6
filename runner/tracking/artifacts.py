"""Artifacts and data-set inputs of a run in MLflow."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.run.directory import FOLDS, RunDir

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput

__all__ = ["dataset_input", "files_of", "fingerprint", "profile_of"]

MAX_NAME_LENGTH = 500
DIGEST_LENGTH = 16  # the dashboard shows it beside the name; MLflow takes 36


def dataset_input(facts: dict[str, Any]) -> DatasetInput:
    """The facts of a data set (``facts.json``) as MLflow shows them under *Datasets used*."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    kind, source = source_of(facts.get("source") or "")
    profile = json.dumps(profile_of(facts), ensure_ascii=False)
    digest = facts.get("digest") or hashlib.sha256(profile.encode()).hexdigest()
    dataset = Dataset(
        name=(facts.get("name") or "data")[:MAX_NAME_LENGTH],
        digest=digest.rpartition(":")[2][:DIGEST_LENGTH],
        source_type=kind,
        source=json.dumps(source, ensure_ascii=False),
        schema=json.dumps(schema_of(facts)),
        profile=profile,
    )
    return DatasetInput(dataset=dataset, tags=[InputTag("mlflow.data.context", "training")])


def source_of(source: str) -> tuple[str, dict[str, Any]]:
    """MLflow's kind of source and its description."""
    if source.startswith(("http://", "https://")):
        return "http", {"url": source}
    if source.startswith(("/", "./", "../", "file:")):
        return "local", {"uri": source}
    return "code", {"tags": {"mlflow.source.name": source}}


def schema_of(facts: dict[str, Any]) -> dict[str, Any]:
    def tensor(dtype: str, shape: list[int]) -> str:
        return json.dumps([{"type": "tensor", "tensor-spec": {"dtype": dtype, "shape": shape}}])

    features = tensor("float32", [-1, *facts.get("input_shape", [])])
    targets = tensor("int64", [-1]) if facts.get("class_names") else tensor("float32", [-1])
    return {"mlflow_tensorspec": {"features": features, "targets": targets}}


def profile_of(facts: dict[str, Any]) -> dict[str, Any]:
    """Sizes of the splits, and how many training samples each class has."""
    profile = {key: facts[key] for key in ("task", "num_train", "num_val", "num_test") if key in facts}
    names, counts = facts.get("class_names") or [], facts.get("class_counts") or []
    if names:
        profile["num_classes"] = len(names)
    if counts:
        profile["class_counts"] = dict(zip(names, counts, strict=False))
    return profile


EARLY = ("config.yaml", "provenance.json", "git.diff", "facts.json")
OWN = ("metrics.jsonl", "tracking.json")  # shipped as metrics; the mirror's own
OWN_LOGS = ("tracking.log", "system.jsonl")


def files_of(run: RunDir, has_ended: bool, checkpoints: bool) -> Iterator[Path]:
    """The files to send, relative to the run directory.

    Before the run has ended those that hardly change any more and its plots; behind its end everything but
    the checkpoints, which go along when ``checkpoints`` says so.
    """
    for path in sorted(run.path.rglob("*")):
        relative = path.relative_to(run.path)
        folder = relative.parts[0] if len(relative.parts) > 1 else ""
        if folder == FOLDS or path.suffix == ".tmp" or any(part.startswith(".") for part in relative.parts):
            continue
        if relative.name in (OWN if not folder else OWN_LOGS if folder == run.logs.name else ()):
            continue
        if folder == run.checkpoints.name and not (checkpoints and has_ended):
            continue
        if not has_ended and folder != run.plots.name and str(relative) not in EARLY:
            continue
        if path.is_file():
            yield relative


def fingerprint(path: Path) -> list[int]:
    """Modification time in ns and size in bytes."""
    stat = path.stat()
    return [stat.st_mtime_ns, stat.st_size]
