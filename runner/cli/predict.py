"""``runner predict RUN INPUT…``: predictions for new inputs.

With ``--prompt``, a language model generates text instead.
"""

from __future__ import annotations

import math
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from runner.cli.arguments import add_allow_package, add_checkpoint, add_run

SUMMARY = "predict files, rows or texts with a run's model, or generate text"

GENERATION_OPTIONS = ("temperature", "top_k", "length", "seed", "count")
"""Options that require ``--prompt``."""


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of the verb."""
    add_run(parser)
    parser.add_argument(
        "inputs",
        nargs="*",
        metavar="INPUT",
        help="a file, a folder or a text, as the run's data set reads them",
    )
    add_checkpoint(parser)
    add_allow_package(parser)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="a JSON list instead of a table")
    form.add_argument("--csv", action="store_true", help="CSV instead of a table")
    parser.add_argument(
        "--output",
        metavar="FILE",
        help="output file (.json or .csv), or a folder for predictions.json and the task's images; "
        "with --prompt a text file, or a folder with a file for each text (tunes also as MIDI and WAV)",
    )
    writing = parser.add_argument_group("language models")
    writing.add_argument("--prompt", metavar="TEXT", help="generate text that continues this prompt")
    writing.add_argument(
        "--temperature",
        type=float,
        metavar="T",
        help="sampling temperature; 0 always picks the most likely token (1)",
    )
    writing.add_argument("--top-k", type=int, metavar="K", help="sample from the K most likely tokens (all)")
    writing.add_argument("--length", type=int, metavar="N", help="number of tokens to generate (500)")
    writing.add_argument("--seed", type=int, metavar="N", help="random seed of the sampling (0)")
    writing.add_argument("--count", type=int, metavar="N", help="number of texts to generate (1)")


def run(args: Namespace) -> int:
    """Run the verb; return the exit code."""
    from runner.cli.arguments import allow_packages
    from runner.inference.predict import predict
    from runner.run.directory import find_run
    from runner.run.files import rows_as_csv

    _check(args)
    allow_packages(args.allow_package, args.trust)
    if args.prompt is not None:
        return _generate(args)
    form = _form(args)
    in_folder = args.output and not (args.json or args.csv or Path(args.output).suffix)
    folder = args.output if in_folder else None
    rows = predict(find_run(args.run_ref, args.root), args.inputs, args.checkpoint, folder=folder)
    if form == "table":
        _print_table(rows)
        return 0
    text = _as_json(rows) if form == "json" else rows_as_csv(rows)
    if args.output is None:
        sys.stdout.write(text)
        return 0
    _write(args.output if folder is None else str(Path(folder) / "predictions.json"), text)
    print(f"{len(rows)} predictions written to {args.output}")
    return 0


def _check(args: Namespace) -> None:
    from runner.errors import UserError

    if args.prompt is None:
        given = [name for name in GENERATION_OPTIONS if getattr(args, name) is not None]
        if given:
            options = ", ".join(f"--{name.replace('_', '-')}" for name in given)
            raise UserError(f"{options} would have no effect without --prompt TEXT.")
        if not args.inputs:
            raise UserError("give INPUT to predict or, for a language model, --prompt TEXT to continue.")
    elif args.inputs:
        raise UserError(f"--prompt and INPUT ({args.inputs[0]}) exclude each other: give one of them.")
    elif args.csv:
        raise UserError("--csv would have no effect with --prompt: texts are not a table. Use --json.")


def _generate(args: Namespace) -> int:
    """Generate texts for ``--prompt``, and check and convert tunes."""
    import json

    from runner.inference.generate import GenerationOptions, generate, write_texts, write_tunes
    from runner.run.directory import find_run

    given = {name: getattr(args, name) for name in GENERATION_OPTIONS if getattr(args, name) is not None}
    options = GenerationOptions(args.prompt, **given)
    written = generate(find_run(args.run_ref, args.root), options, args.checkpoint)
    is_file = bool(args.output and Path(args.output).suffix)
    rows: list[dict[str, Any]] = []
    summary = ""
    if written.notation == "abc":
        rows, summary = write_tunes(written.texts, None if is_file else args.output)
    if args.output and (is_file or written.notation != "abc"):
        summary = f"{write_texts(written.texts, args.output)}{f'; {summary}' if summary else ''}"
    if args.json:
        sys.stdout.write(
            json.dumps({"texts": written.texts, "tunes": rows}, indent=2, ensure_ascii=False) + "\n"
        )
        return 0
    if not args.output:
        print("\n\n".join(written.texts))
    if rows:
        _print_table([{key: value for key, value in row.items() if key != "file"} for row in rows])
    if summary:
        print(summary)
    return 0


def _form(args: Namespace) -> str:
    from runner.errors import UserError

    if args.json or args.csv:
        return "json" if args.json else "csv"
    if args.output is None:
        return "table"
    suffix = Path(args.output).suffix.lower() or ".json"
    if suffix not in (".json", ".csv"):
        raise UserError(
            f"--output {args.output}: use the suffix .json or .csv, add --json or --csv, or give a folder."
        )
    return suffix[1:]


def _as_json(rows: list[dict[str, Any]]) -> str:
    import json

    return json.dumps(rows, indent=2, ensure_ascii=False) + "\n"


def _print_table(rows: list[dict[str, Any]]) -> None:
    from runner.cli.show import console, table

    columns = list(dict.fromkeys(key for row in rows for key in row))
    cells = [tuple(_cell(row.get(column, "")) for column in columns) for row in rows]
    console().print(table(*columns, rows=cells))


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_cell(inner)}" for name, inner in value.items())
    if isinstance(value, list) and value and all(isinstance(inner, dict) for inner in value):
        return "; ".join(" ".join(map(_cell, inner.values())) for inner in value)
    if isinstance(value, list):
        return f"[{', '.join(map(_cell, value))}]"
    if not isinstance(value, float) or not math.isfinite(value):
        return str(value)
    # Large values, such as times in seconds, keep all integer digits.
    num_digits = 4 if abs(value) < 1e4 else min(15, int(math.log10(abs(value))) + 3)
    return f"{value:.{num_digits}g}"


def _write(file: str, text: str) -> None:
    from runner.errors import UserError
    from runner.run.files import write_text

    try:
        write_text(file, text)
    except OSError as error:
        raise UserError(
            f"--output {file} cannot be written: {error.strerror}. Choose another file."
        ) from error
