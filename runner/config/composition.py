"""What composing gives."""

from __future__ import annotations

from dataclasses import dataclass, field

from omegaconf import DictConfig

from runner.config.groups import Option

__all__ = ["Composition"]


@dataclass
class Composition:
    """A composed config and how it came about.

    Attributes:
        config: facts of the data still stand in it as ``${facts:KEY}``.
        groups: what could be chosen: config group → name → option.
        choices: config group → the option taken; empty for the config of a run.
        explicit: dotted keys that the user set, on the command line or in an experiment file.
        resolved: it is the config of a run, in which most values have been handed on already.
        from_file: those of them that an experiment file sets.
        unreadable: keys whose overrides could not be read; what the config holds there is not what the user wants.
        problems: mistakes found so far; ``check`` adds its own and raises all together.
    """

    config: DictConfig
    groups: dict[str, dict[str, Option]]
    choices: dict[str, str] = field(default_factory=dict)
    explicit: set[str] = field(default_factory=set)
    from_file: set[str] = field(default_factory=set)
    unreadable: set[str] = field(default_factory=set)
    resolved: bool = False
    problems: list[str] = field(default_factory=list)

    def option(self, group: str) -> Option | None:
        """The option taken of a group, where it is one of a file."""
        return self.groups.get(group, {}).get(self.choices.get(group, ""))
