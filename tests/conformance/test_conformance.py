r"""Every kind on every machine: check touches nothing, check predicts apply, apply settles, the world is as declared.

A new kind needs a file `cases/KIND.yml` and nothing else: a list of cases, each of which runs through every assertion of
this folder (here, and in the files about broken lines, refusals, crashes and the way back), in memory and over WinRM.

    - title: a sentence that says what is shown
      image: windows-2003            # a file of worlds/, this one by default
      world: {files: {'D:\': {a.txt: hello}}}     # what is put into it first, in the words of the lab's images
      quirks: {get_string_of_expandable: raw}     # and how it is odd
      denies: [shells]               # rights that the account lacks
      backup_folder: 'D:\converge'        # the folder set aside for what is kept, where there is one
      entry: {file: {path: 'D:\b.txt', copy_from: 'D:\a.txt'}}    # or `resources:` and `handlers:`, as in a playbook
      drift:                         # what check shows, in order; what is left out does not matter
        - {status: changed, before: null, after: {size: 5, version: null, sha256: null}, actions: [CopyFile]}
      ends: [changed]                # the statuses after apply, where they are others
      again: ok                      # the host's status when it is applied once more, where it is neither ok nor failed again
      wrong: some words              # that a failure must tell
      holds:                         # read from the world itself after apply
        files: {'D:\b.txt': {text: hello}, 'D:\gone.txt': null, 'D:\x.dll.converge-RUN': {size: 1}}
        folders: {'D:\new': true}
        keys: {'HKLM\SOFTWARE\Vendor': true}
        values: {'HKLM\SOFTWARE\Vendor': {Number: {dword: 1}, Gone: null}}
        services: {SMTPSVC: {state: running, start: automatic}}
"""

from __future__ import annotations

from typing import Any

import pytest
from tests.conformance.bench import Bench, MachineName, MakeBench, shown
from tests.conformance.case import Case, all_cases
from tests.conformance.reading import facts, names_of, wanted

from converge.model.change import Change, HostResult, Status
from converge.model.resource import KINDS

MACHINES: tuple[MachineName, ...] = ("memory", "basic", "ntlm")
READING = ("reg query ", "reg.exe query ", "certutil -hashfile ", "certutil.exe -hashfile ")
SHELL_KEEPING = ("Create", "Receive", "Signal", "Delete")


def _titles(cases: tuple[Case, ...]) -> list[str]:
    return [f"{case.file}: {case.title}" for case in cases]


def _some(cases: tuple[Case, ...]) -> tuple[Case, ...]:
    """Of every file the first case that changes something: over NTLM only the line differs from Basic."""
    firsts: dict[str, Case] = {}
    for case in cases:
        if case.changes or case.file not in firsts:
            firsts.setdefault(case.file, case)
    return tuple(firsts.values())


RUNS = [(case, machine) for machine in MACHINES for case in (_some(all_cases()) if machine == "ntlm" else all_cases())]
IDS = [f"{machine}: {case.file}: {case.title}" for case, machine in RUNS]


def test_every_kind_has_a_case_with_facts_of_the_world() -> None:
    covered = {kind for case in all_cases() if case.holds for kind in case.kinds}
    assert set(KINDS) - covered == set()


def test_titles_tell_cases_apart() -> None:
    titles = _titles(all_cases())
    assert len(titles) == len(set(titles))


@pytest.mark.parametrize(("case", "machine"), RUNS, ids=IDS)
def test_a_case(case: Case, machine: MachineName, bench: MakeBench) -> None:
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
