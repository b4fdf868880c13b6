"""The wheel, installed where nothing else is, trains outside the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
CONSTRAINTS = CHECKOUT / "constraints.txt"


def find_uv() -> str:
    own = CHECKOUT / ".venv-tools" / "bin" / "uv"
    found = str(own) if own.exists() else shutil.which("uv")
    if found is None:
        pytest.skip("needs uv on the PATH, or in .venv-tools where scripts/setup puts it")
    return found


def call(*command: str | Path, cwd: Path, **environment: str) -> str:
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        [str(word) for word in command], cwd=cwd, env=kept | environment, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    call(find_uv(), "build", "--wheel", "--out-dir", folder, cwd=CHECKOUT)
    (built,) = folder.glob("*.whl")
    return built


@pytest.mark.slow
def test_wheel_contains_configs_and_code(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in ("conf", "experiments"):
        here = {f"runner/{path.relative_to(CHECKOUT)}" for path in (CHECKOUT / folder).rglob("*.yaml")}
        assert here <= names
    code = {str(path.relative_to(CHECKOUT)) for path in (CHECKOUT / "runner").rglob("*.py")}
    assert code <= names
    assert not [name for name in names if name.startswith(("tests", "scripts", "conf"))]


@pytest.mark.slow
def test_wheel_can_train_outside_the_checkout(wheel: Path, tmp_path: Path) -> None:
    uv, environment = find_uv(), tmp_path / "environment"
    call(uv, "venv", "--python", sys.executable, environment, cwd=tmp_path)
    python = environment / "bin" / "python"
    call(uv, "pip", "install", "--python", python, "--constraint", CONSTRAINTS, wheel, cwd=tmp_path)
    work = tmp_path / "work"
    work.mkdir()
    runner = environment / "bin" / "runner"
    place = call(python, "-c", "import runner; print(runner.__file__)", cwd=work).strip()
    assert Path(place).is_relative_to(environment)
    assert "digits" in call(runner, "list", "data", cwd=work)
    doctor = call(runner, "doctor", cwd=work)
    assert f"from {environment}" in doctor and "fail" not in [line[:4] for line in doctor.splitlines()]
    said = call(runner, "train", "run.name=away", "trainer.max_epochs=3", cwd=work, OMP_NUM_THREADS="2")
    assert "accuracy" in said
    assert (work / "runs" / "away" / "results.json").is_file()
    assert (work / "runs" / "away" / "report.html").is_file()
    assert "away" in call(runner, "runs", cwd=work)
    assert '"test/accuracy"' in call(runner, "evaluate", "away", "--json", cwd=work)
