from __future__ import annotations

import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, TEMPORARILY_UNAVAILABLE

from runner.tracking.uploader import send_in_batches


class Store:
    """Takes any number but those of ``bad``."""

    def __init__(self, bad=(), code=INVALID_PARAMETER_VALUE):
        self.bad, self.code = set(bad), code
        self.taken: list[int] = []
        self.num_calls = 0

    def send(self, items):
        self.num_calls += 1
        wrong = self.bad & set(items)
        if wrong:
            raise MlflowException(f"no {sorted(wrong)}\nand more", self.code)
        self.taken += items


def test_everything_is_sent_in_batches():
    store = Store()
    assert send_in_batches(list(range(25)), store.send, lambda: None, 10) == []
    assert store.taken == list(range(25))
    assert store.num_calls == 3


def test_nothing_to_send_makes_no_calls():
    store = Store()
    assert send_in_batches([], store.send, lambda: None, 10) == []
    assert store.num_calls == 0


def test_rejected_items_do_not_block_the_rest():
    store = Store(bad={3, 17})
    refused = send_in_batches(list(range(20)), store.send, lambda: None, 20)
    assert refused == [(3, "no [3]"), (17, "no [17]")]
    assert store.taken == [number for number in range(20) if number not in (3, 17)]


def test_failing_store_raises():
    store = Store(bad={3}, code=TEMPORARILY_UNAVAILABLE)
    with pytest.raises(MlflowException):
        send_in_batches(list(range(5)), store.send, lambda: None, 2)
    assert store.taken == [0, 1]


def test_run_level_error_stops_at_the_first_rejection():
    store = Store(bad=set(range(1000)))

    def on_refusal():
        raise LookupError("the run is gone")

    with pytest.raises(LookupError):
        send_in_batches(list(range(1000)), store.send, on_refusal, 1000)
    assert store.num_calls == 1
