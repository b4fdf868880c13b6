"""Classes of a folder of masks: names, values and colours, and checks of their consistency."""

from __future__ import annotations

import colorsys
import re
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from runner.data.segmentation.batch import IGNORE
from runner.data.segmentation.mask_set import Survey

__all__ = [
    "GROUNDS",
    "LIST",
    "class_colors",
    "class_problems",
    "laid_over",
    "numbered_lines",
    "read_class_names",
    "suspicion",
]

# Okabe and Ito's colour-blind-safe palette (https://jfly.uni-koeln.de/color/).
FIRST = (
    (0, 114, 178),
    (213, 94, 0),
    (0, 158, 115),
    (240, 228, 66),
    (204, 121, 167),
    (86, 180, 233),
    (230, 159, 0),
)
GROUNDS = ("background", "void", "other")
BACKGROUND = (60, 60, 60)
GOLDEN_ANGLE = 0.381966
STRENGTH = 0.6
LUMINANCE = (0.299, 0.587, 0.114)


def class_colors(class_names: Sequence[str]) -> list[list[int]]:
    """Return red, green and blue of each class.

    These are seven easily distinguished colours, then hues far from the earlier ones.
    """
    colors: list[tuple[int, ...]] = list(FIRST)
    while len(colors) < len(class_names):
        number = len(colors)
        rgb = colorsys.hsv_to_rgb(
            number * GOLDEN_ANGLE % 1, 0.55 + 0.4 * (number % 2), 0.55 + 0.15 * (number % 4)
        )
        colors.append(tuple(round(255 * value) for value in rgb))
    grounds = [class_id for class_id, name in enumerate(class_names) if name.lower() in GROUNDS]
    if grounds:
        colors.insert(grounds[0], BACKGROUND)
    return [list(color) for color in colors[: len(class_names)]]


def laid_over(image: Tensor, mask: Tensor, colors: Sequence[Sequence[int]]) -> Tensor:
    """Overlay the colours of a mask ``(H, W)`` on the grey image, uint8 ``(3, H, W)``.

    Ignored pixels are unchanged.
    """
    table = torch.zeros((256, 3))
    table[: len(colors)] = torch.tensor(colors, dtype=torch.float32)
    tint = table[mask.long()].permute(2, 0, 1)
    gray = (image.float() * torch.tensor(LUMINANCE)[:, None, None]).sum(0, keepdim=True)
    mixed = (1 - STRENGTH) * gray + STRENGTH * tint
    return torch.where(mask == IGNORE, image, mixed.round().to(torch.uint8))


LIST = "classes.txt"


def read_class_names(given: Sequence[str] | None, folder: Path, ignored: Sequence[int] = ()) -> list[str]:
    """Return the given names, or the lines of ``classes.txt`` in the folder, or an empty list.

    The list may end with a name for ignored pixels, which is not a class.
    """
    if given:
        return [str(name) for name in given]
    try:
        lines = (folder / LIST).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    names = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    while len(names) - 1 in ignored:
        names.pop()
    return names


def numbered_lines(names: Sequence[str], values: Sequence[int] | None, folder: Path) -> list[str]:
    """Return a problem if the lines of ``classes.txt`` begin with numbers other than the classes' values."""
    matches = [match for name in names if (match := re.match(r"(\d+)\s*[\s:,;=]\s*\S", name))]
    if not names or len(matches) < len(names):
        return []
    numbers = [int(match.group(1)) for match in matches]
    expected = list(range(len(names))) if values is None else list(values)
    if numbers == expected:
        return []
    shown, expected_text = (
        ", ".join(map(str, values[:5])) + (", …" if len(values) > 5 else "") for values in (numbers, expected)
    )
    return [
        f"The lines of {folder / LIST} begin with the numbers {shown}, but the values of these classes in "
        f"the masks are {expected_text}. If the numbers are the values, give "
        f"data.class_values=[{','.join(map(str, numbers))}]; if they are parts of colours, give "
        "data.colors=[[0,0,0],…]; if they belong to the names or have no meaning, give data.class_names=[…]."
    ]


def class_problems(
    names: Sequence[str],
    values: Sequence[int] | None,
    colors: Sequence[Sequence[int]] | None,
    ignored: Sequence[int],
    folder: Path,
) -> list[str]:
    """Return problems with inconsistent names, values and colours."""
    if not names:
        return [
            "Name the classes, in the order of their values: data.class_names=[road,sky,…], or lines of "
            f"{folder / LIST}."
        ]
    problems = []
    if len(names) < 2 or len(names) > IGNORE:
        problems.append(
            f"data.class_names has {len(names)} names; expected 2 to {IGNORE}, including the background."
        )
    if repeated := {name for name in names if list(names).count(name) > 1}:
        problems.append(f"data.class_names has {', '.join(sorted(repeated))} more than once.")
    for key, entries in (("class_values", values), ("colors", colors)):
        if entries is not None and len(entries) != len(names):
            problems.append(f"data.{key} has {len(entries)} entries for {len(names)} classes.")
        if entries is not None and len({str(entry) for entry in entries}) != len(entries):
            problems.append(f"data.{key} has an entry twice: no two classes can look the same.")
    for color in colors or ():
        if len(color) != 3 or not all(0 <= value <= 255 for value in color):
            problems.append(
                f"data.colors: {list(color)} is not a colour; expected red, green and blue from 0 to 255."
            )
    class_values = range(len(names)) if values is None else values
    if both := sorted(set(class_values) & set(ignored)):
        name = names[list(class_values).index(both[0])]
        problems.append(
            f"{both[0]} stands for the class {name!r} and, by data.ignore_index, for ignored pixels. Give "
            "data.ignore_index=null, or another value."
        )
    return problems


def suspicion(statistics: Survey, names: Sequence[str], ignored: Sequence[int]) -> str | None:
    """Return a problem if the masks show fewer than two classes."""
    present = [name for name, count in zip(names, statistics.counts.tolist(), strict=True) if count]
    if len(present) > 1:
        return None
    hint = ""
    if statistics.num_ignored and ignored:
        hint = (
            f" Does {ignored[0]} stand for a class, as in masks of 0 and 255? Then give "
            f"data.class_values=[0,{ignored[0]}] and data.ignore_index=null."
        )
    classes = f"only {present[0]!r}" if present else "no class at all"
    num_pixels = int(statistics.counts.sum()) + statistics.num_ignored
    share = statistics.num_ignored / max(num_pixels, 1)
    return f"The masks that were examined show {classes}; {share:.0%} of their pixels are ignored.{hint}"
