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
    """Writes ``overview.png``, a figure per input, ``attributions.json`` and, depending on the kind,
    ``attributions.csv``, ``maps.npz`` and ``texts.html``; overwrites those of an earlier explanation.

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
            np.savez_compressed(
                written[-1], **{str(number): one.values for number, one in enumerate(explained.found)}
            )
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
    """Returns a unique file name: the input's name or the last part of its path, with a number on
    conflicts.
    """
    stem = name if name in RESERVED and name not in taken else Path(name.replace("\\", "/")).stem
    stem = (
        "".join(sign if sign.isalnum() or sign in "-_.,= " else "_" for sign in stem).strip(" .")[:60]
        or "input"
    )
    count = taken[stem] = taken.get(stem, 0) + 1
    return stem if count == 1 else f"{stem}-{count}"


def contents(explained: Explained) -> dict[str, Any]:
    """Converts explanations to plain values, without the maps of images."""
    values: dict[str, Any] = {"run": explained.run.name, "method": explained.method, "inputs": explained.kind}
    values |= {"layers": explained.layers, "by_place": explained.by_place} if explained.layers else {}
    values |= {"baseline": explained.baseline} if explained.baseline else {}
    if explained.skipped:
        values["skipped"] = explained.skipped
    if explained.sanity:
        keys = ("layer", "rank_correlation", "std")
        values["sanity"] = [dict(zip(keys, row, strict=True)) for row in explained.sanity]
    if explained.importance is not None:
        one = explained.importance
        values |= {
            "metric": one.metric,
            "score": one.score,
            "rows": one.num_samples,
            "columns": table_of(explained),
        }
        return values
    values["explanations"] = [
        one.as_row() | values_of(one, explained.kind, number) for number, one in enumerate(explained.found)
    ]
    return values


def values_of(one: Explanation, kind: str, number: int) -> dict[str, Any]:
    if kind == "images":
        return {"map": str(number)}
    if kind == "texts":
        return {
            "tokens": [
                {"token": part, "score": plain(value)}
                for part, value in zip(one.parts, one.values, strict=True)
            ]
        }
    if kind == "series":
        return {"variables": one.parts, "scores": [[plain(value) for value in step] for step in one.values]}
    parts = zip(one.parts, one.cells, one.values, strict=True)
    return {
        "columns": [{"column": part, "value": cell, "score": plain(value)} for part, cell, value in parts]
    }


def plain(value: float) -> float:
    """Rounds to six digits."""
    return float(f"{float(value):.6g}") if math.isfinite(value) else float(value)


def table_of(explained: Explained) -> list[dict[str, Any]]:
    """Yields one row per column for importance; otherwise one per token, step and variable, or column of each
    input.
    """
    if explained.importance is not None:
        one = explained.importance
        order = np.argsort(-one.mean, kind="stable")
        return [{"column": one.names[i], "mean": plain(one.mean[i]), "std": plain(one.std[i])} for i in order]
    rows: list[dict[str, Any]] = []
    stepped = any("step" in one.asked.details for one in explained.found)
    for one in explained.found if explained.kind != "images" else ():
        head = {"input": one.sample.name, "target": one.asked.target}
        if explained.kind == "series":
            rows += [
                head | {"step": step - len(one.values) + 1, "variable": part, "score": plain(value)}
                for step, values in enumerate(one.values)
                for part, value in zip(one.parts, values, strict=True)
            ]
            continue
        if stepped:
            head["step"] = one.asked.details.get("step", "")
        named = zip(one.parts, one.cells or [""] * len(one.parts), one.values, strict=True)
        for place, (part, cell, value) in enumerate(named, start=1):
            if explained.kind == "texts":
                rows.append(head | {"position": place, "token": part, "score": plain(value)})
            else:
                rows.append(head | {"column": part, "value": cell, "score": plain(value)})
    return rows


def as_csv(rows: Sequence[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def page_of(explained: Explained) -> str:
    """Renders the colored tokens of all texts, with one line per labelled step or generated token."""
    texts = []
    for group in by_input(explained.found):
        for one in group:
            bound = float(np.abs(one.values).max()) or 1.0
            tokens = [
                {"shown": part, "color": to_hex(color_of(float(value), bound)), "score": f"{value:.3g}"}
                for part, value in zip(one.parts, one.values, strict=True)
            ]
            step = f"step {one.asked.details['step']}: " if "step" in one.asked.details else ""
            gap = "" if all(len(part) <= 1 for part in one.parts) else " "
            words = {"words": step + caption(one), "name": one.sample.name, "bound": f"{bound:.3g}"}
            texts.append(words | {"tokens": tokens, "gap": gap})
    page = {"title": TITLES[explained.method], "name": explained.run.name, "texts": texts}
    return render("tokens.html", page, Path(__file__).parent)
