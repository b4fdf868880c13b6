import pytest

from runner.report.comparison import best_columns, compare_table, differences


def test_only_differences_are_reported():
    assert differences(
        [{"a": {"b": 1, "c": [1]}, "run": {"name": "x"}}, {"a": {"b": 1, "c": [2]}, "d": None}]
    ) == {
        "a.c": ["[1]", "[2]"],
        "d": ["-", "null"],
    }


@pytest.mark.parametrize(
    ("metric", "values", "best"),
    [
        ("accuracy", [0.9, 0.8, 0.9], [0, 2]),
        ("loss", [0.9, 0.8, None], [1]),
        ("loss", [float("nan"), 0.8, 0.9], [1]),
        ("accuracy", [0.9, "nan"], []),
        ("accuracy", [0.9, 0.9], []),
        ("accuracy", [], []),
        ("threshold", [0.5, 0.3], []),
    ],
)
def test_best_columns(metric, values, best):
    assert best_columns(metric, values) == best


def test_runs_side_by_side(make_run, config_text, results_of):
    other = config_text.replace("lr: 0.001", "lr: 0.1\n  amsgrad: true")
    runs = [
        make_run("a"),
        make_run("b", config=other, results=results_of(0.98)),
        make_run("c", state="failed"),
    ]
    rows = {line.split()[0]: line.split()[1:] for line in str(compare_table(runs)).splitlines()[1:]}
    assert rows["optimizer.lr"] == ["0.001", "0.1", "0.001"]
    assert rows["optimizer.amsgrad"] == ["-", "true", "-"]
    assert rows["state"] == ["finished", "finished", "failed"]
    assert rows["test/accuracy"] == ["0.9712", "0.9800", "*", "-"]
    assert "model.hidden_sizes" not in rows


def test_equal_configs_are_reported(make_run):
    text = str(compare_table([make_run("a"), make_run("b")]))
    assert "the same" in text and "*" not in text
