"""Checks of ``data.group``, which keeps the samples of a group in one split."""

from __future__ import annotations

import re

from runner.config.allow_list import constructor_of
from runner.config.checks.context import CheckContext
from runner.errors import Problem

__all__ = ["group_problems"]


def group_problems(context: CheckContext) -> list[Problem]:
    """Checks that the data set has groups, and that folds do not name others."""
    key, group = "data.group", context.node("data").get("group")
    if not isinstance(group, str) or not context.is_reliable("data"):
        return []
    folds = context.node("folds")
    rivals = [name for name in ("group_column", "group_pattern") if folds.get(name)]
    if rivals:
        text = f"folds.{rivals[0]}={folds[rivals[0]]} and {key}={group} both name groups."
        return [
            Problem(key, text, "incompatible", f"Remove folds.{rivals[0]}: folds keep these groups, too.")
        ]
    groups_by = getattr(constructor_of(context.plain.get("data")), "groups_by", None)
    if groups_by is None:
        text = f"{key}={group} would have no effect: the samples of this data set have no groups."
        return [Problem(key, text, "no_effect", "Remove it.")]
    if groups_by == "name":
        try:
            re.compile(group)
        except re.error as error:
            text = f"{key}={group!r} is not a regular expression: {error}."
            remedy = (
                "Use data.group=folder for the folder of a file, or an expression that matches the group in "
                "its path, such as 'patient(\\d+)'."
            )
            return [Problem(key, text, "invalid_value", remedy)]
    return []
