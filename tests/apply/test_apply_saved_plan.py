"""A saved plan is done as it was approved, once, on a host that is still as it was; else the host is left alone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from tests.apply.apply_site import HOST, Site, actions, leaves, statuses, told
from tests.apply.test_apply_undo import APP, ENTRIES, TITLES, VENDOR, value

from converge.lab.world import LoggedEvent
from converge.model.action import AnyAction, Performed
from converge.model.change import HostResult
from converge.model.facts import ServiceState
from converge.model.machine import Machine
from converge.windows.registry import parse_path


def planned_actions(result: HostResult) -> list[dict[str, Any]]:
    return [dict(action) for change in leaves(result) for action in change.actions]


@pytest.mark.parametrize("entries", ENTRIES, ids=TITLES)
def test_what_was_planned_is_done_once(site: Site, entries: list[dict[str, Any]]) -> None:
    plays = site.plays(entries)
    plan = site.plan(plays)
    before = site.essence()
    applied = site.apply_plan(plan, plays, accept_no_way_back=True)
    assert applied.status.value == "changed", told(applied)
    assert site.essence() != before
    after = site.essence(kept=True)
    for _ in range(2):
        again = site.apply_plan(plan, plays, accept_no_way_back=True)
        assert again.status.value == "stale"
    assert site.essence(kept=True) == after


def test_a_host_that_was_put_back_is_not_changed_by_the_same_plan(site: Site) -> None:
    plays = site.plays([value("Text", "new")])
    plan = site.plan(plays)
    assert site.apply_plan(plan, plays).status.value == "changed"
    assert site.undo().status.value == "changed"
    again = site.apply_plan(plan, plays)
    assert again.status.value == "stale"
    assert again.error is not None
    assert again.error.what == f"already applied in run {site.runs[0]}"


def test_a_host_on_which_nothing_was_begun_does_not_use_the_plan_up(site: Site) -> None:
    plays = site.plays([value("Text", "new", sensitive=True)])
    plan = site.plan(plays)
    refused = site.apply_plan(plan, plays)
    assert refused.status.value == "waiting"
    assert refused.changes[0].error is not None
    assert refused.changes[0].error.code == "no-way-back"
    accepted = site.apply_plan(plan, plays, accept_no_way_back=True)
    assert accepted.status.value == "changed", told(accepted)
    assert site.apply_plan(plan, plays, accept_no_way_back=True).status.value == "stale"


def test_of_two_that_found_the_plan_free_only_one_acts(site: Site) -> None:
    plays = site.plays([value("Text", "new"), value("New", "n")])
    plan = site.plan(plays)

    def overtaken() -> str:
        """No run has the plan when this one looks, and another takes it before this one acts."""
        with site.store() as store:
            store.plans.claim("1", host=HOST, run="the other")
        return ""

    before = site.essence(kept=True)
    result = site.apply_plan(plan, plays, applied=overtaken)
    assert (result.status.value, result.changes) == ("stale", ())
    assert result.error is not None
    assert result.error.what == "already applied in run the other"
    assert site.essence(kept=True) == before


def _set(name: str, data: str) -> Callable[[Site], None]:
    return lambda site: site.world.registry.create(parse_path(VENDOR)).set(name, number=1, data=data)


def _start_plain(site: Site) -> None:
    site.world.service("Plain").state = ServiceState.RUNNING  # type: ignore[union-attr]  # it is there


def _log(site: Site) -> None:
    moment = site.world.now() - timedelta(minutes=1)
    source = "Service Control Manager"
    site.world.events.append(LoggedEvent(record=999, log="System", provider=source, id=7000, type="error", time=moment))


MOVED: list[tuple[str, Callable[[Site], None], str]] = [
    ("the value itself", _set("Text", "theirs"), r"Vendor\Text"),
    ("a value that is in order already", _set("Fine", "other"), r"Vendor\Fine"),
    ("a condition", _set("Wanted", "no"), "name=Wanted"),
    ("a discovered folder", _set("Folder", r"D:\Media"), "name=Folder"),
    ("a service", _start_plain, "Service(name=Plain)"),
    ("a file", lambda site: site.world.files.place(APP, site.world.files.file(r"D:\Media\new.dll").copy("app.dll")), APP),  # type: ignore[union-attr]
    ("a first event", _log, "Events("),
]  # fmt: skip


def _watched_plays(site: Site) -> Any:
    from converge.playbook import load
    from converge.runs.playbooks import known_kinds

    path = site.folder / "watched.yml"
    path.write_text(
        r"""
- name: the play
  hosts: all
  discover:
    folder: [{registry_value: {key: 'HKLM\SOFTWARE\Vendor', name: Folder}}]
  applies_when:
    - that: {registry_value: {key: 'HKLM\SOFTWARE\Vendor', name: Wanted, equals: 'yes'}}
      else: not wanted
    - that: {not: {events: {log: System, source: Service Control Manager, ids: [7000], within: 7 days}}}
      else: it failed
    - that: {not: {service: {name: Plain, running: true}}}
      else: plain runs
  resources:
    - {name: text, registry_value: {key: 'HKLM\SOFTWARE\Vendor', name: Text, type: string, data: new}}
    - {name: fine, registry_value: {key: 'HKLM\SOFTWARE\Vendor', name: Fine, type: string, data: fine}}
    - {name: app, file: {path: 'D:\Vendor\app.dll', version: 5.0.0.1}}
    - {name: other, file: {path: '{{ folder }}\copy.dll', copy_from: 'D:\Media\new.dll'}}
""",
        encoding="utf-8",
    )
    for name, data in (("Fine", "fine"), ("Wanted", "yes"), ("Folder", r"D:\Vendor")):
        _set(name, data)(site)
    return load([path], kinds=known_kinds())


@pytest.mark.parametrize(("move", "named"), [case[1:] for case in MOVED], ids=[case[0] for case in MOVED])
def test_a_host_that_moved_since_is_left_alone_and_told(site: Site, move: Callable[[Site], None], named: str) -> None:
    plays = _watched_plays(site)
    plan = site.plan(plays)
    assert plan.is_to_be_applied, plan
    move(site)
    before = site.essence(kept=True)
    result = site.apply_plan(plan, plays)
    assert (result.status.value, result.changes) == ("stale", ())
    assert result.error is not None
    assert result.error.code == "stale"
    assert named in result.error.why
    assert site.essence(kept=True) == before


def test_time_alone_makes_no_plan_stale(site: Site) -> None:
    plays = _watched_plays(site)
    plan = site.plan(plays)
    site.world.clock.advance(3600)
    for record in site.world.services.values():
        record.process_id += 1000 if record.process_id else 0
    assert site.apply_plan(plan, plays).status.value == "changed"


def test_another_playbook_is_another_plan(site: Site) -> None:
    plan = site.plan(site.plays([value("Text", "new")]))
    result = site.apply_plan(plan, site.plays([value("Text", "newer")]))
    assert result.status.value == "stale"
    assert "newer" in str(result.error)


def test_what_the_host_becomes_on_the_way_and_nobody_predicted_is_not_acted_upon(site: Site) -> None:
    plays = site.plays([value("Text", "new"), value("Number", 1, kind="dword"), value("New", "n")])
    plan = site.plan(plays)

    class Meddled:
        """Somebody changes a value while the first one is written."""

        def __init__(self, machine: Machine) -> None:
            self.machine, self.ask, self.host = machine, machine.ask, machine.host

        @property
        def round_trips(self) -> int:
            return self.machine.round_trips

        def perform(self, action: AnyAction) -> Performed:
            site.world.registry.create(parse_path(VENDOR)).set("New", number=1, data="m")
            return self.machine.perform(action)

    result = site.apply_plan(plan, plays, wrap=Meddled)
    place = f"registry_value:{VENDOR}"
    # What was known of `New` is still believed: its own write is the planned one.
    assert statuses(result)[rf"{place}\Text"] == "changed"
    assert actions(result) == [
        str(action["action"]) for action in planned_actions(HostResult("x", plan.status, plan.changes))
    ]


def test_names_of_kept_files_do_not_make_it_stale(site: Site) -> None:
    plays = site.plays([{"file": {"path": APP, "copy_from": r"D:\Media\new.dll"}}])
    plan = site.plan(plays)
    assert "2026-11-20T210000Z-0000" in str(plan.changes[0].actions)
    assert site.apply_plan(plan, plays).status.value == "changed"
    assert site.world.files.file(f"{APP}.converge-{site.runs[0]}") is not None


def test_sensitive_values_are_compared_and_not_in_the_file(site: Site) -> None:
    plays = site.plays([value("Text", "hidden word", sensitive=True)])
    plan = site.plan(plays)
    content = (site.folder / "plan.json").read_text(encoding="ascii")
    assert "hidden" not in content
    assert "as it was" not in content
    other = site.apply_plan(plan, site.plays([value("Text", "other word", sensitive=True)]), accept_no_way_back=True)
    assert other.status.value == "stale"
    assert "other word" not in str(other)
    assert (
        site.apply_plan(
            plan, site.plays([value("Text", "hidden word", sensitive=True)]), accept_no_way_back=True
        ).status.value
        == "changed"
    )


def test_without_the_key_the_changes_are_compared(site: Site) -> None:
    plays = _watched_plays(site)
    plan = site.plan(plays)
    _set("Text", "theirs")(site)
    assert site.apply_plan(plan, plays, key=None).status.value == "stale"
    _set("Text", "as it was")(site)
    assert site.apply_plan(plan, plays, key=None).status.value == "changed"


def test_an_evening(site: Site) -> None:
    """Planned by day, applied at night; something else breaks, and the run is taken back; the next plan is a new one."""
    plays = site.plays(
        [
            {"file": {"path": APP, "copy_from": r"D:\Media\new.dll"}, "notify": "restart busy"},
            value("Path", r"D:\Vendor\app.dll", kind="expand_string", notify="restart busy"),
            {"service": {"name": "Dying", "running": True}},
        ],
        [{"name": "restart busy", "restart_service": {"name": "Busy"}}],
    )
    before = site.essence()
    plan = site.plan(plays)
    result = site.apply_plan(plan, plays)
    assert result.status.value == "failed"
    assert statuses(result)["service:Dying"] == "failed"
    undone = site.undo()
    assert undone.status.value == "changed", told(undone)
    assert site.essence() == before
    assert site.apply_plan(plan, plays).status.value == "stale"
