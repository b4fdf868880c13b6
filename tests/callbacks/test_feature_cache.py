"""Features computed once stand for the frozen backbone's passes: the head learns the same from them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from runner.callbacks.feature_cache import FeatureSplit, backbone_digest
from runner.config.compose import compose
from runner.errors import RunnerError, UserError
from runner.launch.local import launch, prepare
from runner.run.checkpoints import last_checkpoint
from runner.run.directory import RunDir
from runner.run.files import read_json
from tests.overrides import QUIET

QUICK = [
    *QUIET,
    "hardware=cpu",
    "data=digits",
    "model=small_cnn",
    "transfer=frozen",
    "trainer.max_epochs=3",
    "data.batch_size=32",
    "data.augment=${regularization.augment}",
    "regularization=none",
]
AUGMENT = "regularization.augment={_target_:runner.data.images.augment.ImageAugment,min_scale:0.5,flip:false}"


def run(root: Path, name: str, *words: str) -> RunDir:
    directory = prepare(compose([*QUICK, f"run.root={root}", f"run.name={name}", *words]))
    launch(directory)
    return directory


def weights(directory: RunDir) -> dict[str, torch.Tensor]:
    return torch.load(last_checkpoint(directory), weights_only=True)["state_dict"]


def test_head_trained_on_features_is_identical(tmp_path):
    """Dropout too: the head draws the same numbers, for a frozen backbone draws none."""
    cached = run(tmp_path, "cached", "regularization.dropout=0.3")
    plain = run(tmp_path, "plain", "regularization.dropout=0.3", "transfer.cache_views=0")
    ours, theirs = weights(cached), weights(plain)
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        torch.testing.assert_close(tensor, theirs[name], atol=1e-5, rtol=1e-4)
    results = [read_json(directory.results_path) for directory in (cached, plain)]
    assert results[0]["val"]["val/loss"] == pytest.approx(results[1]["val"]["val/loss"], rel=1e-4)
    assert results[0]["test"]["test/accuracy"] == pytest.approx(
        results[1]["test"]["test/accuracy"], abs=0.003
    )


def test_stored_views_are_the_augmentations_of_the_first_epochs(tmp_path):
    """As many views as epochs: the same training as with none stored."""
    cached = run(tmp_path, "cached", AUGMENT, "transfer.cache_views=3")
    plain = run(tmp_path, "plain", AUGMENT)  # augmented: no cache unless asked for
    one = run(tmp_path, "one", AUGMENT, "transfer.cache_views=1")
    ours, theirs = weights(cached)["model.head.weight"], weights(plain)["model.head.weight"]
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(weights(one)["model.head.weight"], theirs, atol=1e-4)


REFUSED = [
    (["transfer.cache_views=2"], "all views would be equal"),
    (["regularization.mixup=0.2", "transfer.cache_views=1"], "change the inputs of every step"),
]


@pytest.mark.parametrize(("words", "reason"), REFUSED)
def test_invalid_cache_is_rejected(tmp_path, words, reason):
    with pytest.raises(UserError, match=reason):
        run(tmp_path, "refused", *words)


def test_cost_of_augmented_features_is_printed_with_the_alternative(tmp_path, capsys):
    """Timing a batch changes no weight, and a choice of the user is not commented on."""
    hinted = run(tmp_path, "hinted", AUGMENT)
    assert re.search(
        r"transfer=frozen with augmentation: the backbone computes features in every epoch "
        r"\(about [\d.]+ s each, [\d.]+ s in 3 epochs\); "
        r"transfer.cache_views=3 computes 3 augmented views once \([\d.]+ s\)\n",
        capsys.readouterr().out,
    )
    chosen = run(tmp_path, "chosen", AUGMENT, "transfer.cache_views=0")
    assert "cache_views" not in capsys.readouterr().out
    ours, theirs = weights(hinted), weights(chosen)
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())


def test_run_resumed_with_cached_views_equals_an_uninterrupted_one(tmp_path, monkeypatch):
    words = [AUGMENT, "transfer.cache_views=2", "regularization.dropout=0.3", "checkpoint.every=10 steps"]
    whole = run(tmp_path, "whole", *words)
    read = FeatureSplit.__getitems__

    def read_until_epoch_2(split: FeatureSplit, keys: Sequence[tuple[int, int]]) -> dict[str, Any]:
        if keys[0][0] == 2:
            raise RuntimeError("stopped on purpose")
        return read(split, keys)

    monkeypatch.setattr(FeatureSplit, "__getitems__", read_until_epoch_2)
    with pytest.raises((RunnerError, RuntimeError), match="stopped on purpose"):
        run(tmp_path, "stopped", *words)
    monkeypatch.undo()
    stopped = RunDir(tmp_path / "stopped")
    assert 34 < last_checkpoint(stopped).step <= 68
    launch(stopped)
    ours, theirs = weights(stopped), weights(whole)
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())


def test_input_changes_disable_the_cache(tmp_path, capsys):
    run(tmp_path, "mixed", "regularization.mixup=0.2", "trainer.max_epochs=1")
    assert "features of the frozen backbone" not in capsys.readouterr().out
    run(tmp_path, "plain", "trainer.max_epochs=1")
    assert "features of the frozen backbone, once: 1079 + 359 samples" in capsys.readouterr().out


def test_range_test_and_the_training_after_it_compute_features_once(tmp_path, capsys):
    """Bit for bit the training at the number that was found, whose features are computed for it alone."""
    auto = run(
        tmp_path,
        "auto",
        "optimizer.lr=auto",
        "regularization.dropout=0.3",
        "lr_finder.min_lr=1e-3",
        "lr_finder.suggestion=minimum/10",
    )
    printed = capsys.readouterr().out
    assert printed.count("features of the frozen backbone, once") == 1
    assert printed.count("features of the frozen backbone: those of the learning-rate range test") == 1
    rate = OmegaConf.load(auto.config_path).optimizer.lr
    given = run(tmp_path, "given", f"optimizer.lr={rate}", "regularization.dropout=0.3")
    ours, theirs = weights(auto), weights(given)
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())


def test_different_backbone_weights_have_different_features():
    model = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2), torch.nn.Linear(2, 2))
    digests = [backbone_digest(model, model[2])]
    for tensor in (model[0].weight, model[1].running_mean):
        with torch.no_grad():
            tensor.flatten()[0] += 1e-6
        digests.append(backbone_digest(model, model[2]))
    assert len(set(digests)) == 3
    torch.nn.init.zeros_(model[2].weight)
    assert backbone_digest(model, model[2]) == digests[-1]
