import dataclasses
import json
import random
from pathlib import Path

import pytest

from runner.errors import CheckpointError
from runner.run.checkpoints import (
    Checkpoint,
    best_checkpoint,
    describe_damage,
    file_digest,
    last_checkpoint,
    read_index,
    sort_by_metric,
    write_index,
)
from runner.run.directory import RunDir
from tests.damage import damage

NUM_DAMAGES = 40


def save(
    run: RunDir, step: int, value: float | None = None, mode: str = "max", monitor: str = "val/accuracy"
) -> Checkpoint:
    run.checkpoints.mkdir(exist_ok=True, parents=True)
    path = run.checkpoints / f"step-{step:08d}.ckpt"
    path.write_bytes(random.Random(step).randbytes(5000))
    entry = Checkpoint(
        path.name, step, step // 10, "epoch", file_digest(path), monitor, mode, value, str(run.checkpoints)
    )
    write_index(run.checkpoints, [*read_index(run.checkpoints), entry])
    return entry


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return RunDir(tmp_path / "a-run")


def test_run_without_checkpoints_has_none(run: RunDir) -> None:
    assert last_checkpoint(run) is None
    assert best_checkpoint(run) is None


def test_newest_is_the_last_one_saved(run: RunDir) -> None:
    save(run, 10)
    newest = save(run, 20)
    found = last_checkpoint(run)
    assert found == newest
    assert Path(found) == run.checkpoints / "step-00000020.ckpt" == Path(str(found))


@pytest.mark.parametrize(("mode", "best"), [("max", 20), ("min", 10)])
def test_best_follows_the_mode_and_ties_go_to_the_earlier(run: RunDir, mode: str, best: int) -> None:
    for step, value in (
        (10, 0.1),
        (20, 0.9),
        (30, 0.9 if mode == "max" else 0.1),
        (40, None),
        (50, float("nan")),
    ):
        save(run, step, value, mode)
    found = best_checkpoint(run)
    assert found.step == best
    assert found.as_dict() == {
        "checkpoint": f"step-{best:08d}.ckpt",
        "step": best,
        "epoch": best // 10,
        "monitor": "val/accuracy",
        "value": found.value,
    }


def test_newest_is_the_best_without_metrics(run: RunDir) -> None:
    save(run, 10)
    newest = save(run, 20)
    assert best_checkpoint(run) == newest


def test_values_of_another_metric_are_not_compared(run: RunDir) -> None:
    save(run, 10, 0.9, monitor="val/accuracy")
    save(run, 20, 0.5, mode="min", monitor="val/loss")
    assert [entry.step for entry in sort_by_metric(read_index(run.checkpoints))] == [20]


def test_damaged_newest_checkpoint_falls_back_to_the_previous(run: RunDir, caplog) -> None:
    good, newest = save(run, 10), save(run, 20)
    whole = newest.path.read_bytes()
    generator = random.Random(0)
    for number in range(NUM_DAMAGES):
        newest.path.write_bytes(damage(whole, number, generator))
        caplog.clear()
        assert last_checkpoint(run) == good
        assert "step-00000020.ckpt is damaged" in caplog.text and "step-00000010.ckpt" in caplog.text
    newest.path.write_bytes(whole)
    assert last_checkpoint(run) == newest


def test_damaged_best_falls_back_to_the_second_best(run: RunDir) -> None:
    save(run, 10, 0.8)
    best = save(run, 20, 0.9)
    save(run, 30, 0.7)
    best.path.write_bytes(b"")
    assert best_checkpoint(run).step == 10


def test_error_names_the_checkpoints_when_all_are_damaged(run: RunDir) -> None:
    save(run, 10).path.unlink()
    save(run, 20).path.write_bytes(b"short")
    with pytest.raises(CheckpointError) as caught:
        last_checkpoint(run)
    assert "step-00000010.ckpt cannot be read" in str(caught.value)
    assert "step-00000020.ckpt is damaged: its 5 bytes" in str(caught.value)
    assert "a-run" in str(caught.value) and "move" in str(caught.value)


def test_unlisted_file_is_ignored(run: RunDir) -> None:
    listed = save(run, 10)
    (run.checkpoints / "step-00000020.ckpt").write_bytes(b"written when the process ended")
    assert last_checkpoint(run) == listed


@pytest.mark.parametrize("text", ["{", "[1]", '[{"file": "x"}]', '{"file": 3}'])
def test_unreadable_index_is_an_error(run: RunDir, text: str) -> None:
    run.checkpoints.mkdir(parents=True)
    (run.checkpoints / "index.json").write_text(text)
    with pytest.raises(
        CheckpointError, match="index.json, the list of this run's checkpoints, cannot be read"
    ):
        last_checkpoint(run)


def test_index_of_a_later_version_is_read(run: RunDir) -> None:
    entry = save(run, 10, 0.5)
    index = run.checkpoints / "index.json"
    index.write_text(json.dumps([record | {"new": 1} for record in json.loads(index.read_text())]))
    assert read_index(run.checkpoints) == [entry]


def test_intact_file_has_no_damage(run: RunDir) -> None:
    entry = save(run, 10)
    assert describe_damage(entry) is None
    assert "was written" in describe_damage(dataclasses.replace(entry, sha256="0" * 64))
