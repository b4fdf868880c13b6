"""Random SIGKILLs, a table of what they did, exit code 1 if they did anything: ``scripts/soak --kills 100``."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from soak.cases import TINY, WORKER, folder_of
from soak.kill import Case, Report, attempt, soak

from runner.run.directory import RunDir

COLUMNS = ("runs", "kills", "differ", "repeated", "missing", "points doubled", "points missing", "seconds")


def parse(argv: list[str] | None) -> argparse.Namespace:
    names = "; ".join(case.name for case in [*TINY, *WORKER])
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__, epilog=f"cases: {names}")
    parser.add_argument("--kills", type=int, default=100, help="in all, spread over the cases (100)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (0)")
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--what", choices=("all", "tiny", "worker"), default="all")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = parse(argv)
    cases = {"all": [*TINY, *WORKER], "tiny": TINY, "worker": WORKER}[args.what]
    cases = [case for case in cases if args.only in case.name]
    if not cases:
        sys.exit(f"no case is called {args.only!r}")
    width = max(len(case.name) for case in cases) + 2
    print("case".ljust(width) + "  ".join(COLUMNS), flush=True)
    every: list[Report] = []
    with tempfile.TemporaryDirectory() as folder:
        for number, case in enumerate(cases):
            num_kills = args.kills * (number + 1) // len(cases) - args.kills * number // len(cases)
            started = time.monotonic()
            reports = soak_case(folder_of(Path(folder), case), case, num_kills, args.seed)
            every += reports
            print(row(case.name.ljust(width), reports, time.monotonic() - started), flush=True)
    print(row("all".ljust(width), every, 0))
    harmed = [report for report in every if report.harm]
    for report in harmed:
        print(report)
    return int(bool(harmed))


def soak_case(folder: Path, case: Case, num_kills: int, seed: int) -> list[Report]:
    """Trainings with one to three kills each, until there were ``num_kills``."""
    if num_kills == 0:
        return []
    calm, events = attempt(RunDir(folder / "calm"), case)
    reports: list[Report] = []
    while (left := num_kills - sum(len(report.kills) for report in reports)) > 0:
        number = len(reports)
        reports.append(soak(folder, case, 1000 * seed + number, min(left, number % 3 + 1), calm, events))
    return reports


def row(name: str, reports: list[Report], seconds: float) -> str:
    counts = [
        len(reports),
        sum(len(report.kills) for report in reports),
        sum(bool(report.differences) for report in reports),
        sum(report.repeated for report in reports),
        sum(report.missing for report in reports),
        sum(report.doubled_points for report in reports),
        sum(report.missing_points for report in reports),
        round(seconds),
    ]
    return name + "  ".join(str(n).rjust(len(column)) for n, column in zip(counts, COLUMNS, strict=True))


if __name__ == "__main__":
    sys.exit(main())
