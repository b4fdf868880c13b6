"""Each point is read once, however the file changes between two reads."""

from __future__ import annotations

import copy
import random
from pathlib import Path

import pytest

from runner.run.journal import Journal
from runner.tracking.metric_tail import Tail, TailState


def read(path: Path, state: TailState) -> list[tuple[int, str, float]]:
    tail = Tail(path, state)
    points = [(point.step, key, value) for point in tail for key, value in point.metrics.items()]
    tail.settle()
    return points


def test_only_new_lines_are_read(tmp_path):
    journal = Journal(tmp_path / "metrics.jsonl")
    state = TailState()
    assert read(journal.path, state) == []
    journal.log(0, 0, {"a": 1.0, "b": 2.0})
    journal.flush()
    assert read(journal.path, state) == [(0, "a", 1.0), (0, "b", 2.0)]
    assert read(journal.path, state) == []
    journal.log(1, 0, {"a": 3.0})
    journal.flush()
    assert read(journal.path, state) == [(1, "a", 3.0)]


def test_incomplete_line_is_deferred(tmp_path):
    path = tmp_path / "metrics.jsonl"
    state = TailState()
    path.write_text('{"step":0,"epoch":0,"time":1.0,"metrics":{"a":1.0}}\n{"step":1,"epo')
    assert read(path, state) == [(0, "a", 1.0)]
    with open(path, "a") as file:
        file.write('ch":0,"time":2.0,"metrics":{"a":"nan"}}\n')
    (point,) = read(path, state)
    assert point[:2] == (1, "a")


def test_resumed_run_sends_no_duplicates(tmp_path):
    journal = Journal(tmp_path / "metrics.jsonl")
    state = TailState()
    for step in range(10):
        if step == 6:
            checkpoint = journal.offset
        journal.log(step, 0, {"a": float(step)})
    journal.flush()
    assert len(read(journal.path, state)) == 10
    journal.truncate(checkpoint)
    for step in range(6, 13):
        journal.log(step, 0, {"a": float(step)})
    journal.flush()
    assert read(journal.path, state) == [(10, "a", 10.0), (11, "a", 11.0), (12, "a", 12.0)]


def test_truncated_and_regrown_file_is_detected(tmp_path):
    """Regrown beyond where it was read to: an offset alone would skip points."""
    journal = Journal(tmp_path / "metrics.jsonl")
    state = TailState()
    for step in range(4):
        journal.log(step, 0, {"a": float(step)})
    journal.flush()
    read(journal.path, state)
    journal.truncate(0)
    for step in range(9):
        journal.log(step, 0, {"a": float(step), "another metric, so that the lines are longer": 1.0})
    journal.flush()
    fresh = read(journal.path, state)
    assert [step for step, key, _ in fresh if key == "a"] == [4, 5, 6, 7, 8]
    assert [step for step, key, _ in fresh if key != "a"] == list(range(9))


def test_two_points_of_one_step_are_two_points(tmp_path):
    journal = Journal(tmp_path / "metrics.jsonl")
    state = TailState()
    journal.log(3, 0, {"a": 1.0})
    journal.flush()
    assert read(journal.path, state) == [(3, "a", 1.0)]
    journal.log(3, 1, {"a": 2.0})
    journal.flush()
    assert read(journal.path, state) == [(3, "a", 2.0)]


@pytest.mark.parametrize("seed", range(20))
def test_random_kills_of_writer_and_reader(tmp_path, seed):
    """The reader is stopped anywhere and starts from its last settled state; the writer resumes anywhere."""
    rng = random.Random(seed)
    journal = Journal(tmp_path / "metrics.jsonl")
    settled, arrived = TailState(), []
    offsets, step = [0], 0
    for _ in range(40):
        for _ in range(rng.randrange(6)):
            journal.log(step, 0, {"a": float(step)} | ({"b": float(step)} if step % 3 == 0 else {}))
            step += 1
            offsets.append(journal.offset)
        journal.flush()
        if rng.random() < 0.3:
            step = rng.randrange(len(offsets))
            journal.truncate(offsets[step])
            del offsets[step + 1 :]
        state = copy.deepcopy(settled)
        fresh = read(journal.path, state)
        if rng.random() < 0.7:  # else it was killed before it shipped what it read
            arrived += fresh
            settled = state
    highest = max((point[0] for point in arrived), default=-1)
    assert sorted(arrived) == sorted(set(arrived))
    assert [point[0] for point in arrived if point[1] == "a"] == list(range(highest + 1))
    assert [point[0] for point in arrived if point[1] == "b"] == list(range(0, highest + 1, 3))
