"""The recorded state of a run, which is read from its directory once and passed along."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from runner.errors import CheckpointError, DamagedFileError
from runner.run.checkpoints import Checkpoint, read_index
from runner.run.directory import RunDir
from runner.run.files import read_json
from runner.run.folds import FOLD_PLAN
from runner.run.migrations import migrate_names
from runner.run.small_files import parse_yaml, read_text
from runner.run.status import Status, read_status

__all__ = ["RunState"]


class RunState:
    """The recorded state of a run.

    Each file is read on first access and then kept, so that all users of one object see the same values and
    no file is read twice. To poll a run that another process executes, call `reload`.

    Args:
        directory: the run's directory; missing files read as empty.
        tolerant: read unreadable and malformed files as empty too, as reports of damaged runs require.

    Example:
        >>> from runner.run.directory import find_run
        >>> state = RunState(find_run("latest"))  # doctest: +SKIP
        >>> state.status.state, state.results["val"]  # doctest: +SKIP
        ('finished', {'val/loss': 0.11, 'val/accuracy': 0.97})
    """

    def __init__(self, directory: RunDir, tolerant: bool = False) -> None:
        self.directory = directory
        self.tolerant = tolerant

    def __repr__(self) -> str:
        return f"RunState({str(self.directory.path)!r})"

    @property
    def name(self) -> str:
        """The run's name."""
        return self.directory.name

    @cached_property
    def status(self) -> Status:
        """State and progress; ``lost`` if the process of a running run is gone."""
        try:
            return read_status(self.directory)
        except DamagedFileError as error:
            if self.tolerant:
                return Status(state="damaged", reason=str(error))
            raise

    @cached_property
    def damage(self) -> str | None:
        """The message about the first damaged small file; None if all are intact."""
        directory = self.directory
        try:
            read_status(directory)
            read_index(directory.checkpoints)
            for path in (directory.config_path, directory.path / "base.yaml"):
                if path.exists():
                    parse_yaml(path)
            for path in (directory.provenance_path, directory.facts_path, directory.results_path):
                read_json(path, {})
        except (DamagedFileError, CheckpointError) as error:
            return str(error)
        return None

    @property
    def is_finished(self) -> bool:
        """Whether the run was trained to its end."""
        return self.status.state == "finished"

    @cached_property
    def config_text(self) -> str:
        """The text of ``config.yaml`` with the current names of constructors; empty without the file."""
        try:
            return migrate_names(read_text(self.directory.config_path))
        except FileNotFoundError:
            return ""
        except (OSError, ValueError):
            if self.tolerant:
                return ""
            raise

    @cached_property
    def config(self) -> dict[str, Any]:
        """The config in plain containers, with interpolations unresolved."""
        if not self.config_text:
            return {}
        try:
            config = parse_yaml(self.directory.config_path, self.config_text)
        except DamagedFileError:
            if self.tolerant:
                return {}
            raise
        return config if isinstance(config, dict) else {}

    @cached_property
    def provenance(self) -> dict[str, Any]:
        """Command, code revision, packages, hardware and seed."""
        return self._read(self.directory.provenance_path)

    @cached_property
    def facts(self) -> dict[str, Any]:
        """The facts of the data."""
        return self._read(self.directory.facts_path)

    @cached_property
    def results(self) -> dict[str, Any]:
        """Best checkpoint and metrics; empty before the run has finished."""
        return self._read(self.directory.results_path)

    @property
    def best(self) -> dict[str, Any]:
        """The entry of the best checkpoint in the results; empty if none was measured."""
        return self.results.get("best") or {}

    @cached_property
    def fold_plan(self) -> dict[str, Any]:
        """The assignment of samples to folds; empty for other runs."""
        return self._read(self.directory.path / FOLD_PLAN)

    @cached_property
    def checkpoints(self) -> list[Checkpoint]:
        """The listed checkpoints, oldest first."""
        return read_index(self.directory.checkpoints)

    def reload(self) -> RunState:
        """Discard everything that was read, and return this object."""
        kept = {"directory", "tolerant"}
        for name in [name for name in self.__dict__ if name not in kept]:
            del self.__dict__[name]
        return self

    def _read(self, path: Path) -> dict[str, Any]:
        try:
            value = read_json(path, {})
        except (OSError, ValueError):
            if self.tolerant:
                return {}
            raise
        return value if isinstance(value, dict) else {}
