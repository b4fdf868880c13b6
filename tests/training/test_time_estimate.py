from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from runner.data.images.digits import DigitsDataModule
from runner.distributed.hardware import ResolvedHardware
from runner.models.mlp import MLP
from runner.tasks.classification import ClassificationTask
from runner.training.execution import evaluation_cost
from runner.training.time_estimate import SampleTime, describe_steps, estimate_s, time_sample


@pytest.fixture(scope="module")
def data() -> DigitsDataModule:
    module = DigitsDataModule(batch_size=16)  # 1079 train, 359 val, 359 test
    module.prepare_data()
    module.setup("fit")
    return module


def config(**trainer) -> dict:
    return {"trainer": {"max_epochs": 10, **trainer}}


def hardware() -> ResolvedHardware:
    return ResolvedHardware(
        accelerator="cpu", devices=1, precision="32-true", channels_last=False, compile=False
    )


def make_task() -> ClassificationTask:
    return ClassificationTask(MLP(64, 10), lambda parameters: torch.optim.SGD(parameters, lr=0.1))


@pytest.mark.parametrize(
    ("trainer", "text"),
    [
        ({}, "680 in 10 epochs of 68 batches"),
        ({"max_epochs": 1}, "68 in 1 epoch of 68 batches"),
        ({"accumulate_grad_batches": 4}, "170 in 10 epochs of 68 batches"),
        ({"max_epochs": None, "max_steps": 100}, "100 in 2 epochs of 68 batches"),
        ({"limit_train_batches": 5}, "50 in 10 epochs of 5 batches"),
        (
            {"max_epochs": None, "max_time": "00:00:01:00"},
            "68 batches per epoch; at most trainer.max_time=00:00:01:00",
        ),
    ],
)
def test_number_of_steps(data: DigitsDataModule, trainer: dict, text: str) -> None:
    assert describe_steps(config(**trainer), data, None, None) == text


def test_steps_of_earlier_attempts_are_done(data: DigitsDataModule) -> None:
    text = describe_steps(config(), data, None, None, steps_done=100)
    assert text == "680 in 10 epochs of 68 batches, 100 of them done"


def test_timing_leaves_random_state_and_weights_unchanged(data: DigitsDataModule) -> None:
    task, random = make_task(), torch.get_rng_state()
    before = {name: value.clone() for name, value in task.state_dict().items()}
    sample = time_sample(data, task, hardware())
    assert sample is not None and sample.load_s > 0 and sample.train_s > 0
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(value, before[name]) for name, value in task.state_dict().items())
    assert "; about " in describe_steps(config(), data, task, hardware())


def test_a_task_that_cannot_be_timed_has_no_estimate(data: DigitsDataModule) -> None:
    task = ClassificationTask(MLP(3, 10), lambda parameters: torch.optim.SGD(parameters, lr=0.1))
    assert time_sample(data, task, hardware()) is None
    assert describe_steps(config(), data, task, hardware()) == "680 in 10 epochs of 68 batches"


def test_estimate_counts_batches_validations_and_the_final_evaluation(data: DigitsDataModule) -> None:
    second = SampleTime(load_s=0.0, train_s=3.0)  # and 1 s in an evaluation
    train_s, evaluation_s = estimate_s(data, {}, second, batches=2 * 68, per_epoch=68)
    assert evaluation_s == pytest.approx(2 * 359, rel=0.01)
    assert train_s == pytest.approx(2 * 68 * 16 * 3 + 2 * 359, rel=0.01)
    without, _ = estimate_s(data, {"limit_val_batches": 0}, second, batches=2 * 68, per_epoch=68)
    assert train_s - without == pytest.approx(2 * 359, rel=0.01)


def test_cost_of_the_evaluation_after_the_time_limit() -> None:
    from runner.callbacks.progress import Progress

    progress = Progress()
    trainer = SimpleNamespace(callbacks=[progress])
    data = SimpleNamespace(splits={"val": range(100), "test": range(300)})
    assert evaluation_cost(trainer, data) is None  # no validation was timed
    progress._time_left.add_validation(10.0)
    assert evaluation_cost(trainer, data) == (
        "The best checkpoint is evaluated on 100 val and 300 test samples, which takes about 40 s."
    )
