"""Runs all checks in order; a check that raises is reported as a finding."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from runner.cli.doctor import folders, machine, packages
from runner.cli.doctor.finding import Finding

__all__ = ["examine"]


def examine(root: str | Path) -> list[Finding]:
    """Check the packages, the machine, and the folder ``root`` of the runs."""
    examinations: dict[str, Callable[[], Iterator[Finding]]] = {
        "python": packages.python,
        "packages": packages.bounds,
        "tested": packages.tested_versions,
        "configs": folders.configs,
        "processor": machine.processor,
        "threads": machine.threads,
        "memory": machine.memory,
        "devices": machine.devices,
        "shared mem.": folders.shared_memory,
        "disk": lambda: folders.disk(Path(root)),
        "runs": lambda: folders.runs_folder(Path(root)),
        "store": lambda: folders.store(Path(root)),
        "git": folders.git,
    }
    findings: list[Finding] = []
    for subject, examination in examinations.items():
        try:
            findings += examination()
        except Exception as error:  # a failing check must not prevent the others
            findings.append(Finding("fail", subject, f"the check failed: {type(error).__name__}: {error}"))
    return findings
