"""A run that is told to stop says of each thing that was under way what became of it, and the next run finishes."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from tests.apply.apply_site import HOST, Site, leaves, told
from tests.apply.test_apply_undo import APP, VENDOR, value

from converge.errors import ActionRefused
from converge.lab import service_manager
from converge.model.action import AnyAction, Performed, StartService, StopService
from converge.model.change import HostResult
from converge.model.journal import History
from converge.model.machine import Machine
from converge.model.play import Play

LOOPED = {
    "name": "texts",
    "registry_value": {"key": VENDOR, "name": "{{ item }}", "type": "string", "data": "new"},
    "loop": ["Text", "More", "Most"],
    "notify": "restart busy",
}
ENTRIES: list[dict[str, Any]] = [
    LOOPED,
    {"directory": {"path": r"D:\Vendor\n\e\w"}},
    {"file": {"path": APP, "copy_from": r"D:\Media\new.dll"}},
    {"service": {"name": "Plain", "running": True, "start_mode": "automatic"}},
    {
        "procedure": {
            "name": "p",
            "done_when": {"registry_value": {"key": VENDOR, "name": "S", "exists": True}},
            "steps": [
                {"registry_key": {"key": VENDOR + r"\Tree", "ensure": "absent", "recursive": True}},
                value("S", "1"),
            ],
        }
    },
]
HANDLERS = [{"name": "restart busy", "restart_service": {"name": "Busy"}}]


def stopped_after(site: Site, plays: tuple[Play, ...], looks: int) -> HostResult:
    """A run that is told to stop when it has asked so often whether to go on."""
    asked = count()
    return site.apply(plays, accept_no_way_back=True, stop=lambda: next(asked) >= looks)


def test_whatever_was_begun_is_in_the_result_and_the_next_run_finishes(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    undisturbed = Site(tmp_path_factory.mktemp("undisturbed"))
    undisturbed.apply(undisturbed.plays(ENTRIES, HANDLERS), accept_no_way_back=True)
    seen: set[tuple[str, str]] = set()
    for looks in count():
        site = Site(tmp_path_factory.mktemp("stopped"))
        plays = site.plays(ENTRIES, HANDLERS)
        names = {entry.name for entry in plays[0].entries if entry.name != "texts"}
        result = stopped_after(site, plays, looks)
        if result.error is None:
            break
        assert result.error.code == "stopped", told(result)
        worst = {change.status.value for change in result.changes} & {"failed", "unknown"}
        # Where nothing was cut short nothing failed: it is only not known whether the host is as declared.
        assert result.status.value == max(worst, default="undecided"), told(result)
        assert {change.name for change in result.changes} >= names, told(result)
        told_of = {change.address: change for change in leaves(result)}
        for record in site.recorded():
            assert record.address in told_of, f"{record.address} was begun and is not told of\n{told(result)}"
            change = told_of[record.address]
            assert record.status == change.status.value
            done = [action for action in record.actions if action.outcome == "done"]
            assert record.actions, "what was not begun is not written down as begun"
            if record.status in ("failed", "unknown"):
                assert change.error is not None
                assert done, "what was not begun did not fail"
                assert str(done[-1].action["action"]) in change.error.why or record.status == "unknown"
            seen.add((record.kind, str(record.status)))
        finished = site.apply(plays, accept_no_way_back=True)
        assert finished.status.value in ("changed", "ok"), told(finished)
        assert site.essence() == undisturbed.essence(), told(result)
        with site.store() as store:
            history = store.history(HOST)
        assert history == History()
    assert looks > 15
    assert {("directory", "failed"), ("service", "failed")} <= seen


def test_entries_and_plays_that_were_not_come_to_are_told(site: Site) -> None:
    (play,) = site.plays([value("A", "1"), {**LOOPED, "notify": []}, value("B", "1")])
    later = replace(play, name="a later play")
    for looks, begun in ((0, 0), (9, 2)):  # at once, and, after five of the rehearsal, within the loop
        result = stopped_after(site, (play, later), looks)
        assert result.error is not None
        assert (result.error.code, result.status.value) == ("stopped", "undecided")
        assert [change.status.value for change in result.changes[:begun]] == ["changed"] * begun, told(result)
        left = [change for change in result.changes[begun:] if "not begun: the run was stopped" in (change.reason or "")]
        assert {change.status.value for change in left} == {"skipped"}
        assert [change.name for change in left if change.play == later.name] == [each.name for each in later.entries]
    assert len(result.changes) == 2 + 3 + 3, told(result)


def test_the_steps_of_a_procedure_are_told_with_the_one_under_way(tmp_path_factory: pytest.TempPathFactory) -> None:
    steps = []
    for looks in range(30):
        site = Site(tmp_path_factory.mktemp("stopped"))
        for change in stopped_after(site, site.plays(ENTRIES[-1:]), looks).changes:
            if change.error is not None:
                assert change.address == "procedure:p"
                assert "the next run resumes there" in change.error.why
                steps.append([step.status.value for step in change.steps])
    assert steps[0] == ["failed"], "before its first action it is not begun"
    assert ["changed", "skipped"] in steps


def test_an_undo_that_is_stopped_tells_what_was_under_way(site: Site) -> None:
    plays = site.plays(ENTRIES, HANDLERS)
    before = site.essence()
    site.apply(plays, accept_no_way_back=True)
    asked = count()
    result = site.undo(stop=lambda: next(asked) >= 3, accept_no_way_back=True)
    assert result.error is not None
    assert result.error.code == "stopped"
    begun = {record.address for record in site.recorded()}
    assert begun <= {change.address for change in leaves(result)}, told(result)
    again = site.undo(site.runs[0], accept_no_way_back=True)
    assert again.status.value == "changed", told(again)
    assert site.essence() == before


def test_what_no_action_was_begun_of_leaves_nothing_open(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A restart that stopped nothing, a procedure of which nothing was done, a handler that no change asked for."""
    cut = 0
    for looks in count():
        site = Site(tmp_path_factory.mktemp("stopped"))
        plays = site.plays([value("Text", "new", notify="restart busy"), ENTRIES[-1]], HANDLERS)
        result = stopped_after(site, plays, looks)
        if result.error is None:
            break
        recorded = site.recorded()
        begun = {record.kind for record in recorded if record.actions}
        assert {record.kind for record in recorded} == begun
        with site.store() as store:
            history = store.history(HOST)
        assert bool(history.pending) == ("registry_value" in begun), told(result)
        assert bool(history.procedures) <= ("registry_key" in begun)
        assert bool(history.restarts) == ("restart_service" in begun)
        if history.pending and not history.restarts:
            cut += 1
            service_manager.stop(site.world, "Busy")
            site.world.clock.advance(30)
            assert site.apply(plays, accept_no_way_back=True).status.value in ("changed", "ok")
            record = site.world.service("Busy")
            assert record is not None
            assert record.state.value == "stopped", "a person stopped it, and no run did"
    assert cut >= 2


def test_a_restart_that_was_refused_owes_nothing(site: Site) -> None:
    class Refusing:
        """A machine that stops no service and writes no value."""

        def __init__(self, machine: Machine) -> None:
            self.machine = machine
            self.ask, self.host = machine.ask, machine.host

        @property
        def round_trips(self) -> int:
            return self.machine.round_trips

        def perform(self, action: AnyAction) -> Performed:
            if isinstance(action, StopService | StartService):
                raise ActionRefused("access denied")
            return self.machine.perform(action)

    plays = site.plays([value("Text", "new", notify="restart busy")], HANDLERS)
    assert site.apply(plays, wrap=Refusing).status.value == "failed"
    with site.store() as store:
        history = store.history(HOST)
    assert (history.restarts, [item.handler for item in history.pending]) == ((), ["restart busy"])
    refused = site.plays([{"service": {"name": "Plain", "running": True}, "notify": "restart busy"}], HANDLERS)
    (site.folder / "other").mkdir()
    other = Site(site.folder / "other")
    assert other.apply(refused, wrap=Refusing).status.value == "failed"
    with other.store() as store:
        assert store.history(HOST) == History()
