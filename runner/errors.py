"""Every error the program raises on purpose.

RunnerError                    exit code 1
├── UserError                  exit code 2: the user can mend it; shown without a traceback
│   ├── ConfigError            one or more mistakes in a config, all reported together
│   ├── DataError              a folder, table or file is not as expected
│   ├── WeightsError           a weights file that cannot be used
│   └── RunNotFoundError       no run answers to that name
├── RunFailed                  exit code 1: the run itself failed
│   ├── NonFiniteLossError     the loss or a gradient became NaN or infinite
│   ├── OutOfMemory            the memory of a device is not enough
│   ├── CheckpointError        a checkpoint cannot be written or read
│   └── BrokenSampleError      a sample cannot be read in mid-training
├── RollBack                   never leaves the worker, which resumes from the last good checkpoint
├── Pruned                     a sweep ended this trial because it was worse than the others
├── BudgetSpent                never leaves the worker: training ends, the best checkpoint is tested
└── Interrupted                exit code 128 + the signal's number: state saved
    └── OutOfTime              exit code 124: the scheduler's time limit is near, state saved
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
    "DataError",
    "Interrupted",
    "NonFiniteLossError",
    "OutOfMemory",
    "OutOfTime",
    "Problem",
    "ProblemKind",
    "Pruned",
    "RollBack",
    "RunFailed",
    "RunNotFoundError",
    "RunnerError",
    "UserError",
    "WeightsError",
]


class RunnerError(Exception):
    exit_code = 1


class UserError(RunnerError):
    """What came, what was expected, what to do: the message says all three."""

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
        problems: the mistakes, in the order in which they are printed. Text is a problem of no particular key.

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
    pass


class WeightsError(UserError):
    pass


class RunNotFoundError(UserError):
    pass


class RunFailed(RunnerError):
    pass


class NonFiniteLossError(RunFailed):
    pass


class OutOfMemory(RunFailed):
    pass


class CheckpointError(RunFailed):
    pass


class BrokenSampleError(RunFailed):
    """A sample that cannot be read; the message names its file."""


class Pruned(RunnerError):
    pass


class RollBack(RunnerError):
    """A training whose numbers have gone wrong is to go on from its last good checkpoint, with a lower rate.

    Args:
        message: what went wrong, and where.
        lr_factor: what the learning rate is multiplied by.
        most: how often that may happen in one run.
    """

    def __init__(self, message: str, lr_factor: float, most: int) -> None:
        super().__init__(message)
        self.lr_factor = lr_factor
        self.most = most

    def __reduce__(self):
        return (type(self), (str(self), self.lr_factor, self.most))


class Interrupted(RunnerError):
    """The run was asked to stop by a signal, and saved its state first.

    Args:
        signum: the signal's number; the exit code is 128 + signum, as shells report it.
        at_once: nothing was saved, and nothing is to be waited for.
    """

    def __init__(self, message: str, signum: int = 2, at_once: bool = False) -> None:
        super().__init__(message)
        self.signum = signum
        self.at_once = at_once
        self.exit_code = 128 + signum

    def __reduce__(self):
        return (type(self), (str(self), self.signum, self.at_once))


class OutOfTime(Interrupted):
    """The run saved its state because its job is about to be ended; the exit code is that of ``timeout``."""

    def __init__(self, message: str) -> None:
        super().__init__(message, signum=15)
        self.exit_code = 124

    def __reduce__(self):
        return (type(self), (str(self),))


class BudgetSpent(RunnerError):
    """``trainer.max_time`` is over, and the state is saved."""
