"""Every option of the group ``regularization``: the same keys, values in range, an augmentation that builds."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from runner.config.build import resolve_target

OPTIONS = {
    path.stem: yaml.safe_load(path.read_text())
    for path in (Path(__file__).resolve().parents[2] / "conf" / "regularization").glob("*.yaml")
}


@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_keys_and_ranges(name):
    option = OPTIONS[name]
    assert set(option) == {"dropout", "weight_decay", "label_smoothing", "augment", "early_stopping"}
    assert 0 <= option["dropout"] < 1 and 0 <= option["label_smoothing"] < 1 and option["weight_decay"] >= 0
    if augment := option["augment"]:
        resolve_target(augment.pop("_target_"))(**augment)
    if early_stopping := option["early_stopping"]:
        assert early_stopping["patience"] > 0 and early_stopping["min_delta"] >= 0


def test_none_holds_nothing_back():
    assert not any(OPTIONS["none"].values())


def test_strong_holds_back_more_than_light():
    light, strong = OPTIONS["light"], OPTIONS["strong"]
    assert all(strong[key] > light[key] for key in ("dropout", "weight_decay", "label_smoothing"))
    assert strong["augment"]["min_scale"] < light["augment"]["min_scale"]
    assert strong["early_stopping"]["patience"] == 10 and light["early_stopping"] is None
