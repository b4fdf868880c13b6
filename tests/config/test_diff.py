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


def test_every_key_that_differs_is_told_with_both_values() -> None:
    found = changed(seed=1, trainer={"max_epochs": 5}, plots=False)
    assert [str(change) for change in found] == [
        "plots: true → false", "seed: 0 → 1", "trainer.max_epochs: 3 → 5 (acts from here on)"
    ]  # fmt: skip


def test_what_would_make_the_result_meaningless_is_refused_with_the_reason() -> None:
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


def test_where_and_how_it_runs_may_change() -> None:
    found = changed(data={"num_workers": 2, "batch_size": 32}, run={"root": "x", "name": "y", "tags": ["a"]})
    assert [change.key for change in found] == ["data.num_workers", "run.tags"]
    assert rejections(found) == [] and not any(change.acts for change in found)


def test_a_rate_acts_and_a_longer_training_has_more_to_do() -> None:
    rate = changed(optimizer={"_target_": "torch.optim.AdamW", "lr": 0.2, "betas": [0.9, 0.99]})
    assert rejections(rate) == [] and rate[0].acts and not lengthens(rate)
    assert lengthens(changed(trainer={"max_epochs": 9}))
    assert lengthens(changed(regularization={"early_stopping": {"patience": 3}}))


def test_what_only_the_data_or_a_test_tells_is_no_difference() -> None:
    assert changed(model={"_target_": "a.B", "hidden_sizes": "<facts:sizes>"}) == []
    assert changed(optimizer={"_target_": "torch.optim.AdamW", "lr": "auto", "betas": (0.9, 0.99)}) == []
