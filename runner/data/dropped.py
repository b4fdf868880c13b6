"""Counts of samples in a data set that do not reach training, with the reasons."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["MAX_EXAMPLES", "Dropped", "DroppedSamples"]

MAX_EXAMPLES = 3


@dataclass(frozen=True)
class Dropped:
    """Samples left out for one reason.

    Attributes:
        what: plural noun for the samples: ``rows``, ``images``, ``boxes``, ``sentences``.
        count: number of samples left out.
        reason: clause that follows "left out:" in the message.
        total: number of samples before any were left out; 0 if unknown.
        where: the file, folder or split; may be empty.
        examples: names of up to three of the samples.
    """

    what: str
    count: int
    reason: str
    total: int = 0
    where: str = ""
    examples: tuple[str, ...] = ()

    def __str__(self) -> str:
        number = f"{self.count} of {self.total} {self.what}" if self.total else f"{self.count} {self.what}"
        prefix = f"{self.where}: " if self.where else ""
        examples = f" (for example {', '.join(self.examples)})" if self.examples else ""
        return f"{prefix}{number} left out: {self.reason}{examples}"


@dataclass
class DroppedSamples:
    """All samples that a data module left out, in the order of the reports. Duplicate reports count once."""

    entries: list[Dropped] = field(default_factory=list)

    def add(
        self,
        what: str,
        count: int,
        reason: str,
        total: int = 0,
        where: Any = "",
        examples: Iterable[Any] = (),
    ) -> None:
        """Adds an entry, see ``Dropped``; a count of zero adds nothing."""
        shown = tuple(str(example) for example, _ in zip(examples, range(MAX_EXAMPLES), strict=False))
        entry = Dropped(what, int(count), reason, int(total), str(where), shown)
        if count and entry not in self.entries:
            self.entries.append(entry)

    def extend(self, others: DroppedSamples) -> None:
        """Adds the entries of another collection that are not present yet."""
        self.entries += [entry for entry in others.entries if entry not in self.entries]

    def messages(self) -> list[str]:
        return [f"{entry}." for entry in self.entries]

    def as_list(self) -> list[dict[str, Any]]:
        """Returns plain containers for ``facts.json``."""
        return [asdict(entry) | {"examples": list(entry.examples)} for entry in self.entries]
