"""Writing of explanations as figures, data files and, for texts, an HTML page."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.colors import to_hex

from runner.errors import UserError
from runner.explain.explain import Explained
from runner.explain.explanation import Explanation
from runner.explain.pictures import TITLES, by_input, caption, pictures
from runner.plots.attribution import color_of
from runner.plots.style import to_png
from runner.report.page import render
from runner.run.files import write_json, write_text

__all__ = ["write_explained"]

RESERVED = ("overview", "sanity", "columns")


def write_explained(explained: Explained, folder: Path) -> list[Path]:
    """Writes figures and data files, and overwrites those of an earlier explanation.

    The files are ``overview.png``, a figure per input, ``attributions.json`` and, depending on the kind,
    ``attributions.csv``, ``maps.npz`` and ``texts.html``.

    Args:
        explained: the explanations.
        folder: output folder, created if needed.

    Returns:
        The paths of the written files.

    Raises:
        UserError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        written = [folder / "attributions.json"]
        write_json(written[0], contents(explained))
        if rows := table_of(explained):
            written.append(folder / "attributions.csv")
            write_text(written[-1], as_csv(rows))
        if explained.kind == "images":
            written.append(folder / "maps.npz")
            maps = {str(number): each.values for number, each in enumerate(explained.explanations)}
            np.savez_compressed(written[-1], **maps)  # type: ignore[arg-type]  # the stub types further keys
        if explained.kind == "texts":
            written.append(folder / "texts.html")
            write_text(written[-1], page_of(explained))
        taken: dict[str, int] = {}
        for name, figure in pictures(explained):
            written.append(to_png(figure, folder / f"{file_name(name, taken)}.png"))
    except OSError as error:
        raise UserError(
            f"{folder} cannot be written: {error.strerror or error}. Name another with --output."
        ) from error
    return written


def file_name(name: str, taken: dict[str, int]) -> str:
    """Returns a unique file name: the input's name or the last part of its path, numbered on conflicts."""
    stem = name if name in RESERVED and name not in taken else Path(name.replace("\\", "/")).stem
    stem = (
        "".join(letter if letter.isalnum() or letter in "-_.,= " else "_" for letter in stem).strip(" .")[:60]
        or "input"
    )
    count = taken[stem] = taken.get(stem, 0) + 1
    return stem if count == 1 else f"{stem}-{count}"


def contents(explained: Explained) -> dict[str, Any]:
    """Converts explanations to plain values, without the maps of images."""
    values: dict[str, Any] = {"run": explained.run.name, "method": explained.method, "inputs": explained.kind}
    values |= {"layers": explained.layers, "by_place": explained.by_location} if explained.layers else {}
    values |= {"baseline": explained.baseline} if explained.baseline else {}
    if explained.skipped:
        values["skipped"] = explained.skipped
    if explained.sanity:
        keys = ("layer", "rank_correlation", "std")
        values["sanity"] = [dict(zip(keys, row, strict=True)) for row in explained.sanity]
    if explained.importance is not None:
        importance = explained.importance
        return values | {
            "metric": importance.metric,
            "score": importance.score,
            "rows": importance.num_samples,
            "columns": table_of(explained),
        }
    values["explanations"] = [
        explanation.as_row() | values_of(explanation, explained.kind, number)
        for number, explanation in enumerate(explained.explanations)
    ]
    return values


def values_of(explanation: Explanation, kind: str, number: int) -> dict[str, Any]:
    """Converts the attribution of one explanation to plain values.

    Args:
        explanation: the explanation.
        kind: kind of the inputs.
        number: key of the explanation's map in ``maps.npz``.
    """
    parts, values = explanation.parts, explanation.values
    if kind == "images":
        return {"map": str(number)}
    if kind == "texts":
        pairs = zip(parts, values, strict=True)
        return {"tokens": [{"token": part, "score": rounded(value)} for part, value in pairs]}
    if kind == "series":
        return {"variables": parts, "scores": [[rounded(value) for value in step] for step in values]}
    columns = zip(parts, explanation.cells, values, strict=True)
    return {
        "columns": [{"column": part, "value": cell, "score": rounded(value)} for part, cell, value in columns]
    }


def rounded(value: float) -> float:
    """Rounds to six digits."""
    return float(f"{float(value):.6g}") if math.isfinite(value) else float(value)


def table_of(explained: Explained) -> list[dict[str, Any]]:
    """Returns the rows of ``attributions.csv``; empty for images.

    There is one row per column for importance; otherwise one per token, per step and variable, or per column
    of each input.
    """
    if explained.importance is not None:
        importance = explained.importance
        return [
            {
                "column": importance.names[i],
                "mean": rounded(importance.mean[i]),
                "std": rounded(importance.std[i]),
            }
            for i in np.argsort(-importance.mean, kind="stable")
        ]
    if explained.kind == "images":
        return []
    stepped = any(explanation.target.step is not None for explanation in explained.explanations)
    return [
        row for explanation in explained.explanations for row in rows_of(explanation, explained.kind, stepped)
    ]


def rows_of(explanation: Explanation, kind: str, stepped: bool) -> list[dict[str, Any]]:
    """Returns the rows of one explanation in ``attributions.csv``.

    Args:
        explanation: the explanation.
        kind: kind of the inputs.
        stepped: whether the rows have a column for the step of the prediction.
    """
    head: dict[str, Any] = {"input": explanation.sample.name, "target": explanation.target.name}
    parts, values = explanation.parts, explanation.values
    if kind == "series":
        return [
            head | {"step": step - len(values) + 1, "variable": part, "score": rounded(value)}
            for step, scores in enumerate(values)
            for part, value in zip(parts, scores, strict=True)
        ]
    if stepped:
        head["step"] = "" if explanation.target.step is None else explanation.target.step
    if kind == "texts":
        pairs = enumerate(zip(parts, values, strict=True), start=1)
        return [
            head | {"position": position, "token": part, "score": rounded(value)}
            for position, (part, value) in pairs
        ]
    return [
        head | {"column": part, "value": cell, "score": rounded(value)}
        for part, cell, value in zip(parts, explanation.cells or [""] * len(parts), values, strict=True)
    ]


def as_csv(rows: Sequence[dict[str, Any]]) -> str:
    """Formats rows with the same keys as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def page_of(explained: Explained) -> str:
    """Renders the colored tokens of all texts, with one line per labelled step or generated token."""
    texts = [line_of(explanation) for group in by_input(explained.explanations) for explanation in group]
    page = {"title": TITLES[explained.method], "name": explained.run.name, "texts": texts}
    return render("tokens.html", page, Path(__file__).parent)


def line_of(explanation: Explanation) -> dict[str, Any]:
    """Returns the values of one line of colored tokens for the template."""
    bound = float(np.abs(explanation.values).max()) or 1.0
    tokens = [
        {"shown": part, "color": to_hex(color_of(float(value), bound)), "score": f"{value:.3g}"}
        for part, value in zip(explanation.parts, explanation.values, strict=True)
    ]
    step = "" if explanation.target.step is None else f"step {explanation.target.step}: "
    return {
        "words": step + caption(explanation),
        "name": explanation.sample.name,
        "bound": f"{bound:.3g}",
        "tokens": tokens,
        "gap": "" if all(len(part) <= 1 for part in explanation.parts) else " ",
    }
