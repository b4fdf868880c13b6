"""Several ranks train and evaluate as one does, for a model of each task.

Only the order of additions differs.
"""

from __future__ import annotations

import os

import pytest
import pytorch_lightning as pl
import torch
from distributed.ranks import TINY, in_ranks, largest_difference, points, results, trained, written
from distributed.test_split_batch import RunsOut

from runner.distributed.collectives import all_gather
from runner.training.worker import execute

MLP_ON_DIGITS = (
    "data=digits",
    "model=mlp",
    "regularization=none",
    "data.batch_size=64",
    "trainer.max_epochs=2",
)

NORMS = ("classification", "segmentation", "detection")
"""Tasks whose model here has batch norms."""

TRAINING_TOLERANCE = 2e-4
"""Of each step's loss over two epochs, relative where it is above one: rounding grows with every update."""

METRIC_TOLERANCE = 1e-6


def words_of(task: str, number: int) -> tuple[str, ...]:
    batch = {"classification": 60, "regression": 48, "segmentation": 12, "detection": 4}[task]
    rate = 0.001 if task == "segmentation" else 0.01  # norms over a few pixels make much of rounding
    return (
        *TINY[task],
        f"data.batch_size={batch}",
        "trainer.max_epochs=2",
        "optimizer=sgd",
        f"optimizer.lr={rate}",
    )


def shared_norms(task: str) -> tuple[str, ...]:
    return ("hardware.sync_batchnorm=true",) if task in NORMS else ()


def test_two_ranks_train_like_one(tmp_path) -> None:
    words = words_of("classification", 2)
    one = trained(tmp_path / "one", 1, *words)
    two = trained(tmp_path / "two", 2, *words, *shared_norms("classification"))
    assert largest_difference(one, two) < TRAINING_TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("number", [2, 3, 4])
@pytest.mark.parametrize("task", TINY)
def test_every_task_trains_as_on_one_device(tmp_path, task: str, number: int) -> None:
    if task == "detection" and number == 3:
        pytest.skip("its batch of 4 cannot be dealt out to 3")
    words = words_of(task, number)
    one = trained(tmp_path / "one", 1, *words)
    many = trained(tmp_path / "many", number, *words, *shared_norms(task))
    assert largest_difference(one, many, "train/") < TRAINING_TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("number", [2, 3, 4])
@pytest.mark.parametrize("task", TINY)
def test_same_weights_give_the_same_metrics(tmp_path, task: str, number: int) -> None:
    """A learning rate that moves nothing: what differs is the evaluation alone. Splits of 359, 88, 7 and 5
    samples do not divide evenly, and each sample counts once."""
    if task == "detection" and number == 3:
        pytest.skip("its batch of 4 cannot be dealt out to 3")
    words = (*words_of(task, number), "optimizer.lr=1e-30", "trainer.max_epochs=1")
    one = trained(tmp_path / "one", 1, *words)
    many = trained(tmp_path / "many", number, *words, *shared_norms(task))
    for split in ("val", "test"):
        first, second = results(one)[split], results(many)[split]
        assert first.keys() == second.keys() and len(first) > 2
        for key, value in first.items():
            assert second[key] == pytest.approx(value, rel=METRIC_TOLERANCE, abs=METRIC_TOLERANCE), key


def test_weight_penalties_match_for_sharded_and_full_weights(tmp_path) -> None:
    words = (
        "data=digits",
        "model=mlp",
        "model.hidden_sizes=[16]",
        "regularization=none",
        "data.batch_size=64",
    )
    words += (
        "trainer.max_epochs=1",
        "trainer.limit_train_batches=6",
        "optimizer=sgd",
        "optimizer.lr=0.1",
        "optimizer.fused=false",
    )
    words += ("regularization.max_norm=0.5", "regularization.weight_noise=0.2", "regularization.l1=0.01")
    one = trained(tmp_path / "one", 1, *words)
    two = trained(tmp_path / "two", 2, *words, "hardware.strategy=fsdp")
    assert largest_difference(one, two, "train/") < TRAINING_TOLERANCE


class SpoilOneRank(pl.Callback):
    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        if trainer.global_step == 3 and trainer.global_rank == 1:
            batch["inputs"][0] = float("nan")


def test_update_skipped_on_one_rank_is_skipped_on_all(tmp_path) -> None:
    words = (*words_of("classification", 2), "trainer.max_epochs=1", "guard.on_non_finite=skip")
    found = points(trained(tmp_path / "two", 2, *words, callbacks=[SpoilOneRank()]))
    steps = [step for step, *_ in found["train/loss"]]
    assert 4 not in steps and steps == [step for step in range(1, len(steps) + 2) if step != 4]
    assert all(value < 10 for *_, value in found["train/loss"])
    assert [step for step, *_ in found["train/skipped_updates"]] == [4]


def test_unsynced_batch_norms_use_rank_zero_statistics_in_evaluation(tmp_path) -> None:
    """Without ``sync_batchnorm`` each rank collects its own statistics; evaluation uses those of rank 0."""
    run = written(tmp_path / "two", *words_of("classification", 2), "hardware=cpu_ddp")
    in_ranks(2, ends_alike, run)


def ends_alike(run) -> None:
    import pytorch_lightning as pl

    class Compare(pl.Callback):
        def on_validation_epoch_start(self, trainer, pl_module) -> None:
            sums = all_gather([float(buffer.double().sum()) for buffer in pl_module.model.buffers()])
            assert len(sums) == 2 and sums[0] == sums[1]

        def on_train_batch_end(self, trainer, pl_module, *rest) -> None:
            if trainer.global_step == 3:
                random = all_gather(float(torch.rand(())))
                assert random[0] != random[1], "dropout and the like differ from rank to rank"

    execute(run, [Compare()])


@pytest.mark.slow
def test_loss_that_is_not_a_mean_over_samples(tmp_path) -> None:
    """The shares of a batch, and the passes of a share, divide by different sums of class weights."""
    words = (*words_of("segmentation", 2), "data.batch_size=6", "task.loss.class_weights=[1,20,3,5]")
    one = trained(tmp_path / "one", 1, *words)
    two = trained(tmp_path / "two", 2, *words, *shared_norms("segmentation"))
    assert largest_difference(one, two, "train/") < TRAINING_TOLERANCE
    assert points(one)["train/loss"][0][2] == pytest.approx(points(two)["train/loss"][0][2], rel=1e-6)


@pytest.mark.slow
def test_out_of_memory_on_one_rank_makes_all_ranks_repeat_the_step(tmp_path) -> None:
    words = (
        *MLP_ON_DIGITS,
        "hardware=cpu_ddp",
    )
    whole = written(tmp_path / "whole", *words)
    halved = written(tmp_path / "halved", *words)
    in_ranks(2, execute, whole)
    in_ranks(2, execute, halved, [RunsOut(12, step=5, rank=1)])
    assert 0 < largest_difference(whole, halved) < 1e-5
    assert "out of memory with a micro-batch of 32 samples" in (halved.logs / "rank0.log").read_text()


@pytest.mark.slow
def test_parameter_that_is_not_used_in_every_step(tmp_path) -> None:
    """DDP alone would wait for its gradient forever; the optimizer skips unused parameters."""
    words = (
        *MLP_ON_DIGITS,
        "optimizer.weight_decay=0.5",
    )
    one = trained(tmp_path / "one", 1, *words, callbacks=[Spare()])
    two = trained(tmp_path / "two", 2, *words, callbacks=[Spare()])
    assert largest_difference(one, two) < 1e-5


def Spare():
    import pytorch_lightning as pl

    class Spare(pl.Callback):
        def setup(self, trainer, pl_module, stage) -> None:
            if not hasattr(pl_module.model, "spare"):
                pl_module.model.spare = torch.nn.Parameter(torch.ones(3, 3))

        def on_train_end(self, trainer, pl_module) -> None:
            assert pl_module.model.spare.eq(1).all()

    return Spare()


def test_failing_rank_is_detected(tmp_path) -> None:
    with pytest.raises(AssertionError):
        in_ranks(2, fail_on_one)


def fail_on_one() -> None:
    if os.environ["RANK"] == "1":
        raise ZeroDivisionError
