"""Every sample read once; those that cannot be read are named."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runner.data.base import DataModule

__all__ = ["broken_samples", "verify"]


def verify(data: DataModule, as_json: bool) -> int:
    """Prints the samples that are broken.

    Returns:
        0 when there are none, 1 otherwise.
    """
    data.prepare_data()
    data.setup("fit")
    broken = broken_samples(data)
    total = sum(len(split) for split in data.splits.values())
    if as_json:
        print(json.dumps({"samples": total, "broken": broken}, indent=2))
        return int(bool(broken))
    for problem in broken:
        print(f"{problem['split']}: {problem['sample']}: {problem['reason']}")
    if broken:
        print(f"{len(broken)} of {total} samples are broken. Mend or remove their files before you train.")
    else:
        print(f"All {total} samples can be read.")
    return int(bool(broken))


def broken_samples(data: DataModule) -> list[dict[str, str]]:
    """``split``, ``sample`` and ``reason`` of each sample that its split cannot give."""
    from rich.console import Console
    from rich.progress import track

    broken = []
    console = Console(stderr=True)
    for name, split in data.splits.items():
        positions = track(
            range(len(split)),
            f"reading {name}",
            console=console,
            transient=True,
            disable=not sys.stderr.isatty(),
        )
        for position in positions:
            try:
                split.sample(0, position)
            except Exception as error:  # whatever a decoder raises: the file is what matters
                cause = error.__cause__ or error
                reason = f"{type(cause).__name__}: {cause}"
                sample = split.name(int(split.indices[position]))
                broken.append({"split": name, "sample": sample, "reason": reason})
    return broken
