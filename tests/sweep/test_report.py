"""The page about a sweep, and its tables."""

import json
import re

import pytest
from omegaconf import OmegaConf

from runner.cli import main
from runner.errors import RunNotFoundError
from runner.run.directory import find_run, list_runs
from runner.sweep.best import write_best
from runner.sweep.directory import find_run_or_sweep
from runner.sweep.report.figures import draw_figures
from runner.sweep.report.importance import importances
from runner.sweep.report.page import write_sweep_report
from runner.sweep.sweep_summary import read_record
from tests.sweep.made import TRIALS, logistic, made_sweep, mlp

ALL = {
    "history",
    "importance",
    "parallel_coordinates",
    "slices",
    "rank_correlation",
    "intermediate_values",
    "timeline",
}


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    return made_sweep(tmp_path_factory.mktemp("runs"), TRIALS)


def text_of(html: str) -> str:
    bare = re.sub(r"<style>.*?</style>|<[^>]+>", " ", html, flags=re.S)
    return " ".join(bare.split())


@pytest.fixture(scope="module")
def html(sweep):
    return write_sweep_report(sweep).read_text()


def test_page_is_complete_and_self_contained(html):
    text = text_of(html)
    for words in (
        "Search for the largest val/accuracy",
        "finished",
        "best val/accuracy 0.9500",
        "best trial 1",
        "trials ended 7 of 7",
        "Trial 1: the best",
        "runner train",
        "Parallel coordinates",
        "Time line",
        "the loss is not finite at step 3",
        "tag(log,interval(1e-5,1))",
        "sweep.sampler random",
    ):
        assert words in text, words
    sources = re.findall(r'(?:src|href)="([^"]{0,30})', html)
    assert len(sources) == len(ALL) and all(source.startswith("data:image/png;base64,") for source in sources)
    assert "Not drawn" not in text


def test_trials_are_sorted_best_first(sweep):
    record = read_record(sweep)
    from runner.sweep.report.content import trial_order

    assert [trial.number for trial in trial_order(record)] == [1, 4, 5, 0, 6, 2, 3]


def test_best_config_is_a_complete_run_config(sweep):
    write_best(read_record(sweep))
    text = sweep.best_path.read_text()
    assert text.startswith(
        "# trial 1 of the sweep s: val/accuracy 0.95\n# model=logistic\n# optimizer.lr=0.01\n"
    )
    config = OmegaConf.create(text)
    assert config.run.name == "s_best" and config.plots and config.report


@pytest.mark.parametrize(
    "trials, missing",
    [
        ([], ALL),
        ([("failed", None, mlp(0.1), {"reason": "raised"})], ALL - {"history", "timeline"}),
        ([("running", None, mlp(0.1), {"attempts": []})], ALL - {"history"}),
        ([("complete", [0.5], mlp(0.1))], {"importance", "parallel_coordinates", "rank_correlation"}),
        (
            [("complete", [0.5], mlp(0.1)), ("pruned", [0.2], logistic(0.2))],
            {"importance", "rank_correlation"},
        ),
        ([("complete", [0.5], mlp(0.1))] * 5, {"importance"}),
    ],
    ids=["none", "failed", "running", "one", "two", "all the same"],
)
def test_plot_that_cannot_be_drawn_reports_the_reason(tmp_path, trials, missing):
    sweep = made_sweep(tmp_path, trials)
    (sweep.plots / "importance.png").write_bytes(b"of an earlier state")
    drawn = draw_figures(read_record(sweep))
    assert set(drawn.paths) == ALL - missing
    assert len(drawn.missing) == len(missing) and not any(
        "could not be drawn" in why for why in drawn.missing.values()
    )
    assert {path.stem for path in sweep.plots.glob("*.png")} == ALL - missing


def test_page_of_a_sweep_without_trials(tmp_path):
    text = text_of(write_sweep_report(made_sweep(tmp_path, [])).read_text())
    assert "None was started yet" in text
    assert (
        "Not drawn History: no trial was started yet. Importances: requires 4 complete trials, but the "
        "sweep has 0." in text
    )


def test_several_objectives_get_a_front(tmp_path):
    trials = [
        ("complete", [0.9, 50.0], mlp(0.1)),
        ("complete", [0.8, 10.0], mlp(0.2)),
        ("complete", [0.7, 20.0], mlp(0.3)),
        ("failed", None, mlp(0.4)),
    ]
    sweep = made_sweep(tmp_path, trials, {"val/accuracy": "max", "num_parameters": "min"})
    record = read_record(sweep)
    assert [trial.number for trial in record.front()] == [0, 1]
    text = text_of(write_sweep_report(sweep).read_text())
    assert "largest val/accuracy and the smallest num_parameters" in text
    assert "trials that no other beats" in text and (sweep.plots / "pareto_front.png").is_file()


def test_importances_cover_shared_and_branch_parameters(sweep):
    groups = importances(read_record(sweep))
    assert [group.among for group in groups] == ["5 complete trials", "4 complete trials with model=mlp"]
    assert set(groups[0].shares["fANOVA"]) == {"model", "optimizer.lr"}
    assert set(groups[1].shares["mean decrease of impurity"]) == {"optimizer.lr", "model.hidden_sizes"}
    assert sum(groups[0].shares["fANOVA"].values()) == pytest.approx(1)


def test_killed_sweep_is_reported_as_lost(tmp_path):
    assert read_record(made_sweep(tmp_path, TRIALS, state="running")).state == "lost"


def test_trials_are_named_after_their_sweep(sweep):
    root = sweep.path.parent
    assert [run.name for run in list_runs(root)][:2] == ["s/0", "s/1"]
    assert find_run("s/1", root).path == sweep.trial(1).path
    with pytest.raises(
        RunNotFoundError, match="s is a sweep. Name one of its trials, such as s/1, the best trial"
    ):
        find_run("s", root)
    assert find_run_or_sweep("s", root).path == sweep.path
    assert find_run_or_sweep("latest", root).path == sweep.path
    assert find_run_or_sweep("s/3", root).path == sweep.trial(3).path


def test_commands(sweep, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = ["--root", str(sweep.path.parent)]
    assert main(["sweep", "list", *root]) == 0
    assert re.search(r"s +finished +7/7 +1 +1 +val/accuracy 0.9500 \(trial 1\)", capsys.readouterr().out)
    assert main(["sweep", "show", "s", *root]) == 0
    shown = capsys.readouterr().out
    assert "s finished: 7 of 7 trials: 5 complete, 1 pruned, 1 failed" in shown
    assert re.search(r"3 +failed +- +logistic +0.9 +- +- +8.0 s +the loss is not finite at step 3", shown)
    assert main(["sweep", "show", "s", "--json", *root]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["best"] == 1 and printed["trials"][2]["state"] == "pruned"
    assert main(["sweep", "best", "s", *root]) == 0
    printed = capsys.readouterr().out
    assert main(["sweep", "best", "--output", "found/best.yaml", *root]) == 0
    assert (tmp_path / "found/best.yaml").read_text() == printed
    assert "`runner train found/best.yaml` runs it" in capsys.readouterr().out


def test_runs_list_sweeps_and_optionally_trials(sweep, capsys):
    root = ["--root", str(sweep.path.parent)]
    assert main(["runs", *root]) == 0
    assert "And 1 sweep: `runner sweep list` lists them" in capsys.readouterr().out
    assert main(["runs", "--trials", *root]) == 0
    assert "s/4" in capsys.readouterr().out


def test_report_accepts_a_sweep(tmp_path, capsys):
    sweep = made_sweep(tmp_path, [("failed", None, mlp(0.1))], state="failed")
    assert main(["report", "s", "--root", str(tmp_path)]) == 0
    assert capsys.readouterr().out.strip() == str(sweep.report_path)
    assert sweep.report_path.is_file()


@pytest.mark.parametrize(
    "words, message",
    [
        (["sweep", "best", "a", "b"], "takes one sweep, got a b"),
        (["sweep", "list", "a"], "takes no further word, got a"),
        (["sweep", "best", "nothing"], "no sweep 'nothing'"),
        (["sweep", "show", "--output", "x"], "--output belongs to `runner sweep best`"),
        (["sweep", "model=mlp", "--json"], "--json belongs to `runner sweep show`"),
    ],
)
def test_errors_are_reported(words, message, tmp_path, capsys):
    assert main([*words, "--root", str(tmp_path)]) == 2
    assert message in capsys.readouterr().err


def test_best_of_a_sweep_without_a_complete_trial(tmp_path, capsys):
    made_sweep(tmp_path, [("failed", None, mlp(0.1))], state="failed")
    assert main(["sweep", "best", "--root", str(tmp_path)]) == 2
    assert "no trial of s is complete yet" in capsys.readouterr().err
