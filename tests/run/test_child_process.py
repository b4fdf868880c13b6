"""Child processes do not import modules from the working directory."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import runner
from runner.run.child_process import SAFE_PATH, module_command

pytestmark = pytest.mark.attack("modules of the working directory")

SHADOW = "from pathlib import Path\nPath('marker').touch()\nraise ImportError('shadowed')\n"
PACKAGE = Path(runner.__file__).parent


def shadow(folder: Path) -> None:
    for name in ("json", "logging", "torch", "mlflow"):
        (folder / f"{name}.py").write_text(SHADOW, encoding="utf-8")


def test_module_of_the_working_directory_is_not_executed(tmp_path: Path) -> None:
    shadow(tmp_path)
    command = module_command("runner.tracking.sidecar", "--help")
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "shadowed" not in result.stderr and "usage" in result.stdout + result.stderr
    assert not (tmp_path / "marker").exists()
    unsafe = [word for word in command if word != "-P"]
    result = subprocess.run(unsafe, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (tmp_path / "marker").exists(), "without -P it is"


def test_children_of_children_do_not_either(tmp_path: Path) -> None:
    shadow(tmp_path)
    command = [word for word in module_command("json.tool", "--help") if word != "-P"]
    environment = os.environ | SAFE_PATH
    assert (
        subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=False).returncode
        == 0
    )
    assert not (tmp_path / "marker").exists()


def test_every_module_is_started_by_the_same_function() -> None:
    """No other file builds a command from ``sys.executable``; SLURM's is a text with ``-P``."""
    users = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and ast.unparse(node) == "sys.executable"
    }
    assert users == {"launch/slurm.py", "run/child_process.py"}
    assert "shlex.quote(sys.executable)} -P" in (PACKAGE / "launch" / "slurm.py").read_text(encoding="utf-8")


def test_module_started_by_the_user_does_not_either(tmp_path: Path) -> None:
    """``python -m runner``, as under torchrun; ``-m`` puts the working directory first."""
    shadow(tmp_path)
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONSAFEPATH"}
    command = [sys.executable, "-m", "runner", "list", "optimizer"]
    result = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0 and "adam" in result.stdout, result.stderr
    assert not (tmp_path / "marker").exists()
