"""``runner reproduce RUN``: repeats a run and compares the results bit by bit."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any

from runner.cli.arguments import add_allow_package, add_run

if TYPE_CHECKING:
    from runner.run.directory import RunDir

SUMMARY = "train a run again from its config and seeds; compare bit by bit"


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of the verb."""
    add_run(parser)
    add_allow_package(parser)
    parser.add_argument(
        "--checkout", action="store_true",
        help="use the original code: the run's revision and its uncommitted changes, in a separate folder",
    )  # fmt: skip
    parser.add_argument("--yes", action="store_true", help="run the code of --checkout without asking")


def run(args: Namespace) -> int:
    """Run the verb; return the exit code."""
    from runner.cli.arguments import allow_packages
    from runner.launch.local import launch
    from runner.launch.reproduce import check_out_code, prepare_reproduction, run_with_code
    from runner.run.directory import find_run

    allow_packages(args.allow_package, args.trust)
    original = find_run(args.run_ref, args.root)
    if args.checkout:
        confirm_code(original, args.yes)
    reproduction = prepare_reproduction(original, ["runner", *args.words], with_old_code=args.checkout)
    same_environment = print_differences(original, args.checkout)
    if args.checkout:
        with check_out_code(original) as tree:
            run_with_code(reproduction, tree)
    elif launch(reproduction) is None:
        print("When it has ended, `runner compare` shows whether the results are the same.")
        return 0
    return print_proof(original, reproduction, same_environment)


def confirm_code(run: RunDir, is_confirmed: bool) -> None:
    """Print the revision and the changed files of a run's code, and ask whether to run it.

    Raises:
        UserError: there is no terminal to ask at, or the answer is no.
    """
    import sys

    from runner.errors import UserError
    from runner.launch.reproduce import changed_files, recorded_revision

    revision, files = recorded_revision(run), changed_files(run)
    print(f"--checkout runs the code of revision {revision[:12]}", end="")
    print(" with the changes recorded in the run:" if files else " without changes.")
    for file in files:
        print(f"  {file}")
    if is_confirmed:
        return
    if not sys.stdin.isatty():
        raise UserError("--checkout runs code that the run directory contains: confirm it with --yes.")
    if input("Run this code? [y/N] ").strip().lower() not in ("y", "yes"):
        raise UserError("nothing was run.")


def print_differences(run: RunDir, with_old_code: bool) -> bool:
    """Print differences in code, versions and hardware; return whether there are none."""
    from runner.run.provenance import collect_provenance, environment_differences
    from runner.run.state import RunState

    diff = run.path / "git.diff"
    before = RunState(run).provenance | {"diff": diff.read_text(encoding="utf-8") if diff.exists() else ""}
    now, now_diff = collect_provenance()
    now["diff"] = now_diff
    lines = environment_differences(before, now)
    code = [line for line in lines if line.startswith("code")]
    if with_old_code:
        lines = [line for line in lines if line not in code]
        print("code: original revision, checked out into a separate folder")
    if not lines:
        print(
            "same code, versions and hardware as before"
            if not with_old_code
            else "same versions and hardware as before"
        )
        return True
    print("differences to the original run (results may differ in the last digits, or more):")
    for line in lines:
        print(f"  {line}")
    if code and not with_old_code:
        print("  --checkout trains with the original code")
    return False


def print_proof(before: RunDir, now: RunDir, same_environment: bool) -> int:
    """Print which results are bit-identical, and save the comparison in ``reproduction.json``.

    Args:
        before: the original run.
        now: its reproduction.
        same_environment: whether code, versions and hardware are the same.

    Returns:
        The exit code: 0 if the results are identical.
    """
    from runner.run.files import write_json
    from runner.run.provenance import compare_metrics, compare_results

    weights = compare_weights(before, now)
    metrics, results = compare_metrics(before, now), compare_results(before, now)
    same = metrics.same and not results and all(row["same"] for row in weights)
    print(f"\n{before.name} and {now.name}:")
    for row in weights:
        print(
            f"  {row['what']:<42}{row['before'][:16]}  {row['now'][:16]}  "
            f"{'same' if row['same'] else 'DIFFERENT'}"
        )
    equal = metrics.num_points[0] - metrics.num_different
    print(
        f"  {'metrics.jsonl':<42}{equal} of {metrics.num_points[0]} numbers equal to the last bit, "
        f"{metrics.num_points[1]} written"
    )
    for key, difference in sorted(metrics.largest.items()):
        print(f"    {key}: differs by up to {difference:.3g}")
    if metrics.first:
        print(f"    first at {metrics.first}")
    print(f"  {'results.json':<42}{'same' if not results else 'DIFFERENT'}")
    for line in results:
        print(f"    {line}")
    proof = {
        "run": str(before.path), "same": same, "same_code_versions_hardware": same_environment,
        "weights": weights, "numbers": metrics.num_points, "numbers_different": metrics.num_different,
        "largest": metrics.largest,
        "results_different": results,
    }  # fmt: skip
    write_json(now.path / "reproduction.json", proof)
    print("reproduced: bit-identical" if same else "NOT reproduced bit for bit")
    return 0 if same else 1


def compare_weights(before: RunDir, now: RunDir) -> list[dict[str, Any]]:
    """Compare the weights of the last and the best checkpoint, and the optimizer state of the last.

    Returns:
        A row for each comparison; with folds, for each fold.
    """
    from runner.inference.load import digests_of
    from runner.run.checkpoints import best_checkpoint, last_checkpoint
    from runner.run.folds import fold_of, folds_of, has_folds

    if has_folds(before):
        numbers = [int(fold.path.name) for fold in folds_of(before)]
        pairs = [
            (number, compare_weights(fold_of(before, number), fold_of(now, number))) for number in numbers
        ]
        return [row | {"what": f"fold {number}: {row['what']}"} for number, rows in pairs for row in rows]
    rows = []
    for kind, find in (("last", last_checkpoint), ("best", best_checkpoint)):
        pair = [find(run) for run in (before, now)]
        digests = [digests_of(checkpoint.path) if checkpoint is not None else {} for checkpoint in pair]
        for what in ("weights", "optimizer") if kind == "last" else ("weights",):
            old, new = (digest.get(what, "none") for digest in digests)
            steps = "/".join(
                dict.fromkeys(str(checkpoint.step) for checkpoint in pair if checkpoint is not None)
            )
            label = f"{what} of the {kind} (step {steps})"
            rows.append({"what": label, "before": old, "now": new, "same": old == new})
    return rows
