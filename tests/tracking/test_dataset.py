from __future__ import annotations

import json

import pytest

from runner.tracking.artifacts import dataset_input, profile_of, source_of


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("https://host.example/data.zip", "http"),
        ("/data/cats", "local"),
        ("scikit-learn", "code"),
        ("", "code"),
    ],
)
def test_source_type(source, kind):
    assert source_of(source)[0] == kind


def test_profile_counts_the_classes():
    facts = {"num_train": 3, "class_names": ["cat", "dog"], "class_counts": [1, 2], "in_features": 4}
    assert profile_of(facts) == {"num_train": 3, "num_classes": 2, "class_counts": {"cat": 1, "dog": 2}}


def test_input_accepted_by_mlflow():
    from mlflow.utils.validation import _validate_dataset_inputs

    facts = {"name": "n" * 900, "source": "x", "digest": "sha256:" + "0" * 64, "input_shape": [3, 8, 8]}
    made = dataset_input(facts)
    _validate_dataset_inputs([made])
    assert made.dataset.digest == "0" * 16
    assert [(tag.key, tag.value) for tag in made.tags] == [("mlflow.data.context", "training")]
    features = json.loads(json.loads(made.dataset.schema)["mlflow_tensorspec"]["features"])
    assert features[0]["tensor-spec"]["shape"] == [-1, 3, 8, 8]


def test_facts_without_a_digest_get_one():
    first = dataset_input({"name": "a", "num_train": 1}).dataset.digest
    second = dataset_input({"name": "a", "num_train": 2}).dataset.digest
    assert first and first != second
