"""Every option of the group ``regularization``: the same keys, values in range, an augmentation that
builds."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import yaml

from runner.config.build import resolve_target
from runner.config.schema import Regularization

CONF = Path(__file__).resolve().parents[3] / "conf"
OPTIONS = {path.stem: yaml.safe_load(path.read_text()) for path in (CONF / "regularization").glob("*.yaml")}
KEYS = {field.name for field in dataclasses.fields(Regularization)}
ORDER = ("none", "light", "medium", "strong")


def test_there_are_four_presets():
    assert set(OPTIONS) == set(ORDER)


@pytest.mark.parametrize("name", ORDER)
def test_preset_sets_every_key(name):
    option = OPTIONS[name]
    assert set(option) == KEYS
    if augment := option["augment"]:
        resolve_target(augment["_target_"])(**{key: augment[key] for key in augment if key != "_target_"})


def test_none_disables_everything():
    assert not any(OPTIONS["none"].values())


@pytest.mark.parametrize("key", ["dropout", "weight_decay"])
def test_each_preset_is_stronger_than_the_previous(key):
    values = [OPTIONS[name][key] for name in ORDER]
    assert values == sorted(values) and len(set(values)) == len(values)


def test_overfit_debug_run_disables_regularization():
    turned_off = yaml.safe_load((CONF / "debug" / "overfit.yaml").read_text())["regularization"]
    assert set(turned_off) == KEYS - {"clip_norm", "clip_value"} and not any(turned_off.values())
