"""Cross-validation in a worker: the plan of the folds, and predictions for each fold's validation samples."""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig

from runner.data.base import DataModule
from runner.data.folds import FoldCut
from runner.errors import DataError
from runner.run.directory import RunDir, absolute_paths
from runner.run.files import rows_as_csv, write_text
from runner.run.folds import PREDICTIONS
from runner.tasks.base import Task
from runner.training.components import make_data, resolve

__all__ = ["plan_folds", "write_predictions"]

MAX_NAMED = 5


def plan_folds(config: DictConfig, run: RunDir | None = None) -> dict[str, Any]:
    """Sets up the data once to determine the folds before any training.

    Args:
        config: the config of all folds.
        run: the run directory, to which relative paths refer; None for the working directory.

    Returns:
        ``kind`` (of the split), ``sizes`` (validation samples per fold), ``num_groups``, ``num_test``,
        ``name``, ``source`` and ``digest`` of the data, ``notes`` (warnings for the user).

    Raises:
        DataError: the data cannot be split into these folds.
    """
    plain = resolve(config, None)
    data = make_data(plain if run is None else absolute_paths(run, plain))
    data.prepare_data()
    data.setup("fit")
    facts, cut = data.require_facts(), data.fold_cut
    if cut is None:
        raise DataError(
            f"{facts.name} has a validation split of its own, and no samples that folds could be cut from. "
            "Remove folds, or put its training and validation samples together."
        )
    return {
        "kind": cut.kind,
        "sizes": cut.sizes(),
        "num_groups": cut.num_groups,
        "num_test": len(data.splits.get("test", ())),
        "name": facts.name,
        "source": facts.source,
        "digest": facts.digest,
        "notes": [*rare_classes(cut, facts.class_names), *shared_groups(cut, data)],
    }


def rare_classes(cut: FoldCut, names: list[str]) -> list[str]:
    """Returns warnings about classes that some folds lack."""
    rare = [f"{names[label]} ({count})" for label, count in cut.rare.items()]
    lone = [f"{names[label]} (fold {fold})" for label, fold in cut.lone.items()]
    notes = []
    if rare:
        notes.append(
            f"classes with fewer samples than there are folds, so some folds validate none: {listed(rare)}"
        )
    if lone:
        notes.append(
            f"classes whose samples are all in one fold, which learns nothing of them: {listed(lone)}"
        )
    return notes


def listed(names: list[str]) -> str:
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return ", ".join(names[:MAX_NAMED]) + more


def shared_groups(cut: FoldCut, data: DataModule) -> list[str]:
    """Warns if groups occur in both the test split and the folds, since the test split ignores groups."""
    group_of, train, test = cut.group_of, data.splits["train"], data.splits.get("test")
    if group_of is None or test is None or test.source is not train.source:
        return []
    inside = {str(group_of(index)) for index in cut.pool.tolist()}
    shared = sum(str(group_of(index)) in inside for index in test.indices.tolist())
    return (
        [
            f"{shared} of {len(test)} test samples belong to groups that the folds train on, since the test "
            "split is cut at random: its metrics are too good"
        ]
        if shared
        else []
    )


def write_predictions(run: RunDir, task: Task, data: DataModule, fold: int) -> None:
    """Writes the best checkpoint's prediction for each validation sample, if the task has prediction rows.

    Args:
        run: the run directory of the fold.
        task: the task, with the outputs of the last evaluation.
        data: the data module.
        fold: number of the fold.
    """
    outputs = task.outputs.get("val") or {}
    rows = task.evaluated_rows(outputs) if outputs else []
    if not rows:
        return
    first = getattr(data.splits["val"].source, "first_row", 0)  # row of a time-series window
    table = [
        {"index": first + index, "name": data.sample_name("val", index), "fold": fold} | row
        for index, row in zip(outputs["index"].tolist(), rows, strict=True)
    ]
    write_text(run.path / PREDICTIONS, rows_as_csv(table))
