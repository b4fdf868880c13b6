"""``runner embed RUN``: the embeddings of samples or tokens."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from runner.cli import completion
from runner.cli.arguments import add_allow_package, add_checkpoint, add_run, set_completer

SUMMARY = "embeddings as files for a projector and as plots (PCA, t-SNE)"


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of the verb."""
    add_run(parser)
    split = parser.add_argument("--split", default="val", help="train, val or test (val)")
    set_completer(split, completion.splits)
    parser.add_argument(
        "--tokens",
        action="store_true",
        help="embed the vocabulary (words, characters or byte pairs) instead of samples",
    )
    parser.add_argument(
        "--limit", type=int, default=2000, metavar="N", help="maximum number of vectors (2000)"
    )
    parser.add_argument("--output", metavar="FOLDER", help="output folder (embedding in the run's directory)")
    add_checkpoint(parser)
    add_allow_package(parser)


def run(args: Namespace) -> int:
    """Run the verb; return the exit code."""
    from runner.cli.arguments import allow_packages
    from runner.cli.show import hush_libraries
    from runner.errors import UserError
    from runner.inference.embed import embed, write_embedded
    from runner.run.directory import find_run

    hush_libraries()
    allow_packages(args.allow_package, args.trust)
    if args.limit < 3:
        raise UserError(f"--limit {args.limit}: expected 3 or more.")
    source = find_run(args.run_ref, args.root)
    embedded = embed(source, args.split, args.limit, args.tokens, args.checkpoint)
    folder = Path(args.output) if args.output else source.path / "embedding"
    count, size = embedded.vectors.shape
    print(f"{count} vectors of size {size}:")
    for path in write_embedded(embedded, folder):
        print(f"  {path}")
    return 0
