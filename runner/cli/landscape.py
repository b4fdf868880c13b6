"""``runner landscape RUN``: the loss around a checkpoint, as contours, as a surface or along a line."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from typing import TYPE_CHECKING

from runner.cli import completion
from runner.cli.arguments import add_allow_package, add_run, set_completer

if TYPE_CHECKING:
    from runner.landscape.explore import Exploration, Explored

SUMMARY = "plot the loss around a checkpoint: contours, a surface, a path"

NOTE = """\
The same command resumes an interrupted computation. Each filter (output row of
a weight) of a random direction has the same norm as that of the model; biases
and the parameters of norms are not changed (Li et al., arXiv:1712.09913)."""


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of the verb."""
    add_run(parser)
    text = "the centre: best (the default), last, one of the run's checkpoints by name, or a path"
    checkpoint = parser.add_argument("--checkpoint", metavar="WHICH", default="best", help=text)
    set_completer(checkpoint, completion.checkpoints)
    text = "follow the line to this checkpoint instead of a plane"
    set_completer(parser.add_argument("--to", metavar="WHICH", help=text), completion.checkpoints)
    text = "random (the default), or pca: principal components of the run's checkpoints"
    parser.add_argument("--directions", choices=("random", "pca"), default="random", help=text)
    parser.add_argument("--one-dimensional", action="store_true", help="only along the first direction")
    split = parser.add_argument("--split", default="val", help="train, val or test (val)")
    set_completer(split, completion.splits)
    text = "points per axis (25; 51 for a line)"
    parser.add_argument("--resolution", type=int, metavar="N", help=text)
    text = (
        "distance to each side, relative to the norm of the weights (1; the extent of the path with pca; "
        "0.25 with --to)"
    )
    parser.add_argument("--distance", type=float, metavar="D", help=text)
    text = "maximum number of samples, evenly spaced and the same for each point; or all (1000)"
    parser.add_argument("--samples", type=count_or_all, default=1000, metavar="N", help=text)
    parser.add_argument("--seed", type=int, default=0, help="random seed of the directions (0)")
    text = "auto (the default) uses that of the run if available"
    parser.add_argument("--device", choices=("auto", "cpu", "gpu", "mps"), default="auto", help=text)
    add_allow_package(parser)
    parser.epilog = NOTE


def count_or_all(word: str) -> int | None:
    """Parse a number of samples; None for ``all``."""
    if word == "all":
        return None
    try:
        return int(word)
    except ValueError as error:
        raise ArgumentTypeError(f"expected a number or `all`, not {word!r}") from error


def run(args: Namespace) -> int:
    """Run the verb; return the exit code."""
    from runner.cli.arguments import allow_packages
    from runner.errors import UserError
    from runner.landscape.request import LandscapeRequest
    from runner.run.directory import find_run

    keys = (
        "checkpoint",
        "to",
        "split",
        "directions",
        "one_dimensional",
        "resolution",
        "distance",
        "samples",
        "seed",
        "device",
    )
    request = LandscapeRequest(**{key: getattr(args, key) for key in keys})
    run = find_run(args.run_ref, args.root)
    allow_packages(args.allow_package, args.trust)

    from runner.cli.show import hush_libraries  # slow imports only after the arguments are checked
    from runner.landscape.explore import Exploration
    from runner.landscape.write import write_landscape
    from runner.report.page import write_report

    hush_libraries()
    exploration = Exploration(run, request)
    print("\n".join(plan(exploration)), flush=True)
    explored = explore(exploration)
    try:
        paths = write_landscape(exploration, explored)
        if run.report_path.is_file():
            paths.append(write_report(run))
    except OSError as error:
        raise UserError(f"{run.landscape} cannot be written: {error.strerror or error}.") from error
    print("\n".join([*outcome(explored), *(f"  {path}" for path in paths)]))
    return 0


def explore(exploration: Exploration) -> Explored:
    """Measure the losses, with a progress bar."""
    from runner.data.download.progress import progress

    total = len(exploration.points)
    try:
        with progress("Losses", total, "points", len(exploration.known)) as show:
            return exploration.explore(show)
    except KeyboardInterrupt:
        print(
            f"{len(exploration.known)} of {total} points are saved; the same command resumes from there.",
            file=sys.stderr,
        )
        raise


def plan(exploration: Exploration) -> list[str]:
    """Return lines that describe the computation, and how much of the training path it can show."""
    from runner.landscape.path import KEEPS_MORE

    request, plane = exploration.request, exploration.plane
    way = (
        f"to {exploration.checkpoints[0].file}"
        if request.to is not None
        else f"{request.directions} directions"
    )
    size = " × ".join(str(len(axis)) for axis in plane.axes)
    parts = [
        exploration.trained.checkpoint.name,
        way,
        f"{size} points",
        f"{exploration.samples.count} samples of {request.split}",
    ]
    lines = [f"{exploration.run.name}: {' · '.join([*parts, exploration.settings['device']])}"]
    if request.to is not None:
        return lines
    count = len(exploration.checkpoints)
    if plane.shows_path:
        lines.append(
            f"The run keeps {count} checkpoints; {100 * plane.path_share:.0f} % of their path lies in this "
            "plane."
        )
    elif count < 3:
        few = f"{count} checkpoint{'s' if count != 1 else ''}"
        lines.append(f"The run keeps {few}: too few for a path. Train with {KEEPS_MORE} to keep more.")
    else:
        lines.append(
            f"The run keeps {count} checkpoints; {100 * plane.path_share:.1g} % of their path lies in this "
            "plane, so it is not drawn. `--directions pca` shows it."
        )
    return lines


def outcome(explored: Explored) -> list[str]:
    """Return lines that summarize the measured losses."""
    import numpy as np

    from runner.landscape.write import sharpness
    from runner.report.format import number

    losses = explored.losses
    finite = losses[np.isfinite(losses)]
    lines = [f"loss {number(explored.centre)} at the checkpoint"]
    if finite.size:
        lines[0] += f", from {number(float(finite.min()))} to {number(float(finite.max()))} around it"
    if finite.size < losses.size:
        lines.append(
            f"{losses.size - finite.size} of {losses.size} points are not finite: clipped in the plots"
        )
    if near := sharpness(explored):
        lines.append(
            f"sharpness nearby: {number(near['highest'])} at most, {number(near['mean'])} on average"
        )
    return lines
