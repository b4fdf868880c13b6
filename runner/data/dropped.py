"""Samples that a data set contains and that do not reach training: counted, with the reason."""

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
        what: the plural of what was left out: ``rows``, ``images``, ``boxes``, ``sentences``.
        count: how many.
        reason: why, as it follows "left out:" in a sentence.
        total: how many there were before; 0 if that is not known.
        where: the file, folder or split; may be empty.
        examples: up to three of them.
    """

    what: str
    count: int
    reason: str
    total: int = 0
    where: str = ""
    examples: tuple[str, ...] = ()

    def __str__(self) -> str:
        number = f"{self.count} of {self.total} {self.what}" if self.total else f"{self.count} {self.what}"
        place = f"{self.where}: " if self.where else ""
        examples = f" (for example {', '.join(self.examples)})" if self.examples else ""
        return f"{place}{number} left out: {self.reason}{examples}"


@dataclass
class DroppedSamples:
    """All samples that a data module left out, in the order of the reports. Reporting the same twice counts once."""

    entries: list[Dropped] = field(default_factory=list)

    def add(
        self, what: str, count: int, reason: str, total: int = 0, where: Any = "", examples: Iterable[Any] = ()
    ) -> None:
        """See ``Dropped``; a count of zero adds nothing."""
        shown = tuple(str(example) for example, _ in zip(examples, range(MAX_EXAMPLES), strict=False))
        entry = Dropped(what, int(count), reason, int(total), str(where), shown)
        if count and entry not in self.entries:
            self.entries.append(entry)

    def extend(self, others: DroppedSamples) -> None:
        """Adds the entries of others that are not here yet."""
        self.entries += [entry for entry in others.entries if entry not in self.entries]

    def messages(self) -> list[str]:
        return [f"{entry}." for entry in self.entries]

    def as_list(self) -> list[dict[str, Any]]:
        """Plain containers for ``facts.json``."""
        return [asdict(entry) | {"examples": list(entry.examples)} for entry in self.entries]
