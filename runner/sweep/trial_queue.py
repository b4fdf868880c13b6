"""The queue of trials of a study: claims new and abandoned trials, and records their outcomes."""

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
from runner.sweep.storage import Lock
from runner.sweep.trial import Outcome

__all__ = ["TrialQueue"]

STATES = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
KEY = "runner.point"


class TrialQueue:
    """The trials of a study, as seen by one of the processes that execute them.

    Args:
        study: the study.
        space: the search space.
        settings: the ``sweep`` node.
        lock: held while trials are claimed and ended, because other processes may use the same study.

    Attributes:
        total: number of trials of the sweep.
        liveness: heartbeat of this process, and the liveness of the others.
    """

    def __init__(self, study: optuna.Study, space: Space, settings: Sweep, lock: Lock = nullcontext) -> None:
        self.study = study
        self.space = space
        self.settings = settings
        self.total = settings.num_trials
        self.liveness = Liveness(study)
        self._lock = lock

    def enqueue(self, points: list[tuple[dict[str, Any], str]]) -> None:
        """Enqueue points that are not yet in the study.

        Args:
            points: each a point and its origin: ``default``, ``given`` or ``grid``.
        """
        with self._lock():
            known = {trial.user_attrs.get(KEY) for trial in self.trials()}
            for point, origin in points:
                key = json.dumps(point, sort_keys=True)
                if key not in known:
                    known.add(key)
                    self.study.enqueue_trial(point, user_attrs={KEY: key, "origin": origin})

    def trials(self) -> list[FrozenTrial]:
        """Return all trials, including enqueued ones."""
        return self.study.get_trials(deepcopy=False)

    def started(self) -> list[FrozenTrial]:
        """Return the trials that have started."""
        return [trial for trial in self.trials() if trial.state != TrialState.WAITING]

    def unfinished(self) -> list[FrozenTrial]:
        """Return the trials of any owner that have started and not ended."""
        return [trial for trial in self.trials() if trial.state == TrialState.RUNNING]

    def claim(self) -> Trial | None:
        """Claim the next trial for this process: one whose owner is dead, or a new one.

        Returns:
            None if all trials have been started and each has a live owner.
        """
        if not self._is_claimable():
            return None
        with self._lock():
            for frozen in self.unfinished():
                if self.liveness.is_dead(frozen.user_attrs.get("owner")):
                    self.study.sampler = make_sampler(self.settings, frozen.number)
                    return self._own(Trial(self.study, frozen._trial_id))
            number = len(self.started())
            if number >= self.total:
                return None
            self.study.sampler = make_sampler(self.settings, number)
            return self._own(self.study.ask())

    def _is_claimable(self) -> bool:
        """Check without the lock, so that waiting processes do not contend for it."""
        abandoned = any(self.liveness.is_dead(trial.user_attrs.get("owner")) for trial in self.unfinished())
        return abandoned or len(self.started()) < self.total

    def _own(self, trial: Trial) -> Trial:
        trial.set_user_attr("owner", self.liveness.owner)
        return trial

    def release(self, trial: Trial) -> None:
        """Give up ownership, so that another process can continue the trial at once."""
        trial.set_user_attr("owner", "")

    def is_own(self, trial: Trial) -> bool:
        """Return whether the trial is running and owned by this process.

        Another process takes a trial over if it considers this one dead.
        """
        frozen = self.frozen(trial)
        return frozen.state == TrialState.RUNNING and frozen.user_attrs.get("owner") == self.liveness.owner

    def frozen(self, trial: Trial) -> FrozenTrial:
        """Return the stored state of a trial."""
        return next(stored for stored in self.trials() if stored.number == trial.number)

    def point(self, trial: Trial) -> dict[str, Any]:
        """Return the point of a trial; repeated calls return the same."""
        return self.space.suggest(trial)

    def finish(self, trial: Trial, outcome: Outcome, attributes: Mapping[str, Any]) -> None:
        """End a trial. Does nothing if it has already ended or belongs to another process.

        Args:
            trial: the trial.
            outcome: its outcome, not ``lost``.
            attributes: user attributes to store with it.
        """
        with self._lock():
            if not self.is_own(trial):
                return
            reason = {"reason": outcome.reason} if outcome.reason else {}
            for key, value in {**attributes, **reason}.items():
                trial.set_user_attr(key, value)
            state = STATES[outcome.state]
            if state == TrialState.COMPLETE:
                self.study.tell(trial, list(outcome.values))
            else:
                self.study.tell(trial, state=state)

    def counts(self) -> Counter[str]:
        """Return the number of trials by state."""
        names = {state: name for name, state in STATES.items()} | {TrialState.RUNNING: "running"}
        return Counter(names[trial.state] for trial in self.started())

    def best(self, num: int = 1) -> list[FrozenTrial]:
        """Return the best complete trials, best first; of equal trials the earlier comes first.

        With several objectives, the trials of the Pareto front come first, then the others; both are sorted
        by the first objective.

        Args:
            num: maximum number of trials.
        """
        complete = [t for t in self.trials() if t.state == TrialState.COMPLETE]
        sign = -1 if self.study.directions[0] == StudyDirection.MAXIMIZE else 1
        front = {trial.number for trial in self.front()}
        return sorted(complete, key=lambda t: (t.number not in front, sign * t.values[0], t.number))[:num]

    def front(self) -> list[FrozenTrial]:
        """Return the Pareto front; empty with a single objective."""
        return self.study.best_trials if len(self.study.directions) > 1 else []
