"""A journal that fails while a host is changed: what was done, cut and not begun is told, and the next run finishes."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import pytest
from tests.apply.apply_site import HOST, Site, leaves, told
from tests.apply.test_apply_stopped import ENTRIES, HANDLERS

from converge.apply.manifests import ADDRESS as KEPT_FILES
from converge.errors import JournalUnavailable, LeaseLost
from converge.model.action import AnyAction, Performed
from converge.model.answer import Answers
from converge.model.change import HostResult
from converge.model.journal import (
    ActionEnded,
    ActionIntended,
    ChangeEnded,
    History,
    Journal,
    JournalEvent,
    RegistrySnapshot,
    RunEnded,
)
from converge.model.machine import Machine
from converge.model.play import Play

WHY = "the store has no space left on its disk"
Fails = Callable[[tuple[JournalEvent, ...]], bool]


class FailingJournal:
    """A journal that fails at the first write that is asked for, and at each one from then on."""

    def __init__(self, journal: Journal, fails: Fails) -> None:
        self.journal, self.fails = journal, fails
        self.failed: tuple[JournalEvent, ...] | None = None
        self.run = journal.run
        self.history = journal.history

    def write(self, *events: JournalEvent) -> None:
        if self.failed is None and self.fails(events):
            self.failed = events
        if self.failed is not None:
            raise JournalUnavailable(WHY)
        self.journal.write(*events)

    def back_up(self, snapshot: RegistrySnapshot) -> str:
        return self.journal.back_up(snapshot)


class Watched:
    """A machine that counts what was really sent to it."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.host = machine.host
        self.sent: list[AnyAction] = []

    @property
    def round_trips(self) -> int:
        return self.machine.round_trips

    def ask(self, queries: object) -> Answers:
        return self.machine.ask(queries)  # type: ignore[arg-type]

    def perform(self, action: AnyAction) -> Performed:
        self.sent.append(action)
        return self.machine.perform(action)


class Broken:
    """One run with a journal that fails, and what it came to."""

    def __init__(self, site: Site, plays: tuple[Play, ...], fails: Fails) -> None:
        self.journals: list[FailingJournal] = []
        self.machines: list[Watched] = []

        def journal(real: Journal) -> Journal:
            self.journals.append(FailingJournal(real, fails))
            return self.journals[0]

        def wrap(real: Machine) -> Machine:
            self.machines.append(Watched(real))
            return self.machines[0]

        self.result: HostResult = site.apply(plays, accept_no_way_back=True, journal=journal, wrap=wrap)
        self.failed = self.journals[0].failed
        self.sent = self.machines[0].sent


def first(kind: type[JournalEvent]) -> Fails:
    return lambda events: any(isinstance(event, kind) for event in events)


def test_wherever_it_fails_everything_is_told_and_the_next_run_finishes(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    undisturbed = Site(tmp_path_factory.mktemp("undisturbed"))
    undisturbed.apply(undisturbed.plays(ENTRIES, HANDLERS), accept_no_way_back=True)
    failed_at = set()
    for number in count():
        site = Site(tmp_path_factory.mktemp("failing"))
        plays = site.plays(ENTRIES, HANDLERS)
        writes = count()
        broken = Broken(site, plays, lambda _, writes=writes, number=number: next(writes) >= number)  # type: ignore[misc]
        result = broken.result
        if broken.failed is None:
            break
        assert result.error is not None
        assert (result.error.code, result.error.what) == ("journal-unavailable", WHY)
        assert result.status.value in ("failed", "unknown"), told(result)
        expected = {entry.name for entry in plays[0].entries if entry.name != "texts"}
        assert {change.name for change in result.changes} >= expected, f"{broken.failed}\n{told(result)}"
        begun = [change for change in leaves(result) if change.status.value in ("changed", "failed", "unknown")]
        if not broken.sent:
            assert not [change for change in begun if change.error is None or change.error.what != WHY], told(result)
        told_of = {change.address: change.status.value for change in leaves(result)}
        for record in site.recorded():
            assert told_of.get(record.address, "skipped") != "skipped", f"{broken.failed}: {record.address}\n{told(result)}"
        if any(change.name.startswith("texts") and change.status.value == "changed" for change in result.changes):
            assert "handler:restart busy" in told_of, f"{broken.failed}\n{told(result)}"
        failed_at |= {type(event).__name__ for event in broken.failed}
        finished = site.apply(plays, accept_no_way_back=True)
        assert finished.status.value in ("changed", "ok"), f"{broken.failed}\n{told(finished)}"
        assert site.essence() == undisturbed.essence(), told(result)
        with site.store() as store:
            assert store.history(HOST) == History()
    assert {"RunBegun", "ActionIntended", "ActionEnded", "ChangeEnded", "StepEnded", "HandlerDone", "RunEnded"} <= failed_at


def nth(kind: type, number: int) -> Fails:
    """At the so many-th write that tells of such an event, counted from 1."""
    seen = count(1)
    return lambda events: any(isinstance(event, kind) for event in events) and next(seen) == number


NESTED = {"directory": {"path": r"D:\Vendor\n\e\w"}}
LATER = {"name": "later", "directory": {"path": r"D:\Vendor\later"}}


@pytest.mark.parametrize(
    ("fails", "status", "sent", "words"),
    [
        (nth(ActionIntended, 1), "skipped", 0, ["the journal could not be written before its first action"]),
        (nth(ActionEnded, 1), "failed", 1, ["the journal could not be written in the middle of it", "Not begun: NewDirectory."]),
        (nth(ActionIntended, 2), "failed", 1, ["in the middle of it", "Not begun: NewDirectory."]),
        (nth(ActionEnded, 3), "unknown", 3, ["before the result was verified", "All was done."]),
        (nth(ChangeEnded, 1), "changed", 3, []),
    ],
)
def test_the_change_in_work_is_told_with_what_is_known(
    site: Site, fails: Fails, status: str, sent: int, words: list[str]
) -> None:
    broken = Broken(site, site.plays([NESTED, LATER]), fails)
    change, later = broken.result.changes
    assert (change.status.value, len(broken.sent)) == (status, sent), told(broken.result)
    problem = change.error
    said = f"{change.reason} {problem.what} {problem.why}" if problem else str(change.reason)
    for each in words:
        assert each in said
    if problem is not None:
        assert WHY in problem.why, "why the journal failed is told"
    assert (later.name, later.status.value) == ("later", "skipped")
    assert later.reason == "not begun: the journal could not be written"


def test_after_the_last_action_all_is_told_as_done(site: Site) -> None:
    result = Broken(site, site.plays([NESTED, LATER]), first(RunEnded)).result
    assert [change.status.value for change in result.changes] == ["changed", "changed"]
    assert result.error is not None
    assert (result.error.what, result.status.value) == (WHY, "failed")


def test_a_lease_that_was_lost_is_told_as_such(site: Site) -> None:
    class Taken(FailingJournal):
        def write(self, *events: JournalEvent) -> None:
            try:
                super().write(*events)
            except JournalUnavailable as error:
                raise LeaseLost("run 7 has it") from error

    plays = site.plays([NESTED, LATER])
    result = site.apply(plays, journal=lambda real: Taken(real, nth(ActionIntended, 2)))
    assert "another run took this host over in the middle of it" in told(result)
    assert result.changes[-1].reason == "not begun: another run took this host over"


class Failing:
    """Makes a journal fail at its so many-th write."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._writes = count()
        self._journal: FailingJournal | None = None

    def __call__(self, real: Journal) -> Journal:
        self._journal = FailingJournal(real, lambda _: next(self._writes) >= self._number)
        return self._journal

    @property
    def failed(self) -> tuple[JournalEvent, ...] | None:
        return self._journal.failed if self._journal is not None else None


def test_an_undo_tells_what_it_did_not_come_to(tmp_path_factory: pytest.TempPathFactory) -> None:
    for number in count():
        site = Site(tmp_path_factory.mktemp("undone"))
        before = site.essence()
        done = site.apply(site.plays(ENTRIES, HANDLERS), accept_no_way_back=True)
        failing = Failing(number)
        result = site.undo(accept_no_way_back=True, journal=failing)
        if failing.failed is None:
            break
        assert result.error is not None
        assert result.error.what == WHY
        told_of = {change.address for change in leaves(result)}
        wanted = {change.address for change in leaves(done) if change.status.value == "changed"}
        missing = {address for address in wanted - told_of if not address.startswith("handler:")}
        assert not missing, f"{failing.failed}\n{told(result)}"
        for record in site.recorded():
            if record.address != KEPT_FILES:  # manifests, which are no resource
                assert record.address in told_of, f"{failing.failed}\n{told(result)}"
        assert site.undo(site.runs[0], accept_no_way_back=True).status.value in ("changed", "ok")
        assert site.essence() == before
