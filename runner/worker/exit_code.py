"""What a worker's process ends with."""

from __future__ import annotations

import sys
from collections.abc import Callable

from runner.errors import RunnerError

__all__ = ["exit_code_of"]


def exit_code_of(work: Callable[[], object]) -> int:
    """0 when it is done; for an error of this program its message on stderr, and the code it stands for."""
    try:
        work()
    except RunnerError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return 0
