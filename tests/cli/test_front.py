from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import runner.cli
from runner import __version__
from runner.cli import NAMES, load_verb, main
from runner.errors import ConfigError, Interrupted, RunFailedError, UserError

HEAVY = {"torch", "pytorch_lightning", "hydra", "omegaconf", "mlflow", "rich", "numpy", "pydantic", "yaml"}


def test_help_names_every_verb_with_its_summary(say) -> None:
    said = say("--help")
    assert said.code == 0
    for name in NAMES:
        line = next(line for line in said.out.splitlines() if line.startswith(f"  {name} "))
        assert load_verb(name).SUMMARY in line


def test_no_arguments_show_the_help(say) -> None:
    assert say().out == say("--help").out


@pytest.mark.parametrize("name", NAMES)
def test_each_verb_has_help(name: str, say) -> None:
    said = say(name, "--help")
    assert said.code == 0
    assert said.out.startswith(f"usage: runner {name}")


def test_every_file_of_a_verb_is_in_the_list() -> None:
    folder = Path(runner.cli.__file__).parent
    verbs = {
        path.stem if path.suffix else path.name
        for path in folder.iterdir()
        if (path.suffix == ".py" and "\nSUMMARY = " in path.read_text())
        or ((path / "__init__.py").is_file() and "\nSUMMARY = " in (path / "__init__.py").read_text())
    }
    assert verbs == {name.replace("-", "_") for name in NAMES}


@pytest.mark.parametrize("word", ["--version", "-V", "version"])
def test_version(word: str, say) -> None:
    assert say(word).out == f"runner {__version__}\n"


def test_help_of_all_verbs_and_of_one(say) -> None:
    assert say("help").out == say("--help").out
    assert say("help", "sync").out == say("sync", "--help").out
    assert "unknown verb 'trian'. Did you mean `runner train`?" in say("help", "trian").err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["trian"], "unknown verb 'trian'. Did you mean `runner train`?"),
        (["model=mlp", "data=digits"], "Did you mean `runner train model=mlp data=digits`?"),
        (["my.yaml"], "Did you mean `runner train my.yaml`?"),
        (["xyzzy"], "Valid: train, find-lr, sweep, resume,"),
        (["runs", "--lats", "3"], "Did you mean --last?"),
        (["runs", "--last", "many"], "invalid int value: 'many'"),
        (["resume"], "the following arguments are required: RUN"),
        (["config", "shwo"], "invalid choice: 'shwo'"),
        (["train", "--epochs", "5"], "Settings have no dashes: trainer.max_epochs=VALUE."),
        (["train", "--dry-run"], "`runner config check …` checks a command without running it."),
        (["explain", "latest", "--method", "gradcam"], "Did you mean grad_cam?"),
        (["--verbose"], "unrecognized arguments: --verbose"),
        (["compare", "only-one"], "no run 'only-one'"),
    ],
)
def test_invalid_input_is_one_message_and_exit_code_2(words: list[str], expected: str, say) -> None:
    said = say(*words)
    assert said.code == 2
    assert said.err.startswith("error: ")
    assert expected in said.err
    assert "Traceback" not in said.err
    assert said.out == ""


def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def run(_args: object) -> int:
        raise error

    monkeypatch.setattr(load_verb("doctor"), "run", run)


def interrupted_run() -> KeyboardInterrupt:
    stop = KeyboardInterrupt()
    stop.__cause__ = Interrupted("stopped at step 7", signum=15)
    return stop


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (UserError("mend it"), 2, "error: mend it\n"),
        (ConfigError(["one"]), 2, "error: one\n"),
        (
            ConfigError(["one", "two\nlines"]),
            2,
            "error: 2 mistakes in the config:\n  1. one\n  2. two\n     lines\n",
        ),
        (RunFailedError("loss is nan"), 1, "error: loss is nan\n"),
        (Interrupted("stopped at step 7", signum=15), 143, "stopped at step 7\n"),
        (interrupted_run(), 143, "stopped at step 7\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
    ],
)
def test_exit_codes_of_commands(error, code, text, say, monkeypatch) -> None:
    failing(monkeypatch, error)
    said = say("doctor")
    assert (said.code, said.err) == (code, text)


def test_notes_of_an_error_follow_its_message(say, monkeypatch) -> None:
    stop = Interrupted("SIGTERM: the state is saved at step 7.", signum=15)
    stop.add_note("`runner resume runs/r` resumes from the last checkpoint.")
    failing(monkeypatch, stop)
    assert say("doctor").err.splitlines() == [str(stop), *stop.__notes__]


def test_internal_error_shows_its_traceback(say, monkeypatch) -> None:
    failing(monkeypatch, ZeroDivisionError("a defect"))
    said = say("doctor")
    assert said.code == 1
    assert "Traceback" in said.err and "ZeroDivisionError: a defect" in said.err


def test_help_and_parsing_import_nothing_heavy() -> None:
    code = (
        "import sys; from runner.cli import main, front_parser, NAMES, load_verb\n"
        "main(['--help']); [main([name, '--help']) for name in NAMES]\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(eval(done.stdout.splitlines()[-1]))  # our own list
    assert not loaded & HEAVY


def test_importing_runner_imports_nothing_heavy() -> None:
    code = "import sys, runner; print(sorted({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(eval(done.stdout)) & HEAVY  # our own list


def test_closed_pipe_is_no_error() -> None:
    command = f"{sys.executable} -m runner list | head -n 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "0"
    assert done.stderr == ""


def test_main_without_argv_uses_those_of_the_process(monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys, "argv", ["runner", "--version"])
    monkeypatch.delenv("_ARGCOMPLETE", raising=False)
    assert main() == 0
    assert __version__ in capsys.readouterr().out
