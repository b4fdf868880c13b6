"""A batch in several passes gives the gradient of one, and what runs out of memory is done again in smaller
ones.
"""

from __future__ import annotations

import pytest
import pytorch_lightning as pl
import torch
from distributed.ranks import TINY, largest_difference, points, trained, written

from runner.distributed import split_batch
from runner.distributed.memory import is_out_of_memory
from runner.distributed.split_batch import cut, num_micro_batches, set_weights, shares
from runner.errors import OutOfMemoryError
from runner.run.status import read_status
from runner.training.worker import execute

DIGITS = ("data=digits", "model=mlp", "model.hidden_sizes=[16]", "regularization=none", "data.batch_size=64")


def test_batch_is_split_into_consecutive_micro_batches() -> None:
    batch = {
        "inputs": torch.arange(14).view(7, 2),
        "targets": [{"n": n} for n in range(7)],
        "index": torch.arange(7),
        "scale": torch.tensor(3.0),
        "weight": 1.0,
    }
    parts = cut(batch, 3)
    assert [len(part["index"]) for part in parts] == [2, 2, 3]
    assert torch.cat([part["inputs"] for part in parts]).equal(batch["inputs"])
    assert [one["n"] for part in parts for one in part["targets"]] == list(range(7))
    assert all(part["scale"] == 3 for part in parts)
    assert [num_micro_batches(batch, size) for size in (None, 7, 6, 3, 1)] == [1, 1, 2, 3, 7]


def test_micro_batch_weights_give_the_batch_mean() -> None:
    values = torch.tensor([1.0, 2, 4, 8, 16])
    batch = {"inputs": values, "index": torch.arange(5), "targets": values}
    parts = cut(batch, 2)
    set_weights(parts, batch, None)
    assert sum(part["inputs"].mean() * part["weight"] for part in parts) == pytest.approx(values.mean())
    set_weights(parts, batch, lambda part: part["inputs"].sum() / 1000)  # small class weights
    assert sum(part["weight"] for part in parts) == pytest.approx(1)
    set_weights(parts, batch, lambda part: torch.zeros(()))  # nothing counts
    assert [part["weight"] for part in parts] == [0, 0]
    set_weights(parts, batch, lambda part: (part["inputs"] > 1).sum())  # only these count
    means = [part["inputs"][part["inputs"] > 1].mean() * part["weight"] for part in parts]
    assert float(sum(means)) == pytest.approx(values[1:].mean())


def test_single_micro_batch_leaves_the_batch_unchanged(monkeypatch) -> None:
    """A repeated step reads the number of samples on all ranks from the batch."""
    monkeypatch.setattr(split_batch, "world_size", lambda: 2)
    monkeypatch.setattr(split_batch, "sum_tensor_over_ranks", lambda total: total + 100)
    batch = {"inputs": torch.ones(4), "index": torch.arange(4), "weight": 1.0}
    set_weights(cut(batch, 1), batch, lambda part: part["inputs"].sum())
    assert shares(batch) == (4, 4)


@pytest.mark.parametrize("task", ["classification", "regression", "segmentation", "detection"])
def test_micro_batches_train_like_one_batch(tmp_path, task: str) -> None:
    """Batch norms see one micro-batch at a time: the models have none, or freeze theirs."""
    plain = {"classification": ("model=mlp", "model.hidden_sizes=[16]")}
    words = (*TINY[task], *plain.get(task, ()), "trainer.max_epochs=1", "optimizer=sgd", "optimizer.lr=0.01")
    whole = trained(tmp_path / "whole", 1, *words, callbacks=[StillNorms()])
    parts = trained(tmp_path / "parts", 1, *words, "hardware.micro_batch=3", callbacks=[StillNorms()])
    assert points(whole)["train/loss"] != points(parts)["train/loss"] or task == "regression", "it was cut"
    assert largest_difference(whole, parts, "train/") < 2e-5


SEQUENCES = {
    "labelling": ("data=bracket_depth", "data.num_samples=60", "data.batch_size=10"),
    "language": ("data=text_file", "data.path=poem.txt", "data.window=16", "data.batch_size=6"),
}


@pytest.mark.parametrize("task", SEQUENCES)
def test_micro_batches_of_sequences_train_like_one_batch(tmp_path, monkeypatch, task: str) -> None:
    """The loss is a mean over their tokens, and not over samples; and each stream has its own state."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RUNNER_DATA", str(tmp_path / "cache"))
    (tmp_path / "poem.txt").write_text("".join(f"Line {i} of a ballad\n\n" for i in range(40)))
    words = (
        *SEQUENCES[task],
        "model.hidden_size=8",
        "regularization=none",
        "trainer.max_epochs=1",
        "optimizer=sgd",
    )
    whole = trained(tmp_path / "whole", 1, *words)
    parts = trained(tmp_path / "parts", 1, *words, "hardware.micro_batch=3")
    assert largest_difference(whole, parts, "train/") < 2e-5


class StillNorms(pl.Callback):
    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        for module in pl_module.modules():
            if getattr(module, "track_running_stats", False):
                module.eval()


def test_accumulated_batches_are_weighted_by_their_samples(tmp_path) -> None:
    """17 batches of 64 samples, the last of 55: three at a time are one of 192, and the last two one of
    119."""
    words = (*DIGITS, "trainer.max_epochs=2", "optimizer=sgd", "optimizer.lr=0.1", "scheduler=none")
    large = trained(tmp_path / "large", 1, *words[:-4], "data.batch_size=192", *words[-4:])
    small = trained(tmp_path / "small", 1, *words, "trainer.accumulate_grad_batches=3")
    for key in ("val/loss", "test/loss"):
        assert points(small)[key][-1][0] == points(large)[key][-1][0] or key == "test/loss"
        assert points(small)[key][-1][2] == pytest.approx(points(large)[key][-1][2], rel=1e-5)


class RunsOut(pl.Callback):
    """Memory that suffices for a number of samples at a time, from a step on.

    Args:
        error: what is raised.
    """

    def __init__(
        self, limit: int, step: int = 0, error: type = torch.OutOfMemoryError, rank: int | None = None
    ):
        self.limit = limit
        self.step = step
        self.error = error
        self.rank = rank
        self.seen: list[int] = []

    def on_fit_start(self, trainer, pl_module) -> None:
        compute_loss = pl_module.compute_loss

        def limited(batch):
            self.seen.append(len(batch["index"]))
            found = compute_loss(batch)
            is_here = self.rank in (None, trainer.global_rank)
            if (
                trainer.training
                and is_here
                and trainer.global_step >= self.step
                and self.seen[-1] > self.limit
            ):
                raise self.error("CUDA out of memory. Tried to allocate 20.00 MiB")
            return found

        pl_module.compute_loss = limited


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, RuntimeError])
def test_out_of_memory_loses_no_step(tmp_path, caplog, error: type) -> None:
    """From the first step on it is, bit for bit, the run that took the smaller passes from the start; dropout
    too.
    """
    words = (*DIGITS, "trainer.max_epochs=2", "regularization.dropout=0.3")
    runs_out = RunsOut(20, error=error)
    halved = trained(tmp_path / "halved", 1, *words, callbacks=[runs_out])
    asked = trained(tmp_path / "asked", 1, *words, "hardware.micro_batch=16")
    assert points(halved) == points(asked)
    assert runs_out.seen[:3] == [64, 32, 16], "halved until it was enough"
    assert (
        "out of memory with a micro-batch of 64 samples" in caplog.text
        and "the batch size does not change" in caplog.text
    )


def test_splitting_during_training_changes_only_the_summation_order(tmp_path) -> None:
    words = (*DIGITS, "trainer.max_epochs=2", "optimizer=sgd")
    whole = trained(tmp_path / "whole", 1, *words)
    halved = trained(tmp_path / "halved", 1, *words, callbacks=[RunsOut(40, step=9)])
    assert points(whole)["train/loss"][:9] == points(halved)["train/loss"][:9]
    assert 0 < largest_difference(whole, halved) < 1e-5


def test_running_statistics_and_counts_match_a_single_attempt(tmp_path) -> None:
    words = (*TINY["classification"], "trainer.max_epochs=1")
    halved = trained(tmp_path / "halved", 1, *words, callbacks=[RunsOut(20)])
    asked = trained(tmp_path / "asked", 1, *words, "hardware.micro_batch=16")
    assert points(halved) == points(asked)


def test_single_sample_that_does_not_fit_fails_the_run(tmp_path) -> None:
    run = written(tmp_path / "never", *DIGITS, "hardware=cpu")
    with pytest.raises(OutOfMemoryError, match="a single sample does not fit into memory"):
        execute(run, [RunsOut(0)])
    assert read_status(run).state == "failed"


def test_on_out_of_memory_fail_raises(tmp_path) -> None:
    run = written(tmp_path / "fails", *DIGITS, "hardware=cpu", "hardware.on_out_of_memory=fail")
    with pytest.raises(torch.OutOfMemoryError):
        execute(run, [RunsOut(20)])


def test_resumed_run_keeps_the_micro_batch_size(tmp_path) -> None:
    words = (*DIGITS, "trainer.max_epochs=2", "regularization.dropout=0.3", "checkpoint.every_n_steps=10")
    whole = trained(tmp_path / "whole", 1, *words, callbacks=[RunsOut(40)])

    class Ends(pl.Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
            if trainer.global_step == 13:
                raise ZeroDivisionError

    run = written(tmp_path / "broken", *words, "hardware=cpu")
    with pytest.raises(ZeroDivisionError):
        execute(run, [RunsOut(40), Ends()])
    execute(run)  # with memory enough
    assert points(run) == points(whole)


def test_out_of_memory_errors_are_recognised() -> None:
    assert is_out_of_memory(torch.cuda.OutOfMemoryError("CUDA out of memory."))
    assert is_out_of_memory(
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 8 GB")
    )
    assert is_out_of_memory(MemoryError())
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not is_out_of_memory(ValueError("out of memory"))
