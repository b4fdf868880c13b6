"""Drawing of boxes into an image at its original size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import to_rgb
from PIL import Image, ImageDraw, ImageFont

from runner.plots.image import drawable
from runner.plots.style import class_colors

__all__ = ["boxed_image"]


def boxed_image(
    image: np.ndarray, boxes: np.ndarray, labels: np.ndarray, scores: np.ndarray, class_names: Sequence[str]
) -> Image.Image:
    """The image with a frame, the class and the score of each box.

    Args:
        image: (3, H, W) or (H, W, 3), uint8 or from 0 to 1.
        boxes: (n, 4) xyxy in pixels.
        labels, scores: (n,).
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
