"""Reads every sample of a data set once, and reports or excludes samples that cannot be read."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from runner.data.base import DataModule
    from runner.data.images.verify import BrokenFile

__all__ = ["broken_samples", "verify"]


def verify(data: DataModule, set_aside: bool, as_json: bool) -> int:
    """Print the broken samples.

    Args:
        data: the data module.
        set_aside: write a list of broken files into the data set's folder, which excludes them from training.
        as_json: print JSON.

    Returns:
        0 if there are none or they are excluded, 1 otherwise.
    """
    from runner.errors import UserError

    if set_aside and not isinstance(data, FolderOfFiles):
        raise UserError(
            f"--set-aside: {type(data).__name__} does not read single files that could be excluded."
        )
    data.prepare_data()
    broken, total = broken_files(data) if isinstance(data, FolderOfFiles) else broken_samples(data)
    if as_json:
        print(json.dumps({"samples": total, "broken": dict(broken)}, indent=2, ensure_ascii=False))
    else:
        print_broken(broken, total)
    if set_aside and isinstance(data, FolderOfFiles):
        file = write_list(data.folder, broken, total)
        if not as_json:
            print(f"Listed in {file}: they are excluded from training.")
    return int(bool(broken) and not set_aside)


def print_broken(broken: list[tuple[str, str]], total: int) -> None:
    for name, reason in broken:
        print(f"{name}: {reason}")
    if broken:
        print(
            f"{len(broken)} of {total} samples are broken. Repair or remove them, or exclude them with "
            "--set-aside."
        )
    else:
        print(f"All {total} samples can be read.")


@runtime_checkable
class FolderOfFiles(Protocol):
    """A data module that verifies its files itself, and supports a list of excluded files."""

    folder: Path

    def verify(self) -> Iterable[BrokenFile]:
        """Return the files that cannot be read."""
        ...


def broken_files(data: FolderOfFiles) -> tuple[list[tuple[str, str]], int]:
    """Return name and reason of each broken file, and the total number of files."""
    from runner.data.images.tree import scan_tree

    broken = [(file.path, file.reason) for file in data.verify()]
    files = data.files() if hasattr(data, "files") else scan_tree(data.folder).paths()
    return broken, len(files)


def broken_samples(data: DataModule) -> tuple[list[tuple[str, str]], int]:
    """Return name and reason of each sample that cannot be read, and the total number of samples."""
    from runner.data.download.progress import progress

    data.setup("fit")
    broken = []
    for label, split in data.splits.items():
        with progress(f"Reading {label}", len(split), "files") as show:
            for position in range(len(split)):
                try:
                    split.sample(0, position)
                except Exception as error:  # decoders raise arbitrary exceptions
                    cause = error.__cause__ or error
                    broken.append(
                        (split.name(int(split.indices[position])), f"{type(cause).__name__}: {cause}")
                    )
                show(position + 1)
    return broken, sum(map(len, data.splits.values()))


def write_list(folder: Path, broken: list[tuple[str, str]], total: int) -> Path:
    from runner.data.images.verify import BROKEN_LIST, BrokenFile, write_broken
    from runner.errors import UserError

    file = folder / BROKEN_LIST
    try:
        write_broken(file, [BrokenFile(*entry) for entry in broken], total)
    except OSError as error:
        raise UserError(f"{file} cannot be written: {error.strerror}.") from error
    return file
