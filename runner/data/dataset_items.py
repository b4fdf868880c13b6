"""Items of a map-style ``torch.utils.data.Dataset``, and the facts that one pass over them shows."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from runner.data.sampler import seed_of
from runner.data.split import seeded
from runner.errors import DataError

__all__ = ["ItemReader", "MapDataset", "Scan", "Target", "scan", "seeded_everywhere"]

INPUT_KEYS = ("inputs", "input", "x", "image", "features")
TARGET_KEYS = ("targets", "target", "y", "label", "labels")

Target = str | int | Tensor
"""A class name, a class id or whole number, or numbers ``(K,)``."""


class MapDataset(Protocol):
    """A map-style dataset, such as a subclass of ``torch.utils.data.Dataset`` with a length."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Any: ...


@contextmanager
def seeded_everywhere(seed: int) -> Iterator[None]:
    """Seeds the generators of torch (CPU), NumPy and Python within the context.

    Their states are restored afterwards.
    """
    python_state, numpy_state = random.getstate(), np.random.get_state()
    random.seed(seed)
    np.random.seed(seed % 2**32)
    try:
        with seeded(seed):
            yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)


@dataclass(frozen=True)
class ItemReader:
    """Converts the items of a dataset to inputs and targets.

    Args:
        name: name of the dataset, for messages.
        input_key: key of the input if items are dicts; one of ``INPUT_KEYS`` when None.
        target_key: key of the target if items are dicts; one of ``TARGET_KEYS`` when None.
    """

    name: str
    input_key: str | None = None
    target_key: str | None = None

    def __call__(self, item: Any, index: int) -> tuple[Tensor, Target]:
        """Returns a float32 input and the target.

        Raises:
            DataError: the item is neither a pair nor a dict with the two keys, or holds something other than
                numbers.
        """
        where = f"{self.name}: item {index}"
        if isinstance(item, Mapping):
            value = item[self._key(item, self.input_key, INPUT_KEYS, "input", where)]
            target = item[self._key(item, self.target_key, TARGET_KEYS, "target", where)]
        elif isinstance(item, tuple | list) and len(item) == 2:
            value, target = item
        else:
            size = f" of {len(item)}" if isinstance(item, tuple | list) else ""
            raise DataError(
                f"{where} is a {type(item).__name__}{size}; expected a pair (x, y), or a dict with an input "
                "and a target."
            )
        return to_input(value, where), to_target(target, where)

    def _key(
        self, item: Mapping[str, Any], given: str | None, usual: Sequence[str], kind: str, where: str
    ) -> str:
        keys = [given] if given else [key for key in usual if key in item]
        if len(keys) == 1 and keys[0] in item:
            return keys[0]
        problem = f"no {given!r}" if given else f"{len(keys) or 'none'} of {', '.join(usual)}"
        raise DataError(
            f"{where} has the keys {', '.join(map(str, item))}, and {problem} for the {kind}. Set "
            f"data.{kind}_key to one of its keys."
        )


def to_input(value: Any, where: str) -> Tensor:
    """Converts a tensor, array, image or list to float32. Bytes (uint8) are divided by 255.

    An image becomes ``(C, H, W)``.
    """
    if isinstance(value, Image.Image):
        array = np.array(value)
        value = torch.from_numpy(array[None] if array.ndim == 2 else array.transpose(2, 0, 1))
    try:
        tensor = value if isinstance(value, Tensor) else torch.as_tensor(np.asarray(value))
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{where}: the input is a {type(value).__name__}; expected a tensor, an array, an image or "
            "numbers."
        ) from error
    if tensor.is_complex():
        raise DataError(f"{where}: the input holds complex numbers; expected real ones.")
    return tensor.float() / 255 if tensor.dtype == torch.uint8 else tensor.float()


def to_target(value: Any, where: str) -> Target:
    """Converts a target to a class name, a whole number, or float64 numbers ``(K,)``."""
    if isinstance(value, str):
        return value
    try:
        tensor = value.detach().cpu() if isinstance(value, Tensor) else torch.as_tensor(np.asarray(value))
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{where}: the target is a {type(value).__name__}; expected a class id, a class name or numbers."
        ) from error
    if tensor.ndim > 1:
        raise DataError(
            f"{where}: the target has the shape {tuple(tensor.shape)}; expected one class, or numbers (K,). "
            "Masks and boxes need a data module."
        )
    if tensor.numel() == 1 and not tensor.is_floating_point():
        return int(tensor)
    numbers = tensor.double().reshape(-1)
    if not bool(numbers.isfinite().all()):
        raise DataError(f"{where}: the target {numbers.tolist()} is not finite.")
    return numbers


@dataclass
class Scan:
    """What one pass over a dataset shows.

    Attributes:
        input_shape: shape of every input.
        targets: the target of each item.
        digest: fingerprint of inputs and targets; of the targets alone if items are random.
        is_random: whether an item differs between two reads, although the generators are seeded.
    """

    input_shape: tuple[int, ...]
    targets: list[Target]
    digest: str
    is_random: bool

    def kinds(self) -> set[type]:
        """Returns the types of the targets: ``str``, ``int``, ``Tensor``."""
        return {Tensor if isinstance(target, Tensor) else type(target) for target in self.targets}


def scan(dataset: MapDataset, reader: ItemReader, seed: int) -> Scan:
    """Reads every item once.

    Raises:
        DataError: the dataset is empty, items cannot be read, or their shapes differ.
    """
    if len(dataset) == 0:
        raise DataError(f"{reader.name} has no items.")
    digest = hashlib.blake2b(digest_size=16)
    first, _ = read(dataset, reader, seed, 0)
    again, _ = read(dataset, reader, seed, 0)
    is_random = first.shape != again.shape or not torch.equal(first, again)
    targets: list[Target] = []
    for index in range(len(dataset)):
        value, target = read(dataset, reader, seed, index)
        if value.shape != first.shape:
            raise DataError(
                f"{reader.name}: item {index} has an input of shape {tuple(value.shape)}, item 0 one of "
                f"shape {tuple(first.shape)}. All inputs need the same shape: resize, crop or pad them in "
                "__getitem__."
            )
        check_target(target, targets, reader.name)
        if not is_random:
            digest.update(value.contiguous().numpy().data)
        digest.update(repr(target.tolist() if isinstance(target, Tensor) else target).encode())
        targets.append(target)
    return Scan(tuple(first.shape), targets, digest.hexdigest(), is_random)


def check_target(target: Target, before: Sequence[Target], name: str) -> None:
    """Checks that a target is of the same kind as the first one.

    Raises:
        DataError: it is not; the message names both items.
    """
    if not before:
        return
    kinds = [
        f"{len(t)} numbers" if isinstance(t, Tensor) else f"the {type(t).__name__} {t!r}"
        for t in (target, before[0])
    ]
    if type(target) is not type(before[0]) or (isinstance(target, Tensor) and kinds[0] != kinds[1]):
        raise DataError(
            f"{name}: the target of item {len(before)} is {kinds[0]}, that of item 0 is {kinds[1]}. All "
            "targets need the same type and number of values."
        )


def read(dataset: MapDataset, reader: ItemReader, seed: int, index: int) -> tuple[Tensor, Target]:
    """Reads an item with seeded generators.

    Raises:
        DataError: the dataset raised an error; the message names the item.
    """
    try:
        with seeded_everywhere(seed_of(seed, 0, index)):
            item = dataset[index]
    except Exception as error:  # the user's code may raise anything
        raise DataError(
            f"{reader.name}: item {index} cannot be read: {type(error).__name__}: {error}"
        ) from error
    return reader(item, index)
