"""``runner embed RUN``: the vectors a model stands samples or words for."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from runner.cli.arguments import add_allow_package, add_checkpoint, add_run

SUMMARY = "vectors of samples or words, for a projector and as plots (PCA, t-SNE)"


def add_arguments(parser: ArgumentParser) -> None:
    add_run(parser)
    parser.add_argument("--split", default="val", help="train, val or test (val)")
    parser.add_argument("--tokens", action="store_true", help="the table of words, characters or byte pairs instead")
    parser.add_argument("--limit", type=int, default=2000, metavar="N", help="vectors at most (2000)")
    parser.add_argument("--output", metavar="FOLDER", help="write there (embedding in the run's directory)")
    add_checkpoint(parser)
    add_allow_package(parser)


def run(args: Namespace) -> int:
    from runner.cli.arguments import allow_packages
    from runner.cli.show import hush_libraries
    from runner.errors import UserError
    from runner.inference.embed import embed, write_embedded
    from runner.run.directory import find_run

    hush_libraries()
    allow_packages(args.allow_package)
    if args.limit < 3:
        raise UserError(f"--limit {args.limit}: expected 3 or more.")
    found_run = find_run(args.run_ref, args.root)
    found = embed(found_run, args.split, args.limit, args.tokens, args.checkpoint)
    folder = Path(args.output) if args.output else found_run.path / "embedding"
    count, size = found.vectors.shape
    print(f"{count} vectors of {size} numbers:")
    for path in write_embedded(found, folder):
        print(f"  {path}")
    return 0
