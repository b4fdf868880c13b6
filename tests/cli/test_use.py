"""evaluate, predict and report: a finished run in use."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from runner.run.directory import RunDir
from runner.run.files import flattened, read_json, rows_as_csv


@pytest.fixture
def digits(here: Path) -> list[str]:
    """Two image files: a zero and a one, as scikit-learn has them."""
    from sklearn.datasets import load_digits

    images = load_digits().images
    for index in range(2):
        pixels = (images[index] * (255 / 16)).round().astype(np.uint8)
        Image.fromarray(pixels).save(here / f"digit{index}.png")
    return ["digit0.png", "digit1.png"]


def test_evaluate_finds_the_metrics_of_training(say, trained: Path) -> None:
    results = read_json(RunDir(trained / "first").results_path)
    metrics = json.loads(say("evaluate", "first", "--root", str(trained), "--json").out)
    assert metrics == pytest.approx(results["test"], rel=1e-4)
    said = say("evaluate", "latest", "--root", str(trained), "--split", "val")
    assert f"{results['val']['val/accuracy']:.4g}" in said.out


def test_evaluate_with_other_values(say, trained: Path) -> None:
    plain, same = (
        say("evaluate", "first", *words, "--root", str(trained), "--json")
        for words in ([], ["data.eval_batch_size=50", "data.split_seed=0"])
    )
    assert same.code == 0, same.err
    assert json.loads(same.out) == pytest.approx(json.loads(plain.out), rel=1e-5)


@pytest.mark.parametrize("word", ["data.split_seed=7", "data.val_fraction=0.3", "data.test_fraction=0.4"])
def test_evaluate_never_splits_the_data_again(word: str, say, trained: Path) -> None:
    said = say("evaluate", "first", word, "--root", str(trained))
    assert said.code == 2
    assert f"{word} would change the splits of first" in said.err and "data.root" in said.err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--split", "tset"], "train, val, test"),
        (["data.splitt_seed=7"], "split_seed"),
        (["dat.split_seed=7"], "Did you mean 'data'"),
        (["--checkpoint", "worst"], "invalid choice: 'worst'"),
    ],
)
def test_invalid_input_of_evaluate(words: list[str], expected: str, say, trained: Path) -> None:
    said = say("evaluate", "first", *words, "--root", str(trained))
    assert said.code == 2
    assert expected in said.err


def test_predict_prints_a_table(say, trained: Path, digits: list[str]) -> None:
    said = say("predict", "first", *digits, "--root", str(trained))
    assert said.code == 0, said.err
    assert said.out.splitlines()[0].split()[0] == "input"
    assert "digit0.png" in said.out and "digit1.png" in said.out


def test_predict_as_json(say, trained: Path, digits: list[str]) -> None:
    rows = json.loads(say("predict", "first", *digits, "--root", str(trained), "--json").out)
    assert [row["input"] for row in rows] == digits
    table = [
        *csv.DictReader(io.StringIO(say("predict", "first", *digits, "--root", str(trained), "--csv").out))
    ]
    assert [row["input"] for row in table] == digits
    assert set(table[0]) == {key for row in rows for key in flattened(row)}
    assert float(table[0]["confidence"]) == rows[0]["confidence"]


def test_class_columns_keep_their_order() -> None:
    rows = [
        {"input": "a", "probs": {"c10": 0.6, "c9": 0.4}},
        {"input": "b", "probs": {"c2": 0.9, "c10": 0.1}},
    ]
    assert rows_as_csv(rows).splitlines()[0] == "input,probs.c2,probs.c9,probs.c10"
    assert rows_as_csv(rows).splitlines()[2] == "b,0.9,,0.1"


def test_predict_writes_a_file(say, trained: Path, digits: list[str], here: Path) -> None:
    said = say("predict", "first", *digits, "--root", str(trained), "--output", "said.json")
    assert "2 predictions written to said.json" in said.out
    assert len(json.loads((here / "said.json").read_text())) == 2


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["digit0.png", "--output", "said.txt"], "use the suffix .json or .csv"),
        (["digit0.png", "--output", "absent/said.csv"], "cannot be written"),
        (["digit0.png", "--json", "--csv"], "not allowed with argument"),
        (["absent.png"], "absent.png"),
        ([], "give INPUT to predict"),
    ],
)
def test_invalid_input_of_predict(words: list[str], expected: str, say, trained: Path, digits) -> None:
    said = say("predict", "first", *words, "--root", str(trained))
    assert said.code == 2
    assert expected in said.err


def test_nested_values_become_columns() -> None:
    assert flattened({"a": 1, "probs": {"cat": 0.9, "of": {"dog": 0.1}}}) == {
        "a": 1,
        "probs.cat": 0.9,
        "probs.of.dog": 0.1,
    }


def test_report_is_rewritten(say, trained: Path) -> None:
    page = RunDir(trained / "first").report_path
    page.unlink(missing_ok=True)
    said = say("report", "first", "--root", str(trained))
    assert said.code == 0
    assert said.out.strip() == str(page)
    assert "first" in page.read_text()
