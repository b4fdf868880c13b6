from __future__ import annotations

from dataclasses import asdict

import pytest
from omegaconf import OmegaConf

from runner.config.tracking import Tracking
from runner.tracking.settings import check, read_config, read_settings


def test_config_without_tracking_node_mirrors_nothing():
    assert not Tracking.from_config({}).enabled
    assert not Tracking.from_config({"tracking": None}).enabled
    assert not Tracking.from_config(None).enabled


def test_options_of_the_group_are_the_settings():
    from pathlib import Path

    folder = Path(__file__).resolve().parents[2] / "conf" / "tracking"
    node = OmegaConf.to_container(OmegaConf.load(folder / "mlflow.yaml"))
    assert Tracking(**node) == Tracking()
    assert node.keys() == asdict(Tracking()).keys()


@pytest.mark.parametrize(
    "uri", [None, "http://127.0.0.1:5000", "sqlite:////x/mlflow.db", "postgresql+psycopg2://h/d"]
)
def test_writable_stores(uri):
    assert check(Tracking(uri=uri)) == []


@pytest.mark.parametrize("uri", ["file:./mlruns", "mlruns", "ftp://host", "127.0.0.1:5000"])
def test_other_stores_are_rejected_before_any_work(uri):
    (problem,) = check(Tracking(uri=uri))
    assert repr(uri) in problem and "http://127.0.0.1:5000" in problem


def test_empty_experiment_is_rejected():
    (problem,) = check(Tracking(experiment=" "))
    assert "tracking.experiment" in problem


def test_settings_are_read_from_a_run(make_run):
    run = make_run(uri="http://127.0.0.1:1")
    assert read_settings(run).uri == "http://127.0.0.1:1"
    assert read_config(run)["model"]["hidden_sizes"] == [128, 64]
