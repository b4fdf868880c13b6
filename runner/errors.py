"""The exceptions that the program raises on purpose. Their messages are shown without a traceback.

Errors::

    RunnerError                    exit code 1
    ├── UserError                  exit code 2: the user can correct the cause
    │   ├── ConfigError            one or more mistakes in a config, all reported together
    │   ├── DataError              a folder, table or file is not as expected
    │   ├── WeightsError           a weights file cannot be used
    │   └── RunNotFoundError       a run with the given name does not exist
    └── RunFailedError             exit code 1: the run itself failed
        ├── NonFiniteLossError     the loss or a gradient became NaN or infinite
        ├── OutOfMemoryError       a single sample does not fit into the memory of a device
        ├── CheckpointError        a checkpoint cannot be written or read
        └── BrokenSampleError      a sample cannot be read during training

Control flow, which ends or repeats a training and is no error::

    ControlSignal
    ├── RollBack                   stays in the worker, which resumes from the last good checkpoint
    ├── BudgetSpent                stays in the worker: training ends, and the best checkpoint is tested
    ├── Pruned                     a sweep ended this trial because it was worse than the others
    └── Interrupted                exit code 128 + the signal's number: the state is saved
        └── OutOfTime              exit code 124: the scheduler's time limit is near, and the state is saved
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

__all__ = [
    "BrokenSampleError",
    "BudgetSpent",
    "CheckpointError",
    "ConfigError",
    "ControlSignal",
    "DamagedFileError",
    "DataError",
    "Interrupted",
    "NonFiniteLossError",
    "OutOfMemoryError",
    "OutOfTime",
    "Problem",
    "ProblemKind",
    "Pruned",
    "RollBack",
    "RunFailedError",
    "RunInUseError",
    "RunNotFoundError",
    "RunnerError",
    "UserError",
    "WeightsError",
]


class RunnerError(Exception):
    """Base class of all errors.

    Attributes:
        exit_code: exit code of a command that ends with the error.
    """

    exit_code = 1


class UserError(RunnerError):
    """The user can correct the cause.

    The message says what was given, what was expected and what to do.
    """

    exit_code = 2


ProblemKind = Literal[
    "duplicate",  # a value is given twice
    "incompatible",  # settings that exclude each other, or do not suit the data, model or task
    "invalid_value",  # of the right type, but none of the valid values or not of the required form
    "missing",  # a required value or node is absent
    "no_effect",  # a setting that the run would not use
    "not_allowed",  # a constructor outside the allow-list
    "not_found",  # a file, folder, module or attribute that does not exist
    "out_of_bounds",  # a number or a number of values outside the valid range
    "rejected",  # a component raised an error when it was built or checked
    "reserved",  # an argument that runner itself passes
    "unavailable",  # this machine lacks a device, program or package
    "unknown_key",
    "unknown_option",
    "unreadable",  # text that cannot be parsed: an override, a file
    "unresolved",  # an interpolation without a value
    "wrong_type",
]


@dataclass(frozen=True)
class Problem:
    """One mistake in a config.

    Attributes:
        key: dotted key of the value that has to change; empty if the problem concerns no particular key.
        message: what was given and what was expected, as a complete text.
        kind: category of the problem. Decisions are based on it and on ``key``, never on the message.
        suggestion: what to do, as a complete sentence such as ``Did you mean 'lr'?``; None if the message
            contains it.
    """

    key: str
    message: str
    kind: ProblemKind
    suggestion: str | None = None

    def __str__(self) -> str:
        return f"{self.message} {self.suggestion}" if self.suggestion else self.message

    def concerns(self, key: str) -> bool:
        """Return whether the problem is that of a key or of one below it."""
        return self.key == key or self.key.startswith((f"{key}.", f"{key}["))

    def within(self, node: str) -> Problem:
        """Return the problem of a node as one of the whole config, with the node's key before the message."""
        key = f"{node}.{self.key}" if self.key else node
        return replace(self, key=key, message=f"{node}: {self.message}")


class ConfigError(UserError):
    """All mistakes found in one config.

    Args:
        problems: the mistakes, in the order in which they are printed. Text is a problem of no
            particular key.

    Attributes:
        problems: the mistakes as objects.
    """

    def __init__(self, problems: Problem | str | Iterable[Problem | str]) -> None:
        given = [problems] if isinstance(problems, Problem | str) else problems
        self.problems: tuple[Problem, ...] = tuple(
            Problem("", problem, "rejected") if isinstance(problem, str) else problem for problem in given
        )
        super().__init__("\n".join(map(str, self.problems)))

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.problems,))


class DataError(UserError):
    """A folder, table or file is not as expected."""


class WeightsError(UserError):
    """A weights file cannot be used."""


class RunNotFoundError(UserError):
    """A run with the given name does not exist."""


class RunInUseError(UserError):
    """Another process executes the run."""


class DamagedFileError(UserError, ValueError):
    """A file of a run or sweep is truncated, no valid JSON or YAML, or has values of unexpected types.

    It is a ``ValueError`` as well, like the errors of the parsers.
    """


class RunFailedError(RunnerError):
    """The run itself failed."""


class NonFiniteLossError(RunFailedError):
    """The loss or a gradient became NaN or infinite."""


class OutOfMemoryError(RunFailedError):
    """A single sample does not fit into the memory of a device."""


class CheckpointError(RunFailedError):
    """A checkpoint cannot be written or read."""


class BrokenSampleError(RunFailedError):
    """A sample cannot be read; the message names its file."""


class ControlSignal(Exception):
    """Base class of the exceptions that end or repeat a training and are no errors.

    Attributes:
        exit_code: exit code of a command that ends with the exception.
    """

    exit_code = 1


class Pruned(ControlSignal):
    """A sweep ended the trial because it was worse than the others."""


class RollBack(ControlSignal):
    """The training must be repeated from the last good checkpoint with a lower learning rate.

    Args:
        message: the non-finite value and the step at which it occurred.
        lr_factor: factor of the learning rate.
        most: maximum number of rollbacks in one run.
    """

    def __init__(self, message: str, lr_factor: float, most: int) -> None:
        super().__init__(message)
        self.lr_factor = lr_factor
        self.most = most

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (str(self), self.lr_factor, self.most))


class Interrupted(ControlSignal):
    """A signal ended the run, whose state is saved.

    Args:
        message: the signal and the step of the saved state.
        signum: the signal's number; the exit code is 128 + signum, as shells report it.
        at_once: whether the run ended without saving and without waiting for anything.
    """

    def __init__(self, message: str, signum: int = 2, at_once: bool = False) -> None:
        super().__init__(message)
        self.signum = signum
        self.at_once = at_once
        self.exit_code = 128 + signum

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (str(self), self.signum, self.at_once))


class OutOfTime(Interrupted):
    """The run saved its state because its job is about to end; the exit code is that of ``timeout``."""

    def __init__(self, message: str) -> None:
        super().__init__(message, signum=15)
        self.exit_code = 124

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (str(self),))


class BudgetSpent(ControlSignal):
    """``trainer.max_time`` is over, and the state is saved."""
