"""Check touches nothing and predicts apply; apply settles, and the world is as declared."""

from __future__ import annotations

from typing import Any

from converge.model.change import Change, HostResult, Status
from converge.testing.conformance.bench import Bench, MachineName, MakeBench, shown
from converge.testing.conformance.case import Case
from converge.testing.conformance.reading import facts, names_of, wanted
from converge.testing.conformance.trying import any_case, tried_on

READING = ("reg query ", "reg.exe query ", "certutil -hashfile ", "certutil.exe -hashfile ")
SHELL_KEEPING = ("Create", "Receive", "Signal", "Delete")


def _is_as_expected(case: Case, result: HostResult, statuses: list[str]) -> None:
    assert result.error is None, result.error
    assert [change.status.value for change in result.changes] == statuses, _told(result)
    for change, expected in zip(result.changes, case.drift, strict=True):
        told = {
            "status": change.status.value,
            "before": change.before,
            "after": change.after,
            "actions": names_of(change.actions),
            "steps": [step.name for step in change.steps],
        }
        assert {name: told[name] for name in expected} == expected


def _was_predicted(checked: HostResult, applied: HostResult) -> None:
    """What check showed is what apply did, except for what check said it could not tell, and a play that stopped."""
    for predicted, done in zip(checked.changes, applied.changes, strict=True):
        if _decided_later(predicted) or done.status is Status.SKIPPED:
            continue
        assert _without_later(predicted, shown(done)) == _without_later(predicted, shown(predicted))
        assert done.way_back == predicted.way_back


def _decided_later(change: Change) -> bool:
    return change.status in (Status.LATER, Status.WAITING)


def _without_later(predicted: Change, told: dict[str, Any]) -> dict[str, Any]:
    """Of a procedure only the steps that check could tell."""
    later = {number for number, step in enumerate(predicted.steps) if _decided_later(step)}
    if not later:
        return told
    steps = [step for number, step in enumerate(told["steps"]) if number not in later]
    return {**told, "steps": steps, "actions": [action for step in steps for action in step["actions"]]}


def _only_read(made: Bench) -> None:
    for request in made.reach.requests:
        reading = request.reads or request.operation in SHELL_KEEPING
        if request.operation == "Command":
            reading = any(command in request.detail.lower() for command in READING) and ">" not in request.detail
        assert reading, f"check sent {request}"


def _told(result: HostResult) -> str:
    words = [str(result.error)] if result.error else []
    for change in result.changes:
        words.append(f"{change.address} {change.status.value}: {change.reason or ''}")
        if change.error:
            words += [change.error.what, change.error.why, change.error.try_]
    return "\n".join(words)


class Settling:
    """What check shows is what apply does, which touches nothing more, settles, and holds in the world."""

    @tried_on(any_case, all_on=("memory", "basic"), first_on=("ntlm",))
    def test_a_case(self, case: Case, machine: MachineName, bench: MakeBench) -> None:
        made = bench(case, machine, stored=True)
        before = made.state()

        checked = made.check()
        _is_as_expected(case, checked, [item["status"] for item in case.drift])
        assert made.state() == before, "check touched the world"
        _only_read(made)

        made.runs.clear()  # under the same id, so that the names of what is kept aside are the same
        applied = made.apply()
        assert [change.status.value for change in applied.changes] == case.statuses, _told(applied)
        _was_predicted(checked, applied)
        assert facts(made.world, wanted(case.holds, run=made.runs[-1])) == wanted(case.holds, run=made.runs[-1])
        if case.wrong:
            assert case.wrong in _told(applied)

        again = made.apply()
        assert again.status.value == case.status_again, _told(again)
        if case.status_again == "ok":
            assert made.done() == []
            assert [change.status for change in again.changes if change.status is not Status.OK] == [
                Status.SKIPPED for change in again.changes if change.status is Status.SKIPPED
            ]
