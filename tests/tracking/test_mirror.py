"""The mirror against a SQLite store, in this process."""

from __future__ import annotations

import math
import shutil

import pytest

from runner.run.files import read_json, write_json, write_text
from runner.run.journal import Journal
from runner.run.status import write_status
from runner.tracking.metric_tail import read_state
from runner.tracking.mirror import Mirror, sync
from runner.tracking.store import default_uri, open_store


@pytest.fixture
def client(root):
    return open_store(default_uri(root))


def test_finished_run_is_complete(make_run, client, history):
    run = make_run()
    report = sync(run)
    assert (report.error, report.refused, report.complete, report.status) == (None, [], True, "FINISHED")
    found = client.get_run(report.run_id)
    assert found.info.run_name == "one"
    assert found.info.status == "FINISHED"
    assert found.info.end_time == int(read_json(run.status_path)["ended_at"] * 1000)
    assert history(client, report.run_id, "train/loss") == [(step, 1 / (step + 1)) for step in range(10)]
    assert found.data.params["model.hidden_sizes"] == "[128, 64]"
    assert found.data.params["optimizer.lr"] == "0.001"
    tags = found.data.tags
    assert tags["mlflow.source.name"] == tags["runner.command"] == "runner train model=mlp"
    assert tags["runner.directory"] == str(run.path)
    assert (tags["baseline"], tags["paper"]) == ("true", "figure 3")
    assert "| test/accuracy | 0.875 |" in tags["mlflow.note.content"]
    (used,) = found.inputs.dataset_inputs
    assert (used.dataset.name, used.dataset.digest) == ("digits", "0123456789abcdef")
    files = {file.path for file in client.list_artifacts(report.run_id)}
    assert {"config.yaml", "provenance.json", "results.json", "plots", "logs"} <= files
    assert "checkpoints" not in files
    assert [file.path for file in client.list_artifacts(report.run_id, "plots")] == ["plots/loss.png"]


def test_artifacts_are_stored_next_to_the_runs(make_run, client, root):
    report = sync(make_run())
    assert (root / "mlartifacts" / report.run_id / "artifacts" / "config.yaml").is_file()


def test_second_pass_sends_nothing(make_run, client):
    run = make_run()
    first = sync(run)
    second = sync(run)
    assert (second.points, second.params, second.tags, second.files) == (0, 0, 0, 0)
    assert second.run_id == first.run_id
    assert len(client.search_runs(["1"])) == 1


def test_point_timestamps_come_from_the_journal(make_run, client):
    run = make_run(steps=1)
    written = read_json(run.metrics_path)["time"]
    (point,) = client.get_metric_history(sync(run).run_id, "train/loss")
    assert point.timestamp == pytest.approx(written * 1000, abs=1)


def test_non_finite_values_and_invalid_metric_names(make_run, client):
    run = make_run(state=None)
    journal = Journal(run.metrics_path)
    journal.log(10, 2, {"val/nan": math.nan, "val/inf": math.inf, "val/-inf": -math.inf, "val/iou[cat]": 0.5})
    journal.close()
    report = sync(run)
    assert report.refused == [] and report.error is None
    metrics = client.get_run(report.run_id).data.metrics
    assert math.isnan(metrics["val/nan"])
    assert metrics["val/inf"] > 1e300 and metrics["val/-inf"] < -1e300
    assert [value for key, value in metrics.items() if key.startswith("val/iou_cat_")] == [0.5]


@pytest.mark.parametrize(
    ("state", "expected"),
    [("finished", "FINISHED"), ("failed", "FAILED"), ("interrupted", "KILLED"), (None, "RUNNING")],
)
def test_end_status_is_correct(make_run, client, state, expected):
    report = sync(make_run(state=state))
    run = client.get_run(report.run_id)
    assert run.info.status == report.status == expected
    assert report.complete == (state is not None)
    if state == "failed":
        assert run.data.tags["runner.reason"] == "because"


def test_run_of_a_vanished_process_is_marked_killed(make_run, client):
    run = make_run(state=None)
    write_json(run.status_path, read_json(run.status_path) | {"pid": 2**22 + 1, "pid_started_at": 1.0})
    report = sync(run)
    info = client.get_run(report.run_id).info
    assert info.status == "KILLED"
    assert info.end_time == pytest.approx(run.metrics_path.stat().st_mtime * 1000, abs=5000)


def test_resumed_run_continues_the_same_mlflow_run(make_run, client, history, log_steps):
    run = make_run(steps=10, state="interrupted")
    first = sync(run)
    write_status(run, state="running")
    journal = Journal(run.metrics_path)
    journal.truncate(sum(len(line) for line in run.metrics_path.read_bytes().splitlines(True)[:6]))
    journal.close()
    log_steps(run, range(6, 15))
    assert sync(run).status == "RUNNING"
    assert client.get_run(first.run_id).info.status == "RUNNING"
    write_status(run, state="finished")
    last = sync(run)
    assert last.run_id == first.run_id
    assert client.get_run(first.run_id).info.status == "FINISHED"
    assert history(client, first.run_id, "train/loss") == [(step, 1 / (step + 1)) for step in range(15)]
    assert client.get_run(first.run_id).data.tags["runner.attempt"] == "2"


def test_parameter_changed_by_a_resume_becomes_a_tag(make_run, client, config_text):
    run = make_run(state="interrupted")
    sync(run)
    write_text(run.config_path, config_text().replace("lr: 0.001", "lr: 0.5"))
    report = sync(run)
    assert report.error is None and report.refused == []
    data = client.get_run(report.run_id).data
    assert data.params["optimizer.lr"] == "0.001"
    assert data.tags["runner.changed.optimizer.lr"] == "0.5"
    assert sync(run).tags == 0


def test_values_that_depend_on_facts_are_sent_once_known(make_run, client, config_text):
    run = make_run(state=None)
    waiting = config_text().replace("in_features: 64", "in_features: '${facts:in_features}'")
    write_text(run.config_path, waiting)
    report = sync(run)
    assert "model.in_features" not in client.get_run(report.run_id).data.params
    write_text(run.config_path, config_text())
    sync(run)
    assert client.get_run(report.run_id).data.params["model.in_features"] == "64"


def test_more_points_than_fit_into_one_request(make_run, client, history):
    run = make_run(steps=1700)
    report = sync(run)
    assert report.points == 3400
    assert len(history(client, report.run_id, "train/lr")) == 1700


def test_mirror_killed_before_saving_its_state_sends_no_duplicates(make_run, client, history, log_steps):
    run = make_run(steps=5, state=None)
    first = sync(run)
    before = run.tracking_path.read_bytes()
    log_steps(run, range(5, 9))
    sync(run)
    run.tracking_path.write_bytes(before)
    again = sync(run)
    assert again.points == 8
    assert history(client, first.run_id, "train/loss") == [(step, 1 / (step + 1)) for step in range(9)]


def test_mirror_killed_after_creating_the_run_finds_it_again(make_run, client, history):
    run = make_run()
    first = sync(run)
    write_json(run.tracking_path, {"token": read_state(run).token})
    second = sync(run)
    assert second.run_id == first.run_id
    assert len(client.search_runs(["1"])) == 1
    assert len(history(client, first.run_id, "train/loss")) == 10


def test_lost_store_is_recreated(make_run, root, empty_store):
    run = make_run()
    first = sync(run)
    shutil.copy(empty_store, root / "another.db")
    report = sync(run, f"sqlite:///{root / 'another.db'}")
    assert report.error is None
    assert report.run_id != first.run_id
    assert report.points == 20 and report.complete
    assert sync(run).uri.endswith("another.db")


def test_run_unknown_to_its_store_is_sent_completely(make_run, client):
    run = make_run()
    sync(run)
    state = read_json(run.tracking_path) | {"run_id": "0" * 32}
    write_json(run.tracking_path, state)
    report = sync(run)
    assert report.error is None and report.points == 20 and report.complete


def test_run_deleted_in_the_dashboard_stays_deleted(make_run, client, log_steps):
    run = make_run(state=None)
    mirror = Mirror(run)
    run_id = mirror.sync().run_id
    client.delete_run(run_id)
    log_steps(run, range(10, 12))
    for report in (mirror.sync(), sync(run)):
        assert "deleted in MLflow" in report.error
    client.restore_run(run_id)
    assert sync(run).points == 4


def test_deleted_experiment_is_restored(make_run, client):
    sync(make_run("one"))
    client.delete_experiment("1")
    report = sync(make_run("two"))
    assert report.error is None
    assert client.get_experiment("1").lifecycle_stage == "active"


def test_unreachable_store_is_reported_and_nothing_is_lost(make_run, client, monkeypatch):
    run = make_run()
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    report = sync(run, "http://127.0.0.1:9")
    assert report.error is not None and "127.0.0.1" in report.error
    assert not report.complete
    assert sync(run).points == 20


def test_changed_file_is_sent_again(make_run, client, tmp_path):
    run = make_run()
    sync(run)
    write_text(run.report_path, "<html>")
    write_text(run.plots / "loss.png", "a better picture")
    report = sync(run)
    assert report.files == 2
    local = client.download_artifacts(report.run_id, "plots/loss.png", str(tmp_path))
    assert open(local).read() == "a better picture"


def test_end_is_not_final_before_the_worker_exits(make_run):
    run = make_run()
    report = Mirror(run).sync(final=False)
    assert (report.status, report.complete) == ("FINISHED", False)
    assert read_state(run).ended is None
    assert Mirror(run).sync().complete
