"""The GPU part of the tests in one table: ``scripts/gpu_check``. Without a GPU, the rows of the processor
alone.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

import torch
from gpu_check.bench import Outcome, carry_out
from gpu_check.checks import all_checks

from runner.run.files import write_json

BUDGET_S = 460.0


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="scripts/gpu_check", description=__doc__)
    parser.add_argument("--only", default="", help="rows whose name holds this")
    parser.add_argument("--seconds", type=float, default=BUDGET_S, help="in which all of it ends")
    parser.add_argument("--json", type=Path, help="a file for the rows")
    args = parser.parse_args(argv)
    count = torch.cuda.device_count()
    print(f"torch {torch.__version__}, CUDA {torch.version.cuda or 'none'}, {count} CUDA devices", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="gpu_check-"))
    begin, outcomes = time.monotonic(), []
    for place, check in enumerate(all_checks(count)):
        if args.only not in f"{check.device} {check.name}":
            continue
        left = args.seconds - (time.monotonic() - begin)
        outcomes.append(carry_out(check, folder / str(place), count, left))
        print(line(outcomes[-1]), flush=True)
    failed = [outcome for outcome in outcomes if outcome.state == "FAILED"]
    states = [outcome.state for outcome in outcomes]
    print(f"{states.count('pass')} passed, {len(failed)} failed, {states.count('skipped')} skipped "
          f"in {time.monotonic() - begin:.0f} s")  # fmt: skip
    if args.json:
        rows = [
            {"device": one.check.device, "check": one.check.name, "state": one.state, "figure": one.figure,
             "seconds": round(one.seconds, 1)}
            for one in outcomes
        ]  # fmt: skip
        write_json(args.json, rows)
    if failed:
        print(f"what they said: {folder}/*/output.log")
        return 1
    shutil.rmtree(folder, ignore_errors=True)
    return 0


def line(outcome: Outcome) -> str:
    check = outcome.check
    return f"{check.device}  {check.name:<28} {outcome.state:<8} {outcome.seconds:6.1f} s  {outcome.figure}"


if __name__ == "__main__":
    sys.exit(main())
