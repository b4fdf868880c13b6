"""Automatic choices in commands."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf
from PIL import Image

from runner.auto.choose import choose_automatically, is_enabled
from runner.auto.weights import WEIGHTS_VARIABLE, find_weights
from runner.config.compose import compose
from runner.launch.start import prepare_run
from runner.run.directory import RunDir

QUIET = ("tracking=none", "plots=false", "report=false")


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    values = generator.normal(size=(200, 3))
    lines = [f"{a:.4f},{b:.4f},{c:.4f},{'yes' if a + b > 0 else 'no'}" for a, b, c in values]
    path = tmp_path / "table.csv"
    path.write_text("\n".join(["a,b,c,label", *lines]) + "\n")
    return path


def prepared(*overrides: str) -> RunDir:
    run = prepare_run(lambda chosen: compose([*chosen, *overrides, *QUIET]), ["runner", "train", *overrides])
    assert run is not None
    return run


def test_choices_are_printed_with_reasons_and_stored(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = prepared("data=csv", f"data.path={table}", "data.target=label")
    printed = capsys.readouterr().err
    config = OmegaConf.load(run.config_path)
    assert config.model._target_ == "runner.models.tabm.TabM"
    assert config.trainer.max_epochs == 150
    assert "chosen automatically (auto=false disables this):" in printed
    assert "trainer.max_epochs=150: 120 training samples, random weights" in printed
    stored = json.loads(run.provenance_path.read_text())["automatic"]
    assert stored["trainer.max_epochs"]["value"] == 150
    assert stored["model"]["value"] == "tabm" and stored["model"]["reason"] in printed


def test_user_values_take_precedence(table: Path) -> None:
    words = ("data=csv", f"data.path={table}", "data.target=label", "model=logistic", "data.batch_size=20")
    config = OmegaConf.load(prepared(*words, "trainer.max_epochs=3").config_path)
    assert config.model._target_.endswith("Logistic") or "logistic" in config.model._target_
    assert config.data.batch_size == 20 and config.trainer.max_epochs == 3


def test_auto_false_keeps_the_defaults(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = prepared("data=csv", f"data.path={table}", "data.target=label", "auto=false")
    config = OmegaConf.load(run.config_path)
    assert config.trainer.max_epochs == 10 and config.model._target_ == "runner.models.mlp.MLP"
    assert "automatically" not in capsys.readouterr().err
    assert "automatic" not in json.loads(run.provenance_path.read_text())


def test_experiment_file_is_complete_unless_auto_is_set(table: Path) -> None:
    file = table.parent / "experiment.yaml"
    file.write_text("defaults:\n  - override /model: mlp\nmodel:\n  hidden_sizes: [8]\n")
    words = ["data=csv", f"data.path={table}", "data.target=label"]
    assert not is_enabled(compose(words, file))
    assert is_enabled(compose([*words, "auto=true"], file))
    assert is_enabled(compose(words)) and not is_enabled(compose([*words, "auto=false"]))


def test_debug_preset_examines_the_config_as_it_is() -> None:
    assert not is_enabled(compose(["debug=overfit"]))
    assert is_enabled(compose(["debug=overfit", "auto=true"]))


def test_config_of_a_run_is_repeated_unchanged(table: Path) -> None:
    run = prepared("data=csv", f"data.path={table}", "data.target=label")
    again = prepare_run(lambda chosen: compose(list(chosen), run.config_path), ["runner"])
    assert again is not None
    before, after = (OmegaConf.to_container(OmegaConf.load(r.config_path)) for r in (run, again))
    assert before == after


def test_data_that_cannot_be_read_leave_the_config_unchanged(table: Path) -> None:
    table.write_text("a,label\n")
    composition = compose(["data=csv", f"data.path={table}", "data.target=label"])
    assert choose_automatically(composition, lambda chosen: compose(list(chosen))) is composition


def test_images_of_32_pixels_keep_their_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(WEIGHTS_VARIABLE, "")
    generator = np.random.default_rng(0)
    for name in ("one", "two"):
        folder = tmp_path / "photos" / name
        folder.mkdir(parents=True)
        for index in range(12):
            pixels = generator.integers(0, 256, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{index}.png")
    words = ("data=image_folder", f"data.root={tmp_path / 'photos'}", "hardware=cpu")
    config = OmegaConf.load(prepared(*words).config_path)
    assert config.data.image_size == 32 and config.data.crop_fraction == 1.0
    assert config.model.widths == [32, 64, 128, 256]


def test_weights_are_recognized_by_name_and_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import hashlib

    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "files"
    folder.mkdir()
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(folder))
    digest = hashlib.sha256(b"weights").hexdigest()[:8]
    (folder / f"resnet18-{digest}.pth").write_bytes(b"weights")
    (folder / "resnet34-00000000.pth").write_bytes(b"other content")
    (folder / "notes.txt").write_text("")
    files = find_weights(frozenset({"resnet18", "resnet34"}))
    assert {name: file.path.name for name, file in files.items()} == {"resnet18": f"resnet18-{digest}.pth"}
    assert not find_weights(frozenset({"resnet50"}))
