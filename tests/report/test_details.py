from __future__ import annotations

from runner.report.class_table import class_table
from runner.report.details import applied_regularization, changed_rows, fact_rows
from runner.report.texts import read_texts, write_texts
from runner.run.directory import RunDir


def test_only_regularization_that_applies_is_listed() -> None:
    config = {
        "regularization": {
            "dropout": 0.1,
            "weight_decay": 1e-4,
            "label_smoothing": 0.0,
            "augment": {"_target_": "x", "flip": True},
            "ema": 0.9,
            "l1": 0.0,
            "swa": None,
        },
        "model": {"_target_": "m"},
        "optimizer": {"weight_decay": 1e-4},
        "data": {"augment": None},
    }
    assert applied_regularization(config) == {"weight_decay": 1e-4, "ema": 0.9}
    config["model"] = {"head": [{"dropout": 0.1}]}
    assert "dropout" in applied_regularization(config)


def test_classes_have_a_row_with_a_column_for_each_metric_and_split() -> None:
    metrics = {
        "val": {"accuracy": 0.9, "f1_class/cat": 0.5, "f1_class/a/b": 1.0, "recall_class/cat": 0.25},
        "test": {"accuracy": 0.8, "f1_class/cat": 0.75},
    }
    table = class_table(metrics)
    assert table["headers"] == ["f1 val", "f1 test", "recall val", "recall test"]
    assert table["rows"] == [["cat", "0.5000", "0.7500", "0.2500", "-"], ["a/b", "1.0000", "-", "-", "-"]]
    assert class_table({"val": {"accuracy": 0.9}}) == {"headers": [], "rows": []}


def test_changed_settings_and_dropped_samples_are_texts() -> None:
    provenance = {"changed_settings": {"optimizer.lr": [0.001, 0.003]}}
    assert changed_rows(provenance) == [("optimizer.lr", "0.001", "0.003")]
    facts = {
        "dropped": [{"what": "rows", "count": 3, "total": 1000, "where": "train", "reason": "no target"}]
    }
    assert fact_rows(facts) == [("left out", "3 of 1,000 rows (train): no target")]


def test_texts_are_stored(tmp_path) -> None:
    run = RunDir.create(tmp_path, "r")
    write_texts(run, {})
    assert read_texts(run) == {} and not list(run.plots.glob("*.json"))
    write_texts(run, {"samples": []})
    assert read_texts(run) == {"samples": []}
    (run.plots / "texts.json").write_text("{")
    assert read_texts(run) == {}
