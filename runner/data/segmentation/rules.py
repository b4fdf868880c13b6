"""Checks of a folder of images and masks that need only its listing."""

from __future__ import annotations

from runner.data.segmentation.cut import FRACTION
from runner.data.segmentation.layout import MaskTree

__all__ = ["tree_problems"]

MAX_NAMED = 5


def tree_problems(
    tree: MaskTree, drops_unmasked: bool, val_fraction: float | None, test_fraction: float | None
) -> list[str]:
    """Returns one message per problem."""
    problems = list(tree.problems)
    found = [path for split, paths in tree.unmasked.items() if tree.pairs[split] for path in paths]
    if found and not drops_unmasked:
        more = f" and {len(found) - MAX_NAMED} more" if len(found) > MAX_NAMED else ""
        count = "1 image has" if len(found) == 1 else f"{len(found)} images have"
        problems.append(
            f"{count} no mask: {', '.join(found[:MAX_NAMED])}{more}. Add them, or leave these images "
            "out with data.unmasked=drop."
        )
    if val_fraction and "val" in tree.pairs:
        problems.append(f"data.val_fraction={val_fraction:g} would have no effect: there is a val folder.")
    if test_fraction and "train" in tree.pairs:
        problems.append(
            f"data.test_fraction={test_fraction:g} would have no effect: there are folders of splits."
        )
    of_test = FRACTION if test_fraction is None else test_fraction
    if "all" in tree.pairs and (val_fraction or FRACTION) + of_test >= 1:
        problems.append(
            "data.val_fraction and data.test_fraction leave nothing to train on. Choose smaller fractions."
        )
    return problems
