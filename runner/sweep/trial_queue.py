"""The trials of a sweep, counted: which come next, which were left unfinished, what came of each."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState

from runner.config.schema import Sweep
from runner.sweep.liveness import Liveness
from runner.sweep.sampler import make_sampler
from runner.sweep.space import Space
from runner.sweep.storage import Turn
from runner.sweep.trial import Outcome

__all__ = ["TrialQueue"]

STATES = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
KEY = "runner.point"


class TrialQueue:
    """
    Args:
        turn: other processes may be at the same study: what must not happen twice is done in one's turn.
    """

    def __init__(self, study: optuna.Study, space: Space, settings: Sweep, turn: Turn = nullcontext) -> None:
        self.study = study
        self.space = space
        self.settings = settings
        self.total = settings.num_trials
        self.presence = Liveness(study)
        self._turn = turn

    def enqueue(self, points: list[tuple[dict[str, Any], str]]) -> None:
        """Puts points, each with a word on where it comes from, in front; those put there before are left
        out.
        """
        with self._turn():
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

    def unfinished(self) -> list[FrozenTrial]:
        """Trials that have started and not ended, of any owner."""
        return [trial for trial in self.trials() if trial.state == TrialState.RUNNING]

    def claim(self) -> Trial | None:
        """The next trial for this process: one whose owner has gone, else a new one.

        Returns:
            None if all trials have been started and each has a live owner.
        """
        if not self._claimable():
            return None
        with self._turn():
            for frozen in self.unfinished():
                if self.presence.is_gone(frozen.user_attrs.get("owner")):
                    self.study.sampler = make_sampler(self.settings, frozen.number)
                    return self._mine(Trial(self.study, frozen._trial_id))
            number = len(self.started())
            if number >= self.total:
                return None
            self.study.sampler = make_sampler(self.settings, number)
            return self._mine(self.study.ask())

    def _claimable(self) -> bool:
        """Checks without the lock, so that waiting processes do not contend for it."""
        gone = any(self.presence.is_gone(trial.user_attrs.get("owner")) for trial in self.unfinished())
        return gone or len(self.started()) < self.total

    def _mine(self, trial: Trial) -> Trial:
        trial.set_user_attr("owner", self.presence.me)
        return trial

    def let_go(self, trial: Trial) -> None:
        """Releases ownership, so that another process may continue the trial at once."""
        trial.set_user_attr("owner", "")

    def is_mine(self, trial: Trial) -> bool:
        """False once another process has taken it over, for it thought this one gone; and once it has
        ended.
        """
        frozen = self.frozen(trial)
        return frozen.state == TrialState.RUNNING and frozen.user_attrs.get("owner") == self.presence.me

    def frozen(self, trial: Trial) -> FrozenTrial:
        return next(one for one in self.trials() if one.number == trial.number)

    def point(self, trial: Trial) -> dict[str, Any]:
        return self.space.suggest(trial)

    def tell(self, trial: Trial, outcome: Outcome, notes: Mapping[str, Any]) -> None:
        """Ends a trial. Does nothing if it has already ended or belongs to another process."""
        with self._turn():
            if not self.is_mine(trial):
                return
            for key, value in (notes | ({"reason": outcome.reason} if outcome.reason else {})).items():
                trial.set_user_attr(key, value)
            state = STATES[outcome.state]
            if state == TrialState.COMPLETE:
                self.study.tell(trial, list(outcome.values))
            else:
                self.study.tell(trial, state=state)

    def counts(self) -> Counter[str]:
        """Trials by state."""
        names = {state: name for name, state in STATES.items()} | {TrialState.RUNNING: "running"}
        return Counter(names[trial.state] for trial in self.started())

    def best(self, num: int = 1) -> list[FrozenTrial]:
        """The best complete trials, best first; the earlier wins a draw.

        Of several objectives those come first that no other trial surpasses in all (the Pareto front), each
        part in the order of the first objective.
        """
        complete = [t for t in self.trials() if t.state == TrialState.COMPLETE]
        sign = -1 if self.study.directions[0] == StudyDirection.MAXIMIZE else 1
        front = {trial.number for trial in self.front()}
        return sorted(complete, key=lambda t: (t.number not in front, sign * t.values[0], t.number))[:num]

    def front(self) -> list[FrozenTrial]:
        """Of several objectives the trials that no other surpasses in all; none of a single one."""
        return self.study.best_trials if len(self.study.directions) > 1 else []
