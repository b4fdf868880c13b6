"""The entry point of a trial on another machine."""

from runner.sweep.executors import rank_worker, remote
from runner.sweep.executors.file_channel import Mailbox
from runner.sweep.running_trial import Attempt


def test_trial_on_one_device_is_executed_by_the_rank_worker(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(rank_worker, "main", lambda argv: 7 if argv == [str(tmp_path)] else 1)
    Mailbox(Attempt(trial=0, run=tmp_path, num_threads=2))
    assert remote.main([str(tmp_path)]) == 7
