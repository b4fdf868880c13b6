"""Importances of a sweep's parameters, computed by Optuna."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator

from optuna.importance import (
    BaseImportanceEvaluator,
    FanovaImportanceEvaluator,
    MeanDecreaseImpurityImportanceEvaluator,
    get_param_importances,
)
from optuna.study import Study
from optuna.trial import FrozenTrial

from runner.plots.parameters import Importances
from runner.sweep.sweep_summary import SweepRecord, TrialRecord

__all__ = ["MIN_TRIALS", "importances"]

MIN_TRIALS = 4
"""Minimum number of complete trials for importances."""
SEED = 0


def methods() -> dict[str, BaseImportanceEvaluator]:
    return {
        "fANOVA": FanovaImportanceEvaluator(seed=SEED),
        "mean decrease of impurity": MeanDecreaseImpurityImportanceEvaluator(seed=SEED),
    }


def importances(record: SweepRecord, objective: int = 0) -> list[Importances]:
    """Return the importances of the parameters that all complete trials have.

    They are followed by those of each branch of a conditional space, among the trials of the branch.

    Args:
        record: the sweep.
        objective: index of the objective.
    """
    complete = record.of("complete")
    common = [key for key in record.keys if all(key in trial.params for trial in complete)]
    groups = [compute(record, complete, common, "complete trials", objective)]
    for owner, branch in branches(record, complete):
        own = [key for key in record.keys if all(key in trial.params for trial in branch)]
        if len(own) > len(common):
            groups.append(compute(record, branch, own, f"complete trials with {owner}", objective))
    return [group for group in groups if group is not None]


def branches(record: SweepRecord, complete: list[TrialRecord]) -> Iterator[tuple[str, list[TrialRecord]]]:
    """Yield the trials of each option of the groups whose options have different parameters."""
    for key in record.keys:
        chosen: dict[str, list[TrialRecord]] = {}
        for trial in complete:
            if key in trial.params:
                chosen.setdefault(f"{key}={trial.params[key]}", []).append(trial)
        if any(other.startswith(f"{key}.") for other in record.keys):
            yield from sorted(chosen.items())


def compute(
    record: SweepRecord, trials: list[TrialRecord], keys: list[str], among: str, objective: int
) -> Importances | None:
    """Compute importances among some trials; None if they are too few or do not differ."""
    varied = [key for key in keys if len({str(trial.params[key]) for trial in trials}) > 1]
    values = {trial.value(objective) for trial in trials}
    if record.study is None or len(trials) < MIN_TRIALS or not varied or len(values) < 2:
        return None
    study = study_of(record.study, trials)
    shares = {}
    for name, evaluator in methods().items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            shares[name] = get_param_importances(
                study, evaluator=evaluator, params=varied, target=target(objective)
            )
    return Importances(f"{len(trials)} {among}", shares)


def target(objective: int) -> Callable[[FrozenTrial], float]:
    return lambda trial: trial.values[objective]


def study_of(study: Study, trials: list[TrialRecord]) -> Study:
    """Return a study in memory with only these trials, because Optuna 5.0 uses all trials of a study."""
    import optuna

    numbers = {trial.number for trial in trials}
    copy = optuna.create_study(directions=study.directions)
    copy.add_trials([trial for trial in study.get_trials(deepcopy=False) if trial.number in numbers])
    return copy
