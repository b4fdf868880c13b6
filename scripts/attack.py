"""Carries out the attacks of the tests and counts by family how many were tried, held and fell.

An attack is a test with ``@pytest.mark.attack(family)``, or a file of tests with ``pytestmark``; such a file
may include checks that legitimate use still works. A new family is a new mark in any file of ``tests/``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter, defaultdict
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1] / "tests"
MARK = "mark.attack("


class Tally:
    """A pytest plugin that counts outcomes by family.

    Args:
        family: the only family to run; None runs all.
    """

    def __init__(self, family: str | None) -> None:
        self.family = family
        self.family_of: dict[str, str] = {}
        self.outcomes: defaultdict[str, Counter[str]] = defaultdict(Counter)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Keep the attacks of the selected family."""
        kept = []
        for item in items:
            mark = item.get_closest_marker("attack")
            if mark is not None and self.family in (None, mark.args[0]):
                self.family_of[item.nodeid] = mark.args[0]
                kept.append(item)
        items[:] = kept

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a test once, also if only its setup failed or skipped it."""
        if report.when == "call" or report.outcome != "passed":
            self.outcomes[self.family_of[report.nodeid]][report.outcome] += 1


def attack_files() -> list[str]:
    """Return the files of tests that contain attacks."""
    return [str(path) for path in sorted(TESTS.rglob("test_*.py")) if MARK in path.read_text("utf-8")]


def main(argv: list[str]) -> int:
    """Run the attacks; return 0 if all held."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--family", help="run only this family")
    parser.add_argument("--json", metavar="FILE", help="also write the counts to a file")
    args = parser.parse_args(argv)
    tally = Tally(args.family)
    options = ["-q", "-m", "attack", "--no-header", "-p", "no:cacheprovider", "--timeout", "600"]
    code = pytest.main([*options, *attack_files()], plugins=[tally])
    rows = {
        family: {
            "tried": outcomes["passed"] + outcomes["failed"],
            "held": outcomes["passed"],
            "fell": outcomes["failed"],
            "skipped": outcomes["skipped"],
        }
        for family, outcomes in sorted(tally.outcomes.items())
    }
    total = {key: sum(row[key] for row in rows.values()) for key in ("tried", "held", "fell", "skipped")}
    print(f"\n{'family':<34}{'tried':>7}{'held':>7}{'fell':>7}{'skipped':>9}")
    for family, row in [*rows.items(), ("total", total)]:
        print(f"{family:<34}{row['tried']:>7}{row['held']:>7}{row['fell']:>7}{row['skipped']:>9}")
    if args.json:
        Path(args.json).write_text(json.dumps(rows | {"total": total}, indent=2) + "\n", encoding="utf-8")
    return int(code) if total["tried"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
