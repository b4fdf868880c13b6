from __future__ import annotations

from runner.run.status import Status
from runner.tracking.tags import headline, note_of


def test_monitored_test_metric_comes_first():
    results = {
        "best": {"monitor": "val/f1"},
        "val": {"val/f1": 0.1},
        "test": {"test/loss": 1.0, "test/accuracy": 0.5, "test/f1": 0.6},
    }
    assert list(headline(results)) == ["test/f1", "test/accuracy", "test/loss"]


def test_validation_is_shown_without_a_test_split():
    assert headline({"val": {"accuracy": 0.5}}) == {"val/accuracy": 0.5}


def test_empty_run_has_a_description():
    assert headline({}) == {}
    assert "failed: out of memory" in note_of(
        "one", "MLP on Digits", "runner train", Status("failed", reason="out of memory"), {}
    )


def test_description_contains_results_checkpoint_and_command():
    results = {
        "best": {"monitor": "val/accuracy", "value": 0.91234567, "step": 100, "epoch": 3},
        "test": {"test/accuracy": 0.87654321},
    }
    note = note_of("one", "MLP on Digits", "runner train model=mlp", Status("finished"), results)
    assert "| test/accuracy | 0.8765 |" in note
    assert "step 100, epoch 3 (val/accuracy 0.9123)" in note
    assert "```\nrunner train model=mlp\n```" in note
    assert "`runner report one`" in note
