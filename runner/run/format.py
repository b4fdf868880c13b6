"""The format of run and sweep directories, and the reading of configs of any format.

Format 0: runs from before the format was recorded; ``status.json`` holds no ``format_version``.
Format 1: modules have moved. Configs and checkpoints of format 0 are migrated while they are read, by
`runner.run.migrations`; resuming a run writes its config with the current names.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from runner.errors import UserError
from runner.run.files import read_json
from runner.run.migrations import migrate_names

if TYPE_CHECKING:
    from omegaconf import DictConfig

__all__ = ["FORMAT_VERSION", "format_of", "read_stored_config", "reject_newer_format"]

FORMAT_VERSION = 1
"""Format of the directories that this version writes; it reads all earlier ones."""

KEY = "format_version"
"""Key of ``status.json``."""


def format_of(status: dict[str, Any] | None) -> int:
    """Return the format that the content of ``status.json`` states; a directory without a status is new."""
    return FORMAT_VERSION if status is None else int(status.get(KEY, 0))


def reject_newer_format(directory: Path) -> None:
    """Reject a directory that a later version has written.

    Raises:
        UserError: its format is newer than `FORMAT_VERSION`.
    """
    try:
        version = format_of(read_json(directory / "status.json"))
    except ValueError:  # reported by the reader of the status
        return
    if version > FORMAT_VERSION:
        raise UserError(
            f"{directory} has format {version}, and this version of runner reads formats up to "
            f"{FORMAT_VERSION}. Use the version that wrote it, or a later one."
        )


def read_stored_config(path: Path) -> DictConfig:
    """Read a config, in which names of earlier formats are replaced by the current ones.

    Raises:
        UserError: the config belongs to a directory of a newer format.
    """
    from omegaconf import OmegaConf

    reject_newer_format(path.parent)
    text = migrate_names(path.read_text(encoding="utf-8"))
    return cast("DictConfig", OmegaConf.load(io.StringIO(text)))
