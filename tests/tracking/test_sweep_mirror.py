"""A sweep in MLflow: one parent and one child per trial, correct after any kill."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time

import pytest

from runner.cli import main
from runner.config.tracking import Tracking
from runner.run.files import read_json, write_json
from runner.run.status import process_started_at, read_status, write_status
from runner.sweep.directory import SweepDir
from runner.sweep.mirror import SweepMirror, finish_mirror, start_mirror
from runner.sweep.mlflow_parent import BEST, ParentRun
from runner.sweep.storage import lock_of
from runner.sweep.study import load_study
from runner.tracking.child_runs import PARENT
from runner.tracking.mlflow_run import RunEntry
from runner.tracking.server import Server, free_port
from runner.tracking.store import default_uri, open_store
from tests.sweep.made import TRIALS, made_sweep, mlp


def all_runs(root) -> dict[str, object]:
    """Of the default experiment, by name."""
    client = open_store(default_uri(root))
    runs = client.search_runs([client.get_experiment_by_name("runner").experiment_id], max_results=1000)
    assert len({run.info.run_name for run in runs}) == len(runs), "a run was made twice"
    return {run.info.run_name: run for run in runs}


def set_state(sweep, **changes) -> None:
    write_json(sweep.status_path, read_json(sweep.status_path) | changes)


@pytest.fixture
def sweep(root):
    return made_sweep(root, TRIALS)


def test_parent_and_a_child_for_each_trial(sweep, root):
    assert SweepMirror(sweep).pass_once(final=True)
    runs = all_runs(root)
    parent = runs.pop("s")
    assert {name: run.info.status for name, run in runs.items()} == {
        "s/0": "FINISHED",
        "s/1": "FINISHED",
        "s/2": "KILLED",
        "s/3": "FAILED",
        "s/4": "FINISHED",
        "s/5": "FINISHED",
        "s/6": "FINISHED",
    }
    assert {run.data.tags[PARENT] for run in runs.values()} == {parent.info.run_id}
    assert (
        runs["s/2"].data.tags["runner.state"] == "pruned"
        and runs["s/3"].data.tags["runner.state"] == "failed"
    )
    assert [name for name, run in runs.items() if run.data.tags.get(BEST) == "true"] == ["s/1"]
    assert parent.info.status == "FINISHED"
    assert sweep.trial(0).created_at() * 1000 - 1 <= parent.info.start_time <= parent.info.end_time
    assert parent.data.params["space.optimizer.lr"] == "tag(log,interval(1e-5,1))"
    assert parent.data.metrics["best/val/accuracy"] == 0.95
    assert [parent.data.metrics[f"trials/{s}"] for s in ("complete", "pruned", "failed")] == [5, 1, 1]
    assert "| 1 | 0.9500 | logistic |" in parent.data.tags["mlflow.note.content"]
    assert parent.data.tags["mlflow.source.name"].startswith(
        "runner sweep model=mlp,logistic 'optimizer.lr=tag("
    )


def test_repeated_passes_send_each_value_once_across_processes(sweep, root):
    for _ in range(2):
        mirror = SweepMirror(sweep)  # as another process would: nothing in memory
        assert mirror.pass_once(final=True) and mirror.pass_once(final=True)
    client, run_id = open_store(default_uri(root)), all_runs(root)["s"].info.run_id
    sent = [(point.step, point.value) for point in client.get_metric_history(run_id, "trial/val/accuracy")]
    assert sorted(sent) == [(0, 0.90), (1, 0.95), (4, 0.93), (5, 0.91), (6, 0.85)]
    best = [(point.step, point.value) for point in client.get_metric_history(run_id, "best/val/accuracy")]
    assert sorted(best) == [(0, 0.90), (1, 0.95), (4, 0.95), (5, 0.95), (6, 0.95)]


def test_page_and_plots_are_artifacts_of_the_parent(root):
    sweep = made_sweep(root, TRIALS[:1])
    mirror = SweepMirror(sweep)
    assert mirror.pass_once(final=True)
    mirror.parent.send_page()
    client = open_store(default_uri(root))
    names = {item.path for item in client.list_artifacts(mirror.parent.run_id)}
    assert {"sweep.yaml", "base.yaml", "best.yaml", "report.html", "plots"} <= names
    assert "plots/history.png" in {item.path for item in client.list_artifacts(mirror.parent.run_id, "plots")}


def test_parent_created_before_a_kill_is_found_again(sweep, root):
    parent = ParentRun(sweep)
    parent.open()
    state = read_json(sweep.tracking_path)
    write_json(sweep.tracking_path, state | {"run_id": None, "experiment_id": None})
    again = ParentRun(sweep)
    again.open()
    assert again.run_id == parent.run_id
    assert list(all_runs(root)) == ["s"]


def test_best_tag_moves(root):
    sweep = made_sweep(root, [("complete", [0.5], mlp(0.1))])
    assert SweepMirror(sweep).pass_once(final=True)
    assert all_runs(root)["s/0"].data.tags[BEST] == "true"
    more = made_sweep(root / "more", [("complete", [0.5], mlp(0.1)), ("complete", [0.7], mlp(0.2))])
    for path in (more.study_path, more.status_path):
        path.replace(sweep.path / path.name)
    more.trial(1).path.rename(sweep.trial(1).path)
    assert SweepMirror(sweep).pass_once(final=True)
    runs = all_runs(root)
    assert BEST not in runs["s/0"].data.tags and runs["s/1"].data.tags[BEST] == "true"


def test_running_sweep_stays_running_until_it_ends(sweep, root):
    set_state(sweep, state="running", pid=os.getpid(), pid_started_at=process_started_at(os.getpid()))
    write_status(sweep.trial(0), state="running")
    mirror = SweepMirror(sweep)
    assert not mirror.pass_once(final=False)
    runs = all_runs(root)
    assert runs["s"].info.status == "RUNNING" and runs["s/0"].info.status == "RUNNING"
    assert runs["s/1"].info.status == "FINISHED"
    write_status(sweep.trial(0), state="finished")
    set_state(sweep, state="finished")
    assert mirror.pass_once(final=True)
    assert {run.info.status for run in all_runs(root).values()} == {"FINISHED", "KILLED", "FAILED"}


def test_runs_stay_open_while_a_trial_is_finishing(sweep, root):
    """The sweep's process has gone, but one of its trials lives for another moment."""
    set_state(sweep, state="running")  # of a process that is no more
    worker = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    began = process_started_at(worker.pid)
    write_status(sweep.trial(0), state="running", pid=worker.pid, pid_started_at=began)
    mirror = SweepMirror(sweep)
    assert not mirror.pass_once(final=True)
    assert all_runs(root)["s/0"].info.status == "RUNNING" and all_runs(root)["s"].info.status == "RUNNING"
    worker.communicate(b"\n")
    assert read_status(sweep.trial(0)).state == "lost"
    assert mirror.pass_once(final=True)
    runs = all_runs(root)
    assert runs["s/0"].info.status == "KILLED" and runs["s"].info.status == "KILLED"
    assert runs["s"].data.tags["runner.reason"] == "its process ended without recording a reason (killed?)"


def test_resumed_sweep_is_the_same_mlflow_run(sweep, root):
    set_state(sweep, state="running")
    assert SweepMirror(sweep).pass_once(final=True)
    before = all_runs(root)["s"].info
    assert before.status == "KILLED"
    set_state(sweep, pid=os.getpid(), pid_started_at=process_started_at(os.getpid()))
    SweepMirror(sweep).pass_once(final=False)
    assert all_runs(root)["s"].info.status == "RUNNING"
    set_state(sweep, state="finished")
    assert SweepMirror(sweep).pass_once(final=True)
    after = all_runs(root)["s"].info
    assert (after.run_id, after.status) == (before.run_id, "FINISHED")


def test_failing_store_is_reported_and_the_rest_is_sent_later(sweep, root, monkeypatch):
    mirror = SweepMirror(sweep)
    with monkeypatch.context() as patch:
        patch.setattr(ParentRun, "send", lambda *_: (_ for _ in ()).throw(OSError("no store")))
        assert not mirror.pass_once(final=True)
    assert mirror.errors == ["no store"]
    assert mirror.pass_once(final=True)


def test_process_exits_when_everything_is_sent(root):
    """It is fed by a pipe; the end of the pipe is the sweep's last word."""
    sweep = made_sweep(root, TRIALS[3:4] + TRIALS[:1])
    process = start_mirror(sweep, Tracking(log_model=False))
    said = finish_mirror(sweep, process, wait_s=120)
    assert said == "all trials are in MLflow: `runner ui` shows them", (
        sweep.logs / "tracking.log"
    ).read_text()
    assert process.wait(120) == 0
    assert sweep.report_path.is_file()
    assert all_runs(root)["s"].info.status == "FINISHED"


def test_sync_accepts_sweeps(root, capsys):
    made_sweep(root, TRIALS[:1])
    assert main(["sync", "--all", "--no-model", "--root", str(root)]) == 0
    assert "s: 1 trials · FINISHED · sqlite:///" in capsys.readouterr().out
    assert len(all_runs(root)) == 2


@pytest.mark.slow
def test_server_that_starts_late(sweep, root):
    """The server is not there at first; nothing is lost."""
    port = free_port()
    base = sweep.base_path.read_text()
    address = f"http://127.0.0.1:{port}"
    for path in [sweep.base_path, *(sweep.trial(n).config_path for n in range(len(TRIALS)))]:
        path.write_text(path.read_text().replace("enabled: true", f"enabled: true\n  uri: {address}"))
    assert base != sweep.base_path.read_text()
    mirror = SweepMirror(sweep)
    assert not mirror.pass_once(final=True) and mirror.errors
    with Server(default_uri(root), str(root), port) as server:
        server.wait_ready()
        assert mirror.pass_once(final=True)
        mirror.parent.send_page()
        runs = all_runs(root)
        assert len(runs) == 8 and runs["s"].info.status == "FINISHED"
        assert runs["s/1"].data.tags[PARENT] == runs["s"].info.run_id
        names = {item.path for item in open_store(address).list_artifacts(runs["s"].info.run_id)}
        assert "report.html" in names


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_sweeps_leave_one_parent_and_no_running_runs(root, tmp_path):
    """A real search is killed again and again, and started again until it comes to its end."""
    words = [sys.executable, "-m", "runner", "sweep", "model=logistic", "data=digits", "hardware=cpu",
             "trainer.max_epochs=2", "trainer.limit_train_batches=8", "trainer.limit_val_batches=2",
             "trainer.limit_test_batches=1", "sweep.name=k", "sweep.num_trials=6", "sweep.num_workers=2",
             "sweep.sampler=random", "optimizer.lr=tag(log,interval(1e-3,1e-1))", "tracking.log_model=false",
             f"run.root={root}"]  # fmt: skip
    kills = 0
    for patience in (14, 17, 20, None):
        process = subprocess.Popen(
            words, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        try:
            code = process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            kills += 1
            continue
        assert code == 0, process.stderr.read()
        break
    assert kills >= 1
    until = time.monotonic() + 240
    sweep = ParentRun(SweepDir(root / "k"))
    while not sweep.has_ended() and time.monotonic() < until:
        time.sleep(0.5)
    runs = all_runs(root)
    assert sorted(runs) == ["k", *(f"k/{n}" for n in range(6))]
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    assert len({run.data.tags.get(PARENT) for name, run in runs.items() if name != "k"}) == 1


def test_runs_with_further_seeds_are_children_of_their_trial(root):
    sweep = made_sweep(root, TRIALS[:1])
    repeat = sweep.trial(0).path / "repeats" / "1"
    shutil.copytree(sweep.trial(0).path, repeat, ignore=shutil.ignore_patterns("repeats"))
    assert SweepMirror(sweep).pass_once(final=True)
    runs = all_runs(root)
    assert sorted(runs) == ["s", "s/0", "s/0/repeats/1"]
    assert runs["s/0/repeats/1"].data.tags[PARENT] == runs["s/0"].info.run_id


def test_joining_machine_shares_the_parent_run(root, tmp_path):
    """It sends its own trials; the process that started the sweep sends the results."""
    mine = made_sweep(root, TRIALS[:2])
    load_study(mine).set_user_attr("mlflow", "a" * 32)
    store = default_uri(root)
    assert SweepMirror(mine, store).pass_once(final=True)
    theirs = made_sweep(tmp_path / "elsewhere", TRIALS[:3])
    load_study(theirs).set_user_attr("mlflow", "a" * 32)
    theirs.status_path.unlink()
    for number in (0, 1):
        shutil.rmtree(theirs.trial(number).path)
    assert SweepMirror(theirs, store).pass_once(final=True)
    runs = all_runs(root)
    assert sorted(runs) == ["s", "s/0", "s/1", "s/2"]
    assert runs["s/2"].data.tags[PARENT] == runs["s"].info.run_id
    assert runs["s"].info.status == "FINISHED" and runs["s"].data.metrics["trials/pruned"] == 0


def test_working_mirror_does_not_block_trials(sweep, monkeypatch):
    """Making a store takes seconds, and a server may hang: neither may block the sweep."""
    connect = RunEntry.connect

    def connect_slowly(entry, settings):
        with lock_of(sweep, None)().acquire(timeout=1):
            return connect(entry, settings)

    monkeypatch.setattr(RunEntry, "connect", connect_slowly)
    assert SweepMirror(sweep).pass_once(final=True)


def test_reading_a_study_does_not_wait_for_the_lock(sweep):
    with lock_of(sweep, None)():
        assert len(load_study(sweep).get_trials()) == len(TRIALS)
