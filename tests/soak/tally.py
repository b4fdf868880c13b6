"""The results of all killed trainings: a table, and a file that a later soak continues."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

from soak.kill import Report

__all__ = ["COLUMNS", "Tally", "row"]

COLUMNS = ("runs", "kills", "differ", "repeated", "missing", "points doubled", "points missing", "seconds")


class Tally:
    """
    Args:
        path: one JSON line a training; made when absent, kept in memory only when None.
    """

    def __init__(self, path: Path | None):
        self.path = path
        self.reports: list[Report] = []
        if path is not None and path.exists():
            self.reports = [
                Report(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()
            ]

    def add(self, report: Report) -> None:
        self.reports.append(report)
        if self.path is not None:
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(report)) + "\n")
                file.flush()
                os.fsync(file.fileno())

    def of(self, case: str) -> list[Report]:
        return [report for report in self.reports if report.case == case]

    def next_seed(self, case: str, seed: int) -> int:
        """One that no training of this case had, in the thousand that belongs to ``seed``."""
        taken = [report.seed for report in self.of(case) if report.seed // 1000 == seed]
        return max(taken, default=1000 * seed - 1) + 1

    def table(self) -> list[str]:
        names = list(dict.fromkeys(report.case for report in self.reports))
        width = max(map(len, [*names, "case"])) + 2
        lines = ["case".ljust(width) + "  ".join(COLUMNS)]
        lines += [row(name.ljust(width), self.of(name)) for name in names]
        return [*lines, row("all".ljust(width), self.reports)]


def row(name: str, reports: list[Report]) -> str:
    counts = [
        len(reports),
        sum(len(report.kills) for report in reports),
        sum(bool(report.differences) for report in reports),
        sum(report.repeated for report in reports),
        sum(report.missing for report in reports),
        sum(report.doubled_points for report in reports),
        sum(report.missing_points for report in reports),
        round(sum(report.seconds for report in reports)),
    ]
    return name + "  ".join(str(n).rjust(len(column)) for n, column in zip(counts, COLUMNS, strict=True))
