"""Exit codes of worker processes."""

from __future__ import annotations

import sys
from collections.abc import Callable

from runner.errors import RunnerError

__all__ = ["exit_code_of"]


def exit_code_of(work: Callable[[], object]) -> int:
    """Calls ``work`` and returns 0, or prints the message of a runner error and returns its exit code."""
    try:
        work()
    except RunnerError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return 0
