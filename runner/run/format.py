"""The format of run and sweep directories, and the reading of configs of any format.

Format 0: runs from before the format was recorded; ``status.json`` holds no ``format_version``.
Format 1: modules have moved. Configs and checkpoints of format 0 are migrated while they are read, by
`runner.run.migrations`; resuming a run writes its config with the current names.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from runner.errors import DamagedFileError, UserError
from runner.run.files import read_json
from runner.run.migrations import migrate_names
from runner.run.small_files import MAX_YAML_BYTES, check_events, parse_yaml, read_text

if TYPE_CHECKING:
    from omegaconf import DictConfig, ListConfig

__all__ = ["FORMAT_VERSION", "format_of", "read_config", "read_stored_config", "reject_newer_format"]

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


def read_config(path: Path) -> DictConfig | ListConfig:
    """Read a YAML file that a user has written; see ``read_stored_config`` for those of run directories.

    Raises:
        DamagedFileError: the file is larger or deeper than permitted.
        Exception: the file is no YAML; YAML, encoding and interpolation errors have no common base class.
    """
    import yaml
    from omegaconf import OmegaConf

    text = migrate_names(read_text(path, MAX_YAML_BYTES))
    check_events(path, yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
    return OmegaConf.load(io.StringIO(text))


def read_stored_config(path: Path) -> DictConfig:
    """Read a config, in which names of earlier formats are replaced by the current ones.

    Raises:
        DamagedFileError: the file is no YAML, or not as expected; see `runner.run.small_files`.
        UserError: the config belongs to a directory of a newer format.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    reject_newer_format(path.parent)
    text = migrate_names(read_text(path, MAX_YAML_BYTES))
    if not isinstance(parse_yaml(path, text), dict):
        raise DamagedFileError(f"{path} is damaged: expected a mapping of settings. Restore it from a copy.")
    try:
        return cast("DictConfig", OmegaConf.load(io.StringIO(text)))
    except (ValueError, YAMLError, OmegaConfBaseException) as error:  # such as a duplicated key
        reason = " ".join(str(error).split())
        raise DamagedFileError(f"{path} is damaged: {reason}. Restore it from a copy.") from error
