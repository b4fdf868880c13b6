import itertools
import multiprocessing
import os
import pickle
import random
import resource
import signal
from pathlib import Path

import pytest
import torch

from runner.callbacks import checkpoint_io
from runner.callbacks.checkpoint_io import RunCheckpointIO
from runner.errors import CheckpointError
from runner.run.checkpoints import Checkpoint, file_digest, write_index
from tests.damage import damage

NUM_DAMAGES = 40


def state(fill: float = 1.0) -> dict:
    weights = {f"layer{n}": torch.full((50, 50), fill + n) for n in range(5)}
    return {
        "state_dict": weights,
        "global_step": 7,
        "names": ["a", "b"],
        "nested": [{"lr": 0.1}, None, (1, 2)],
    }


def same(a: dict, b: dict) -> bool:
    weights = all(torch.equal(a["state_dict"][key], b["state_dict"][key]) for key in a["state_dict"])
    return weights and {k: v for k, v in a.items() if k != "state_dict"} == {
        k: v for k, v in b.items() if k != "state_dict"
    }


def saved(folder: Path, name: str = "step-00000007.ckpt") -> Path:
    io = RunCheckpointIO()
    io.save_checkpoint(state(), folder / name)
    write_index(folder, [Checkpoint(name, 7, 0, "step", io.digests[name])])
    return folder / name


def test_saved_checkpoint_is_loaded(tmp_path: Path) -> None:
    path = saved(tmp_path)
    assert same(RunCheckpointIO().load_checkpoint(path), state())
    assert sorted(os.listdir(tmp_path)) == ["index.json", "step-00000007.ckpt"]


def test_reported_digest_is_that_of_the_file(tmp_path: Path) -> None:
    io = RunCheckpointIO()
    io.save_checkpoint(state(), tmp_path / "a.ckpt")
    assert io.digests == {"a.ckpt": file_digest(tmp_path / "a.ckpt")}


def test_damage_is_detected_before_any_weight_is_loaded(tmp_path: Path) -> None:
    path = saved(tmp_path)
    whole = path.read_bytes()
    generator = random.Random(1)
    for number in range(NUM_DAMAGES):
        path.write_bytes(damage(whole, number, generator))
        with pytest.raises(CheckpointError, match="step-00000007.ckpt is damaged"):
            RunCheckpointIO().load_checkpoint(path)


def test_broken_file_without_digest_is_an_error_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "foreign.ckpt"
    path.write_bytes(b"not a checkpoint at all")
    with pytest.raises(CheckpointError, match="foreign.ckpt cannot be loaded weights-only"):
        RunCheckpointIO().load_checkpoint(path)
    with pytest.raises(CheckpointError, match="checkpoint .* does not exist"):
        RunCheckpointIO().load_checkpoint(tmp_path / "absent.ckpt")


class Trap:
    def __reduce__(self):
        return os.mkdir, ("sprung",)


def test_code_in_a_checkpoint_is_neither_executed_nor_written(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {}, "trap": Trap()}, "bad.ckpt")
    with pytest.raises(CheckpointError, match="bad.ckpt cannot be loaded weights-only"):
        RunCheckpointIO().load_checkpoint(tmp_path / "bad.ckpt", weights_only=False)
    with open("old.ckpt", "wb") as file:
        pickle.dump(Trap(), file)
    with pytest.raises(CheckpointError):
        RunCheckpointIO().load_checkpoint(tmp_path / "old.ckpt", weights_only=None)
    with pytest.raises(CheckpointError, match="cannot be loaded weights-only: .*mkdir"):
        RunCheckpointIO().save_checkpoint({"hyper_parameters": Trap()}, tmp_path / "new.ckpt")
    assert sorted(os.listdir(tmp_path)) == ["bad.ckpt", "old.ckpt"]


@pytest.mark.parametrize("stage", ["torch.save", "replace"])
def test_failed_save_keeps_the_old_file_and_leaves_no_temporary_file(
    tmp_path: Path, monkeypatch, stage: str
) -> None:
    path = saved(tmp_path)

    def fail(*args, **kwargs):
        raise OSError(28, "No space left on device")

    if stage == "replace":
        monkeypatch.setattr(checkpoint_io, "replace_file", fail)
    else:
        monkeypatch.setattr(checkpoint_io.HashingWriter, "finish", fail)
    with pytest.raises(CheckpointError, match="no space for .*step-00000007.ckpt: No space left.*MiB free"):
        RunCheckpointIO().save_checkpoint(state(2.0), path)
    monkeypatch.undo()
    assert same(RunCheckpointIO().load_checkpoint(path), state())
    assert sorted(os.listdir(tmp_path)) == ["index.json", "step-00000007.ckpt"]


def test_file_size_limit_is_reported(tmp_path: Path) -> None:
    path = saved(tmp_path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
        with pytest.raises(CheckpointError, match="no space for"):
            RunCheckpointIO().save_checkpoint(state(3.0), path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert same(RunCheckpointIO().load_checkpoint(path), state())
    assert sorted(os.listdir(tmp_path)) == ["index.json", "step-00000007.ckpt"]


def test_full_disk_keeps_earlier_checkpoints(small_disk: Path) -> None:
    path = saved(small_disk)
    (small_disk / "other").write_bytes(bytes(170_000))
    with pytest.raises(CheckpointError, match="no space for .*MiB free"):
        RunCheckpointIO().save_checkpoint(state(2.0), small_disk / "step-00000008.ckpt")
    assert same(RunCheckpointIO().load_checkpoint(path), state())
    assert sorted(os.listdir(small_disk)) == ["index.json", "other", "step-00000007.ckpt"]


def save_and_die(path: Path, num_writes: int) -> None:
    """Save another checkpoint and kill this process at the given number of writes."""
    calls = itertools.count(1)
    write = checkpoint_io.HashingWriter.write

    def dying(*args):
        if next(calls) == num_writes:
            os.kill(os.getpid(), signal.SIGKILL)
        return write(*args)

    checkpoint_io.HashingWriter.write = dying
    RunCheckpointIO().save_checkpoint({"state_dict": {"w": torch.full((50, 50), 2.0)}}, path)


def test_process_killed_while_writing_keeps_the_old_file(tmp_path: Path) -> None:
    path = saved(tmp_path)
    process = multiprocessing.get_context("fork").Process(target=save_and_die, args=(path, 5))
    process.start()
    process.join(timeout=60)
    assert process.exitcode == -signal.SIGKILL
    assert same(RunCheckpointIO().load_checkpoint(path), state())
    assert ".step-00000007.ckpt.tmp" in os.listdir(tmp_path)
