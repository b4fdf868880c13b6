"""The scripts, with a uv that only writes down what it was asked."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
SCRIPTS = sorted((CHECKOUT / "scripts").glob("*"))

UV = """#!/usr/bin/env bash
echo "uv $* certs=${UV_SYSTEM_CERTS-}" >>"$LOG"
case "$1 $2" in
  "--version ") exit 0 ;;
  venv*)
    [[ "$*" == *--clear* ]] && rm -rf .venv
    mkdir -p .venv/bin
    printf '#!/usr/bin/env bash\\necho "python $* threads=${OMP_NUM_THREADS-}" >>"$LOG"\\n' >.venv/bin/python
    chmod +x .venv/bin/python ;;
  "pip install")
    [[ -n "${FAIL-}" && -z "${UV_SYSTEM_CERTS-}" ]] && exit 1
    [[ "${FAIL-}" == always ]] && exit 1
    printf '#!/usr/bin/env bash\\necho "runner $* in $PWD"\\n' >.venv/bin/runner
    for name in ruff mypy codespell; do cp .venv/bin/runner .venv/bin/$name; done
    chmod +x .venv/bin/* ;;
esac
"""

PYTHON = """#!/usr/bin/env bash
echo "python3 $*" >>"$LOG"
if [[ "$*" == *"pip install"*uv ]]; then
  mkdir -p .venv-tools/bin
  cp "$UV_STUB" .venv-tools/bin/uv
fi
"""


def write_program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


class Bare:
    """A checkout on a machine where Python and uv are stubs.

    Attributes:
        said: what the stubs were called with.
    """

    def __init__(self, folder: Path):
        self.checkout = folder / "checkout"
        self.log = folder / "log"
        self.programs = folder / "programs"
        shutil.copytree(
            CHECKOUT / "scripts", self.checkout / "scripts", ignore=shutil.ignore_patterns("__pycache__")
        )
        shutil.copytree(CHECKOUT / ".ci", self.checkout / ".ci")
        for name in ("pyproject.toml", "constraints.txt"):
            shutil.copy(CHECKOUT / name, self.checkout / name)
        write_program(self.programs / "uv", UV)
        write_program(folder / "uv_stub", UV)
        write_program(self.programs / "python3", PYTHON)
        self.environment = {
            "PATH": f"{self.programs}:/usr/bin:/bin",
            "LOG": str(self.log),
            "UV_STUB": str(folder / "uv_stub"),
            "HOME": str(folder),
        }

    @property
    def said(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    def call(
        self, script: str, *words: str, cwd: Path | None = None, **more: str
    ) -> subprocess.CompletedProcess:
        self.log.unlink(missing_ok=True)
        return subprocess.run(
            [str(self.checkout / script), *words],
            env=self.environment | more,
            cwd=cwd or self.checkout.parent,
            capture_output=True,
            text=True,
        )


@pytest.fixture
def bare(tmp_path: Path) -> Bare:
    return Bare(tmp_path)


def test_setup_creates_the_environment_once(bare: Bare) -> None:
    first = bare.call("scripts/setup")
    assert first.returncode == 0, first.stderr
    assert "uv venv" in bare.said and "--python" in bare.said
    assert "--editable .[test,all] --constraint constraints.txt" in bare.said
    second = bare.call("scripts/setup")
    assert (second.returncode, second.stderr, bare.said) == (0, "", "")


@pytest.mark.parametrize("file", ["pyproject.toml", "constraints.txt", "scripts/setup"])
def test_setup_installs_again_after_a_change(bare: Bare, file: str) -> None:
    bare.call("scripts/setup")
    with open(bare.checkout / file, "a") as opened:
        opened.write("# changed\n")
    bare.call("scripts/setup")
    assert "pip install" in bare.said
    assert "--clear" not in bare.said


def test_setup_keeps_an_existing_environment(bare: Bare) -> None:
    write_program(bare.checkout / ".venv" / "bin" / "python", "#!/usr/bin/env bash\n")
    bare.call("scripts/setup")
    assert "uv venv" not in bare.said and "pip install" in bare.said


def test_setup_recreates_the_environment_of_a_moved_checkout(bare: Bare, tmp_path: Path) -> None:
    bare.call("scripts/setup")
    bare.checkout = bare.checkout.rename(tmp_path / "moved")
    assert bare.call("scripts/setup").returncode == 0
    assert "--clear" in bare.said
    assert bare.call("scripts/setup").stderr == ""


def test_setup_installs_uv_without_changing_the_system(bare: Bare) -> None:
    (bare.programs / "uv").unlink()
    done = bare.call("scripts/setup")
    assert done.returncode == 0, done.stderr
    assert "-m pip install --quiet --upgrade --target .venv-tools uv" in bare.said
    assert "uv pip install" in bare.said


def test_setup_tries_the_system_certificates(bare: Bare) -> None:
    done = bare.call("scripts/setup", FAIL="once")
    assert done.returncode == 0, done.stderr
    assert "certs=1" in bare.said


def test_failed_setup_is_not_marked_complete(bare: Bare) -> None:
    assert bare.call("scripts/setup", FAIL="always").returncode != 0
    assert bare.call("scripts/setup").returncode == 0
    assert "pip install" in bare.said


def test_setup_reports_a_missing_python(bare: Bare) -> None:
    write_program(bare.programs / "python3", "#!/usr/bin/env bash\nexit 1\n")
    for name in ("python3.13", "python3.12", "python3.11", "python"):
        shutil.copy(bare.programs / "python3", bare.programs / name)
    done = bare.call("scripts/setup")
    assert done.returncode == 1
    assert "no Python 3.11, 3.12 or 3.13" in done.stderr


def test_run_forwards_arguments_and_keeps_the_working_directory(bare: Bare, tmp_path: Path) -> None:
    elsewhere = tmp_path / "else where"
    elsewhere.mkdir()
    done = bare.call("scripts/run", "train", "run.name=two words", cwd=elsewhere)
    assert done.stdout == f"runner train run.name=two words in {elsewhere}\n"


def test_test_script_runs_two_workers_with_one_thread_each(bare: Bare) -> None:
    bare.call("scripts/test", "tests/cli", "-k", "list")
    assert "python -m pytest -n 2 --dist worksteal tests/cli -k list threads=1" in bare.said


def test_ci_runs_the_same_tests(bare: Bare) -> None:
    bare.call(".ci/run")
    assert "python -m pytest -n 2 --dist worksteal threads=1" in bare.said


def test_slow_tests_and_lint(bare: Bare) -> None:
    bare.call("scripts/test_slow", "-x")
    assert "python -m pytest -m slow --timeout 3600 --durations 10 -x" in bare.said
    printed = bare.call("scripts/check", "--fix").stdout.replace(f" in {bare.checkout}", "").splitlines()
    assert printed[:2] == ["runner check --quiet --fix .", "runner format --quiet ."]
    assert printed[2:4] == ["runner check --quiet .", "runner format --quiet --check ."]
    assert printed[4] == "runner "  # mypy
    assert printed[5].startswith("runner README.md")  # codespell
    assert "python -m pytest -q -p no:cacheprovider tests/test_architecture.py" in bare.said


def test_check_runs_everything_and_fails_if_one_check_fails(bare: Bare) -> None:
    bare.call("scripts/setup")
    write_program(bare.checkout / ".venv/bin/mypy", "#!/usr/bin/env bash\nexit 1\n")
    done = bare.call("scripts/check")
    assert done.returncode == 1
    assert "runner README.md" in done.stdout


def test_docs_build_in_strict_mode(bare: Bare) -> None:
    bare.call("scripts/docs", "--site-dir", "elsewhere")
    assert "python -m mkdocs build --strict --site-dir elsewhere" in bare.said


@pytest.mark.parametrize("script", [p for p in SCRIPTS if p.is_file()], ids=lambda path: path.name)
def test_scripts_are_valid(script: Path) -> None:
    assert os.access(script, os.X_OK)
    text = script.read_text()
    if text.startswith("#!/usr/bin/env bash"):
        assert "set -euo pipefail" in text
        subprocess.run(["bash", "-n", str(script)], check=True)
