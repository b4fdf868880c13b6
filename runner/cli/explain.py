"""``runner explain RUN [INPUT…]``: attributions of a model's predictions to its inputs."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from runner.cli import completion
from runner.cli.arguments import add_allow_package, add_checkpoint, add_run, set_completer

if TYPE_CHECKING:
    from runner.explain.explain import Explained
    from runner.explain.explanation import Explanation
    from runner.explain.options import ExplainOptions

SUMMARY = "attributions: Grad-CAM, integrated gradients, occlusion …"
METHODS = ("auto", "grad_cam", "grad_cam_plus_plus", "integrated_gradients", "occlusion", "permutation")
MAX_LISTED = 20
MAX_ROWS = 50
COARSE = 0.05
"""Relative completeness error of integrated gradients above which more steps are suggested."""


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of the verb."""
    add_run(parser)
    parser.add_argument(
        "inputs", nargs="*", metavar="INPUT", help="inputs as for `runner predict`, or a prompt for a "
                                                   "language model; "
        "samples of a split if omitted",
    )  # fmt: skip
    parser.add_argument(
        "--method",
        choices=METHODS,
        metavar="METHOD",
        default="auto",
        help=f"one of {', '.join(METHODS)}; auto chooses one that suits the inputs (auto)",
    )
    parser.add_argument(
        "--target",
        metavar="NAME",
        help="class, token or column to explain, by its name or number (the prediction)",
    )
    parser.add_argument(
        "--output", metavar="FOLDER", help="output folder (explanations/METHOD in the run's directory)"
    )
    parser.add_argument(
        "--sanity", action="store_true",
        help="sanity check: randomize layer after layer, and report the rank correlation with the original "
             "explanations",
    )  # fmt: skip
    chosen = parser.add_argument_group("without INPUT")
    split = chosen.add_argument("--split", default=None, help="train, val or test (val)")
    set_completer(split, completion.splits)
    chosen.add_argument("--samples", type=int, metavar="N", help="number of samples (8)")
    chosen.add_argument("--worst", action="store_true", help="use the samples with the highest loss")
    fine = parser.add_argument_group("by method")
    fine.add_argument("--layer", metavar="NAME", help="layer for Grad-CAM (the last convolutional one)")
    fine.add_argument("--steps", type=int, metavar="N", help="number of steps of integrated gradients (64)")
    fine.add_argument("--repeats", type=int, metavar="N", help="number of permutations of each column (10)")
    fine.add_argument(
        "--step",
        type=int,
        metavar="N",
        help="one step of a labelled sequence or of a forecast, one token of a written sequence (all)",
    )
    fine.add_argument("--seed", type=int, metavar="N", help="random seed of permutations and --sanity (0)")
    add_checkpoint(parser)
    add_allow_package(parser)


def run(args: Namespace) -> int:
    """Run the verb; return the exit code."""
    from runner.cli.arguments import allow_packages
    from runner.cli.show import hush_libraries
    from runner.explain.explain import explain
    from runner.explain.write import write_explained
    from runner.run.directory import find_run

    hush_libraries()
    options = _options(args)
    allow_packages(args.allow_package, args.trust)
    source = find_run(args.run_ref, args.root)
    explained = explain(source, args.inputs, options, args.checkpoint, args.sanity)
    folder = Path(args.output) if args.output else source.explanations / explained.method
    written = write_explained(explained, folder)
    _print(explained)
    for path in written[:MAX_LISTED]:
        print(f"  {path}")
    if len(written) > MAX_LISTED:
        print(f"  and {len(written) - MAX_LISTED} more")
    if not args.output and source.report_path.exists():
        from runner.report.page import write_report

        print(f"The report of the run was updated: {write_report(source)}")
    return 0


def _options(args: Namespace) -> ExplainOptions:
    """Return the ``ExplainOptions`` of a command line.

    Raises:
        UserError: an option would have no effect.
    """
    from runner.errors import UserError
    from runner.explain.options import ExplainOptions

    if args.inputs:
        given = [f"--{name}" for name in ("split", "samples") if getattr(args, name) is not None]
        if given or args.worst:
            raise UserError(
                f"{', '.join([*given, *(['--worst'] if args.worst else [])])} would have no effect with "
                "INPUT."
            )
    for option, method in (("steps", "integrated_gradients"), ("repeats", "permutation")):
        if getattr(args, option) is not None and args.method not in ("auto", method):
            raise UserError(
                f"--{option} would have no effect with --method {args.method}: it is for {method}."
            )
    names = ("target", "step", "layer", "split", "samples", "steps", "repeats", "seed")
    chosen = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    return ExplainOptions(None if args.method == "auto" else args.method, worst=args.worst, **chosen)


def _print(explained: Explained) -> None:
    """Print the explanations, the method, and the completeness of integrated gradients."""
    from runner.cli.predict import _cell
    from runner.cli.show import console, table

    how = [explained.method]
    how += [f"maps of {', '.join(explained.layers)}"] if explained.layers else []
    how += ["weighted by the gradient at each position"] if explained.layers and explained.by_location else []
    how += [f"against {explained.baseline}"] if explained.baseline else []
    print(f"{explained.run.name}: {', '.join(how)}")
    if explained.importance is not None:
        from runner.explain.write import table_of

        importance = explained.importance
        cells = [tuple(_cell(cell) for cell in row.values()) for row in table_of(explained)]
        title = (
            f"{importance.metric} {importance.score:.4g} on {importance.num_samples} rows; decrease "
            "when a column is permuted"
        )
        console().print(table("column", "mean", "std", rows=cells, title=title))
    else:
        rows = [explanation.as_row() for explanation in explained.explanations[:MAX_ROWS]]
        columns = list(dict.fromkeys(key for row in sorted(rows, key=len, reverse=True) for key in row))
        console().print(
            table(*columns, rows=[tuple(_cell(row.get(key, "")) for key in columns) for row in rows])
        )
        if len(explained.explanations) > MAX_ROWS:
            print(f"and {len(explained.explanations) - MAX_ROWS} more, in the files")
        _print_completeness(explained.explanations)
    if explained.skipped:
        print(f"nothing to explain in {len(explained.skipped)}: {', '.join(explained.skipped[:5])}")
    if explained.sanity:
        layers = [(name, f"{mean:.3f}", f"{std:.3f}") for name, mean, std in explained.sanity]
        title = (
            "rank correlation with the trained model's explanations; each layer randomized with those "
            "above it"
        )
        console().print(table("layer", "mean", "std", rows=layers, title=title))


def _print_completeness(explanations: Sequence[Explanation]) -> None:
    """Print the relative error of integrated gradients.

    Their sum should equal the difference between the scores of input and baseline.
    """
    pairs = [
        (abs(each.attribution.error), abs(each.score - each.attribution.baseline_score))
        for each in explanations
        if each.score is not None
        and each.attribution.error is not None
        and each.attribution.baseline_score is not None
    ]
    if not pairs:
        return
    error, total = sum(error for error, _ in pairs), sum(difference for _, difference in pairs)
    share = error / max(total, 1e-12)
    print(f"the parts add up to what they explain within {share:.2%} of it (completeness)")
    if share > COARSE:
        print("increase --steps for more accurate integrated gradients")
