"""The question and the end of a check name what would be done and what would not."""

from __future__ import annotations

from dataclasses import replace

from converge.model.change import NEEDS_PERSON, NO_WAY_BACK, Change, HostResult, Problem, Status, Window, host_status
from converge.report.totals import Totals
from converge.report.vocabulary import shown_status, word


def a(kind: str, status: Status, code: str = "") -> Change:
    error = Problem(code, "words") if code else None
    return Change(f"{kind}:x", {"kind": kind}, name="n", play="p", status=status, error=error)


def host(name: str, *changes: Change) -> HostResult:
    return HostResult(name, host_status(changes), changes)


def test_totals_name_what_is_done_and_what_is_not() -> None:
    totals = Totals()
    due, person = a("registry_value", Status.CHANGED), a("operator_step", Status.WAITING, NEEDS_PERSON)
    totals.add(host("one", due, due, a("restart_service", Status.CHANGED), a("restart_computer", Status.WAITING)))
    totals.add(host("two", due, person, a("procedure", Status.WAITING, NO_WAY_BACK), a("file", Status.LATER)))
    totals.add(replace(host("three", a("file", Status.OK)), window=Window(open=False)))
    assert totals.what() == "3 changes to 2 hosts"
    assert totals.besides() == (
        "1 service restarts, 1 host needs a restart afterwards; not done: 1 host waits for a person, "
        "1 change has no way back (--accept-no-way-back), 1 host is outside its change window"
    )


def test_nothing_is_said_of_what_there_is_not() -> None:
    totals = Totals()
    totals.add(host("one", a("file", Status.CHANGED)))
    assert (totals.what(), totals.besides()) == ("1 change to 1 host", "")


def test_what_is_later_and_a_pending_restart_make_a_host_no_worse() -> None:
    assert host_status((a("file", Status.OK), a("file", Status.LATER))) is Status.OK
    assert host_status((a("file", Status.CHANGED), a("restart_computer", Status.WAITING))) is Status.CHANGED
    assert host_status((a("file", Status.CHANGED), a("operator_step", Status.WAITING))) is Status.WAITING


def test_an_undo_is_told_as_one_and_a_look_as_a_look() -> None:
    words = {mode: word(shown_status("changed", mode)) for mode in ("run", "check", "monitor", "undo", "undo-check")}
    assert words == {
        "run": "changed", "check": "would change", "monitor": "would change", "undo": "undone", "undo-check": "would undo",
    }  # fmt: skip
    assert word(shown_status("ok", "undo")) == "ok"
