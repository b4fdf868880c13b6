"""What is kept of an attempt besides what it trains."""

from __future__ import annotations

import runner.worker.recording as recording
from runner.config.compose import compose
from runner.config.plain import to_yaml
from runner.run.directory import RunDir
from runner.run.files import write_text
from runner.run.status import read_status
from runner.worker import execute
from runner.worker.__main__ import main

QUICK = ["data=digits", "model=logistic", "tracking=none", "plots=false", "hardware=cpu", "trainer.max_epochs=1"]


def make_run(folder, *words) -> RunDir:
    run = RunDir.create(str(folder), "r")
    write_text(run.config_path, to_yaml(compose([*QUICK, *words]).config))
    return run


def test_a_page_that_cannot_be_made_costs_no_run(tmp_path, monkeypatch, caplog):
    def broken(run):
        raise KeyError("kind")

    monkeypatch.setattr(recording, "write_report", broken)
    run = make_run(tmp_path)
    assert execute(run)["test"]["test/accuracy"] > 0.5
    assert read_status(run).state == "finished"
    assert "the report page was not written: KeyError: 'kind'" in caplog.text


def test_a_worker_ends_with_the_code_of_its_error(tmp_path, capsys):
    assert main([]) == 2
    assert main([str(make_run(tmp_path, "report=false").path)]) == 0
    run = make_run(tmp_path, "report=false", "optimizer=sgd", "optimizer.lr=1e38")
    assert main([str(run.path)]) == 1
    assert "error: step" in capsys.readouterr().err and read_status(run).state == "failed"
