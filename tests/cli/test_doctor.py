from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from runner.cli.doctor import examination, folders, machine, packages
from runner.cli.doctor.finding import Finding


def test_doctor_accepts_this_machine(say) -> None:
    said = say("doctor")
    levels = [line.split()[0] for line in said.out.splitlines() if line and not line.startswith(" ")]
    assert (said.code == 0) == ("fail" not in levels)
    for subject in (
        "python",
        "packages",
        "configs",
        "processor",
        "threads",
        "memory",
        "devices",
        "disk",
        "git",
    ):
        assert f" {subject} " in said.out


def test_json_output(say) -> None:
    findings = json.loads(say("doctor", "--json").out)
    assert {"level", "subject", "text", "remedy"} == set(findings[0])


def test_failure_has_exit_code_1_and_a_remedy(say, monkeypatch) -> None:
    monkeypatch.setattr(packages, "_installed", lambda name: "0.1" if name == "torch" else "99.0")
    said = say("doctor")
    assert said.code == 1
    assert "torch 0.1 is outside" in said.out
    assert "scripts/setup" in said.out


def test_missing_package(monkeypatch) -> None:
    monkeypatch.setattr(packages, "_installed", lambda name: None)
    findings = [*packages.bounds()]
    assert all(finding.level == "fail" for finding in findings)
    assert any("torch is not installed" in finding.text for finding in findings)


def test_failing_check_is_a_finding(monkeypatch, here: Path) -> None:
    def broken() -> list[Finding]:
        raise OSError("no such thing")

    monkeypatch.setattr(machine, "memory", broken)
    findings = examination.examine(here)
    assert Finding("fail", "memory", "the check failed: OSError: no such thing") in findings
    assert "git" in {finding.subject for finding in findings}


def test_more_threads_than_cores(monkeypatch) -> None:
    monkeypatch.setattr(machine, "_cpu_quota", lambda: 0.25)
    (finding,) = machine.threads()
    assert finding.level == "warn" and "OMP_NUM_THREADS=1" in finding.remedy


@pytest.mark.parametrize(("free_gib", "level"), [(0.1, "fail"), (2.0, "warn"), (50.0, "ok")])
def test_disk(free_gib: float, level: str, monkeypatch, here: Path) -> None:
    usage = type("Usage", (), {"free": free_gib * 2**30})
    monkeypatch.setattr(folders.shutil, "disk_usage", lambda _place: usage)
    (finding,) = folders.disk(here / "not" / "yet")
    assert finding.level == level


def test_unwritable_runs_folder(monkeypatch, here: Path) -> None:
    monkeypatch.setattr(folders.os, "access", lambda *_: False)
    (finding,) = folders.runs_folder(here)
    assert finding.level == "fail" and "run.root=FOLDER" in finding.remedy


def test_store_states(here: Path) -> None:
    assert [finding.level for finding in folders.store(here)] == ["ok"]
    (here / "mlflow.db").write_bytes(b"this is no database, but long enough to look like one" * 50)
    (broken,) = folders.store(here)
    assert broken.level == "fail" and "runner sync" in broken.remedy
    (here / "mlflow.db").unlink()
    with sqlite3.connect(here / "mlflow.db") as connection:
        connection.execute("CREATE TABLE runs (run_uuid TEXT)")
        connection.execute("INSERT INTO runs VALUES ('a')")
    connection.close()
    (good,) = folders.store(here)
    assert good.level == "ok" and "1 runs" in good.text
