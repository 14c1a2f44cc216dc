"""A restart that is pending when its reason was taken back: made where a service has seen the change, and else not."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from tests.apply.apply_site import HOST, Site, statuses, told
from tests.apply.test_apply_undo import RESTART, value

from converge.lab import service_manager
from converge.model.journal import PendingHandler
from converge.model.play import Play

FAILS = {"service": {"name": "Dying", "running": True}}
NEW = value("Text", "new", notify="restart busy")
OLD = value("Text", "as it was", notify="restart busy")


def started(site: Site) -> datetime:
    """When the process behind the service was made."""
    record = site.world.service("Busy")
    assert record is not None
    return site.world.processes[record.process_id].created


def pending(site: Site) -> list[str]:
    with site.store() as store:
        return [item.handler for item in store.history(HOST).pending]


def left_pending_and_undone(site: Site, *, between: Any = None) -> None:
    """A run that changed the value and could not pay the restart, taken back."""
    site.world.clock.advance(60)
    site.apply(site.plays([NEW, FAILS], [RESTART]))
    assert pending(site) == ["restart busy"]
    site.world.clock.advance(60)
    if between is not None:
        between(site)
        site.world.clock.advance(60)
    undone = site.undo(site.runs[0])
    assert statuses(undone)["handler:restart busy"] == "skipped"
    assert "pending" in told(undone)
    assert site.check_undo(site.runs[0]).status.value in ("ok", "skipped")
    site.world.clock.advance(60)


def restart(site: Site) -> None:
    service_manager.stop(site.world, "Busy")
    site.world.clock.advance(30)
    service_manager.start(site.world, "Busy")
    site.world.clock.advance(30)


def test_a_service_that_never_saw_the_change_is_not_restarted(site: Site) -> None:
    left_pending_and_undone(site)
    before = started(site)
    result = site.apply(site.plays([OLD], [RESTART]))
    assert statuses(result)["handler:restart busy"] == "ok", told(result)
    assert "taken back" in told(result)
    assert started(site) == before
    assert pending(site) == []


def test_one_that_was_restarted_in_between_is_restarted(site: Site) -> None:
    left_pending_and_undone(site, between=restart)
    before = started(site)
    result = site.apply(site.plays([OLD], [RESTART]))
    assert statuses(result)["handler:restart busy"] == "changed", told(result)
    assert started(site) > before
    assert pending(site) == []


def test_one_that_a_later_run_restarted_is_restarted(site: Site) -> None:
    """It was pending from the undone run, the next one did it: it runs with what is taken back."""
    left = site.plays([NEW, FAILS], [RESTART])
    site.apply(left)
    site.world.clock.advance(60)
    done = site.apply(site.plays([NEW], [RESTART]))
    assert statuses(done)["handler:restart busy"] == "changed"
    site.world.clock.advance(60)
    undone = site.undo(site.runs[0])
    assert statuses(undone)["handler:restart busy"] == "skipped"
    before = started(site)
    site.world.clock.advance(60)
    result = site.apply(site.plays([OLD], [RESTART]))
    assert statuses(result)["handler:restart busy"] == "changed", told(result)
    assert started(site) > before


def test_a_later_change_needs_its_own_restart(site: Site) -> None:
    left_pending_and_undone(site)
    before = started(site)
    result = site.apply(site.plays([NEW], [RESTART]))
    assert statuses(result)["handler:restart busy"] == "changed", told(result)
    assert started(site) > before


class TestOneAfterTheOther:
    """Two runs that changed the same place, taken back."""

    def test_the_first_names_the_second_and_both_can_be_taken_back(self, site: Site) -> None:
        before = site.essence()
        site.apply(site.plays([value("Text", "one"), value("Only", "1")]))
        site.apply(site.plays([value("Text", "two")]))
        first = site.undo(site.runs[0])
        (problem,) = [change.error for change in first.changes if change.error is not None]
        assert problem.code == "changed-since"
        assert problem.what == f"run {site.runs[1]} changed it after run {site.runs[0]}"
        assert problem.try_ == f"take that back first: converge undo {site.runs[1]}"
        assert site.undo(site.runs[1]).status.value == "changed"
        again = site.undo(site.runs[0])
        assert again.status.value == "changed", told(again)
        assert site.essence() == before

    def test_an_undo_that_was_undone_is_named_too(self, site: Site) -> None:
        site.apply(site.plays([value("Text", "one")]))
        site.apply(site.plays([value("Text", "two")]))
        second = site.runs[1]
        site.undo(second)
        site.undo(site.runs[2])  # it is `two` again, by the undo of the undo
        first = site.undo(site.runs[0])
        assert first.changes[0].error is not None
        assert first.changes[0].error.try_ == f"take that back first: converge undo {site.runs[3]}"
        site.undo(site.runs[3])
        assert site.undo(site.runs[0]).status.value == "changed"

    def test_somebody_else_is_not_taken_for_a_run(self, site: Site) -> None:
        from converge.windows.registry import parse_path

        site.apply(site.plays([value("Text", "one")]))
        site.apply(site.plays([value("Text", "two")]))
        site.world.registry.create(parse_path(r"HKLM\SOFTWARE\Vendor")).set("Text", number=1, data="theirs")
        first = site.undo(site.runs[0])
        assert first.changes[0].error is not None
        assert "not by any recorded run of converge" in first.changes[0].error.what
        assert "theirs" in first.changes[0].error.why


class TestPlaysThatAreGone:
    """The play of the pending restart was renamed: nobody does it, and it comes to an end all the same."""

    def left_pending(self, site: Site) -> None:
        site.world.clock.advance(60)
        site.apply(site.plays([NEW, FAILS], [RESTART]))
        (item,) = self.open(site)
        assert item.restarts == ("Busy",)
        site.world.clock.advance(60)

    def open(self, site: Site) -> tuple[PendingHandler, ...]:
        with site.store() as store:
            return store.history(HOST).pending

    def renamed(self, site: Site) -> tuple[Play, ...]:
        return tuple(replace(play, name="another play") for play in site.plays([NEW], [RESTART]))

    def test_it_is_told_with_the_service(self, site: Site) -> None:
        self.left_pending(site)
        for result in (site.check(self.renamed(site)), site.apply(self.renamed(site))):
            (change,) = [change for change in result.changes if change.address == "handler:restart busy"]
            assert change.status.value == "skipped"
            assert "restart Busy by hand" in change.notes[0]
            assert f"--settle '{HOST}:restart busy=done'" in change.notes[0]
        assert pending(site) == ["restart busy"]

    def test_a_restart_by_hand_ends_it(self, site: Site) -> None:
        self.left_pending(site)
        restart(site)
        assert site.check(self.renamed(site)).status.value == "changed", "so that the run goes there and writes it down"
        before = started(site)
        result = site.apply(self.renamed(site))
        assert statuses(result)["handler:restart busy"] == "ok", told(result)
        assert (pending(site), started(site)) == ([], before)
        assert site.check(self.renamed(site)).status.value == "ok"

    def test_a_person_ends_it(self, site: Site) -> None:
        self.left_pending(site)
        for other in (HOST, f"{HOST}:restart idle", "elsewhere:restart busy"):
            site.apply(self.renamed(site), settle={other: "done"})
            assert pending(site) == ["restart busy"]
        result = site.apply(self.renamed(site), settle={f"{HOST}:restart busy": "done"})
        assert "a person said that it was done" in told(result)
        assert pending(site) == []

    def test_a_play_that_does_not_apply_any_more(self, site: Site) -> None:
        self.left_pending(site)
        never = site.plays(
            [NEW],
            [RESTART],
            applies_when=[{"that": {"service": {"name": "Nobody", "exists": True}}, "else": "not here"}],
        )
        result = site.apply(never)
        assert statuses(result)["handler:restart busy"] == "skipped", told(result)
        restart(site)
        site.apply(never)
        assert pending(site) == []

    def test_its_own_play_pays_it_as_ever(self, site: Site) -> None:
        self.left_pending(site)
        result = site.apply(site.plays([NEW], [RESTART]))
        assert [change.status.value for change in result.changes if change.key["kind"] != "registry_value"] == [
            "changed"
        ]
        assert pending(site) == []
