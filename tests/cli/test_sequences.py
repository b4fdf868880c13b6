"""Sequences on the command line: texts are classified, steps labelled, a text is continued."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from runner.run.files import read_json

TINY = ["tracking=none", "hardware=cpu", "trainer.max_epochs=1", "model.hidden_size=8", "report=false"]


@pytest.fixture
def cache(here: Path, monkeypatch) -> None:
    monkeypatch.setenv("RUNNER_DATA", str(here / "cache"))


def test_texts_are_classified(say, here: Path) -> None:
    lines = [
        f"{'good' if i % 2 else 'bad'},a text number {i % 9} that is {'fine' if i % 2 else 'poor'}"
        for i in range(60)
    ]
    (here / "t.csv").write_text("\n".join(["label,text", *lines]) + "\n")
    said = say(
        "train",
        "data=text_csv",
        "data.path=t.csv",
        *TINY,
        "run.name=first",
        "trainer.max_epochs=8",
        "optimizer.lr=0.02",
    )
    assert said.code == 0, said.err
    results = read_json(here / "runs" / "first" / "results.json")
    assert {"test/accuracy", "test/f1_class/good", "test/f1_class/bad"} <= set(results["test"])
    assert {"lengths", "test_confusion"} <= {
        path.stem for path in (here / "runs" / "first" / "plots").glob("*.png")
    }
    (here / "new.txt").write_text("this is fine\n\nthat is poor\n")
    rows = json.loads(say("predict", "first", "new.txt", "it is fine", "--json").out)
    assert [row["input"] for row in rows] == ["line 1", "line 3", "it is fine"]
    assert [row["class"] for row in rows] == ["good", "bad", "good"]
    found = json.loads(say("evaluate", "first", "--json").out)
    assert found["test/accuracy"] == pytest.approx(results["test"]["test/accuracy"])
    assert say("predict", "first", "--prompt", "it").code == 2
    assert "without --prompt" in say("predict", "first", "it", "--top-k", "3").err
    assert "give INPUT" in say("predict", "first").err


def test_steps_are_labelled(say, here: Path) -> None:
    said = say("train", "data=bracket_depth", "data.num_samples=60", *TINY, "run.name=depth")
    assert said.code == 0, said.err
    plots = {path.stem for path in (here / "runs" / "depth" / "plots").glob("*.png")}
    assert {"lengths", "test_confusion", "test_class_scores", "test_by_length"} <= plots
    (row,) = json.loads(say("predict", "depth", "a(b)", "--json").out)
    assert len(row["labels"]) == 4


@pytest.mark.parametrize(
    ("words", "num_columns"),
    [
        (["data=bracket_depth", "data.num_samples=60"], 5),
        (["data=text_csv", "data.path=t.csv"], 7),
        (
            [
                "data=waves",
                "data.num_steps=300",
                "data.input_steps=24",
                "data.horizon_steps=2",
                "model=dlinear",
            ],
            0,
        ),
    ],
)
def test_folds_of_sequences(say, here: Path, words: list[str], num_columns: int) -> None:
    """Steps, texts and time series: each fold learns its own vocabulary."""
    lines = [
        f"{'good' if i % 2 else 'bad'},a text w{i} that is {'fine' if i % 2 else 'poor'}" for i in range(40)
    ]
    (here / "t.csv").write_text("\n".join(["label,text", *lines]) + "\n")
    quick = [word for word in TINY if "dlinear" not in str(words) or "hidden_size" not in word]
    said = say("train", *words, *quick, "plots=false", "baselines=false", "folds=2", "run.name=cv")
    assert said.code == 0, said.err
    with open(here / "runs" / "cv" / "predictions.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len({row["index"] for row in rows}) == len(rows) > 30
    assert not num_columns or len(rows[0]) == num_columns
    assert {row["fold"] for row in rows} == {"0", "1"}
    targets = [key for key in rows[0] if key.startswith("target")]
    assert targets and all("prediction" + key.removeprefix("target") in rows[0] for key in targets)


def test_sequence_to_sequence(say, here: Path) -> None:
    small = ["data=dates", "data.num_train=64", "data.num_val=6", "data.num_test=6", "model.embed_dim=8"]
    said = say("train", *small, *TINY, "task.max_steps=12", "run.name=dates")
    assert said.code == 0, said.err
    results = read_json(here / "runs" / "dates" / "results.json")
    assert {"test/bleu", "test/bleu_beam", "test/perplexity", "test/exact_match"} <= set(results["test"])
    plots = {path.stem for path in (here / "runs" / "dates" / "plots").glob("*.png")}
    assert {"lengths", "test_attention", "test_translations"} <= plots
    (row,) = json.loads(say("predict", "dates", "7 March 1994", "--json").out)
    assert {"input", "text", "greedy"} == set(row)
    found = json.loads(say("evaluate", "dates", "--json").out)
    assert found["test/bleu_beam"] == pytest.approx(results["test"]["test/bleu_beam"])


def test_language_model_continues_a_prompt(say, here: Path, cache) -> None:
    (here / "poem.txt").write_text("".join(f"Line {i} of a ballad\n\n" for i in range(60)))
    small = ["data=text_file", "data.path=poem.txt", "data.window=16", "data.batch_size=4"]
    said = say("train", *small, *TINY, "run.name=poem")
    assert said.code == 0, said.err
    assert {"test/perplexity", "test/bits_per_character"} <= set(
        read_json(here / "runs" / "poem" / "results.json")["test"]
    )
    words = ["predict", "poem", "--prompt", "Line 3", "--length", "20", "--seed", "1"]
    first, again = say(*words), say(*words)
    assert (
        first.code == 0 and first.out == again.out and first.out.startswith("Line 3") and len(first.out) == 27
    )
    assert say(*words, "--temperature", "0").out != say(*words, "--temperature", "5").out
    assert len(json.loads(say(*words, "--count", "3", "--json").out)["texts"]) == 3
    assert "2 texts written to out" in say(*words, "--count", "2", "--output", "out").out
    assert (here / "out" / "text-2.txt").read_text().startswith("Line 3")
    for extra, complaint in (
        (["--top-k", "0"], "--top-k"),
        (["--temperature", "-1"], "--temperature -1"),
        (["more"], "exclude each other"),
        (["--csv"], "no effect"),
    ):
        said = say(*words, *extra)
        assert said.code == 2 and complaint in said.err, said.err
    assert "'日'" in say("predict", "poem", "--prompt", "日").err
    assert "--prompt TEXT" in say("predict", "poem", "poem.txt").err


def test_tunes_are_written(say, here: Path, cache) -> None:
    pytest.importorskip("music21")
    tune = "X:{}\nT:The Test\nM:4/4\nL:1/8\nK:D Major\nDEFG ABcd|dcBA GFED|D2F2 A2d2|d8|]\n\n"
    (here / "tunes.abc").write_text("".join(tune.format(i % 10) for i in range(40)))
    small = [
        "data=abc_file",
        "data.path=tunes.abc",
        "data.window=32",
        "data.batch_size=4",
        "optimizer.lr=0.02",
    ]
    said = say(
        "train",
        *small,
        *TINY,
        "model.hidden_size=48",
        "trainer.max_epochs=12",
        "plots=false",
        "baselines=false",
        "run.name=abc",
    )
    assert said.code == 0, said.err
    said = say(
        "predict", "abc", "--prompt", "X:1\n", "--temperature", "0", "--length", "300", "--output", "tunes"
    )
    assert said.code == 0 and "tunes parse" in said.out, said.err
    files = {path.name for path in (here / "tunes").iterdir()}
    assert {"tune-1.abc", "tune-1.mid"} <= files


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (
            ["data=brackets", "model=mlp"],
            "model=mlp takes inputs of the kind any, but data=brackets provides tokens",
        ),
        (["data=digits", "model=lstm"], "model=lstm takes inputs of the kind sequence or tokens"),
        (["data=bracket_depth", "model=resnet18"], "Available for labelling: model=gru, lstm, rnn"),
        (["data=python_topics", "model=mlp"], "Available for language: model=gru, lstm, rnn"),
        (["data=dates", "model=lstm"], "Available for seq2seq: model=seq2seq"),
        (["data=dates", "task.beam_size=0"], "task.beam_size=0"),
        (["data=text_csv", "data.path=gone.csv"], "data.path=gone.csv: no such file"),
        (["data=brackets", "model.hidden_size=0"], "model.hidden_size=0"),
        (["data=python_topics", "model.tie_weights=true", "model.embed_dim=9"], "embed_dim = hidden_size"),
    ],
)
def test_invalid_input_is_rejected_before_work(say, here: Path, words, complaint) -> None:
    said = say("train", *words)
    assert said.code == 2 and complaint in said.err and not (here / "runs").exists()
