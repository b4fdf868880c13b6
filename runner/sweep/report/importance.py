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

from runner.plots.parameters import Importances
from runner.sweep.sweep_summary import SweepRecord, TrialRecord

__all__ = ["FEWEST", "importances"]

FEWEST = 4
"""Complete trials below which nothing can be said."""
SEED = 0


def methods() -> dict[str, BaseImportanceEvaluator]:
    return {
        "fANOVA": FanovaImportanceEvaluator(seed=SEED),
        "mean decrease of impurity": MeanDecreaseImpurityImportanceEvaluator(seed=SEED),
    }


def importances(record: SweepRecord, objective: int = 0) -> list[Importances]:
    """Of the parameters that all complete trials have; then those of each branch of a conditional space."""
    complete = record.of("complete")
    common = [key for key in record.keys if all(key in trial.params for trial in complete)]
    found = [computed(record, complete, common, "complete trials", objective)]
    for owner, branch in branches(record, complete):
        own = [key for key in record.keys if all(key in trial.params for trial in branch)]
        if len(own) > len(common):
            found.append(computed(record, branch, own, f"complete trials with {owner}", objective))
    return [group for group in found if group is not None]


def branches(record: SweepRecord, complete: list[TrialRecord]) -> Iterator[tuple[str, list[TrialRecord]]]:
    """Trials by the option they have of each group whose options differ in their parameters."""
    for key in record.keys:
        chosen: dict[str, list[TrialRecord]] = {}
        for trial in complete:
            if key in trial.params:
                chosen.setdefault(f"{key}={trial.params[key]}", []).append(trial)
        if any(other.startswith(f"{key}.") for other in record.keys):
            yield from sorted(chosen.items())


def computed(
    record: SweepRecord, trials: list[TrialRecord], keys: list[str], among: str, objective: int
) -> Importances | None:
    """None with too few trials, or where they do not differ."""
    varied = [key for key in keys if len({str(trial.params[key]) for trial in trials}) > 1]
    values = {trial.value(objective) for trial in trials}
    if len(trials) < FEWEST or not varied or len(values) < 2:
        return None
    study = study_of(record, trials)
    shares = {}
    for name, evaluator in methods().items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            shares[name] = get_param_importances(
                study, evaluator=evaluator, params=varied, target=target(objective)
            )
    return Importances(f"{len(trials)} {among}", shares)


def target(objective: int) -> Callable:
    return lambda trial: trial.values[objective]


def study_of(record: SweepRecord, trials: list[TrialRecord]):
    """A study in memory that holds these trials alone: Optuna takes all of a study."""
    import optuna

    numbers = {trial.number for trial in trials}
    study = optuna.create_study(directions=record.study.directions)
    study.add_trials([t for t in record.study.get_trials(deepcopy=False) if t.number in numbers])
    return study
