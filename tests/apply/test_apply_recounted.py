"""A host whose run ended before anybody could tell is told from its journal: done, cut, not begun."""

from __future__ import annotations

from itertools import count

import pytest
from tests.apply.apply_site import HOST, Site, leaves, told
from tests.apply.test_apply_stopped import ENTRIES, HANDLERS

from converge.apply.recounting import recounted
from converge.apply.undoing import not_reverted
from converge.apply.walking import not_begun
from converge.fleet.parallel import ABANDONED
from converge.model.action import AnyAction, Performed
from converge.model.answer import Answers
from converge.model.change import HostResult
from converge.model.machine import Machine
from converge.model.play import Play


class GoneError(BaseException):
    """Whoever was at work is not there any more."""


class Hanging:
    """A machine that does an action, or not, and never answers."""

    def __init__(self, machine: Machine, number: int, *, done: bool) -> None:
        self.machine, self.number, self.done = machine, number, done
        self.host = machine.host
        self.sent: list[AnyAction] = []

    @property
    def round_trips(self) -> int:
        return self.machine.round_trips

    def ask(self, queries: object) -> Answers:
        return self.machine.ask(queries)  # type: ignore[arg-type]

    def perform(self, action: AnyAction) -> Performed:
        self.sent.append(action)
        if len(self.sent) > self.number and not self.done:
            raise GoneError
        performed = self.machine.perform(action)
        if len(self.sent) > self.number:
            raise GoneError
        return performed


def recount(site: Site, plays: tuple[Play, ...]) -> HostResult:
    with site.store() as store:
        recorded, history = store.runs.changes(site.runs[-1], HOST), store.history(HOST)
    return recounted(HOST, recorded, history=history, remaining=not_begun(plays, ""), problem=ABANDONED)


def abandoned(site: Site, plays: tuple[Play, ...], number: int, *, done: bool) -> bool:
    """Whether the run was left at its so many-th action."""
    try:
        site.apply(plays, accept_no_way_back=True, wrap=lambda real: Hanging(real, number, done=done))
    except GoneError:
        return True
    return False


@pytest.mark.parametrize("done", [True, False])
def test_each_action_may_be_the_last_that_is_known(tmp_path_factory: pytest.TempPathFactory, done: bool) -> None:
    whole = Site(tmp_path_factory.mktemp("whole"))
    plays = whole.plays(ENTRIES, HANDLERS)
    assert not abandoned(whole, plays, 1000, done=True)
    all_done = {change.address for change in recount(whole, plays).changes if change.status.value == "changed"}
    assert all_done == {record.part_of or record.address for record in whole.recorded() if record.kind}
    for number in count():
        site = Site(tmp_path_factory.mktemp("left"))
        plays = site.plays(ENTRIES, HANDLERS)
        if not abandoned(site, plays, number, done=done):
            break
        result = recount(site, plays)
        assert result.error is not None
        assert (result.status.value, result.error.code) in (("unknown", "stopped"), ("failed", "stopped")), told(result)
        *before, cut = [record for record in site.recorded() if record.kind]
        said = {change.address: change for change in leaves(result)}
        assert said[cut.address].status.value == "unknown", told(result)
        assert "not known" in str(said[cut.address].error)
        assert {said[record.address].status.value for record in before} <= {"changed"}, told(result)
        begun = {record.line for record in site.recorded()}
        rest = [entry for entry in plays[0].entries if entry.position.line not in begun]
        remaining = [change for change in result.changes if change.status.value == "skipped"]
        assert [change.name for change in remaining] == [entry.name for entry in rest], told(result)
        assert {change.reason for change in remaining} <= {"not begun: the run was stopped"}
    assert number > 8


def test_before_the_first_action_nothing_is_unknown(site: Site) -> None:
    plays = site.plays(ENTRIES, HANDLERS)
    site.next_run()
    result = recount(site, plays)
    assert result.status.value == "undecided"
    assert {change.status.value for change in result.changes} == {"skipped"}
    assert len(result.changes) == len(plays[0].entries)


def test_what_was_passed_is_not_told_as_not_come_to(site: Site) -> None:
    present, missing = {"directory": {"path": r"D:\Vendor"}}, {"directory": {"path": r"D:\Vendor\new"}}
    plays = site.plays([present, missing, missing | {"directory": {"path": r"D:\Vendor\newer"}}])
    assert abandoned(site, plays, 0, done=True)
    reasons = {change.name: change.reason for change in recount(site, plays).changes}
    assert reasons["entry 0"] == "no action of it was begun: it was in order, or could not be changed"
    assert reasons["entry 2"] == "not begun: the run was stopped"


def test_an_undo_is_told_alike(site: Site) -> None:
    plays = site.plays(ENTRIES, HANDLERS)
    site.apply(plays, accept_no_way_back=True)
    with pytest.raises(GoneError):
        site.undo(accept_no_way_back=True, wrap=lambda real: Hanging(real, 3, done=True))
    with site.store() as store:
        recorded, history = store.runs.changes(site.runs[-1], HOST), store.history(HOST)
        remaining = not_reverted(store.runs.changes(site.runs[0], HOST), "")
    result = recounted(HOST, recorded, history=history, remaining=remaining, problem=ABANDONED)
    by_status: dict[str, int] = {}
    for change in result.changes:
        by_status[change.status.value] = by_status.get(change.status.value, 0) + 1
    assert by_status["unknown"] == 1, told(result)
    assert by_status["changed"] >= 1
    assert by_status["skipped"] >= 1
