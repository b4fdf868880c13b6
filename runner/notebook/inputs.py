"""Inputs of predictions as Python objects: arrays, tensors, images and tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image

from runner.data.base import DataModule
from runner.errors import DataError

__all__ = ["as_arguments"]


def as_arguments(inputs: Any, data: DataModule, folder: Path) -> list[str]:
    """Return inputs as arguments of ``runner predict``; objects are written to files without loss.

    Args:
        inputs: one input or a sequence of them: a path, a text, a PIL image, an image as array or tensor,
            a DataFrame, or rows of features ``(N, F)``.
        data: the data module of the run.
        folder: folder for the files.

    Raises:
        DataError: an input has a type or shape that the data set cannot read.
    """
    if isinstance(inputs, str | Path | Image.Image | pd.DataFrame | np.ndarray | torch.Tensor):
        inputs = [inputs]
    return [
        argument
        for number, value in enumerate(inputs)
        for argument in arguments_of(value, data, folder / f"input{number}")
    ]


def arguments_of(value: Any, data: DataModule, path: Path) -> list[str]:
    if isinstance(value, str | Path):
        return [str(value)]
    if isinstance(value, Image.Image):
        return [saved(value, path)]
    if isinstance(value, pd.DataFrame):
        file = path.with_suffix(".csv")
        value.to_csv(file, index=False)
        return [str(file)]
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    if not isinstance(value, np.ndarray):
        raise DataError(
            f"predict: a {type(value).__name__} is no input. Give a path, a text, an image, an array, a "
            "tensor or a DataFrame."
        )
    columns = list(dict.fromkeys(column for _, column in data.features()))
    if value.ndim <= 2 and columns:
        return [saved_rows(np.atleast_2d(value), columns, path)]
    if value.ndim == 4:
        return [saved(image_of(image), path.with_name(f"{path.name}_{i}")) for i, image in enumerate(value)]
    return [saved(image_of(value), path)]


def saved(image: Image.Image, path: Path) -> str:
    file = path.with_suffix(".png")
    image.save(file)
    return str(file)


def saved_rows(rows: np.ndarray, columns: Sequence[str], path: Path) -> str:
    """Write rows of features ``(N, F)`` as a table.

    Raises:
        DataError: the number of features differs from that of the data set.
    """
    if rows.shape[1] != len(columns):
        names = ", ".join(columns[:8]) + (" …" if len(columns) > 8 else "")
        raise DataError(
            f"predict: the rows have {rows.shape[1]} values, and the data set {len(columns)} columns "
            f"({names})."
        )
    file = path.with_suffix(".csv")
    pd.DataFrame(rows, columns=list(columns)).to_csv(file, index=False)
    return str(file)


def image_of(array: np.ndarray) -> Image.Image:
    """Return an image array as an 8-bit image.

    Args:
        array: ``(H, W)``, ``(H, W, C)`` or ``(C, H, W)``; uint8, or floats from 0 to 1.

    Raises:
        DataError: it has another shape or range.
    """
    shape = "×".join(map(str, array.shape))
    if array.ndim == 3 and array.shape[0] in (1, 3, 4) and array.shape[-1] not in (1, 3, 4):
        array = np.moveaxis(array, 0, -1)
    if array.ndim == 3 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[-1] not in (3, 4)):
        raise DataError(f"predict: an array of {shape} is no image. Expected H×W, H×W×C or C×H×W.")
    if np.issubdtype(array.dtype, np.floating):
        if not (np.isfinite(array).all() and array.min() >= 0 and array.max() <= 1):
            raise DataError(
                f"predict: the image has values from {array.min():.3g} to {array.max():.3g}. "
                "Expected floats from 0 to 1 before any normalization, or uint8."
            )
        array = np.round(array * 255)
    if array.min() < 0 or array.max() > 255:
        raise DataError(
            f"predict: the image has values from {array.min()} to {array.max()}, expected 0 to 255."
        )
    return Image.fromarray(array.astype(np.uint8))
