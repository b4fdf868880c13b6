import math

import pytest

from runner.run.journal import Journal, load_metrics, read_points


def test_points_come_back_in_order(tmp_path):
    journal = Journal(tmp_path / "m.jsonl")
    journal.log(1, 0, {"train/loss": 0.5})
    journal.log(2, 0, {"train/loss": 0.25, "val/loss": math.nan, "val/x": math.inf})
    journal.close()
    points = list(read_points(tmp_path / "m.jsonl"))
    assert [point.step for point in points] == [1, 2]
    assert math.isnan(points[1].metrics["val/loss"]) and points[1].metrics["val/x"] == math.inf
    assert load_metrics(tmp_path / "m.jsonl")["train/loss"] == [(1, 0, 0.5), (2, 0, 0.25)]


def test_offset_includes_buffered_points_and_truncate_drops_later_ones(tmp_path):
    path = tmp_path / "m.jsonl"
    journal = Journal(path)
    journal.log(1, 0, {"a": 1})
    offset = journal.offset
    journal.log(2, 0, {"a": 2})
    journal.truncate(offset)
    journal.log(2, 0, {"a": 3})
    journal.close()
    assert path.stat().st_size == journal.offset
    assert load_metrics(path)["a"] == [(1, 0, 1), (2, 0, 3)]


def test_truncating_beyond_the_end_is_rejected(tmp_path):
    journal = Journal(tmp_path / "m.jsonl")
    with pytest.raises(ValueError, match="beyond the end"):
        journal.truncate(10)


def test_incomplete_last_line_is_ignored_and_dropped_by_the_next_writer(tmp_path):
    path = tmp_path / "m.jsonl"
    journal = Journal(path)
    journal.log(1, 0, {"a": 1})
    journal.close()
    whole = path.stat().st_size
    with open(path, "ab") as file:
        file.write(b'{"step": 2, "epo')
    assert len(list(read_points(path))) == 1
    again = Journal(path)
    assert again.offset == whole
    again.log(2, 0, {"a": 2})
    again.close()
    assert [point.step for point in read_points(path)] == [1, 2]


def test_reading_continues_after_the_last_point(tmp_path):
    path = tmp_path / "m.jsonl"
    journal = Journal(path)
    for step in range(5):
        journal.log(step, 0, {"a": step})
    journal.close()
    points = list(read_points(path))
    assert [p.step for p in read_points(path, points[2].end)] == [3, 4]
    assert list(read_points(tmp_path / "none")) == []
