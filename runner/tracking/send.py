"""Sends items in batches the store takes; what it refuses is set aside, not the rest with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

__all__ = ["MAX_METRICS", "send_in_batches"]

MAX_METRICS = 1000  # MLflow's limit for one request
REFUSALS = ("INVALID_PARAMETER_VALUE", "BAD_REQUEST")

Item = TypeVar("Item")


def send_in_batches(
    items: list[Item], send: Callable[[list[Item]], None], on_refusal: Callable[[], None], size: int
) -> list[tuple[Item, str]]:
    """Sends all items, ``size`` at a time.

    Args:
        on_refusal: called before a refused batch is halved; raises when the fault is not the items'.

    Returns:
        The items the store refuses for what they are, each with the reason.

    Raises:
        MlflowException: the store cannot be reached, or is in trouble itself.
    """
    refused: list[tuple[Item, str]] = []
    for start in range(0, len(items), size):
        refused += _send(items[start : start + size], send, on_refusal)
    return refused


def _send(items, send, on_refusal) -> list[tuple[Item, str]]:
    """One batch; a refused one is halved until the item at fault stands alone."""
    from mlflow.exceptions import MlflowException

    try:
        send(items)
        return []
    except MlflowException as error:
        if error.error_code not in REFUSALS:
            raise
        on_refusal()
        if len(items) == 1:
            return [(items[0], str(error).strip().split("\n")[0])]
    middle = len(items) // 2
    return _send(items[:middle], send, on_refusal) + _send(items[middle:], send, on_refusal)
