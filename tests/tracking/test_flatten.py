from __future__ import annotations

import pytest

from runner.run.flatten import flatten
from runner.tracking.tags import MAX_KEY_LENGTH, MAX_VALUE_LENGTH, params_of, valid_key


def test_nested_containers_become_dotted_keys():
    config = {"model": {"hidden_sizes": [128, 64], "dropout": 0.5}, "seed": 0, "callbacks": [{"lr": 1}, 2]}
    assert dict(flatten(config, lists="nested")) == {
        "model.hidden_sizes": [128, 64],
        "model.dropout": 0.5,
        "seed": 0,
        "callbacks.0.lr": 1,
        "callbacks.1": 2,
    }


def test_values_are_formatted_as_overrides():
    config = {"a": None, "b": True, "c": 1e-3, "d": "text", "e": [1, "x"], "f": {}, "g": []}
    assert params_of(config) == {
        "a": "null",
        "b": "true",
        "c": "0.001",
        "d": "text",
        "e": '[1, "x"]',
        "f": "{}",
        "g": "[]",
    }


def test_value_that_depends_on_facts_is_omitted():
    assert params_of({"n": "${facts:num_outputs}", "m": "${regularization.dropout}", "k": 3}) == {"k": "3"}


def test_too_long_value_is_truncated_with_a_reference():
    params = params_of({"fits": "x" * MAX_VALUE_LENGTH, "long": "y" * 20_000})
    assert params["fits"] == "x" * MAX_VALUE_LENGTH
    assert len(params["long"]) == MAX_VALUE_LENGTH
    assert params["long"].endswith(" … [20000 characters; whole in the artifact config.yaml]")


def test_password_in_a_uri_is_not_shown():
    params = params_of({"tracking": {"uri": "https://me:secret@host.example:5000/x"}, "mail": "a@b"})
    assert params == {"tracking.uri": "https://…@host.example:5000/x", "mail": "a@b"}


@pytest.mark.parametrize("key", ["train/loss", "val/f1 class:3", "test/größe", "a-b_c.d"])
def test_valid_mlflow_key_is_unchanged(key):
    assert valid_key(key) == key


@pytest.mark.parametrize("key", ["iou[cat]", "/lead", "a//b", "../up", "a/./b", "", "x" * 300, "50%"])
def test_other_keys_become_valid(key):
    from mlflow.utils.validation import _validate_metric_name

    made = valid_key(key)
    _validate_metric_name(made)
    assert len(made) <= MAX_KEY_LENGTH
    assert made != key


def test_different_keys_stay_different():
    assert valid_key("iou[cat]") != valid_key("iou(cat)")
