"""Every error the program raises on purpose.

    RunnerError                    exit code 1
    ├── UserError                  exit code 2: the user can mend it; shown without a traceback
    │   ├── ConfigError            one or more mistakes in a config, all reported together
    │   ├── DataError              a folder, table or file is not as expected
    │   ├── WeightsError           a weights file that cannot be used
    │   └── RunNotFoundError       no run answers to that name
    ├── RunFailed                  exit code 1: the run itself failed
    │   ├── NonFiniteLossError     the loss became NaN or infinite
    │   ├── OutOfMemory            the memory of a device is not enough
    │   ├── CheckpointError        a checkpoint cannot be written or read
    │   └── BrokenSampleError      a sample cannot be read in mid-training
    ├── Pruned                     a sweep ended this trial: it lagged behind the others
    └── Interrupted                exit code 128 + the signal's number: state saved
"""

from __future__ import annotations

__all__ = [
    "BrokenSampleError",
    "CheckpointError",
    "ConfigError",
    "DataError",
    "Interrupted",
    "NonFiniteLossError",
    "OutOfMemory",
    "Pruned",
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


class ConfigError(UserError):
    """All mistakes found in one config.

    Args:
        problems: one sentence a mistake.
    """

    def __init__(self, problems: list[str] | str):
        self.problems = [problems] if isinstance(problems, str) else list(problems)
        super().__init__("\n".join(self.problems))

    def __reduce__(self):
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


class Interrupted(RunnerError):
    """The run was asked to stop by a signal, and saved its state first.

    Args:
        signum: the signal's number; the exit code is 128 + signum, as shells report it.
        at_once: nothing was saved, and nothing is to be waited for.
    """

    def __init__(self, message: str, signum: int = 2, at_once: bool = False):
        super().__init__(message)
        self.signum = signum
        self.at_once = at_once
        self.exit_code = 128 + signum

    def __reduce__(self):
        return (type(self), (str(self), self.signum, self.at_once))
