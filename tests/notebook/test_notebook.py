"""Objects for notebooks: figures, predictions of arrays and tables, results as HTML."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

import runner
from runner.errors import DataError, RunNotFoundError, UserError
from runner.notebook.data import Data
from runner.notebook.figures import Figures
from runner.notebook.inputs import image_of
from runner.notebook.run import Run
from runner.notebook.samples import batch_figure, losing_samples, predicted_samples

QUICK = {
    "tracking": "none",
    "hardware": "cpu",
    "trainer": {"max_epochs": 2},
    "report": False,
    "baselines": False,
    "auto": False,
}


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Run:
    root = tmp_path_factory.mktemp("notebook")
    return runner.train("model=mlp", "data=digits", "run.name=digits", f"run.root={root}", **QUICK)


def test_run_displays_its_metrics_and_figures(digits: Run) -> None:
    page = digits._repr_html_()
    assert "digits</b> · finished" in page
    assert f"<td>accuracy</td><td>{digits.results['val']['val/accuracy']:.4g}</td>" in page
    assert {"curves", "samples"} <= set(digits.figures)
    assert digits.figures["curves"].size[0] > 300
    assert digits.figures._repr_html_().count("data:image/png;base64,") == len(digits.figures)
    with pytest.raises(KeyError, match="Available: .*curves"):
        digits.figures["curve"]


def test_predictions_of_objects_equal_those_of_files(digits: Run, tmp_path: Path) -> None:
    image = (np.arange(64).reshape(8, 8) * 4).astype(np.uint8)
    Image.fromarray(image).save(tmp_path / "digit.png")
    expected = digits.predict(str(tmp_path / "digit.png"))[0]
    del expected["input"]
    for value in (
        tmp_path / "digit.png",
        Image.fromarray(image),
        image,
        image[None],
        image[..., None],
        torch.from_numpy(image),
        torch.from_numpy(image)[None] / 255,
        [image],
    ):
        (row,) = digits.predict(value)
        assert {key: row[key] for key in expected} == expected, type(value)
    rows = digits.predict(np.stack([image, image])[:, None])
    assert len(rows) == 2 and len({row["input"] for row in rows}) == 2


def test_predictions_of_tables(tmp_path: Path) -> None:
    run = runner.train(
        "model=mlp", "data=diabetes", "run.name=table", f"run.root={tmp_path}", plots=False, **QUICK
    )
    columns = [column for _, column in run.trained.data.features()]
    rows = np.random.default_rng(0).uniform(1, 9, (3, len(columns)))
    table = pd.DataFrame(rows, columns=columns)
    table.to_csv(tmp_path / "rows.csv", index=False)
    expected = [row["disease progression"] for row in run.predict(tmp_path / "rows.csv")]
    for value in (table, rows, torch.from_numpy(rows)):
        assert [row["disease progression"] for row in run.predict(value)] == pytest.approx(expected)
    with pytest.raises(DataError, match="the rows have 3 values, and the data set 10 columns"):
        run.predict(rows[:, :3])
    results = run.show_results(count=4)
    assert isinstance(results, pd.DataFrame) and len(results) == 4 and "target" in results
    losses = run.top_losses(count=3)
    errors = (losses["disease progression"] - losses["target"].astype(float)).abs()
    assert errors.is_monotonic_decreasing


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((2, 3, 4, 5)), "is no image"),
        (np.zeros((8, 8, 2)), "is no image"),
        (np.full((8, 8), 2.0), "floats from 0 to 1"),
        (np.full((8, 8), np.nan), "floats from 0 to 1"),
        (np.full((8, 8), 300), "expected 0 to 255"),
    ],
)
def test_arrays_that_are_no_images(array: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        image_of(array)


def test_results_are_figures(digits: Run) -> None:
    arguments = (digits.directory, digits.trained, "val", 6)
    for figure in (predicted_samples(*arguments), losing_samples(*arguments)):
        assert isinstance(figure, Figure)
        captions = [ax.get_xlabel() for ax in figure.axes]
        assert sum("pred: " in caption for caption in captions) == 6
    figure = losing_samples(digits.directory, digits.trained, "val", 3)
    worst = [ax.get_xlabel().split("\n") for ax in figure.axes][:3]
    assert all(truth.split()[-1] != pred.split()[1] for truth, pred in worst), "wrong predictions first"
    for image in (digits.show_results(6), digits.top_losses(6)):
        assert isinstance(image, Image.Image) and image.format == "PNG", "shown by a notebook"


def test_data_shows_a_batch() -> None:
    data = runner.load_data("digits")
    assert (
        isinstance(data, Data) and repr(data) == "Data('digits', 1079 train, 359 val, 359 test, 10 classes)"
    )
    assert isinstance(data.show_batch(8), Image.Image)
    assert len(batch_figure(data.module, 8).axes) >= 8
    assert "<td>0</td>" in data._repr_html_()
    table = runner.load_data("data=diabetes").show_batch(5)
    assert isinstance(table, pd.DataFrame) and len(table) == 5 and "bmi" in table


def test_explanations_are_figures(digits: Run) -> None:
    figures = runner.explain(digits, method="integrated_gradients", samples=2, steps=4)
    assert isinstance(figures, Figures) and "overview" in figures
    with pytest.raises(UserError, match="explain has no option 'sample'"):
        runner.explain(digits, sample=2)


def test_comparison_and_resume(digits: Run) -> None:
    root = digits.directory.path.parent
    other = runner.train(
        "model=logistic", "data=digits", "run.name=other", f"run.root={root}", plots=False, **QUICK
    )
    table = runner.compare(digits, "other", root=root)
    assert list(table.columns) == ["digits", "other"]
    assert table.loc["model._target_"].nunique() == 2
    assert table.loc["val/accuracy", "other"] == other.results["val"]["val/accuracy"]
    with pytest.raises(UserError, match="two runs or more"):
        runner.compare(digits, digits)
    longer = runner.resume(other, trainer={"max_epochs": 3})
    assert max(epoch for _, epoch, _ in longer.metrics()["val/loss"]) == 2
    with pytest.raises(RunNotFoundError):
        runner.resume("absent", root=root)


def test_functions_and_packages_with_the_same_name() -> None:
    """``from runner import sweep`` is callable whether or not the package was imported before."""
    code = (
        "from runner import sweep, explain, report\n"
        "import runner.sweep.directory, runner.explain.options, runner.report.format\n"
        "import runner\n"
        "assert runner.sweep is sweep and callable(sweep) and callable(explain) and callable(report)\n"
        "assert sweep.directory.SweepDir\n"
        "try: report('absent')\n"
        "except runner.errors.RunNotFoundError as error: print('called')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "called\n", done.stderr
