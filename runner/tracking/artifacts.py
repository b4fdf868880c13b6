"""The artifacts of a run and its data set as an MLflow input."""

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
    """Return the facts of a data set as an MLflow input, which is shown under *Datasets used*.

    Args:
        facts: the content of ``facts.json``.
    """
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
    """Return MLflow's kind of source, and its description."""
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
    """Return the sizes of the splits and the number of training samples of each class."""
    keys = ("task", "num_train", "num_val", "num_test")
    profile: dict[str, Any] = {key: facts[key] for key in keys if key in facts}
    names, counts = facts.get("class_names") or [], facts.get("class_counts") or []
    if names:
        profile["num_classes"] = len(names)
    if counts:
        profile["class_counts"] = dict(zip(names, counts, strict=False))
    return profile


EARLY = ("config.yaml", "provenance.json", "git.diff", "facts.json")
"""Files that are sent before the run has ended."""
EXCLUDED = ("metrics.jsonl", "tracking.json")
"""Files that are not artifacts: points are sent as metrics, and the other is the mirror's own state."""
EXCLUDED_LOGS = ("tracking.log", "system.jsonl")


def files_of(run: RunDir, has_ended: bool, checkpoints: bool) -> Iterator[Path]:
    """Yield the files to send, relative to the run directory.

    Args:
        run: the run.
        has_ended: false selects only plots and files that hardly change any more.
        checkpoints: whether to include the checkpoints of an ended run.
    """
    for path in sorted(run.path.rglob("*")):
        relative = path.relative_to(run.path)
        folder = relative.parts[0] if len(relative.parts) > 1 else ""
        if folder == FOLDS or path.suffix == ".tmp" or any(part.startswith(".") for part in relative.parts):
            continue
        if relative.name in (EXCLUDED if not folder else EXCLUDED_LOGS if folder == run.logs.name else ()):
            continue
        if folder == run.checkpoints.name and not (checkpoints and has_ended):
            continue
        if not has_ended and folder != run.plots.name and str(relative) not in EARLY:
            continue
        if path.is_file():
            yield relative


def fingerprint(path: Path) -> list[int]:
    """Return the modification time in ns and the size in bytes."""
    stat = path.stat()
    return [stat.st_mtime_ns, stat.st_size]
