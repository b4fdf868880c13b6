from runner.config.diff import find_changes, lengthens, rejections

BEFORE = {
    "seed": 0,
    "model": {"_target_": "a.B", "hidden_sizes": [64]},
    "data": {"num_workers": 0, "batch_size": 32},
    "optimizer": {"_target_": "torch.optim.AdamW", "lr": 0.1, "betas": [0.9, 0.99]},
    "trainer": {"max_epochs": 3},
    "regularization": {"early_stopping": None},
    "run": {"root": "runs", "name": None, "tags": []},
    "plots": True,
}


def changed(**nodes) -> list:
    return find_changes(BEFORE, BEFORE | nodes)


def test_every_different_key_is_reported_with_both_values() -> None:
    found = changed(seed=1, trainer={"max_epochs": 5}, plots=False)
    assert [str(change) for change in found] == [
        "plots: true → false", "seed: 0 → 1", "trainer.max_epochs: 3 → 5 (acts from here on)"
    ]  # fmt: skip


def test_invalidating_changes_are_rejected_with_the_reason() -> None:
    found = changed(
        seed=1, model={"_target_": "a.B", "hidden_sizes": [32]}, data={"num_workers": 0, "batch_size": 64},
        optimizer={"_target_": "torch.optim.SGD", "lr": 0.1, "betas": [0.9, 0.99]}, unheard_of=1,
    )  # fmt: skip
    told = rejections(found)
    assert [problem.key for problem in told] == [
        "data.batch_size", "model.hidden_sizes", "optimizer._target_", "seed", "unheard_of"
    ]  # fmt: skip
    assert {problem.kind for problem in told} == {"incompatible"}
    assert "weights in the checkpoint are those of the old model" in told[1].message


def test_hardware_and_paths_may_change() -> None:
    found = changed(data={"num_workers": 2, "batch_size": 32}, run={"root": "x", "name": "y", "tags": ["a"]})
    assert [change.key for change in found] == ["data.num_workers", "run.tags"]
    assert rejections(found) == [] and not any(change.acts for change in found)


def test_learning_rate_and_length_may_change() -> None:
    rate = changed(optimizer={"_target_": "torch.optim.AdamW", "lr": 0.2, "betas": [0.9, 0.99]})
    assert rejections(rate) == [] and rate[0].acts and not lengthens(rate)
    assert lengthens(changed(trainer={"max_epochs": 9}))
    assert lengthens(changed(regularization={"early_stopping": {"patience": 3}}))


def test_resolved_facts_are_no_difference() -> None:
    assert changed(model={"_target_": "a.B", "hidden_sizes": "<facts:sizes>"}) == []
    assert changed(optimizer={"_target_": "torch.optim.AdamW", "lr": "auto", "betas": (0.9, 0.99)}) == []
