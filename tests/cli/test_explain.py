"""``runner explain`` on finished runs: what it prints, what it keeps, what it refuses."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from runner.cli import main
from runner.run.directory import RunDir
from runner.tracking.artifacts import files_of

QUIET = ["tracking=none", "plots=false", "baselines=false", "hardware=cpu", "trainer.max_epochs=1"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, monkeypatch_module) -> Path:
    """Runs on images, a table, texts, a text to go on with, a series, pairs of sequences, and words."""
    folder = tmp_path_factory.mktemp("explained")
    monkeypatch_module.chdir(folder)
    monkeypatch_module.setenv("RUNNER_DATA", str(folder / "cache"))
    rows = [f"{i % 7},{'red' if i % 3 else 'blue'},{i % 5}" for i in range(90)]
    (folder / "empty.csv").write_text("size,color,price\n")
    (folder / "t.csv").write_text("\n".join(["size,color,price", *rows]) + "\n")
    lines = [
        f"{'good' if i % 2 else 'bad'},a text number {i % 9} that is {'fine' if i % 2 else 'poor'}"
        for i in range(60)
    ]
    (folder / "s.csv").write_text("\n".join(["label,text", *lines]) + "\n")
    (folder / "poem.txt").write_text("".join(f"Line {i} of a ballad\n\n" for i in range(60)))
    (folder / "series.csv").write_text("\n".join(["y,z", *(f"{i % 6},{i % 4}" for i in range(120))]) + "\n")
    lstm = ["model=lstm", "model.hidden_size=8", "report=false"]
    for name, words in {
        "digits": ["data=digits", "model=small_cnn", "model.widths=[4,8]"],
        "prices": ["data=csv", "data.path=t.csv", "data.target=price", "task=regression", "report=false"],
        "texts": ["data=text_csv", "data.path=s.csv", *lstm],
        "poem": ["data=text_file", "data.path=poem.txt", "data.window=16", "data.batch_size=4", *lstm],
        "series": [
            "data=series",
            "data.path=series.csv",
            "data.input_steps=8",
            "data.horizon_steps=2",
            *lstm,
        ],
        "dates": [
            "data=dates",
            "data.num_train=64",
            "data.num_val=4",
            "data.num_test=0",
            "model.hidden_size=8",
            "report=false",
        ],
        "words": ["data=word_pairs", "data.path=poem.txt", "report=false"],
    }.items():
        assert main(["train", *words, *QUIET, f"run.name={name}"]) == 0
    return folder


@pytest.fixture(scope="module")
def monkeypatch_module():
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture
def explain(root: Path, monkeypatch, capsys):
    """``explain(*words)``: exit code, standard output and standard error."""

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.chdir(root)
        capsys.readouterr()
        code = main(["explain", *words])
        return code, *capsys.readouterr()

    return run


def test_images_of_the_validation_split(explain, root: Path) -> None:
    code, out, err = explain("digits", "--samples", "3", "--sanity")
    assert code == 0, err
    assert "grad_cam, maps of backbone" in out and "rank correlation" in out and "backbone.0" in out
    folder = root / "runs" / "digits" / "explanations" / "grad_cam"
    told = json.loads((folder / "attributions.json").read_text())
    assert len(told["explanations"]) == 3 and told["layers"] == ["backbone"] and len(told["sanity"]) == 5
    maps = np.load(folder / "maps.npz")
    assert sorted(maps) == ["0", "1", "2"] and maps["0"].shape == (8, 8)
    pictures = {path.stem for path in folder.glob("*.png")}
    assert {"overview", "sanity", told["explanations"][0]["input"]} <= pictures and len(pictures) == 5
    assert "grad cam" in (root / "runs" / "digits" / "report.html").read_text()
    sent = {
        str(path) for path in files_of(RunDir(root / "runs" / "digits"), has_ended=True, checkpoints=False)
    }
    assert "explanations/grad_cam/overview.png" in sent


def test_image_and_its_completeness(explain, root: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 8), dtype=np.uint8)).save(root / "new.png")
    code, out, err = explain(
        "digits", "new.png", "--method", "integrated_gradients", "--target", "7", "--output", "said"
    )
    assert code == 0, err
    assert "completeness_error" in out and "against the mean by which images are standardised" in out
    assert "the parts add up to what they explain within" in out
    (one,) = json.loads((root / "said" / "attributions.json").read_text())["explanations"]
    total = float(np.load(root / "said" / "maps.npz")["0"].sum())
    assert one["target"] == "7" and "truth" not in one
    assert total - (one["score"] - one["baseline_score"]) == pytest.approx(
        one["completeness_error"], abs=1e-4
    )
    for method in ("grad_cam_plus_plus", "occlusion"):
        assert explain("digits", "new.png", "--method", method, "--output", "said")[0] == 0


def test_worst_come_first(explain, root: Path) -> None:
    assert (
        explain("digits", "--worst", "--samples", "2", "--method", "occlusion", "--output", "worst")[0] == 0
    )
    rows = json.loads((root / "worst" / "attributions.json").read_text())["explanations"]
    assert all(not row["said"].startswith(row["truth"]) for row in rows)


def test_table(explain, root: Path) -> None:
    code, out, err = explain("prices", "--repeats", "3")
    assert code == 0, err
    assert "R²" in out and "permutation" in out
    with open(root / "runs" / "prices" / "explanations" / "permutation" / "attributions.csv") as file:
        rows = [*csv.DictReader(file)]
    assert {row["column"] for row in rows} == {"size", "color"} and set(rows[0]) == {"column", "mean", "std"}
    code, out, err = explain("prices", "t.csv", "--output", "rows")
    assert code == 0 and "integrated_gradients" in out, err
    assert {"overview.png", "columns.png", "attributions.csv"} <= {
        path.name for path in (root / "rows").iterdir()
    }
    first = json.loads((root / "rows" / "attributions.json").read_text())["explanations"][0]
    assert [(part["column"], part["value"]) for part in first["columns"]] == [
        ("size", "0"),
        ("color", "blue"),
    ]


def test_texts_and_a_prompt(explain, root: Path) -> None:
    code, out, err = explain("texts", "it is fine", "that <is> poor", "--output", "tokens")
    assert code == 0, err
    page = (root / "tokens" / "texts.html").read_text()
    assert ">fine</span>" in page and "<is>" not in page and 'title="' in page
    with open(root / "tokens" / "attributions.csv") as file:
        rows = [*csv.DictReader(file)]
    assert [row["token"] for row in rows[:3]] == ["<unknown>", "is", "fine"] and rows[2]["position"] == "3"
    assert explain("texts", "--samples", "2", "--method", "occlusion")[0] == 0
    code, out, err = explain("poem", "Line 3 of", "--target", "a")
    assert code == 0 and "'a'" in out, err
    assert explain("poem", "--samples", "2")[0] == 0


def test_series(explain, root: Path) -> None:
    code, out, err = explain("series", "--samples", "2", "--target", "z", "--step", "2", "--output", "steps")
    assert code == 0 and "z, step 2 ahead" in out, err
    (one, _) = json.loads((root / "steps" / "attributions.json").read_text())["explanations"]
    assert one["variables"] == ["y", "z"] and np.shape(one["scores"]) == (8, 2)
    assert explain("series", "series.csv", "--method", "occlusion", "--output", "steps")[0] == 0


def test_pairs_of_sequences(explain, root: Path) -> None:
    code, out, err = explain("dates", "--samples", "2", "--sanity", "--steps", "16", "--output", "pairs")
    assert code == 0 and "completeness" in out and "rank correlation" in out, err
    told = json.loads((root / "pairs" / "attributions.json").read_text())["explanations"]
    whole, *tokens = [one for one in told if one["input"] == told[0]["input"]]
    assert (
        "step" not in whole
        and [one["step"] for one in tokens] == [*range(1, len(tokens) + 1)]
        and len(tokens) > 1
    )
    sums = np.sum([[part["score"] for part in one["tokens"]] for one in tokens], 0)
    assert [part["score"] for part in whole["tokens"]] == pytest.approx(sums, abs=1e-3)
    names = {path.name for path in (root / "pairs").iterdir()}
    assert {"attributions.csv", "texts.html", "overview.png", "sanity.png", f"{whole['input']}.png"} <= names
    code, out, err = explain(
        "dates", "Jan 5 2001", "--step", "1", "--target", "7", "--method", "occlusion", "--output", "token"
    )
    assert code == 0 and "'7'" in out, err
    with open(root / "token" / "attributions.csv") as file:
        assert {(row["target"], row["step"]) for row in csv.DictReader(file)} == {("'7'", "1")}


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (
            "digits --method permutation",
            "not for images: a run of classification on them has grad_cam, grad_cam_plus_plus",
        ),
        (
            "texts --method grad_cam",
            "not for texts: a run of classification on them has integrated_gradients, occlusion",
        ),
        ("prices --method occlusion", "not for rows of a table: a run of regression on them has permutation"),
        ("digits --method gradcam", "invalid choice: 'gradcam'"),
        ("digits --target eleven", "--target eleven: the run has no such class"),
        ("prices --target prise --method integrated_gradients", "Did you mean 'price'?"),
        ("digits --layer bakbone", "Did you mean 'backbone'"),
        ("digits --layer head", "Grad-CAM requires maps of shape"),
        ("texts --layer layers", "--layer would have no effect"),
        ("digits --step 2", "--step would have no effect"),
        ("dates 2001 --step 99", "--step 99: the model writes"),
        ("dates 2001 --target 7", "give with --step the position it replaces"),
        ("dates 2001 --step 1 --target 77", "--target '77' is 2 tokens"),
        ("dates 2001 --step 1 --target Q", "--target Q: the run writes no such token"),
        ("words line", "`runner predict RUN WORD…` lists the nearest words"),
        ("series --step 3", "--step 3: the run forecasts 2 steps"),
        ("digits --split tset", "train, val, test"),
        ("digits --samples 0", "--samples 0: expected a number from 1"),
        ("digits absent.png", "absent.png"),
        ("prices empty.csv", "empty.csv: there is nothing to explain in it"),
        ("digits t.csv --samples 3", "--samples would have no effect with INPUT"),
        ("digits --steps 9 --method occlusion", "--steps would have no effect"),
        ("prices t.csv --method permutation", "leave INPUT out"),
        ("prices --sanity", "--sanity is for explanations of single inputs"),
        (
            "prices --samples 3",
            "--samples would have no effect: permutation importance is of the whole split",
        ),
        ("prices --worst", "--worst would have no effect"),
        ("poem Ω", "'Ω'"),
        ("digits --output poem.txt/inside", "cannot be written"),
        ("nobody", "nobody"),
    ],
)
def test_invalid_input(words: str, complaint: str, explain) -> None:
    code, _, err = explain(*words.split())
    assert code == 2 and complaint in err and "Traceback" not in err, err
    assert err.count("error:") == 1


def test_model_without_maps_and_a_task_without_methods(say, trained: Path) -> None:
    said = say("explain", "first", "--root", str(trained), "--method", "grad_cam")
    assert said.code == 2 and "MLP has no convolutional maps" in said.err
    said = say("explain", "first", "--root", str(trained), "--samples", "2", "--output", "out")
    assert said.code == 0 and "integrated_gradients" in said.out
