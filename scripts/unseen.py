"""Trains the plain command on public data sets and prints the result next to the best classical baseline.

    scripts/unseen [--data FOLDER] [--only NAME …] [PATH [key=value …]]

Data sets of scikit-learn are always available. FOLDER may hold further ones in these folders: cats_vs_dogs,
fashion_mnist, fsdd, camvid, tabular, text, timeseries; those that are absent are reported. With PATH, only
that folder or file is tried.

Each row is one command without settings other than those of the data; seed 0. CPU seconds are those of the
whole command. A ratio above 1 is better than the baseline.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

QUIET = ("tracking=none", "plots=false", "report=false")
LARGER_IS_BETTER = ("accuracy", "r2", "iou", "map", "f1", "bleu")


class Case(NamedTuple):
    """A data set.

    Attributes:
        name: shown in the table.
        build: writes the data into a folder and returns the overrides that name them; None if absent.
    """

    name: str
    build: Callable[[Path, Path], list[str] | None]


def sklearn_table(name: str, target: str, *task: str) -> Callable[[Path, Path], list[str]]:
    def build(work: Path, data: Path) -> list[str]:
        import sklearn.datasets

        bunch = getattr(sklearn.datasets, f"load_{name}")()
        path = work / f"{name}.csv"
        names = [str(column).replace(" ", "_") for column in bunch.feature_names]
        labels = [str(bunch.target_names[i]) for i in bunch.target] if not task else bunch.target
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow([*names, target])
            writer.writerows([*row, label] for row, label in zip(bunch.data, labels, strict=True))
        return ["data=csv", f"data.path={path}", f"data.target={target}", *task]

    return build


def sklearn_digits(work: Path, data: Path) -> list[str]:
    """Digits as image files of 8×8 pixels, a folder for each class."""
    import sklearn.datasets
    from PIL import Image

    bunch = sklearn.datasets.load_digits()
    for index, (image, label) in enumerate(zip(bunch.images, bunch.target, strict=True)):
        folder = work / "digits" / str(label)
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray((image * 15).astype("uint8")).save(folder / f"{index}.png")
    return ["data=image_folder", f"data.root={work / 'digits'}"]


def table(file: str, target: str, *more: str) -> Callable[[Path, Path], list[str] | None]:
    def build(work: Path, data: Path) -> list[str] | None:
        path = data / "tabular" / file
        words = ["data=csv", f"data.path={path}", f"data.target={target}", *more]
        return words if path.is_file() else None

    return build


def adult(work: Path, data: Path) -> list[str] | None:
    folder = data / "tabular" / "adult"
    columns = (
        "age,workclass,fnlwgt,education,education_num,marital,occupation,relationship,race,sex,gain,loss"
    )
    if not folder.is_dir():
        return None
    return [
        "data=csv", f"data.path={folder / 'adult-train.csv'}", f"data.test_path={folder / 'adult-test.csv'}",
        f"data.columns=[{columns},hours,country,income]", "data.target=income", "data.label_strip=.",
    ]  # fmt: skip


def messages(work: Path, data: Path) -> list[str] | None:
    source = data / "text" / "sms_spam" / "SMSSpamCollection.tsv"
    if not source.is_file():
        return None
    lines = source.read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if line.split("\t")[0] in ("ham", "spam")]
    path = work / "messages.tsv"
    path.write_text("\n".join(["label\ttext", *rows]) + "\n", encoding="utf-8")
    return ["data=text_csv", f"data.path={path}"]


def speeches(work: Path, data: Path) -> list[str] | None:
    """Speeches of Shakespeare, to be assigned to a sixth of the collected plays."""
    source = data / "text" / "tinyshakespeare" / "input.txt"
    if not source.is_file():
        return None
    blocks = [block for block in source.read_text(encoding="utf-8").split("\n\n") if ":\n" in block]
    path = work / "speeches.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        for index, block in enumerate(blocks):
            text = block.split(":\n", 1)[1].replace("\n", " ")
            writer.writerow([text, f"part {6 * index // len(blocks)}"])
    return ["data=text_csv", f"data.path={path}"]


def sounds(work: Path, data: Path) -> list[str] | None:
    """Spoken digits, a folder for each."""
    files = sorted((data / "fsdd" / "recordings").glob("*.wav"))
    for file in files:
        folder = work / "sounds" / file.name.partition("_")[0]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / file.name).symlink_to(file)
    return ["data=audio_folder", f"data.root={work / 'sounds'}"] if files else None


def photographs(work: Path, data: Path) -> list[str] | None:
    """The first 250 photographs of each class."""
    for folder in sorted((data / "cats_vs_dogs" / "train").glob("*/")):
        target = work / "photographs" / folder.name
        target.mkdir(parents=True)
        for file in sorted(folder.iterdir())[:250]:
            (target / file.name).symlink_to(file)
    root = work / "photographs"
    return ["data=image_folder", f"data.root={root}"] if root.is_dir() else None


def clothes(work: Path, data: Path) -> list[str] | None:
    """The first 3000 images of Fashion-MNIST's test set as files of 28×28 pixels."""
    import numpy as np
    from PIL import Image

    folder = data / "fashion_mnist"
    if not folder.is_dir():
        return None
    with gzip.open(folder / "t10k-images-idx3-ubyte.gz") as file:
        images = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 28, 28)
    with gzip.open(folder / "t10k-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read(), np.uint8, offset=8)
    for index in range(3000):
        target = work / "clothes" / str(labels[index])
        target.mkdir(parents=True, exist_ok=True)
        Image.fromarray(images[index]).save(target / f"{index}.png")
    return ["data=image_folder", f"data.root={work / 'clothes'}"]


def series(file: str, target: str, time: str) -> Callable[[Path, Path], list[str] | None]:
    def build(work: Path, data: Path) -> list[str] | None:
        path = data / "timeseries" / file
        words = ["data=series", f"data.path={path}", f"data.target={target}", f"data.time_column={time}"]
        return words if path.is_file() else None

    return build


def existing(name: str, folder: str, *words: str) -> Callable[[Path, Path], list[str] | None]:
    def build(work: Path, data: Path) -> list[str] | None:
        root = data / folder
        return (
            [f"data={name}", *(word.replace("FOLDER", str(root)) for word in words)]
            if root.exists()
            else None
        )

    return build


CASES = (
    Case("iris", sklearn_table("iris", "species")),
    Case("wine", sklearn_table("wine", "cultivar")),
    Case("breast cancer", sklearn_table("breast_cancer", "diagnosis")),
    Case("diabetes", sklearn_table("diabetes", "progression", "task=regression")),
    Case("digits, image files", sklearn_digits),
    Case("titanic", table("titanic/train.csv", "Survived")),
    Case("penguins", table("penguins/penguins.csv", "species")),
    Case("auto mpg", table("auto_mpg/mpg.csv", "mpg", "task=regression")),
    Case(
        "California housing", table("california_housing/housing.csv", "median_house_value", "task=regression")
    ),
    Case("adult", adult),
    Case("SMS spam", messages),
    Case("speeches", speeches),
    Case("spoken digits", sounds),
    Case("cats and dogs, 500 photographs", photographs),
    Case("Fashion-MNIST, 3000 files", clothes),
    Case("airline passengers", series("airline-passengers.csv", "Passengers", "Month")),
    Case("ETTh1, oil temperature", series("ETTh1/ETTh1.csv", "OT", "date")),
    Case("tunes", existing("abc_file", "text/irish_abc/irish.abc", "data.path=FOLDER")),
    Case("CamVid", existing("camvid", "camvid", "data.root=FOLDER")),
)


class Outcome(NamedTuple):
    metric: str
    value: float
    baseline: str
    baseline_value: float | None
    cpu_s: float
    model: str


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of data sets")
    parser.add_argument("--only", action="append", default=[], help="name of a case; may be repeated")
    parser.add_argument(
        "words", nargs="*", metavar="PATH key=value", help="a folder or file, and its settings"
    )
    args = parser.parse_args()
    print("| Data | Metric | Plain command | Best baseline | Ratio | Model | CPU s |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name, words in commands(args, Path(folder)):
            print(row(name, words, Path(folder)), flush=True)
    return 0


def commands(args: argparse.Namespace, work: Path) -> Iterator[tuple[str, list[str] | None]]:
    """Yield the name and the words of each command; None for data that are absent."""
    if args.words:
        yield Path(args.words[0]).name, [str(Path(args.words[0]).absolute()), *args.words[1:]]
        return
    for case in CASES:
        if not args.only or case.name in args.only:
            yield case.name, case.build(work, args.data.absolute())


def row(name: str, words: list[str] | None, work: Path) -> str:
    if words is None:
        return f"| {name} | | absent | | | | |"
    outcome = trained(words, work)
    if isinstance(outcome, str):
        return f"| {name} | | failed: {outcome} | | | | |"
    ratio = baseline = ""
    if outcome.baseline_value is not None:
        larger = any(part in outcome.metric for part in LARGER_IS_BETTER)
        pair = (outcome.value, outcome.baseline_value)
        better, worse = pair if larger else pair[::-1]
        ratio = f"{better / worse:.3f}" if worse else ""
        baseline = f"{outcome.baseline_value:.4g} ({outcome.baseline})"
    cells = (
        name,
        outcome.metric,
        f"{outcome.value:.4g}",
        baseline,
        ratio,
        outcome.model,
        f"{outcome.cpu_s:.0f}",
    )
    return f"| {' | '.join(cells)} |"


def trained(words: list[str], work: Path) -> Outcome | str:
    """Train, and return the outcome on the test split (validation without one), or the error."""
    before = cpu_seconds()
    command = [
        sys.executable,
        "-m",
        "runner",
        "train",
        *words,
        *QUIET,
        "run.name=unseen",
        f"run.root={work}/runs",
    ]
    process = subprocess.run(command, cwd=work, capture_output=True, text=True, env=os.environ, check=False)
    run = work / "runs" / "unseen"
    if process.returncode or not (run / "results.json").is_file():
        return (process.stderr.strip() or "no results").splitlines()[-1]
    seconds = cpu_seconds() - before
    results = json.loads((run / "results.json").read_text())
    config = (run / "config.yaml").read_text()
    model = next(
        line.split(".")[-1] for line in config.split("\nmodel:\n")[1].splitlines() if "_target_" in line
    )
    run.rename(work / "runs" / f"done-{len(list((work / 'runs').iterdir()))}")
    metric = results["best"]["monitor"].partition("/")[2]
    split = "test" if f"test/{metric}" in results.get("test", {}) else "val"
    name, value = best_baseline(results, split, metric)
    return Outcome(f"{split}/{metric}", results[split][f"{split}/{metric}"], name, value, seconds, model)


def best_baseline(results: dict[str, Any], split: str, metric: str) -> tuple[str, float | None]:
    entries = [
        (entry["metrics"][split][metric], entry["name"])
        for entry in results.get("baselines", [])
        if metric in entry["metrics"].get(split, {})
    ]
    if not entries:
        return "", None
    value, name = (max if any(part in metric for part in LARGER_IS_BETTER) else min)(entries)
    return name, value


def cpu_seconds() -> float:
    """Return the CPU time of all ended child processes."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    sys.exit(main())
