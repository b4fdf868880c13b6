"""Precision and memory format by what was measured for an architecture, where the config leaves them open."""

import pytest

from runner.distributed.hardware import choose_hardware


@pytest.mark.parametrize(
    ("kind", "hint"),
    [
        ("ssdlite", {"precision": "32-true", "channels_last": True}),
        ("faster_rcnn", {"channels_last": False}),
        ("fcos", {}),
    ],
)
def test_model_hint_is_used_on_a_cpu(kind, hint, small, monkeypatch):
    monkeypatch.setattr("runner.distributed.hardware.cpu_has_bf16", lambda: True)
    chosen = choose_hardware({"accelerator": "cpu"}, small(kind))
    expected = {"precision": "32-true", "channels_last": True} | hint
    assert {key: getattr(chosen, key) for key in expected} == expected
    assert any("measured" in reason for reason in chosen.reasons) == bool(hint)


def test_config_takes_precedence_over_the_hint(small):
    wanted = {"accelerator": "cpu", "precision": "bf16", "channels_last": False}
    chosen = choose_hardware(wanted, small("ssdlite"))
    assert chosen.precision == "bf16-mixed" and not chosen.channels_last
    assert not any("measured" in reason for reason in chosen.reasons)


@pytest.mark.parametrize(
    ("kind", "given", "chosen_by_hint"),
    [
        ("ssdlite", {"precision": "32"}, "memory format: measured"),
        ("ssdlite", {"channels_last": True}, "precision: measured"),
        ("ssdlite", {}, "precision and memory format: measured"),
        ("faster_rcnn", {}, "memory format: measured"),
        ("faster_rcnn", {"channels_last": False}, None),
    ],
)
def test_reason_names_the_settings_of_the_hint(kind, given, chosen_by_hint, small):
    """Faster R-CNN's hint holds a memory format only, SSDlite's a precision as well."""
    reasons = [
        reason
        for reason in choose_hardware({"accelerator": "cpu"} | given, small(kind)).reasons
        if "measured" in reason
    ]
    assert len(reasons) == (chosen_by_hint is not None)
    assert all(reason.startswith(chosen_by_hint) for reason in reasons)
