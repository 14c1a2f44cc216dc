"""Runs that are broken off, at every place where one can be: the next run heals, and no write was sent twice."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal

import pytest

from converge.lab.endpoint.mishaps import Mishap, MishapKind, Mishaps
from converge.lab.endpoint.request_log import RequestRecord
from converge.model.change import HostResult
from converge.model.journal import ActionIntended, History, Journal, JournalEvent, RegistrySnapshot
from converge.model.machine import Machine
from converge.testing.conformance.bench import HOST, Bench, MakeBench, OverWinRM
from converge.testing.conformance.case import Case
from converge.testing.conformance.reading import facts, wanted
from converge.testing.conformance.trying import changes_well, tried_on
from converge.testing.faulty_machine import FaultyMachine

MAX_BREAKS = 60


class Killed(BaseException):
    """The process is gone at this moment."""


@dataclass
class MortalJournal:
    """A journal whose process is killed at one of the moments between which something happens on the host.

    They are the moment before each event, and the one after an action's intent: it was not sent then.
    """

    journal: Journal
    dies_at: int
    moments: int = 0

    @property
    def run(self) -> str:
        """The run's id."""
        return self.journal.run

    def write(self, *events: JournalEvent) -> None:
        """Write, or die."""
        self._pass_moment()
        self.journal.write(*events)
        if any(isinstance(event, ActionIntended) for event in events):
            self._pass_moment()

    def _pass_moment(self) -> None:
        self.moments += 1
        if self.moments == self.dies_at:
            raise Killed

    def back_up(self, snapshot: RegistrySnapshot) -> str:
        """As the journal behind it."""
        return self.journal.back_up(snapshot)

    def history(self) -> History:
        """As the journal behind it."""
        return self.journal.history()


class BreakAtWrite(Mishaps):
    """The line breaks at the nth request that is no mere reading."""

    def __init__(self, number: int, kind: MishapKind) -> None:
        super().__init__()
        self._left = number
        self._kind = kind

    def strike(self, record: RequestRecord) -> tuple[Mishap, ...]:
        """Count what writes."""
        if is_write(record):
            self._left -= 1
            if self._left == 0:
                return (Mishap(self._kind),)
        return ()


def is_write(record: RequestRecord) -> bool:
    """Whether a request changes the world: a method that does, or a command that does not only query."""
    if record.operation == "Command":
        return not any(word in record.detail.lower() for word in ("reg query", "reg.exe query", "-hashfile"))
    return record.operation == "Invoke" and not record.reads and not record.method.startswith(("Get", "Enum"))


def _times_meant(write: tuple[Any, ...]) -> int:
    """Keys and values of the registry are no selectors: only the method shows in the log, and may be meant for several."""
    method = write[0]
    return (
        10
        if method in ("CreateKey", "SetDWORDValue", "SetMultiStringValue", "DeleteKey", "SetExpandedStringValue")
        else 1
    )


def _sent_once(made: Bench) -> None:
    intended = [line for line in made.journal() if line["event"] == "ActionIntended"]
    counted = Counter((line["change"], str(line["action"])) for line in intended)
    assert not [action for action, times in counted.items() if times > 1]


def _heals(made: Bench, first: HostResult | None) -> None:
    """The next run ends well, or with the help of the person it asks; the one after finds nothing to do."""
    case = made.case
    second = made.apply()
    runs = list(made.runs)
    if case.person == "settle" and second.status.value == "unknown":
        assert any(change.error and change.error.code == "needs-settling" for change in second.changes)
        assert made.done() == [], "a command was sent a second time"
        done = facts(made.world, case.holds) == wanted(case.holds, run="")
        second = made.apply(settle={HOST: "done" if done else "not-done"})
    assert second.status.value in ("ok", "changed"), (first, second)
    found = [facts(made.world, wanted(case.holds, run=run)) == wanted(case.holds, run=run) for run in runs]
    assert any(found), facts(made.world, wanted(case.holds, run=runs[-1]))
    third = made.apply()
    assert third.status.value == case.status_again, third
    if case.status_again == "ok":
        assert made.done() == []
        assert made.history() == History()


class BreakingOff:
    """A run that is broken off anywhere heals, and sends no write twice."""

    @pytest.mark.parametrize("breaks", ["before", "after"])
    @tried_on(changes_well)
    def test_a_line_broken_at_any_action_heals(
        self, case: Case, breaks: Literal["before", "after"], bench: MakeBench
    ) -> None:
        for number in range(1, MAX_BREAKS):
            made = bench(case, "memory")
            mishaps: list[FaultyMachine] = []

            def broken(machine: Machine, number: int = number, mishaps: list[FaultyMachine] = mishaps) -> Machine:
                mishaps.append(FaultyMachine(machine, break_at=number, breaks=breaks))
                return mishaps[0]

            first = made.apply(wrap=broken)
            if len(mishaps[0].actions) < number:
                assert number > 1
                return
            assert len(mishaps[0].actions) == len(made.done())
            _sent_once(made)
            unknown = [line for line in made.journal() if line["event"] == "ActionEnded" and line["result"] == "unknown"]
            assert len(unknown) == 1
            _heals(made, first)
        raise AssertionError("more actions than a case should have")

    @tried_on(changes_well)
    def test_a_host_lost_at_any_action_heals(self, case: Case, bench: MakeBench) -> None:
        for number in range(1, MAX_BREAKS):
            made = bench(case, "memory")
            mishaps: list[FaultyMachine] = []

            def broken(machine: Machine, number: int = number, mishaps: list[FaultyMachine] = mishaps) -> Machine:
                mishaps.append(FaultyMachine(machine, break_at=number, breaks="after", stays_broken=True))
                return mishaps[0]

            first = made.apply(wrap=broken)
            if len(mishaps[0].actions) < number:
                return
            assert first.status.value == "unknown", "nobody could look again"
            _heals(made, first)

    @tried_on(changes_well)
    def test_a_run_killed_at_any_moment_heals(self, case: Case, bench: MakeBench) -> None:
        for number in range(1, MAX_BREAKS * 4):
            made = bench(case, "memory")

            def mortal(journal: Journal, number: int = number) -> Journal:
                return MortalJournal(journal, number)

            try:
                made.apply(journal=mortal)
            except Killed:
                _heals(made, None)
            else:
                assert number > 5
                return
        raise AssertionError("more events than a case should have")

    @pytest.mark.parametrize("kind", [MishapKind.DROP_BEFORE, MishapKind.DROP_AFTER])
    @tried_on(changes_well, all_on=(), first_on=("basic",))
    def test_a_connection_cut_at_any_write_heals(self, case: Case, kind: MishapKind, bench: MakeBench) -> None:
        for number in range(1, MAX_BREAKS):
            made = bench(case, "basic")
            assert isinstance(made.reach, OverWinRM)
            made.reach.host.mishaps = BreakAtWrite(number, kind)
            first = made.apply()
            writes = [record for record in made.reach.requests if is_write(record)]
            if len(writes) < number:
                assert number > 1
                return
            made.reach.host.mishaps = Mishaps()
            sent = Counter(
                (record.method, record.keys, record.detail) for record in writes if record.method != "SetStringValue"
            )
            assert not [write for write, times in sent.items() if times > _times_meant(write)]
            _heals(made, first)
        raise AssertionError("more writes than a case should have")
