"""A process joins a sweep in the directory of the sweep only."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.errors import UserError
from runner.sweep.directory import SweepDir
from runner.sweep.join import reject_other_directory

pytestmark = pytest.mark.attack("commands")


def test_other_directory_is_refused_with_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work, elsewhere = tmp_path / "its folder", tmp_path / "elsewhere"
    sweep = SweepDir(work / "runs" / "sweep")
    sweep.plan_path.parent.mkdir(parents=True)
    sweep.plan_path.touch()
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    plan = {"working_directory": str(work)}
    with pytest.raises(UserError) as error:
        reject_other_directory(sweep, plan)
    assert f"cd '{work}' && runner sweep --join '{sweep.path}'" in str(error.value)
    assert Path.cwd() == elsewhere
    monkeypatch.chdir(work)
    reject_other_directory(sweep, plan)


def test_directory_of_another_machine_is_not_required(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    sweep = SweepDir(tmp_path / "sweep")
    sweep.plan_path.parent.mkdir(parents=True)
    sweep.plan_path.touch()
    reject_other_directory(sweep, {"working_directory": str(tmp_path / "absent")})
