"""Predicted boxes next to target boxes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from PIL import Image, ImageDraw, ImageFont

from runner.plots.images import drawable
from runner.plots.style import INK, MUTED, as_picture, class_colors, class_labels, label, new_figure, styled

__all__ = ["box_pairs", "boxed_image"]


def boxed_image(
    image: np.ndarray, boxes: np.ndarray, labels: np.ndarray, scores: np.ndarray, class_names: Sequence[str]
) -> Image.Image:
    """The image with a frame, the class and the score of each box.

    Args:
        image: (3, H, W) or (H, W, 3), uint8 or from 0 to 1.
        boxes: (n, 4) xyxy in pixels.
        labels: (n,).
        scores: as ``labels``.
        class_names: names of the classes, in the order of their ids.
    """
    values = drawable(image)
    values = np.repeat(values[..., None], 3, 2) if values.ndim == 2 else values
    picture = Image.fromarray((values * 255).round().astype(np.uint8))
    colors = [tuple(round(255 * part) for part in to_rgb(color)) for color in class_colors(len(class_names))]
    shorter = min(picture.size)
    width, font = max(1, shorter // 160), ImageFont.load_default(size=max(9, shorter // 32))
    pen = ImageDraw.Draw(picture)
    for place in np.argsort(scores):  # the most confident last, on top of the others
        box, color = boxes[place].tolist(), colors[labels[place]]
        pen.rectangle(box, outline=color, width=width)
        words = f"{class_names[labels[place]]} {scores[place]:.0%}"
        left, top, right, bottom = pen.textbbox((0, 0), words, font=font)
        rightmost = max(0.0, picture.width - (right - left) - 3)
        corner = (min(box[0], rightmost), max(0.0, box[1] - (bottom - top) - 2))
        pen.rectangle((*corner, corner[0] + right - left + 2, corner[1] + bottom - top + 2), fill=color)
        ink = "white" if sum(color) < 400 else "black"
        pen.text((corner[0] + 1 - left, corner[1] + 1 - top), words, fill=ink, font=font)
    return picture


PAIRS_A_ROW = 3
CELL_IN = 1.9
WORDS_HIGH, WORDS_FIT_BEFORE = 0.06, 0.7
"""Of the image's height and width: what a line of words needs above a box, and where one that begins is cut
off.
"""


@styled
def box_pairs(
    images: Sequence[np.ndarray],
    truths: Sequence[Mapping[str, np.ndarray]],
    preds: Sequence[Mapping[str, np.ndarray]],
    names: Sequence[str],
    class_names: Sequence[str],
    title: str = "Boxes: the truth, and what was found",
) -> Figure:
    """Plots for each image the target boxes on the left and the predicted boxes on the right.

    With class and score.

    Args:
        images: (3, H, W) or (H, W, 3) each, of any size.
        truths: ``boxes`` (n, 4) xyxy in pixels, ``labels`` (n,); with ``iscrowd`` (n,), those are drawn
            faint.
        preds: ``boxes``, ``labels``, ``scores``.
        names: of the images; a path is cut to its last part.
        class_names: names of the classes, in the order of their ids.
        title: title of the figure.
    """
    rows = math.ceil(len(images) / PAIRS_A_ROW)
    num_pairs = min(len(images), PAIRS_A_ROW)
    tallest = max(height_of(image) for image in images)
    fig, axes = new_figure(
        num_pairs * 2 * CELL_IN, rows * (CELL_IN * min(tallest, 1.4) + 0.12) + 0.4, rows, num_pairs * 2, title
    )
    colors = class_colors(len(class_names))
    shown = class_labels(class_names, len(class_names), 14)
    for ax in axes.flat:
        as_picture(ax)
    pairs = axes.reshape(-1, 2)
    for (left, right), image, truth, pred, name in zip(pairs, images, truths, preds, names, strict=False):
        for ax, boxes in ((left, truth), (right, pred)):
            ax.imshow(drawable(image), cmap="gray", vmin=0, vmax=1)
            draw_boxes(ax, boxes, colors, shown, drawable(image).shape[:2])
        left.set_title(
            label(str(name).replace("\\", "/").rsplit("/", 1)[-1], 24), fontsize=7, fontweight="normal"
        )
        right.set_title(
            f"{len(pred['boxes'])} found, {len(truth['boxes'])} there",
            fontsize=7,
            fontweight="normal",
            color=MUTED,
        )
    for left, right in pairs[len(images) :]:
        left.set_visible(False)
        right.set_visible(False)
    return fig


def height_of(image: np.ndarray) -> float:
    """Of a width of 1."""
    shape = drawable(image).shape
    return shape[0] / shape[1]


def draw_boxes(
    ax: Axes, found: Mapping[str, np.ndarray], colors: Sequence, names: Sequence[str], size: tuple[int, int]
) -> None:
    """Boxes on an image of that height and width."""
    scores, crowd = found.get("scores"), found.get("iscrowd")
    order = range(len(found["boxes"])) if scores is None else np.argsort(scores)
    for number in order:
        x1, y1, x2, y2 = found["boxes"][number]
        own = int(found["labels"][number])
        faint = crowd is not None and bool(crowd[number])
        color = MUTED if faint else colors[own]
        frame = Rectangle((x1 - 0.5, y1 - 0.5), x2 - x1, y2 - y1, fill=False, edgecolor=color, linewidth=1.1,
                          linestyle=":" if faint else "-")  # fmt: skip
        frame.set_path_effects([withStroke(linewidth=2.0, foreground="white", alpha=0.6)])
        ax.add_patch(frame)
        words = names[own] if scores is None else f"{names[own]} {scores[number]:.0%}"
        place = words_at(x1, y1, x2, size)
        text = ax.text(*place[:2], words, fontsize=5, color=INK, ha=place[2], va=place[3], clip_on=True)
        text.set_bbox({"facecolor": "white", "alpha": 0.7, "edgecolor": "none", "pad": 0.4})


def words_at(x1: float, y1: float, x2: float, size: tuple[int, int]) -> tuple[float, float, str, str]:
    """Above the box, or inside where the image ends there; x, y and their alignments."""
    height, width = size
    x, ha = (x2, "right") if x1 > width * WORDS_FIT_BEFORE else (x1, "left")
    return (x, y1 - 1, ha, "bottom") if y1 > height * WORDS_HIGH else (x, y1 + 1, ha, "top")
