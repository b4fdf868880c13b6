"""How a command ends when it cannot do what was asked."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable

from runner.errors import ConfigError, RunnerError

__all__ = ["guarded", "say_error"]


def guarded(command: Callable[[], int]) -> int:
    """Runs ``command`` and converts its result or exception into an exit code.

    A ``RunnerError`` is shown as a message. Any other exception is a defect and shown with its traceback.
    """
    try:
        code = command()
        sys.stdout.flush()
        return code or 0
    except SystemExit as request:
        return request.code if isinstance(request.code, int) else int(request.code is not None)
    except RunnerError as error:
        say_error(error)
        return error.exit_code
    except KeyboardInterrupt as stop:
        if isinstance(
            stop.__cause__, RunnerError
        ):  # one of several runs was interrupted, which ends the others too
            say_error(stop.__cause__)
            return stop.__cause__.exit_code
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader (`| head`) closed the pipe. Without this, Python reports the error again when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception:
        traceback.print_exc()
        return 1


def say_error(error: RunnerError) -> None:
    """Prints an error on stderr; the problems of a config as a numbered list."""
    sys.stdout.flush()
    mark = "\x1b[1;31merror:\x1b[0m" if _is_coloured() else "error:"
    problems = error.problems if isinstance(error, ConfigError) else [str(error)]
    if len(problems) == 1:
        print(f"{mark} {problems[0]}", file=sys.stderr)
        return
    print(f"{mark} {len(problems)} mistakes in the config:", file=sys.stderr)
    for number, problem in enumerate(problems, start=1):
        indented = problem.replace("\n", "\n     ")
        print(f"  {number}. {indented}", file=sys.stderr)


def _is_coloured() -> bool:
    return sys.stderr.isatty() and "NO_COLOR" not in os.environ
