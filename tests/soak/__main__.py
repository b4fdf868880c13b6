"""Random SIGKILLs, a table of what they did, exit code 1 if they did anything: ``scripts/soak --minutes
10``."""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
import time
from pathlib import Path

from soak.cases import TINY, WORKER, folder_of
from soak.kill import Case, Report, attempt, import_what_was_needed, soak
from soak.tally import Tally

from runner.run.directory import RunDir


def parse(argv: list[str] | None) -> argparse.Namespace:
    names = "; ".join(case.name for case in [*TINY, *WORKER])
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__, epilog=f"cases: {names}")
    parser.add_argument("--kills", type=int, help="in all, spread over the cases (100, without --minutes)")
    parser.add_argument("--minutes", type=float, help="start no further training after this time")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (0)")
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--what", choices=("all", "tiny", "worker"), default="all")
    parser.add_argument("--tally", type=Path, help="a file that keeps the results; a later soak adds to it")
    args = parser.parse_args(argv)
    if args.kills is None and args.minutes is None:
        args.kills = 100
    return args


def main(argv: list[str] | None = None) -> int:
    args = parse(argv)
    cases = {"all": [*TINY, *WORKER], "tiny": TINY, "worker": WORKER}[args.what]
    cases = [case for case in cases if args.only in case.name]
    if not cases:
        sys.exit(f"no case is called {args.only!r}")
    tally = Tally(args.tally)
    with tempfile.TemporaryDirectory() as folder:
        soak_all(Path(folder), cases, tally, args)
    print("\n".join(tally.table()))
    harmed = [report for report in tally.reports if report.harm]
    for report in harmed:
        print(report)
    return int(bool(harmed))


def soak_all(folder: Path, cases: list[Case], tally: Tally, args: argparse.Namespace) -> None:
    """Round after round, one training of each case, with one to three kills, until the time or the kills are
    spent.
    """
    until = math.inf if args.minutes is None else time.monotonic() + 60 * args.minutes
    left = {case.name: share(args.kills, number, len(cases)) for number, case in enumerate(cases)}
    calm: dict[str, tuple] = {}
    while any(left.values()):
        # those that had the fewest kills come first, also when a tally is continued
        for case in sorted(cases, key=lambda case: sum(len(report.kills) for report in tally.of(case.name))):
            if time.monotonic() >= until:
                return
            if left[case.name]:
                report = soak_once(folder_of(folder, case), case, tally, args.seed, calm, left[case.name])
                left[case.name] -= min(len(report.kills) or 1, left[case.name])


def share(kills: int | None, number: int, count: int) -> float:
    """Of all kills, those that fall to one case."""
    return math.inf if kills is None else kills * (number + 1) // count - kills * number // count


def soak_once(
    folder: Path, case: Case, tally: Tally, seed: int, calm: dict[str, tuple], most: float
) -> Report:
    started = time.monotonic()
    if case.name not in calm:
        calm[case.name] = attempt(RunDir(folder / "calm"), case)
        import_what_was_needed(RunDir(folder / "calm"))
    number = tally.next_seed(case.name, seed)
    report = soak(folder, case, number, int(min(most, number % 3 + 1)), *calm[case.name])
    report.seconds = round(time.monotonic() - started, 1)
    tally.add(report)
    print(f"{case.name}: {len(report.kills)} kills, harm {report.harm}", file=sys.stderr, flush=True)
    return report


if __name__ == "__main__":
    sys.exit(main())
