"""What became of a host whose run ended before anybody could tell: put together from what its journal says."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import groupby

from converge.apply.changing import STOPPED, cut_short
from converge.apply.manifests import ADDRESS
from converge.apply.performing import Attempt
from converge.model.change import Change, HostResult, Problem, Status, host_status
from converge.model.journal import History
from converge.model.recorded import RecordedChange
from converge.plan.decision import with_outcome

_PASSED = "no action of it was begun: it was in order, or could not be changed"


def recounted(
    host: str,
    recorded: Sequence[RecordedChange],
    *,
    history: History,
    remaining: Sequence[Change],
    problem: Problem,
) -> HostResult:
    """What was done, cut, and not begun, as far as it was journaled: nothing is sent to a host that is not written down first.

    `recorded` are the changes of the run, `history` is what is open on the host, `remaining` is what is told of each thing
    of which nothing was begun, `problem` why the run did not come to an end.
    """
    ended = "the run was stopped" if problem.code == STOPPED.code else "its worker was lost"
    resources = [record for record in recorded if record.address != ADDRESS]  # manifests are no resource
    changes: list[Change] = []
    for part_of, records in groupby(resources, key=lambda record: record.part_of):
        told = [_told(record, remaining, problem=problem, ended=ended) for record in records]
        asked_for = next((change for change in remaining if _position(change) == _position(told[0])), None)
        if part_of and asked_for is not None and asked_for.position is not None:
            changes.append(_procedure(part_of, told, history=history, problem=problem))
        else:
            changes += told
    for change in remaining:
        if not any(_is_of(change, record) for record in resources):
            passed = any(_comes_before(change, record) for record in resources)
            changes.append(replace(change, reason=_PASSED if passed else f"not begun: {ended}"))
    status = host_status(tuple(changes))
    if status not in (Status.UNKNOWN, Status.FAILED):
        status = Status.UNDECIDED
    return HostResult(host, status, tuple(changes), error=problem)


def _told(record: RecordedChange, remaining: Collection[Change], *, problem: Problem, ended: str) -> Change:
    asked_for = next((change for change in remaining if _is_of(change, record)), None)
    change = Change(
        record.address, record.key, name=record.name, play=record.play, status=Status.CHANGED, before=record.before,
        after=record.after, actions=tuple(action.action for action in record.actions),
        position=asked_for.position if asked_for is not None else None,
    )  # fmt: skip
    if record.status is None:
        attempts = [
            Attempt(str(action.action["action"]), action.outcome, _shown(record, action.text), action.on_the_way)
            for action in record.actions
        ]
        planned = record.planned or tuple(attempt.name for attempt in attempts)
        return cut_short(change, attempts, planned, ended=ended, problem=problem)
    status = Status(record.status)
    if status is Status.CHANGED:
        return replace(change, reason=record.text or None)
    return with_outcome(change, status, error=Problem("journaled", record.text) if record.text else None)


def _shown(record: RecordedChange, text: str) -> str:
    """The output of a program may quote what it was given."""
    return "" if record.sensitive else text


def _procedure(address: str, steps: Sequence[Change], *, history: History, problem: Problem) -> Change:
    """The steps of which something was done, and where the next run goes on if the last one was not reached."""
    name = address.partition(":")[2]
    whole = Change(
        address, {"kind": "procedure", "name": name}, name=name, play=steps[0].play, status=Status.CHANGED,
        actions=tuple(action for step in steps for action in step.actions), position=steps[0].position,
        steps=tuple(steps),
    )  # fmt: skip
    begun = next((item for item in history.procedures if item.address == address), None)
    if begun is None:
        return whole
    where = f"the step {begun.under_way}; the next run resumes there" if begun.under_way else "its final check"
    return with_outcome(whole, Status.FAILED, error=replace(problem, why=f"It ended at {where}."))


def _is_of(change: Change, record: RecordedChange) -> bool:
    """Whether something of this was begun: the same line of the playbook asks for it, or it is the same resource."""
    if change.position is not None:
        return (change.play, change.position.line) == (record.play, record.line)
    return change.address == record.address


def _comes_before(change: Change, record: RecordedChange) -> bool:
    return change.position is not None and change.play == record.play and change.position.line < record.line


def _position(change: Change) -> tuple[str, int]:
    return change.play, change.position.line if change.position is not None else 0
