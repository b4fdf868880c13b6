"""Class names of detection data: several spellings, or several ids, of one class."""

from __future__ import annotations

from collections.abc import Mapping

from runner.data.labels import clean_label, merge_spellings

__all__ = ["merge_ids", "merged_notices"]


def merge_ids(
    names: Mapping[int, str], parents: Mapping[int, str] | None = None
) -> tuple[dict[int, str], list[str]]:
    """Return the class name of each id; ids with the same name and the same supercategory are one class.

    Args:
        names: id → name.
        parents: id → supercategory, if the format has supercategories.

    Returns:
        Id → class name, and a problem for each name shared by ids with different supercategories.
    """
    spelled = merge_spellings(names.values())
    merged = {key: spelled[name] for key, name in names.items()}
    problems = []
    for name, ids in ids_by_name(merged).items():
        distinct = {clean_label((parents or {}).get(key) or "") for key in ids}
        if len(distinct) > 1:
            shown = ", ".join(f"{key} (supercategory {(parents or {}).get(key)!r})" for key in ids)
            problems.append(
                f"several categories are named {name!r}: ids {shown}. Give each its own name, or the same "
                "supercategory if they are one class."
            )
    return merged, problems


def ids_by_name(names: Mapping[int, str]) -> dict[str, list[int]]:
    """Return the names shared by several ids, with these ids."""
    groups: dict[str, list[int]] = {}
    for key, name in names.items():
        groups.setdefault(name, []).append(key)
    return {name: ids for name, ids in groups.items() if len(ids) > 1}


def merged_notices(names: Mapping[int, str]) -> list[str]:
    """Return a notice for each class named by several ids."""
    return [
        f"the ids {', '.join(map(str, ids))} are all named {name!r} and are read as one class"
        for name, ids in ids_by_name(names).items()
    ]
