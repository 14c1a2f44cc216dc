"""Comparing a saved plan with what would be decided now: any difference makes the host stale."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from converge.model.answer import Answers
from converge.model.change import NO_WAY_BACK, Change, Json, Status
from converge.model.phrasing import phrase
from converge.model.saved_plan import HostPlan
from converge.plan.evidence import evidence

MOST_TOLD = 20  # differences; more says no more
_LONGEST = 160  # characters of a value in a difference


@dataclass(frozen=True, slots=True)
class Approved:
    """The saved plan of one host, to be applied by `run`. `planned_run` is the run under whose name it was made.

    Without `key` (the file was signed with another one, and was explicitly trusted) answers cannot be compared, only changes.
    `claim` takes the plan for this host and returns the run that has it; `applied` only tells which has, if one has.
    """

    plan: HostPlan
    run: str
    planned_run: str
    key: bytes | None
    claim: Callable[[str], str]
    applied: Callable[[], str]

    def holder(self) -> str:
        """The run that has the plan, if one has."""
        return self.applied()

    def taken_by(self, run: str) -> str:
        """Take the plan for a run; the run that has it."""
        return self.claim(run)

    def differences(self, changes: Sequence[Change], answers: Answers) -> Sequence[str]:
        """What is no longer as it was planned."""
        found = list(self._answers(answers)) if self.key is not None else []
        found += self._changes(changes)
        more = [f"and {len(found) - MOST_TOLD} more"] if len(found) > MOST_TOLD else []
        return [*found[:MOST_TOLD], *more]

    def _answers(self, answers: Answers) -> Iterator[str]:
        assert self.key is not None
        now = evidence(answers, key=self.key)
        for question, digest in self.plan.answers.items():
            if now.get(question, digest) != digest:
                yield f"the host answers {question} otherwise"

    def _changes(self, changes: Sequence[Change]) -> Iterator[str]:
        planned = {_place(change): change for change in _leaves(self.plan.changes)}
        now = {_place(change): change for change in _leaves(changes)}
        for place in [*planned, *(place for place in now if place not in planned)]:
            before, after = planned.get(place), now.get(place)
            if before is None or after is None:
                yield f"{place[1]}: {'no longer declared' if after is None else 'not in the plan'}"
            elif (difference := self._difference(before, after)) is not None:
                yield f"{place[1]}: {difference}"
        if list(planned) != list(now) and set(planned) == set(now):
            yield "the changes come in another order"

    def _difference(self, planned: Change, now: Change) -> str | None:
        if _stage(planned) is not _stage(now):
            return f"now {now.status.value}, planned {planned.status.value}"
        if _stage(planned) is not Status.CHANGED or _is_restart(planned):
            return None
        for what, before, after in (
            ("how it is", planned.before, now.before),
            ("how it would be", planned.after, now.after),
            ("way back", str(planned.way_back), str(now.way_back)),
            ("actions", list(planned.actions), self._as_planned(now.actions)),
        ):
            if _normal(before) != _normal(after):
                return f"{what}: now {phrase(after, most=_LONGEST)}, planned {phrase(before, most=_LONGEST)}"
        return None

    def _as_planned(self, actions: Iterable[Mapping[str, Json]]) -> Json:
        """Actions as they would be under the planned run's name: it is part of the names of what is kept aside."""
        return json.loads(json.dumps([dict(action) for action in actions]).replace(self.run, self.planned_run))

    def allows(self, change: Change, part_of: str) -> bool:
        """Whether this change is one of those planned, by its actions; what only a command would decide is approved with it."""
        for planned in _leaves(self.plan.changes):
            if _place(planned) == _place(change):
                return self._is_planned(planned, change)
        whole = (part_of, f"play:{change.play}")
        return any(planned.address in whole and planned.status is Status.LATER for planned in self.plan.changes)

    def _is_planned(self, planned: Change, change: Change) -> bool:
        if planned.status is Status.LATER or (planned.may_be_changed_by and planned.status is Status.CHANGED):
            return True
        same = _normal(list(planned.actions)) == _normal(self._as_planned(change.actions))
        return _stage(planned) is Status.CHANGED and (same or _is_restart(planned))


def _leaves(changes: Iterable[Change]) -> Iterator[Change]:
    """Every change and, after it, its steps."""
    for change in changes:
        yield change
        yield from _leaves(change.steps)


def _place(change: Change) -> tuple[str, str, str]:
    return change.play, change.address, change.name


def _stage(change: Change) -> Status:
    """Its status; a change that only waits for a word is planned like any other, and done once the word is given.

    So is a procedure that does its first steps before a person is to go on.
    """
    planned = change.is_due or change.is_pending_restart or change.waits_for(NO_WAY_BACK)
    return Status.CHANGED if planned else change.status


def _is_restart(change: Change) -> bool:
    return change.key.get("kind") == "restart_computer"


def _normal(value: Json) -> str:
    return json.dumps(value, sort_keys=True)
