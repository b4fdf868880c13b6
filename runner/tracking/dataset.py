"""The data set of a run as an input of MLflow's."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput

__all__ = ["dataset_input", "profile_of"]

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
