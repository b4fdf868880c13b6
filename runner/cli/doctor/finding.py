"""A line of the report of ``runner doctor``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Finding"]


@dataclass(frozen=True)
class Finding:
    """The result of a check: its subject and state, and a remedy for problems."""

    level: Literal["ok", "warn", "fail"]
    subject: str
    text: str
    remedy: str = ""
