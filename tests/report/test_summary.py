import pytest

from runner.report.summary import lower_is_better, summarize
from runner.run.directory import RunDir


def test_finished_run(make_run):
    summary = summarize(make_run())
    assert (summary.model, summary.data, summary.monitor) == ("MLP", "Digits", "accuracy")
    assert summary.headline == ("test/accuracy", 0.9712)
    assert summary.command == "runner train model=mlp 'run.tags=[a b]'"
    assert summary.seconds == 83.2


def test_validation_is_the_headline_without_a_test_split(make_run):
    run = make_run(results={"val": {"val/loss": 0.5, "val/rmse": 2.0}, "test": {}})
    assert summarize(run).headline == ("val/rmse", 2.0)


@pytest.mark.parametrize("name", ["config.yaml", "results.json", "facts.json", "provenance.json"])
@pytest.mark.parametrize("content", [None, b"", b"{", b"\xff\xfe\x00", b"[1]"])
def test_missing_and_truncated_files_give_empty_values(make_run, name, content):
    run = make_run(name=f"{name}-{content!r}".replace("\\", ""))
    path = run.path / name
    path.unlink() if content is None else path.write_bytes(content)
    assert summarize(run).status.state == "finished"


def test_empty_folder(tmp_path):
    summary = summarize(RunDir(tmp_path))
    assert (summary.model, summary.command, summary.headline, summary.seconds) == ("", "", None, None)


@pytest.mark.parametrize("metric", ["loss", "rmse", "val/mae", "calibration_error", "perplexity", "mae/r2"])
def test_lower_is_better(metric):
    assert lower_is_better(metric)


@pytest.mark.parametrize(
    "metric",
    ["accuracy", "f1_macro", "r2", "mean_iou", "auroc", "lossless", "val/f1_class/error", "r2/distance"],
)
def test_higher_is_better(metric):
    assert not lower_is_better(metric)
