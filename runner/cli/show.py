"""Console output of verbs, and their errors."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from runner.errors import ConfigError, ControlSignal, RunFailedError, RunnerError
from runner.run.files import DISK_FULL_ERRORS, cannot_write

if TYPE_CHECKING:
    from rich.console import Console

    from runner.report.format import Shown

__all__ = ["console", "guarded", "hush_libraries", "print_error", "table"]


def guarded(command: Callable[[], int]) -> int:
    """Run a command and convert its result or exception into an exit code.

    A ``RunnerError`` or ``ControlSignal`` is printed as a message. Any other exception is a defect and is
    printed with its traceback, except a failure to write to a disk that is full or not writable.
    """
    try:
        code = command()
        sys.stdout.flush()
        return code or 0
    except SystemExit as request:
        return request.code if isinstance(request.code, int) else int(request.code is not None)
    except (RunnerError, ControlSignal) as error:
        print_error(error)
        return error.exit_code
    except KeyboardInterrupt as stop:
        # One of several runs was interrupted, which ends the others too.
        if isinstance(stop.__cause__, RunnerError | ControlSignal):
            print_error(stop.__cause__)
            return stop.__cause__.exit_code
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader (`| head`) closed the pipe. Without this, Python reports the error again when it closes
        # stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.errno not in (*DISK_FULL_ERRORS, errno.EACCES, errno.EPERM):
            traceback.print_exc()
            return 1
        print_error(RunFailedError(cannot_write(Path(error.filename or os.getcwd()), error)))
        return 1
    except Exception:
        traceback.print_exc()
        return 1


def print_error(error: RunnerError | ControlSignal) -> None:
    """Print an error and its notes on stderr; the problems of a config as a numbered list.

    An interruption is no error and has no mark.
    """
    sys.stdout.flush()
    try:
        _print_problems(error)
    finally:
        for note in getattr(error, "__notes__", ()):
            print(note, file=sys.stderr)


def _print_problems(error: RunnerError | ControlSignal) -> None:
    if isinstance(error, ControlSignal):
        print(error, file=sys.stderr)
        return
    mark = "\x1b[1;31merror:\x1b[0m" if _is_coloured() else "error:"
    problems = (
        [str(problem) for problem in error.problems] if isinstance(error, ConfigError) else [str(error)]
    )
    if len(problems) == 1:
        print(f"{mark} {problems[0]}", file=sys.stderr)
        return
    print(f"{mark} {len(problems)} mistakes in the config:", file=sys.stderr)
    for number, problem in enumerate(problems, start=1):
        indented = problem.replace("\n", "\n     ")
        print(f"  {number}. {indented}", file=sys.stderr)


def _is_coloured() -> bool:
    return sys.stderr.isatty() and "NO_COLOR" not in os.environ


def console() -> Console:
    """Return a console with colours and line wrapping on a terminal, and neither elsewhere."""
    from rich.console import Console

    class PipeConsole(Console):
        """Raises BrokenPipeError, where rich would exit with code 1."""

        def on_broken_pipe(self) -> NoReturn:
            raise BrokenPipeError

    return PipeConsole(file=sys.stdout, highlight=False, soft_wrap=not sys.stdout.isatty())


def table(
    *headers: str, rows: Sequence[Sequence[str]], title: str | None = None, max_width: int | None = None
) -> Shown:
    """Return a table on a terminal and aligned lines elsewhere. Cells are plain text without markup.

    Args:
        *headers: titles of the columns.
        rows: the cells.
        title: title of the table.
        max_width: width to which the lines are wrapped where the output is no terminal; None for long lines.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from runner.report.format import Shown, aligned, wrapped
    from runner.report.words import Words

    grid = Table(box=SIMPLE_HEAD, title=title, title_justify="left", title_style="bold", pad_edge=False)
    for name in headers:
        grid.add_column(name, overflow="fold")
    for row in rows:
        grid.add_row(*(Words(cell) for cell in row))
    lines = [f"{title}:"] if title else []
    plain = [headers, *rows]
    return Shown(grid, [*lines, *(aligned(plain) if max_width is None else wrapped(plain, max_width)), ""])


def hush_libraries() -> None:
    """Silence hints and warnings of Lightning and torch that are meant for developers."""
    import logging
    import warnings

    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="pytorch_lightning|torch")
