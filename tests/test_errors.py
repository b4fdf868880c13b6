"""The exception hierarchy, and the problems of a config."""

from __future__ import annotations

import inspect
import pickle

import pytest

from runner import errors
from runner.errors import ConfigError, ControlSignal, Interrupted, OutOfTime, Problem, RunnerError

CLASSES = {name: kind for name in errors.__all__ if inspect.isclass(kind := getattr(errors, name))}
EXCEPTIONS = {name: kind for name, kind in CLASSES.items() if issubclass(kind, Exception)}


@pytest.mark.parametrize("name", EXCEPTIONS)
def test_errors_end_in_error_and_control_signals_are_no_errors(name: str) -> None:
    assert name.endswith("Error") == issubclass(EXCEPTIONS[name], RunnerError)
    assert name.endswith("Error") != issubclass(EXCEPTIONS[name], ControlSignal)


def test_every_exception_is_public() -> None:
    own = {
        name
        for name, kind in vars(errors).items()
        if inspect.isclass(kind) and kind.__module__ == errors.__name__
    }
    assert own == set(CLASSES)


def test_config_error_survives_a_process_boundary() -> None:
    problems = [
        Problem("a.b", "a.b=1: expected text.", "wrong_type"),
        Problem("c", "no c.", "missing", "Add c."),
    ]
    error = pickle.loads(pickle.dumps(ConfigError(problems)))
    assert error.problems == tuple(problems) and error.exit_code == 2
    assert str(error) == "a.b=1: expected text.\nno c. Add c."


@pytest.mark.parametrize("signal", [Interrupted("saved", 10, at_once=True), OutOfTime("saved")])
def test_control_signal_survives_a_process_boundary(signal: Interrupted) -> None:
    copy = pickle.loads(pickle.dumps(signal))
    assert type(copy) is type(signal) and vars(copy) == vars(signal) and str(copy) == "saved"


def test_text_is_a_problem_without_a_key() -> None:
    assert ConfigError("broken").problems == (Problem("", "broken", "rejected"),)
    assert [problem.message for problem in ConfigError(["one", "two"]).problems] == ["one", "two"]


def test_problem_concerns_its_key_and_the_keys_above() -> None:
    problem = Problem("data.columns[0].name", "?", "wrong_type")
    assert all(problem.concerns(key) for key in ("data", "data.columns", "data.columns[0]", problem.key))
    assert not any(problem.concerns(key) for key in ("dat", "data.column", "data.columns[0].name.x", ""))


def test_problem_within_a_node() -> None:
    inner = Problem("_target_", "not allowed.", "not_allowed", "Remove it.")
    assert inner.within("model") == Problem(
        "model._target_", "model: not allowed.", "not_allowed", "Remove it."
    )
    assert Problem("", "bad.", "rejected").within("data").key == "data"
