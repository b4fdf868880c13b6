"""What is counted, over several goes at one study."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.config.schema import Sweep
from runner.sweep.book import Book
from runner.sweep.directory import SweepDir
from runner.sweep.space import Space, parse_parameter
from runner.sweep.study import open_study
from runner.sweep.trial import Outcome

SPACE = Space((parse_parameter("lr", "tag(log,interval(1e-4,1e-1))", []), parse_parameter("n", "1,2,3", [])))


def book_of(path: Path, **settings) -> Book:
    path.mkdir(exist_ok=True)
    settings = Sweep(**({"num_trials": 8, "seed": 3} | settings))
    return Book(open_study(SweepDir(path), settings, "max", 4), SPACE, settings)


@pytest.mark.parametrize("sampler", ["tpe", "random", "qmc", "gp", "cmaes"])
def test_stopped_and_started_again_it_is_the_same_search(tmp_path: Path, sampler: str) -> None:
    calm = book_of(tmp_path / "calm", sampler=sampler)
    while (trial := calm.next()) is not None:
        calm.tell(trial, Outcome("complete", -abs(calm.point(trial)["lr"] - 0.01)), {})
    for _ in range(9):  # each with a new process's view of the study: one trial, then the end
        book = book_of(tmp_path / "broken", sampler=sampler)
        trial = book.next()
        if trial is not None:
            book.tell(trial, Outcome("complete", -abs(book.point(trial)["lr"] - 0.01)), {})
    broken = book_of(tmp_path / "broken", sampler=sampler)
    assert broken.next() is None
    assert [t.params for t in broken.trials()] == [t.params for t in calm.trials()]
    assert broken.counts() == {"complete": 8}


def test_an_unfinished_trial_is_taken_up_with_its_own_values(tmp_path: Path) -> None:
    book = book_of(tmp_path)
    for _ in range(3):
        book.point(book.next())
    again = book_of(tmp_path)
    left = again.unfinished()
    assert [trial.number for trial in left] == [0, 1, 2]
    assert [again.point(trial) for trial in left] == [book.point(trial) for trial in book.unfinished()]
    again.tell(left[0], Outcome("failed", reason="the loss is nan"), {})
    again.tell(left[0], Outcome("complete", 1.0), {})  # too late: it has ended
    assert again.counts() == {"failed": 1, "running": 2}


def test_points_come_first_and_only_once(tmp_path: Path) -> None:
    points = [({"lr": 0.001, "n": 2}, "default"), ({"lr": 0.05, "n": 1}, "given")]
    for _ in range(3):
        book_of(tmp_path).enqueue(points)
    book = book_of(tmp_path)
    assert len(book.trials()) == 2 and book.started() == []
    assert [book.point(book.next()) for _ in points] == [point for point, _ in points]


def test_the_best_come_first(tmp_path: Path) -> None:
    book = book_of(tmp_path)
    for value in (0.1, 0.9, None, 0.9):
        trial = book.next()
        book.point(trial)
        book.tell(trial, Outcome("complete", value) if value else Outcome("pruned"), {})
    assert [trial.number for trial in book.best(2)] == [1, 3]


def test_a_torn_line_of_the_journal_is_forgotten(tmp_path: Path) -> None:
    book = book_of(tmp_path)
    book.point(book.next())
    with open(SweepDir(tmp_path).study_path, "ab") as file:
        file.write(b'{"op_code":4,"work')
    again = book_of(tmp_path)
    assert len(again.trials()) == 1
    again.point(again.next())
    assert len(book_of(tmp_path).trials()) == 2
