"""The result of composing a config."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from omegaconf import DictConfig

from runner.config.groups import Option
from runner.errors import Problem

__all__ = ["Composition"]


@dataclass
class Composition:
    """A composed config and how it was composed.

    Attributes:
        config: the config, in which facts of the data are still written as ``${facts:KEY}``.
        groups: available options: config group → name → option.
        choices: config group → name of the chosen option; empty for the config of a run.
        chosen_groups: groups whose option the user chose, on the command line or in an experiment file.
        explicit: dotted keys set by the user, on the command line or in an experiment file.
        resolved: whether it is the config of a run, in which most interpolations are already resolved.
        from_file: those of ``explicit`` that an experiment file sets.
        unreadable: keys whose overrides could not be parsed; their values in the config are not what the user
            wants.
        automatic: key → value and reason, of the settings that rules chose; see ``runner.auto``.
        notes: remarks for the user about keys that were changed in composing; they are printed before a run
            starts.
        problems: problems found so far; ``check`` adds its own and raises all of them together.
    """

    config: DictConfig
    groups: dict[str, dict[str, Option]]
    choices: dict[str, str] = field(default_factory=dict)
    chosen_groups: set[str] = field(default_factory=set)
    explicit: set[str] = field(default_factory=set)
    from_file: set[str] = field(default_factory=set)
    unreadable: set[str] = field(default_factory=set)
    resolved: bool = False
    automatic: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def option(self, group: str) -> Option | None:
        """Return the chosen option of a group.

        Returns:
            None if the user replaced its constructor, or it does not come from a file.
        """
        if f"{group}._target_" in self.explicit:
            return None
        return self.groups.get(group, {}).get(self.choices.get(group, ""))
