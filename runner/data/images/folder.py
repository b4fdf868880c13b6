"""Images in folders, one folder per class."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Literal, Unpack, cast

import numpy as np
from annotated_types import Ge, Gt, Le, Lt
from torch import Tensor

from runner.data.base import DataModule, LoaderOptions
from runner.data.facts import Facts
from runner.data.images.array import ImageTransform
from runner.data.images.brightness import WhiteLevel
from runner.data.images.cut import ImageCut, count_problems, cut_tree, fraction_problems
from runner.data.images.decode import read_header, read_new_image
from runner.data.images.source import ImageFileSource, ImageFitter
from runner.data.images.tree import ImageTree, find_problems, image_files
from runner.data.images.verify import BROKEN_LIST, BrokenFile, read_broken, verify_images
from runner.data.measurements import Measurements, spread
from runner.data.split import Split
from runner.data.standardize import Standardize
from runner.errors import DataError

__all__ = ["IMAGENET_MEAN", "IMAGENET_STD", "ImageFolderDataModule", "ImageFolderOptions"]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

logger = logging.getLogger(__name__)


class ImageFolderOptions(LoaderOptions, total=False):
    """Keyword arguments that subclasses forward to ``ImageFolderDataModule``."""

    image_size: int
    fit: Literal["crop", "squeeze"]
    crop_fraction: float
    augment: Callable[..., Tensor] | None
    val_fraction: float | None
    test_fraction: float | None
    split_seed: int
    broken: str | None
    batch_size: int
    max_value: float | None


class ImageFolderDataModule(WhiteLevel, DataModule):
    """A folder of images: ``ROOT/CLASS/IMAGE``, or the same below ``train``, ``val`` and ``test``.

    Without split folders the images are split at random, stratified by class. An existing val folder is used
    unchanged; a test split then requires a test folder, or a ``test_fraction`` that is split off from val.
    Empty files and those listed in the folder's ``broken.json`` are left out.

    Args:
        root: the folder.
        image_size: side of the square model input, in pixels.
        fit: how images become square in validation, test and prediction: centre crop, or resizing of the
            whole image.
        crop_fraction: fraction of the shorter side that the centre crop shows.
        augment: random augmentation of training images; None treats them like validation images.
        can_flip: whether mirroring preserves the class.
        val_fraction: fraction of all images, or of train with split folders; 0.15 when None. Only without a
            val folder.
        test_fraction: fraction of all images, 0.15 when None; with split folders, if given, of val or else of
            train. Only without a test folder.
        split_seed: seed of the split.
        broken: a list of files to leave out, written by ``runner data verify``, instead of ``broken.json``.
        max_value: the brightest value of images with 16 or 32 bits or of floating-point numbers, which
            becomes white: 4095 for 12 bits. When None, images of 16 bits whose brightest value shows that
            they have 8, 10, 12 or 14 bits are scaled accordingly, and others have 65535 as white.
    """

    extra_facts = ("set_aside",)
    can_scale = True
    groups_by = "name"

    def __init__(
        self,
        root: str,
        *,
        image_size: Annotated[int, Ge(8), Le(4096)] = 224,
        fit: Literal["crop", "squeeze"] = "crop",
        crop_fraction: Annotated[float, Gt(0), Le(1)] = 0.875,
        augment: Callable[..., Tensor] | None = None,
        can_flip: bool = True,
        val_fraction: Annotated[float, Gt(0), Lt(1)] | None = None,
        test_fraction: Annotated[float, Ge(0), Lt(1)] | None = None,
        split_seed: Annotated[int, Ge(0)] = 0,
        broken: str | None = None,
        batch_size: Annotated[int, Gt(0)] = 32,
        max_value: Annotated[float, Gt(0)] | None = None,
        **options: Unpack[LoaderOptions],
    ) -> None:
        super().__init__(batch_size=batch_size, **options)
        self.root = root
        self.image_size = image_size
        self.augment = augment
        self.can_flip = can_flip
        self.val_fraction = val_fraction
        self.test_fraction = test_fraction
        self.split_seed = split_seed
        self.broken = broken
        self.max_value = max_value
        self.fitter = ImageFitter(image_size, fit, crop_fraction)
        self.normalize = Standardize.for_images(IMAGENET_MEAN, IMAGENET_STD)

    @property
    def folder(self) -> Path:
        """The folder of the images."""
        return Path(self.root).expanduser()

    @property
    def title(self) -> str:
        """The name of the data set."""
        return self.folder.absolute().name

    @property
    def origin(self) -> str:
        """The origin of the images."""
        return str(self.folder.absolute())

    def check(self) -> list[str]:
        try:
            return self._scan()[2]
        except DataError as error:
            return [str(error)]

    def _scan(self) -> tuple[ImageTree | None, ImageCut | None, list[str]]:
        """List the folder without opening files, and return the tree, the splits and the problems."""
        tree, problems = find_problems(str(self.folder))
        if tree is None or problems:
            return tree, None, problems
        problems = fraction_problems(tree, self.val_fraction, self.test_fraction)
        if problems:
            return tree, None, problems
        left_out = {entry.path for entry in self.listed_broken()}
        fractions = self.val_fraction, self.test_fraction
        cut = cut_tree(tree, left_out, *fractions, self.split_seed, self.split_names)
        if "val" not in tree.folders:
            parts = self.fold(cut.splits["train"], cut.splits["val"], cut.targets, cut.paths.__getitem__)
            cut.splits["train"], cut.splits["val"] = parts
        # A fold may have no sample of a rare class, which is reported for all folds at once.
        splits = [split for split in cut.splits if self.fold_cut is None or split == "test"]
        return tree, cut, count_problems(cut, splits)

    def listed_broken(self) -> list[BrokenFile]:
        """Return the files that are listed as broken.

        Raises:
            DataError: the list is invalid, or the configured list does not exist.
        """
        if self.broken and not Path(self.broken).expanduser().is_file():
            raise DataError(f"data.broken={self.broken}: no such file.")
        return read_broken(Path(self.broken).expanduser() if self.broken else self.folder / BROKEN_LIST)

    def setup(self, stage: str | None = None) -> None:
        """Lists the folder, once. Not needed for prediction."""
        if self.splits or stage == "predict":
            return
        tree, cut, problems = self._scan()
        if problems or tree is None or cut is None:
            raise DataError("\n".join(problems))
        set_aside = sorted({entry.path: entry for entry in [*self.listed_broken(), *cut.empty]}.values())
        for note in tree.notes:
            logger.warning(note)
        self.dropped.extend(tree.dropped)
        self.dropped.add(
            "images", len(set_aside), "set aside as broken", where=self.folder, examples=map(str, set_aside)
        )
        self.detect_white([self.folder / path for path in cut.paths])
        source = ImageFileSource(self.folder, cut.paths, cut.targets, self.white)
        transforms = {"train": self._train_transform()}
        self.splits = {
            split: Split(source, cut.splits[split], transforms.get(split, self.fitter), self.seed)
            for split in ("train", "val", "test")
            if split in cut.splits
        }
        self.report_shared_names()
        self.facts = self._facts(cut, set_aside)

    def measurements(self) -> Measurements:
        train = self.splits["train"]
        source = cast(ImageFileSource, train.source)
        files = [self.folder / source.paths[int(train.indices[index])] for index in spread(len(train))]
        headers = [header for file in files if (header := read_header(file))]
        sizes = np.array([(header.height, header.width) for header in headers])
        return Measurements(
            image_sizes=sizes if len(sizes) else None, are_gray=all(header.is_gray for header in headers)
        )

    def _train_transform(self) -> Callable:
        if self.augment is None:
            return self.fitter
        return ImageTransform(self.augment, self.image_size, self.can_flip)

    def _facts(self, cut: ImageCut, set_aside: Sequence[BrokenFile]) -> Facts:
        listing = "".join(f"{path}\0{size}\n" for path, size in zip(cut.paths, cut.sizes, strict=True))
        return Facts(
            task="classification",
            input_shape=(3, self.image_size, self.image_size),
            num_outputs=len(cut.class_names),
            class_names=cut.class_names,
            class_counts=cut.counts("train"),
            **self.split_sizes(),
            name=self.title,
            source=self.origin,
            digest=hashlib.blake2b(listing.encode(), digest_size=16).hexdigest(),
            extra={"set_aside": [f"{entry.path}: {entry.reason}" for entry in set_aside]},
        )

    def verify(self) -> list[BrokenFile]:
        """Decode every image of the folder, including those set aside.

        Raises:
            DataError: the folder has problems.
        """
        tree, _, problems = self._scan()
        if tree is None:
            raise DataError("\n".join(problems))
        return verify_images(self.folder, tree.paths(), max_value=self.max_value)

    def read_inputs(self, paths: Sequence[str]) -> list[tuple[str, Tensor]]:
        """Reads image files, including those in folders, and resizes them to uint8 ``(3, size, size)``.

        Raises:
            DataError: a path does not exist, or a folder contains no images.
            DataError: a file cannot be decoded.
        """
        files = [file for path in paths for file in image_files(path)]
        return [(file, self.fitter(read_new_image(file, self.white))[0]) for file in files]
