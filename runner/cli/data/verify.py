"""Every sample read once; those that cannot be read are named, and set aside if that is wished."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runner.data.base import DataModule

__all__ = ["broken_samples", "verify"]


def verify(data: DataModule, set_aside: bool, as_json: bool) -> int:
    """Prints the samples that are broken.

    Args:
        set_aside: write the list that training leaves out into the data set's folder.

    Returns:
        0 when there are none or they are set aside, 1 otherwise.
    """
    from runner.errors import UserError

    if set_aside and not is_folder_of_files(data):
        raise UserError(f"--set-aside: {type(data).__name__} reads no single files that could be left out.")
    data.prepare_data()
    broken, total = broken_files(data) if is_folder_of_files(data) else broken_samples(data)
    if as_json:
        print(json.dumps({"samples": total, "broken": dict(broken)}, indent=2, ensure_ascii=False))
    else:
        print_broken(broken, total)
    if set_aside:
        file = write_list(data, broken, total)
        if not as_json:
            print(f"Listed in {file}: training leaves them out.")
    return int(bool(broken) and not set_aside)


def print_broken(broken: list[tuple[str, str]], total: int) -> None:
    for name, reason in broken:
        print(f"{name}: {reason}")
    if broken:
        print(
            f"{len(broken)} of {total} samples are broken. Mend or remove them, or leave them out with --set-aside."
        )
    else:
        print(f"All {total} samples can be read.")


def is_folder_of_files(data: DataModule) -> bool:
    """Whether the data set checks its files itself, and keeps a list of those to leave out."""
    return hasattr(data, "verify") and hasattr(data, "folder")


def broken_files(data: DataModule) -> tuple[list[tuple[str, str]], int]:
    from runner.data.images.tree import scan_tree

    broken = [(file.path, file.reason) for file in data.verify()]
    files = data.files() if hasattr(data, "files") else scan_tree(data.folder).paths()
    return broken, len(files)


def broken_samples(data: DataModule) -> tuple[list[tuple[str, str]], int]:
    """Name and reason of each sample that its split cannot give, and the number of all."""
    from runner.data.download.progress import progress

    data.setup("fit")
    broken = []
    for label, split in data.splits.items():
        with progress(f"Reading {label}", len(split), "files") as show:
            for position in range(len(split)):
                try:
                    split.sample(0, position)
                except Exception as error:  # whatever a decoder raises: the sample is what matters
                    cause = error.__cause__ or error
                    broken.append(
                        (split.name(int(split.indices[position])), f"{type(cause).__name__}: {cause}")
                    )
                show(position + 1)
    return broken, sum(map(len, data.splits.values()))


def write_list(data: DataModule, broken: list[tuple[str, str]], total: int) -> Path:
    from runner.data.images.verify import BROKEN_LIST, BrokenFile, write_broken
    from runner.errors import UserError

    file = data.folder / BROKEN_LIST
    try:
        write_broken(file, [BrokenFile(*entry) for entry in broken], total)
    except OSError as error:
        raise UserError(f"{file} cannot be written: {error.strerror}.") from error
    return file
