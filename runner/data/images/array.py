"""Base class of data sets of small labelled images that are kept in memory as one array."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, ClassVar, Unpack

import torch
from annotated_types import Gt
from torch import Tensor
from torch.nn.functional import interpolate

from runner.data.base import DataModule, LoaderOptions
from runner.data.facts import Facts, digest_tensors
from runner.data.images.decode import read_new_image
from runner.data.images.principal import PrincipalComponents
from runner.data.images.tree import image_files
from runner.data.split import ArraySource, Split
from runner.data.standardize import Standardize
from runner.errors import DataError

__all__ = ["ImageArrayDataModule", "ImageArrayOptions", "fit_image"]


def fit_image(image: Tensor, shape: Sequence[int]) -> Tensor:
    """Convert an image to the channels and the size of a data set (the aspect ratio is not preserved).

    Args:
        image: uint8 ``(3, H, W)``.
        shape: ``(C, H, W)`` of the result, with C = 1 or 3.
    """
    if shape[0] == 1:
        red, green, blue = image.int()
        image = ((299 * red + 587 * green + 114 * blue + 500) // 1000).to(torch.uint8)[None]
    if image.shape[1:] == tuple(shape[1:]):
        return image
    resized = interpolate(image[None].float(), size=tuple(shape[1:]), mode="bilinear", antialias=True)[0]
    return resized.round().clamp(0, 255).to(torch.uint8)


class ImageArrayOptions(LoaderOptions, total=False):
    """Keyword arguments that subclasses forward to ``ImageArrayDataModule``."""

    augment: Callable[..., Tensor] | None
    num_components: int | None
    batch_size: int


class ImageArrayDataModule(DataModule):
    """Labelled uint8 images in memory; whole batches are gathered by indexing.

    A subclass sets the class attributes below and implements ``read``.

    Args:
        augment: ``(image, size, can_flip) -> image`` on uint8 ``(C, H, W)``, for training only; samples are
            then read individually.
        num_components: number of principal components of the training images that replace the pixels, each
            with unit variance.

    Attributes:
        title: name of the data set.
        image_shape: ``(C, H, W)``.
        mean, std: statistics of the training images' channels, as fractions of 255.
        can_flip: whether mirroring preserves the class.
    """

    title: ClassVar[str]
    class_names: ClassVar[tuple[str, ...]]
    image_shape: ClassVar[tuple[int, int, int]]
    mean: ClassVar[tuple[float, ...]]
    std: ClassVar[tuple[float, ...]]
    can_flip: ClassVar[bool] = False
    extra_facts: ClassVar[tuple[str, ...] | None] = ()

    def __init__(
        self,
        *,
        augment: Callable[..., Tensor] | None = None,
        num_components: Annotated[int, Gt(0)] | None = None,
        batch_size: Annotated[int, Gt(0)] = 64,
        **options: Unpack[LoaderOptions],
    ) -> None:
        super().__init__(batch_size=batch_size, **options)
        self.augment = augment
        self.num_components = num_components
        self.normalize = Standardize.for_images(self.mean, self.std)

    def read(self) -> dict[str, tuple[ArraySource, Tensor]]:
        """Return the source and the indices of each split."""
        raise TypeError(f"{type(self).__name__} does not implement read().")

    def source_name(self) -> str:
        """Return the origin of the images, for the facts."""
        return ""

    def setup(self, stage: str | None = None) -> None:
        """Reads the arrays, once. Not needed for prediction."""
        if self.splits or stage == "predict":
            return
        parts = self.read()
        sources = {id(source): source for source, _ in parts.values()}
        for source in sources.values():
            self._check_arrays(source)
        self.splits = {
            name: Split(source, indices, self._transform() if name == "train" else None, self.seed)
            for name, (source, indices) in parts.items()
        }
        train_source, train_indices = parts["train"]
        if self.num_components and not isinstance(self.normalize, PrincipalComponents):
            self.normalize = PrincipalComponents.fitted(
                train_source.inputs[train_indices], self.num_components
            )
        counts = torch.bincount(train_source.targets[train_indices], minlength=len(self.class_names))
        arrays = [array for source in sources.values() for array in (source.inputs, source.targets)]
        self.facts = Facts(
            task="classification",
            input_shape=(self.num_components,) if self.num_components else self.image_shape,
            num_outputs=len(self.class_names),
            class_names=list(self.class_names),
            class_counts=counts.tolist(),
            **self.split_sizes(),
            name=self.title,
            source=self.source_name(),
            digest=digest_tensors(*arrays),
        )

    def state_dict(self) -> dict[str, Any]:
        return self.normalize.state_dict() if self.num_components else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if self.num_components:
            self.normalize = PrincipalComponents(state_dict["center"], state_dict["components"])

    def _check_arrays(self, source: ArraySource) -> None:
        shape, last = tuple(source.inputs.shape[1:]), len(self.class_names) - 1
        if shape != self.image_shape:
            raise DataError(
                f"The images of {self.source_name()} have the shape {shape}; {self.title} has "
                f"{self.image_shape}."
            )
        highest = int(source.targets.max())
        if highest > last:
            raise DataError(
                f"The labels of {self.source_name()} go up to {highest}; those of {self.title} are 0 to "
                f"{last}. Is it another data set?"
            )

    def _transform(self) -> Callable[[Any, Any], tuple[Any, Any]] | None:
        if self.augment is None:
            return None
        return ImageTransform(self.augment, self.image_shape[-1], self.can_flip)

    def read_inputs(self, paths: Sequence[str]) -> list[tuple[str, Tensor]]:
        """Reads image files, including those in folders, and converts them to uint8 ``(C, H, W)``.

        Raises:
            DataError: a path does not exist, or a folder contains no images.
            DataError: a file cannot be decoded.
        """
        files = [file for path in paths for file in image_files(path)]
        return [(file, fit_image(read_new_image(file, can_scale=False), self.image_shape)) for file in files]


class ImageTransform:
    """Adapter of an image augmentation to the transform of a split.

    Args:
        augment: an augmentation such as ``runner.data.images.augment.ImageAugment``.
        size: size of the images, in pixels.
        can_flip: whether images may be mirrored.
    """

    def __init__(self, augment: Callable[..., Tensor], size: int, can_flip: bool) -> None:
        self.augment = augment
        self.size = size
        self.can_flip = can_flip

    def __call__(self, image: Tensor, target: Any) -> tuple[Tensor, Any]:
        return self.augment(image, self.size, can_flip=self.can_flip), target
