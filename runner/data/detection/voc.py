"""Pascal VOC: an XML file an image in ``Annotations``, images in ``JPEGImages``, lists of names in ``ImageSets/Main``.

Everingham et al., "The Pascal visual object classes (VOC) challenge" (2010).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, NamedTuple
from xml.etree import ElementTree

import numpy as np
from annotated_types import Ge, Gt, Lt

from runner.data.detection.faults import BadBoxes
from runner.data.detection.folder import AnnotatedImagesDataModule
from runner.data.detection.layout import broken_link
from runner.data.detection.table import BoxTable, Reading
from runner.data.images.augment import ImageAugment
from runner.data.images.tree import is_image
from runner.errors import DataError

__all__ = ["VocDataModule"]

LISTS = {"train": ("train", "trainval"), "val": ("val",), "test": ("test",)}


class Parsed(NamedTuple):
    """One XML file.

    Attributes:
        size: width and height, 0 where they are not told.
        objects: class, box xyxy in pixels from 0, and whether it is marked as difficult.
    """

    stem: str
    filename: str
    size: tuple[int, int]
    objects: list[tuple[str, tuple[float, float, float, float], bool]]


class VocDataModule(AnnotatedImagesDataModule):
    """Boxes in Pascal VOC's XML. Their pixels are counted from 1, and are so read.

    ``ImageSets/Main/train.txt``, ``val.txt`` and ``test.txt`` say which image is whose; without a list for train
    all images are, and val is cut from them. A folder of the development kit (``VOCdevkit/VOC2012``) is found.

    Args:
        root: the folder.
        class_names: the classes, in the order of their labels; those of the training images, sorted, when None.
        difficult: what is done with objects marked as difficult: ``ignore`` them in training, and count it
            neither as right nor as wrong when they are found; or ``keep`` them like all others.

    The others are those of AnnotatedImagesDataModule.
    """

    def __init__(
        self,
        root: str,
        class_names: list[str] | None = None,
        difficult: Literal["ignore", "keep"] = "ignore",
        bad_boxes: BadBoxes = "refuse",
        num_images: Annotated[int, Gt(0)] | None = None,
        augment: ImageAugment | None = None,
        can_flip: bool = True,
        val_fraction: Annotated[float, Gt(0), Lt(1)] = 0.15,
        split_seed: Annotated[int, Ge(0)] = 0,
        batch_size: Annotated[int, Gt(0)] = 4,
        eval_batch_size: Annotated[int, Gt(0)] | None = None,
        num_workers: Annotated[int, Ge(0)] = 0,
        seed: Annotated[int, Ge(0)] = 0,
        drop_last: bool = False,
        max_value: Annotated[float, Gt(0)] | None = None,
    ):
        super().__init__(
            root, bad_boxes, num_images, augment, can_flip, val_fraction, split_seed,
            batch_size, eval_batch_size, num_workers, seed, drop_last, max_value,
        )  # fmt: skip
        self.class_names = class_names
        self.difficult = difficult

    @property
    def base(self) -> Path:
        """The folder that has ``Annotations``: the root, or the one folder below it that has."""
        below = [path.parent for path in (*self.folder.glob("*/Annotations"), *self.folder.glob("*/*/Annotations"))]
        return below[0] if len(below) == 1 and not (self.folder / "Annotations").is_dir() else self.folder

    @property
    def image_folder(self) -> Path | None:
        """``JPEGImages``, ``images``, or where the annotations are."""
        places = [self.base / name for name in ("JPEGImages", "images", "Images", "Annotations")]
        return next((place for place in places if holds_images(place)), None)

    def layout_problems(self) -> list[str]:
        base = self.base
        if not (base / "Annotations").is_dir():
            return [f"data.root={self.root} has no folder Annotations with an XML file for each image."]
        if self.image_folder is None:
            link = broken_link(base / "JPEGImages")
            hint = f" JPEGImages is a text file that says {link!r}: a symbolic link copied as a file." if link else ""
            return [f"{base} has no images in JPEGImages, images or Annotations.{hint}"]
        return []

    def read(self) -> tuple[dict[str, Reading], list[str]]:
        parsed = {split: self.parse(names) for split, names in self.listed().items()}
        class_names = self.class_names
        if class_names is None:
            class_names = sorted({name for entry in parsed["train"][0] for name, *_ in entry.objects})
        return {split: self.reading(*part, class_names) for split, part in parsed.items()}, list(class_names)

    def listed(self) -> dict[str, list[str]]:
        """Names of images without extension, by split."""
        folder = self.base / "ImageSets" / "Main"
        found: dict[str, list[str]] = {}
        for split, names in LISTS.items():
            file = next((folder / f"{name}.txt" for name in names if (folder / f"{name}.txt").is_file()), None)
            if file is not None:
                lines = file.read_text(encoding="utf-8-sig").splitlines()
                found[split] = [line.split()[0] for line in lines if line.strip()]
        others = {name for split in ("val", "test") for name in found.get(split, ())}
        every = sorted(path.stem for path in (self.base / "Annotations").glob("*.xml"))
        found["train"] = [name for name in found.get("train", every) if name not in others]
        empty = [split for split, names in found.items() if not names]
        if empty:
            raise DataError(f"{self.base} lists no images for {', '.join(empty)}.")
        return found

    def parse(self, names: list[str]) -> tuple[list[Parsed], list[str]]:
        """The annotations of the named images, and those that cannot be read."""
        found, corrupt = [], []
        for name in names:
            path = self.base / "Annotations" / f"{name}.xml"
            try:
                found.append(parse_xml(path))
            except FileNotFoundError:
                corrupt.append(f"{path.name} (there is no such file)")
            except (OSError, ElementTree.ParseError, ValueError, AttributeError) as error:
                corrupt.append(f"{path.name} ({error})")
        return found, corrupt

    def reading(self, parsed: list[Parsed], corrupt: list[str], class_names: list[str]) -> Reading:
        root = self.image_folder
        names = {path.stem: path.name for path in root.iterdir() if is_image(path.name)}
        label = {name: place for place, name in enumerate(class_names)}
        rows = [
            (place, *box, label.get(name, -1), difficult and self.difficult == "ignore")
            for place, entry in enumerate(parsed)
            for name, box, difficult in entry.objects
        ]
        columns = np.array(rows, dtype=np.float64).reshape(-1, 7)
        unknown = [name for entry in parsed for name, *_ in entry.objects if name not in label]
        table = BoxTable.build(
            [names.get(entry.stem, entry.filename) for entry in parsed],
            columns[:, 0],
            columns[:, 1:5],
            columns[:, 5],
            sizes=np.array([entry.size for entry in parsed]),
            crowd=columns[:, 6] > 0,
        )
        return Reading(table, str(root), corrupt, unknown)


def holds_images(folder: Path) -> bool:
    return folder.is_dir() and any(is_image(path.name) for path in folder.iterdir())


def parse_xml(path: Path) -> Parsed:
    """Raises OSError, ParseError or ValueError when it is no annotation."""
    tree = ElementTree.parse(path).getroot()
    if tree.tag != "annotation":
        raise ValueError(f"its root is <{tree.tag}>, expected <annotation>")
    size = tuple(int(float(tree.findtext(f"size/{side}") or 0)) for side in ("width", "height"))
    objects = []
    for entry in tree.iter("object"):
        name, box = entry.findtext("name"), entry.find("bndbox")
        if not name or box is None:
            raise ValueError("an <object> without <name> or <bndbox>")
        xmin, ymin, xmax, ymax = (float(box.findtext(side) or "nan") for side in ("xmin", "ymin", "xmax", "ymax"))
        difficult = (entry.findtext("difficult") or "0").strip() == "1"
        objects.append((name.strip(), (xmin - 1, ymin - 1, xmax, ymax), difficult))
    filename = (tree.findtext("filename") or "").strip() or f"{path.stem}.jpg"
    return Parsed(path.stem, filename, size, objects)
