"""Trains recipes again: one table of what each promised and what it reached now; exit code 1 when one misses.

    scripts/reproduce_recipes --list                                       what there is, nothing is trained
    scripts/reproduce_recipes                                              all recipes
    scripts/reproduce_recipes experiments/shapes_fcos.yaml seed=1          one, with another seed
    scripts/reproduce_recipes --data FOLDER --data FOLDER                  where data sets and weights lie

The promise is the line ``# Reached: test/map_50 0.95, …`` at a recipe's head. Another processor adds up in
another order, so a figure may be worse by ``--tolerance``, as a part of itself. ``# Needs: data.root=camvid``
names what is looked for in the folders of data (``*`` stands for anything); a recipe whose needs are not
there is skipped. A recipe that was trained already, into the same folder and since it was written, is not
trained again.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from runner.errors import RunnerError, UserError
from runner.report.summary import lower_is_better
from runner.run.directory import RunDir
from runner.run.files import read_json
from runner.run.status import read_status

RECIPES = Path("experiments")
FIGURE = re.compile(r"\b((?:val|test)/\w+(?:/\w+)?) (-?\d+(?:\.\d+)?)")


@dataclass
class Recipe:
    """An experiment with its head.

    Attributes:
        promised: metric → figure.
        needs: overrides whose values are patterns of paths, to be found.
    """

    path: Path
    promised: dict[str, float]
    needs: dict[str, str]


@dataclass
class Outcome:
    """What became of a recipe: figures, or why there are none."""

    recipe: Recipe
    reached: dict[str, float] = field(default_factory=dict)
    seconds: float | None = None
    skipped: str | None = None
    failed: str | None = None


def main(argv: list[str] | None = None) -> int:
    args = parse(argv)
    try:
        paths = [Path(word) for word in args.words if "=" not in word] or sorted(RECIPES.glob("*.yaml"))
        recipes = [read_recipe(path) for path in paths]
        folders = data_folders(args.data)
    except RunnerError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    overrides = [word for word in args.words if "=" in word]
    outcomes = []
    for number, recipe in enumerate(recipes, 1):
        print(f"[{number}/{len(recipes)}] {recipe.path}", flush=True)
        outcomes.append(outcome_of(recipe, folders, Path(args.output), overrides, args.list))
    print()
    good = [show(outcome, args.tolerance, args.list) for outcome in outcomes]
    return int(not all(good))


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/reproduce_recipes",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("words", nargs="*", metavar="RECIPE.yaml | key=value")
    parser.add_argument(
        "--data", action="append", metavar="FOLDER", help="of data sets or weights; RUNNER_SHARED_DATA"
    )
    parser.add_argument("--output", default="runs/recipes", help="where the runs go (runs/recipes)")
    parser.add_argument(
        "--tolerance", type=float, default=0.02, help="how much worse is as good, as a part (0.02)"
    )
    parser.add_argument("--list", action="store_true", help="say what would be trained")
    return parser.parse_args(argv)


def data_folders(given: list[str] | None) -> list[Path]:
    """Absolute, those given or those of the environment.

    Raises:
        UserError: one is not there.
    """
    named = given or [name for name in os.environ.get("RUNNER_SHARED_DATA", "").split(os.pathsep) if name]
    folders = [Path(name).expanduser().absolute() for name in named]
    for folder in folders:
        if not folder.is_dir():
            raise UserError(f"--data {folder}: there is no such folder.")
    return folders


def read_recipe(path: Path) -> Recipe:
    """The head of a recipe.

    Raises:
        UserError: there is no such file, or it promises nothing.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}. Recipes are in {RECIPES}/.") from error
    entries: dict[str, str] = {}
    for line in lines:
        key, colon, value = line.removeprefix("# ").partition(":")
        if line.startswith("# ") and colon:
            entries.setdefault(key.strip(), value)
    promised = {key: float(value) for key, value in FIGURE.findall(entries.get("Reached", ""))}
    if not promised:
        raise UserError(
            f"{path} promises nothing: expected a line like '# Reached: test/accuracy 0.97' at its head."
        )
    needs = dict(word.split("=", 1) for word in entries.get("Needs", "").split() if "=" in word)
    return Recipe(path, promised, needs)


def outcome_of(
    recipe: Recipe, folders: list[Path], output: Path, overrides: list[str], only_say: bool
) -> Outcome:
    given = {word.split("=", 1)[0] for word in overrides}
    words, missing = [], []
    for key, pattern in recipe.needs.items():
        found = [path for folder in folders for path in sorted(folder.glob(pattern))]
        if found and key not in given:
            words.append(f"{key}={found[0]}")
        elif key not in given:
            missing.append(f"{key}={pattern}")
    if missing:
        where = ", ".join(map(str, folders)) or "no folder was given"
        return Outcome(recipe, skipped=f"needs {' '.join(missing)} (--data: {where})")
    if only_say:
        return Outcome(recipe)
    return trained(recipe, RunDir(output.absolute() / recipe.path.stem), [*words, *overrides])


def trained(recipe: Recipe, run: RunDir, words: list[str]) -> Outcome:
    """Trained now, unless it was already."""
    if not is_done(recipe, run):
        place = [f"run.root={run.path.parent}", f"run.name={run.path.name}"]
        if run.path.exists():
            return Outcome(
                recipe, failed=f"{run.path} holds an older or unfinished run; remove it, or give --output"
            )
        done = subprocess.run(
            [sys.executable, "-m", "runner", "train", str(recipe.path), *place, *words], check=False
        )
        if done.returncode:
            return Outcome(recipe, failed=f"exit code {done.returncode}")
    results = read_json(run.results_path)
    reached = {**results.get("val", {}), **results.get("test", {})}
    return Outcome(
        recipe, {key: reached[key] for key in recipe.promised if key in reached}, results.get("seconds")
    )


def is_done(recipe: Recipe, run: RunDir) -> bool:
    finished = run.path.is_dir() and read_status(run).state == "finished" and run.results_path.is_file()
    return finished and run.results_path.stat().st_mtime_ns >= recipe.path.stat().st_mtime_ns


def show(outcome: Outcome, tolerance: float, only_say: bool) -> bool:
    """Prints a recipe's rows; whether all is as promised."""
    name, good = outcome.recipe.path.stem, outcome.failed is None
    if outcome.skipped or outcome.failed:
        print(f"{name:<30}{'skipped' if outcome.skipped else 'FAILED'}: {outcome.skipped or outcome.failed}")
        return good
    for metric, promised in outcome.recipe.promised.items():
        row = f"{name:<30}{metric:<26} promised {promised:<8g}"
        if not only_say:
            reached = outcome.reached.get(metric)
            kept = reached is not None and is_kept(metric, promised, reached, tolerance)
            good = good and kept
            said = "nothing" if reached is None else f"{reached:.4f}"
            row += f"reached {said:<9}{'kept' if kept else 'MISSED':<8}{outcome.seconds or 0:>6.0f} s"
        print(row)
    return good


def is_kept(metric: str, promised: float, reached: float, tolerance: float) -> bool:
    margin = tolerance * abs(promised)
    return reached <= promised + margin if lower_is_better(metric) else reached >= promised - margin


if __name__ == "__main__":
    raise SystemExit(main())
