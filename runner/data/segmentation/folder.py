"""Data module of folders of images with masks."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Unpack

import torch
from annotated_types import Ge, Gt, Le, Lt
from torch import Tensor

from runner.data.base import LoaderOptions
from runner.data.detection.layout import folder_problems
from runner.data.download.progress import progress
from runner.data.images.augment import ImageAugment
from runner.data.images.verify import BROKEN_LIST, BrokenFile, read_broken, report_brightness
from runner.data.segmentation.base import SegmentationDataModule, Side
from runner.data.segmentation.classes import class_problems, numbered_lines, read_class_names, suspicion
from runner.data.segmentation.layout import MaskTree, Pair, cut_pairs, scan_masks, tree_problems
from runner.data.segmentation.mask_file import MaskEncoding, MaskReader
from runner.data.segmentation.mask_set import (
    MaskOrientation,
    PairHeaders,
    Survey,
    compare_headers,
    evenly_spread,
    load_entries,
    mask_set_problems,
    survey,
)
from runner.data.segmentation.source import MaskFileSource, shrunk
from runner.errors import BrokenSampleError, DataError

__all__ = ["MaskFolderDataModule"]

Byte = Annotated[int, Ge(0), Le(255)]
MAX_NAMED = 3

logger = logging.getLogger(__name__)


class MaskFolderDataModule(SegmentationDataModule):
    """A folder of images and masks with matching names.

    Masks are PNG, BMP, TIFF or GIF files with grey values, palette indices, or colours (see ``colors``).
    Without split folders the pairs are split at random.

    Args:
        root: the folder; see ``runner.data.segmentation.layout`` for the supported layouts.
        class_names: names in the order of the ids, including the background; ``classes.txt`` in the folder
            when None.
        class_values: mask value of each class; 0, 1, 2 … when None.
        colors: red, green and blue of each class, for colour masks and for pictures.
        ignore_index: value or values of ignored pixels; null if all pixels count.
        unknown: treatment of other values or colours: ``refuse`` the mask, or ``ignore`` those pixels.
        mask_encoding: ``index`` reads grey values and palette indices, ``color`` reads colours and applies
            palettes, ``auto`` decides by the files; see ``MaskReader``. Ambiguous masks are rejected, with
            both readings in the message.
        mask_orientation: orientation of a mask without an EXIF orientation if its image has one: ``upright``
            like the rotated image, or ``stored`` like the stored pixels, so that the mask is rotated, too.
            ``auto`` decides by the sizes and rejects pairs for which both are possible.
        resize_masks: scale masks to the size of their images, if they have the same aspect ratio; each pixel
            takes the class of the nearest one. Otherwise such pairs are rejected.
        unmasked: treatment of images without a mask: ``refuse`` to train, or ``drop`` them.
        images, masks: names of the two folders; detected when None.
        image_suffix, mask_suffix: suffixes after the common part of a pair's names.
        max_side: larger images are scaled down to this length of the longer side, in pixels, in training,
            evaluation and prediction.
        val_fraction: fraction of all pairs, or of train if there is no val folder; 0.15 when None.
        test_fraction: fraction of all pairs; 0.15 when None. Only without split folders.
        split_seed: seed of the split.
        max_value: the brightest value of images with 16 or 32 bits or of floating-point numbers, which
            becomes white: 4095 for 12 bits. When None, images of 16 bits whose brightest value shows that
            they have 8, 10, 12 or 14 bits are scaled accordingly, and others have 65535 as white.
    """

    can_scale = True
    groups_by = "name"

    def __init__(
        self,
        root: str,
        *,
        class_names: list[str] | None = None,
        class_values: list[Byte] | None = None,
        colors: list[list[int]] | None = None,
        ignore_index: Byte | list[Byte] | None = 255,
        unknown: Literal["refuse", "ignore"] = "refuse",
        mask_encoding: MaskEncoding = "auto",
        mask_orientation: MaskOrientation = "auto",
        resize_masks: bool = False,
        unmasked: Literal["refuse", "drop"] = "refuse",
        images: str | None = None,
        masks: str | None = None,
        image_suffix: str = "",
        mask_suffix: str = "",
        max_side: Side | None = None,
        crop_size: tuple[Side, Side] = (256, 256),
        augment: ImageAugment | None = None,
        can_flip: bool = True,
        val_fraction: Annotated[float, Gt(0), Lt(1)] | None = None,
        test_fraction: Annotated[float, Ge(0), Lt(1)] | None = None,
        split_seed: Annotated[int, Ge(0)] = 0,
        batch_size: Annotated[int, Gt(0)] = 8,
        max_value: Annotated[float, Gt(0)] | None = None,
        **options: Unpack[LoaderOptions],
    ) -> None:
        super().__init__(
            crop_size=crop_size,
            augment=augment,
            can_flip=can_flip,
            colors=colors,
            batch_size=batch_size,
            **options,
        )
        self.root = root
        self.given_names = class_names
        self.class_values = class_values
        self.ignored = [ignore_index] if isinstance(ignore_index, int) else list(ignore_index or ())
        self.unknown = unknown
        self.mask_encoding = mask_encoding
        self.mask_orientation = mask_orientation
        self.resize_masks = resize_masks
        self.unmasked = unmasked
        self.folder_names = images, masks
        self.suffixes = image_suffix, mask_suffix
        self.max_side = max_side
        self.fractions = val_fraction, test_fraction
        self.split_seed = split_seed
        self.max_value = max_value

    @property
    def folder(self) -> Path:
        """The folder of images and masks."""
        return Path(self.root).expanduser()

    @cached_property
    def class_names(self) -> list[str]:
        """The class names in the order of their ids."""
        return read_class_names(self.given_names, self.folder, self.ignored)

    def check(self) -> list[str]:
        """Returns problems with the settings, the folder's listing and the file headers.

        No pixels are decoded.
        """
        problems = self.listing_problems()
        return problems or self.header_problems()

    def listing_problems(self) -> list[str]:
        """Return problems with the settings and the folder's listing."""
        problems = folder_problems(self.root)
        if problems:
            return problems
        settings = class_problems(self.class_names, self.class_values, self.colors, self.ignored, self.folder)
        if not self.given_names and self.colors is None:
            settings += numbered_lines(self.class_names, self.class_values, self.folder)
        return [*tree_problems(self.scan(), self.unmasked == "drop", *self.fractions), *settings]

    def header_problems(self) -> list[str]:
        """Return problems with pairs whose sizes or orientations do not match, except those set aside."""
        try:
            set_aside = {entry.path for entry in self.listed_broken(self.scan())}
        except DataError as error:
            return [str(error)]
        faults = [fault for path, fault in self.headers.faults.items() if path not in set_aside]
        problems = faults[:MAX_NAMED]
        if len(faults) > MAX_NAMED:
            problems.append(f"{len(faults) - MAX_NAMED} more pairs of image and mask do not match.")
        if faults:
            problems[-1] += (
                " `runner data verify` lists all such pairs, and leaves them out with --set-aside."
            )
        return problems

    @cached_property
    def headers(self) -> PairHeaders:
        """The results of comparing the headers of all pairs in the folder."""
        pairs = [pair for pairs in self.scan().pairs.values() for pair in pairs]
        return compare_headers(self.folder, pairs, self.mask_orientation, self.resize_masks)

    def scan(self) -> MaskTree:
        """List the folder."""
        return scan_masks(self.folder, *self.folder_names, *self.suffixes)

    def setup(self, stage: str | None = None) -> None:
        """Lists the folder and inspects some masks, once. Not needed for prediction.

        Raises:
            DataError: the folder has problems; the message lists all of them.
        """
        if self.splits or stage == "predict":
            return
        problems = self.check()
        if problems:
            raise DataError("\n".join(problems))
        tree = self.scan()
        broken = self.listed_broken(tree)
        self.report_dropped(tree, broken)
        left_out = {entry.path for entry in broken}
        pairs = {
            split: [pair for pair in of_split if left_out.isdisjoint(pair)]
            for split, of_split in tree.pairs.items()
        }
        flat, indices = cut_pairs(pairs, *self.fractions, self.split_seed, self.split_names)
        if "val" in indices and "val" not in pairs:
            parts = self.fold(indices["train"], indices["val"], name=lambda index: flat[index][0])
            indices |= dict(zip(("train", "val"), parts, strict=True))
        self.reject_emptiness(indices)
        self.detect_white([self.folder / image for image, _ in flat])
        source = self.make_source(flat)
        self.settle_reading(source, indices)
        self.splits = {split: self.make_split(split, source, part) for split, part in indices.items()}
        self.report_shared_names()
        statistics = self.survey_train(len(self.class_names))
        self.reject_faults(statistics)
        title, origin = self.folder.absolute().name, str(self.folder.absolute())
        self.facts = self.make_facts(self.class_names, statistics, title, origin, self.digest(flat))

    def settle_reading(self, source: MaskFileSource, indices: dict[str, Tensor]) -> None:
        """Decide the reading of ambiguous masks, using some masks of each split.

        Raises:
            DataError: the masks together are ambiguous.
        """
        paths = [
            self.folder / source.pairs[index][1] for part in indices.values() for index in evenly_spread(part)
        ]
        masks = load_entries(source.reader, paths)
        source.reader.settle(mask for _, mask in masks)
        if problems := mask_set_problems(source.reader, masks):
            raise DataError("\n".join(problems))

    def report_dropped(self, tree: MaskTree, broken: Sequence[BrokenFile]) -> None:
        """Add images without a mask and broken files to ``dropped``."""
        self.dropped.extend(tree.dropped)
        for split, paths in tree.unmasked.items():
            where = self.folder if split == "all" else f"{self.folder} ({split})"
            total = len(paths) + len(tree.pairs[split])
            self.dropped.add("images", len(paths), "they have no mask", total, where, paths)
        self.dropped.add(
            "images", len(broken), "set aside as broken", where=self.folder, examples=map(str, broken)
        )

    def reject_emptiness(self, indices: dict[str, Tensor]) -> None:
        """Check that no required split is empty.

        Raises:
            DataError: the training or the validation split has no pairs.
        """
        missing = [split for split in ("train", "val") if split not in indices]
        if missing:
            raise DataError(
                f"{self.folder} has too few pairs of image and mask: none is left for {missing[0]}."
            )

    def reject_faults(self, statistics: Survey) -> None:
        """Check some samples of each split.

        Raises:
            DataError: a sample is unusable, or the training masks show fewer than two classes.
        """
        faults = statistics.faults[:MAX_NAMED]
        if len(statistics.faults) > MAX_NAMED:
            faults.append(
                f"So are {len(statistics.faults) - MAX_NAMED} more of the {statistics.num_samples} that were "
                "examined."
            )
        if statistics.faults:
            faults.append("`runner data verify` checks every file.")
        elif doubt := suspicion(statistics, self.class_names, self.ignored):
            faults.append(doubt)
        for split, part in self.splits.items():
            if split != "train" and not faults:
                faults += survey(part.source, part.indices, len(self.class_names)).faults[:MAX_NAMED]
        if faults:
            self.splits = {}
            raise DataError("\n".join(faults))

    def make_source(self, pairs: Sequence[Pair]) -> MaskFileSource:
        """Return the source of these pairs."""
        reader = MaskReader(
            len(self.class_names),
            self.class_values,
            self.colors,
            self.ignored,
            self.unknown,
            self.mask_encoding,
            self.class_names,
        )
        return MaskFileSource(self.folder, pairs, reader, self.max_side, self.headers, self.white)

    def digest(self, pairs: Sequence[Pair]) -> str:
        """Return a digest of the names and sizes of all files.

        Hashing their content would take as long as an epoch.
        """
        listing = "".join(
            f"{path}\0{(self.folder / path).stat().st_size}\n" for pair in pairs for path in pair
        )
        return hashlib.blake2b(listing.encode(), digest_size=16).hexdigest()

    def listed_broken(self, tree: MaskTree) -> list[BrokenFile]:
        """Return the files listed by ``runner data verify --set-aside``."""
        existing = {path for pairs in tree.pairs.values() for pair in pairs for path in pair}
        return [entry for entry in read_broken(self.folder / BROKEN_LIST) if entry.path in existing]

    def files(self) -> list[str]:
        """Return the paths of the images with a mask, relative to the root."""
        return [image for pairs in self.scan().pairs.values() for image, _ in pairs]

    def verify(self) -> list[BrokenFile]:
        """Read every pair and return the broken files.

        Raises:
            DataError: the folder has problems.
        """
        problems = self.listing_problems()
        if problems:
            raise DataError("\n".join(problems))
        source = self.make_source([pair for pairs in self.scan().pairs.values() for pair in pairs])
        self.settle_reading(source, {"all": torch.arange(len(source))})

        def fault(index: int) -> str | None:
            try:
                source[index]
            except BrokenSampleError as error:
                return str(error).rstrip(".")
            return None

        broken = []
        with (
            ThreadPoolExecutor() as pool,
            progress(f"Verifying {self.folder.name}", len(source), "files") as show,
        ):
            for index, reason in enumerate(pool.map(fault, range(len(source)))):
                if reason:
                    broken.append(BrokenFile(source.name(index), reason))
                show(index + 1)
        whole = sorted({image for image, _ in source.pairs} - {entry.path for entry in broken})
        report_brightness(self.folder, whole, self.max_value)
        return broken

    def read_inputs(self, paths: Sequence[str]) -> Iterator[tuple[str, Tensor]]:
        inputs = super().read_inputs(paths)
        return ((name, shrunk(image, self.max_side)) for name, image in inputs)
