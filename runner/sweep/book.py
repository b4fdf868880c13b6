"""The trials of a sweep, counted: which come next, which were left unfinished, what came of each."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from runner.config.schema import Sweep
from runner.sweep.space import Space
from runner.sweep.study import make_sampler
from runner.sweep.trial import Outcome

__all__ = ["Book"]

STATES = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
KEY = "runner.point"


class Book:
    """
    Args:
        study: only this process asks it for trials.
    """

    def __init__(self, study: optuna.Study, space: Space, settings: Sweep):
        self.study = study
        self.space = space
        self.settings = settings
        self.total = settings.num_trials

    def enqueue(self, points: list[tuple[dict[str, Any], str]]) -> None:
        """Puts points, each with a word on where it comes from, in front; those put there before are left out."""
        known = {trial.user_attrs.get(KEY) for trial in self.trials()}
        for point, origin in points:
            key = json.dumps(point, sort_keys=True)
            if key not in known:
                known.add(key)
                self.study.enqueue_trial(point, user_attrs={KEY: key, "origin": origin})

    def trials(self) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False)

    def started(self) -> list[FrozenTrial]:
        return [trial for trial in self.trials() if trial.state != TrialState.WAITING]

    def unfinished(self) -> list[Trial]:
        """Trials of a sweep that was ended in the middle, to be taken up again."""
        return [Trial(self.study, t._trial_id) for t in self.trials() if t.state == TrialState.RUNNING]

    def next(self) -> Trial | None:
        """The next trial, or None when all there shall be have been started."""
        number = len(self.started())
        if number >= self.total:
            return None
        self.study.sampler = make_sampler(self.settings, number)
        return self.study.ask()

    def point(self, trial: Trial) -> dict[str, Any]:
        return self.space.suggest(trial)

    def tell(self, trial: Trial, outcome: Outcome, notes: Mapping[str, Any]) -> None:
        """Ends a trial; one that has ended already stays as it is."""
        if self.study._storage.get_trial(trial._trial_id).state.is_finished():
            return
        for key, value in (notes | ({"reason": outcome.reason} if outcome.reason else {})).items():
            trial.set_user_attr(key, value)
        state = STATES[outcome.state]
        value = outcome.value if state == TrialState.COMPLETE else None
        if state == TrialState.PRUNED:
            self.study.tell(trial, state=state)
        else:
            self.study.tell(trial, value, state=state)

    def counts(self) -> Counter[str]:
        """Trials by state."""
        names = {state: name for name, state in STATES.items()} | {TrialState.RUNNING: "running"}
        return Counter(names[trial.state] for trial in self.started())

    def best(self, num: int = 1) -> list[FrozenTrial]:
        """The best complete trials, best first; the earlier wins a draw."""
        complete = [t for t in self.trials() if t.state == TrialState.COMPLETE]
        sign = -1 if self.study.direction == optuna.study.StudyDirection.MAXIMIZE else 1
        return sorted(complete, key=lambda trial: (sign * trial.value, trial.number))[:num]
