"""What a check found is done, host by host and portion by portion; or it is not wanted, and each host is told so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from converge.errors import LeaseLost
from converge.model.change import Change, HostResult, Problem, Status
from converge.report.totals import Totals
from converge.runs.check import Checked
from converge.runs.context import RunContext
from converge.runs.events import CheckedAgain, Events, Planned, StageBegan, StageEnded
from converge.runs.exit_codes import ExitCode, code_of

_NOT_BEGUN = frozenset({"not-planned", "precondition-unmet"})
"""Codes of failures before the first action."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to; `began` says whether anything was begun that can be reverted."""

    code: ExitCode
    began: bool = False


def as_checked(context: RunContext, planned: Sequence[HostResult]) -> Events[Checked]:
    """Take what was found earlier for what a check has found now. Yields `Planned` of each host."""
    context.prepare(context.stage(changes_hosts=True))
    totals = Totals()
    for result in planned:
        totals.add(result)
        yield Planned(result)
    return Checked(tuple(result.host for result in planned), {result.host: result for result in planned}, totals)


def apply(context: RunContext, checked: Checked) -> Events[Outcome]:
    """Change the hosts that a check found. Each is looked at again before and after. Yields `Ended` of each."""
    codes = set(checked.codes)
    began = False
    stage = context.stage(changes_hosts=True, planned=checked.remaining)
    for portion in context.rolling.portions(checked.hosts):
        yield StageBegan("applying", len(portion), changes_hosts=True)
        for found in context.go(portion, stage):
            began = began or any(was_begun(change) for change in found.changes)
            result = context.windows.ended(found)
            context.rolling.ended(result)
            if result.error is not None and result.error.code == LeaseLost.code:
                result = replace(result, status=Status.HELD)
            codes.add(code_of(result, checking=False))
            yield from context.ended(result)
        yield StageEnded()
        if context.rolling.checks_after(portion, of=checked.hosts):
            yield from _check_again(context, portion)
    return Outcome(context.code(codes), began)


def _check_again(context: RunContext, canaries: tuple[str, ...]) -> Events[None]:
    yield StageBegan("checking again", len(canaries))
    for result in context.go(canaries, context.stage()):
        context.rolling.checked_again(result)
        yield CheckedAgain(result)
    yield StageEnded()


def decline(context: RunContext, checked: Checked) -> Events[Outcome]:
    """Change nothing of what a check found."""
    why = "interrupted at the question" if context.stop.is_set() else "these changes were not wanted"
    for host in checked.hosts:
        problem = Problem("declined", f"{why}: nothing was changed")
        yield from context.ended(HostResult(host, Status.SKIPPED, error=problem))
    return Outcome(context.code({*checked.codes, ExitCode.DRIFT}))


def was_begun(change: Change) -> bool:
    """Whether an action of it was sent, or may have been: then it can be reverted."""
    if change.status is Status.WAITING:  # a procedure that a person is to go on with
        return any(was_begun(step) for step in change.steps)
    if change.status is not Status.FAILED:
        return change.status in (Status.CHANGED, Status.UNKNOWN)
    may_act = bool(change.actions) or change.key.get("kind") == "procedure"
    return bool(change.steps) or (may_act and (change.error is None or change.error.code not in _NOT_BEGUN))
