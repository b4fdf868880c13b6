import json
import threading

import pytest

from runner.errors import RunNotFoundError, UserError
from runner.run.directory import RunDir, find_run, list_runs, run_name


def make_run(root, name):
    run = RunDir.create(root, name)
    run.config_path.write_text("seed: 0\n")
    run.provenance_path.write_text("{}")
    return run


def test_runs_started_in_the_same_instant_get_directories_of_their_own(tmp_path):
    made = []
    threads = [
        threading.Thread(target=lambda: made.append(RunDir.create(tmp_path, "run"))) for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({run.path for run in made}) == 20


def test_root_that_is_a_file_is_rejected(tmp_path):
    (tmp_path / "runs").write_text("")
    with pytest.raises(UserError, match="run.root=FOLDER"):
        RunDir.create(tmp_path / "runs", "x")


def test_name_contains_model_and_data():
    assert run_name("resnet18_small", "cats/dogs").startswith("resnet18_small_cats-dogs_20")


@pytest.mark.parametrize("how", ["name", "part", "path", "config", "mlflow", "latest"])
def test_run_is_found(tmp_path, how):
    make_run(tmp_path, "2026-01-01_mlp_digits")
    run = make_run(tmp_path, "2026-01-02_resnet_cats")
    run.tracking_path.write_text(json.dumps({"run_id": "abc123"}))
    reference = {
        "name": run.name, "part": "resnet", "path": str(run.path), "config": str(run.config_path),
        "mlflow": "abc123", "latest": "latest",
    }[how]  # fmt: skip
    assert find_run(reference, tmp_path).path == run.path


def test_nearest_names_are_reported(tmp_path):
    make_run(tmp_path, "2026-01-01_mlp_digits")
    with pytest.raises(RunNotFoundError, match="Did you mean 2026-01-01_mlp_digits"):
        find_run("2026-01-01_mpl_digits", tmp_path)


def test_ambiguous_run_name_is_rejected(tmp_path):
    make_run(tmp_path, "a_mlp")
    make_run(tmp_path, "b_mlp")
    with pytest.raises(RunNotFoundError, match="matches 2 runs"):
        find_run("mlp", tmp_path)


def test_no_runs_at_all(tmp_path):
    with pytest.raises(RunNotFoundError, match="there are no runs"):
        find_run("latest", tmp_path)


def test_sweep_trials_are_runs_and_other_folders_are_not(tmp_path):
    make_run(tmp_path, "one")
    make_run(tmp_path / "sweep" / "trials", "0")
    (tmp_path / "no_run").mkdir()
    assert sorted(run.name for run in list_runs(tmp_path)) == ["one", "sweep/0"]
