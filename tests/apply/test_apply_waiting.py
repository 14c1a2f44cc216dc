"""What waits, and what only a command decides: neither hides what is known, nor is it called a failure."""

from __future__ import annotations

from typing import Any

import pytest
from tests.apply.apply_site import Site, statuses, told

from converge.errors import Interrupted
from converge.lab import service_manager
from converge.model.action import AnyAction, Performed, RunCommand
from converge.model.change import HostResult
from converge.testing.conformance.case import ACCOUNT
from converge.testing.world_machine import WorldMachine
from converge.windows.registry import parse_path

pytestmark = pytest.mark.timeout(60)

VENDOR = r"HKLM\SOFTWARE\Vendor"
SETUP = {"name": "setup", "argv": ["cmd", "/c", "ver"], "creates": r"D:\Vendor\nothere.txt"}


def value(name: str, **more: Any) -> dict[str, Any]:
    return {"registry_value": {"key": VENDOR, "name": name, "type": "dword", "data": 1}, **more}


def flags(result: HostResult) -> list[tuple[str, tuple[str, ...]]]:
    return [(change.status.value, change.may_be_changed_by) for change in result.changes]


def test_a_command_that_is_due_hides_nothing_of_what_is_known(site: Site) -> None:
    plays = (
        *site.plays([{"command": SETUP}, value("A"), {"directory": {"path": r"D:\zzz"}}]),
        *site.plays([value("B")]),
    )
    checked = site.check(plays)
    by_setup = ("setup",)
    assert flags(checked) == [("changed", ()), *[("changed", by_setup)] * 3], told(checked)
    assert checked.changes[1].after == {"type": "dword", "data": 1}
    assert checked.status.value == "changed"


def test_only_what_a_command_provides_is_decided_later_and_counts_for_nothing(site: Site) -> None:
    provides = {
        "services": ["Brought"],
        "files": [r"%SystemRoot%\brought.dll"],
        "directories": [r"D:\Brought"],
        "registry_keys": [rf"{VENDOR}\Brought"],
    }
    below = {"registry_value": {"key": rf"{VENDOR}\Brought\Deep", "name": "x", "type": "dword", "data": 1}}
    plays = site.plays(
        [
            {"command": {**SETUP, "provides": provides}},
            {"service": {"name": "Brought", "running": True}},
            {"file": {"path": r"%SystemRoot%\brought.dll", "content": "x"}},
            {"file": {"path": r"D:\Brought\deep\a.txt", "content": "x"}},
            below,
            value("A"),
        ]
    )
    checked = site.check(plays)
    assert list(statuses(checked).values()) == ["changed", "later", "later", "later", "later", "changed"], told(checked)
    assert {change.reason for change in checked.changes[1:5]} == {"decided after setup"}
    assert all((change.before, change.after) == (None, None) for change in checked.changes[1:5])
    assert checked.changes[5].may_be_changed_by == ("setup",)


def test_what_is_missing_after_a_command_that_may_bring_it_hints_at_provides(site: Site) -> None:
    service = {"service": {"name": "Brought", "running": True}}
    checked = site.check(site.plays([{"command": SETUP}, service]))
    assert list(statuses(checked).values()) == ["changed", "failed"], told(checked)
    error = checked.changes[1].error
    assert error is not None
    assert "if setup brings what is missing here, name that under its `provides`" in error.try_
    alone = site.check(site.plays([service])).changes[0].error
    assert alone is not None
    assert "provides" not in alone.try_


def test_what_is_later_makes_a_host_no_worse(site: Site) -> None:
    step = {"name": "by hand", "instructions": "do it", "done_when": {"file": {"path": r"D:\by-hand", "exists": True}}}
    checked = site.check(site.plays([{"operator_step": step}, {"file": {"path": r"D:\by-hand", "content": "x"}}]))
    assert list(statuses(checked).values()) == ["waiting", "later"]
    assert checked.status.value == "waiting"


def by_hand(*before: dict[str, Any]) -> dict[str, Any]:
    """A procedure of which a person does a part, after these steps."""
    done = {"file": {"path": r"D:\by-hand", "exists": True}}
    step = {"name": "a person", "operator_step": {"name": "by hand", "instructions": "do it", "done_when": done}}
    return {"procedure": {"name": "repair", "done_when": done, "steps": [*before, step]}}


def test_a_procedure_that_a_person_is_to_go_on_with_waits_and_its_first_steps_are_done(site: Site) -> None:
    first = {"name": "first", "directory": {"path": r"D:\zzz"}}
    plays = site.plays([by_hand(first), value("A")])
    checked = site.check(plays)
    assert [status for status, _ in flags(checked)] == ["waiting", "changed"], told(checked)
    assert (checked.status.value, [change.is_due for change in checked.changes]) == ("waiting", [True, True])
    applied = site.apply(plays)
    assert [status for status, _ in flags(applied)] == ["waiting", "changed"], told(applied)
    assert site.world.files.folder(r"D:\zzz")
    again = site.check(plays)
    assert [status for status, _ in flags(again)] == ["waiting", "ok"], told(again)
    assert not again.changes[0].is_due


def test_a_procedure_that_a_person_is_to_begin_is_not_due(site: Site) -> None:
    last = {"name": "last", "directory": {"path": r"D:\zzz"}}
    procedure = by_hand()["procedure"]
    procedure["steps"].append(last)
    checked = site.check(site.plays([{"procedure": procedure}]))
    assert (checked.status.value, checked.changes[0].is_due) == ("waiting", False), told(checked)


def restarting(site: Site) -> Any:
    return site.plays([value("A", notify="restart")], [{"name": "restart", "restart_computer": {"timeout": 1}}])


def test_a_restart_that_nobody_allowed_waits_and_makes_the_host_no_worse(site: Site) -> None:
    plays = restarting(site)
    checked = site.check(plays)
    assert list(statuses(checked).values()) == ["changed", "waiting"], told(checked)
    assert (checked.status.value, checked.restart_pending) == ("changed", True)
    applied = site.apply(plays)
    assert list(statuses(applied).values()) == ["changed", "waiting"], told(applied)
    assert (applied.status.value, applied.restart_pending) == ("changed", True)
    for later in (site.check(plays), site.apply(plays)):
        assert list(statuses(later).values()) == ["ok", "waiting"], told(later)
        assert (later.status.value, later.restart_pending) == ("ok", True)
    assert site.world.restarts == 0
    allowed = site.apply(plays, allow_reboot=True)
    assert (allowed.status.value, allowed.restart_pending) == ("changed", False), told(allowed)
    assert site.world.restarts == 1
    assert not site.check(plays).restart_pending


def test_a_restart_that_a_person_did_is_pending_no_more(site: Site) -> None:
    plays = restarting(site)
    site.apply(plays)
    site.world.clock.advance(60)
    service_manager.boot(site.world)
    site.world.clock.advance(600)
    seen = site.check(plays)
    assert (seen.status.value, seen.restart_pending) == ("ok", False), told(seen)


def test_a_pending_restart_of_a_play_that_is_gone_stays_pending(site: Site) -> None:
    site.apply(restarting(site))
    other = site.check(site.plays([value("B")], name="another play"))
    assert other.restart_pending, told(other)
    assert other.status.value == "changed"


def test_a_computer_that_a_command_leaves_needing_a_restart_is_pending_until_it_was(site: Site) -> None:
    setup = {"name": "setup", "argv": "exit 3010", "shell": True, "reboot_codes": [3010], "creates": r"D:\none.txt"}
    ran = site.apply(site.plays([{"command": setup}, value("A")]))
    assert list(statuses(ran).values()) == ["changed", "changed", "waiting"], told(ran)
    assert (ran.status.value, ran.restart_pending) == ("changed", True)
    assert "setup ended with exit code 3010" in told(ran)
    plays = site.plays([value("A")])
    for later in (site.check(plays), site.apply(plays)):
        assert (later.status.value, later.restart_pending) == ("ok", True), told(later)
    site.world.clock.advance(60)
    service_manager.boot(site.world)
    site.world.clock.advance(600)
    assert not site.apply(plays).restart_pending
    assert statuses(site.check(plays)) == {rf"registry_value:{VENDOR}\A": "ok"}


def test_a_restart_in_the_same_run_is_what_a_command_asked_for(site: Site) -> None:
    setup = {"name": "setup", "argv": "exit 3010", "shell": True, "reboot_codes": [3010]}
    plays = site.plays(
        [{"command": setup, "notify": "restart"}], [{"name": "restart", "restart_computer": {"timeout": 1}}]
    )
    ran = site.apply(plays, allow_reboot=True)
    assert site.world.restarts == 1
    assert (ran.status.value, ran.restart_pending) == ("changed", False), told(ran)


def test_a_plan_that_tells_of_a_restart_holds_with_and_without_the_word(site: Site) -> None:
    plays = restarting(site)
    plan = site.plan(plays)
    applied = site.apply_plan(plan, plays, allow_reboot=True)
    assert applied.status.value == "changed", told(applied)
    assert site.world.restarts == 1


def test_what_needs_a_word_waits_for_it_and_the_rest_is_done(site: Site) -> None:
    secret = value("Secret", sensitive=True)
    site.world.registry.create(parse_path(VENDOR)).set("Secret", number=4, data=7)
    plays = site.plays([secret, value("A")])
    for result in (site.check(plays), site.apply(plays)):
        assert list(statuses(result).values()) == ["waiting", "changed"], told(result)
        assert result.status.value == "waiting"
        assert result.changes[0].error is not None
        assert result.changes[0].error.code == "no-way-back"
    accepted = site.apply(plays, accept_no_way_back=True)
    assert accepted.status.value == "changed", told(accepted)


def test_the_steps_of_a_procedure_that_waits_for_a_word_are_shown_and_not_supposed_done(site: Site) -> None:
    there = {"file": {"path": r"D:\Vendor\done.txt", "exists": True}}
    step = {"name": "write", "file": {"path": r"D:\Vendor\done.txt", "content": "x"}}
    procedure = {"name": "p", "loses": "much", "done_when": there, "steps": [step]}
    plays = site.plays([{"procedure": procedure}, {"file": {"path": r"D:\Vendor\done.txt", "content": "x"}}])
    checked = site.check(plays)
    assert checked.changes[0].status.value == "waiting", told(checked)
    assert [item.status.value for item in checked.changes[0].steps] == ["changed"]
    assert checked.changes[1].status.value == "changed"
    accepted = site.check(plays, accept_no_way_back=True)
    assert [change.status.value for change in accepted.changes] == ["changed", "ok"], told(accepted)


class EndedByItsBound(WorldMachine):
    """A machine on which a program has done its work and does not end within the time it was given."""

    def perform(self, action: AnyAction) -> Performed:
        """Do it. Raises Interrupted for a program."""
        performed = super().perform(action)
        if isinstance(action, RunCommand):
            raise Interrupted("setup did not end within 10 minutes and was ended")
        return performed


def test_a_command_that_ended_by_its_bound_and_did_its_work_is_told_so(site: Site) -> None:
    setup = {"name": "setup", "argv": [r"type nul >D:\zzz.txt"], "shell": True, "creates": r"D:\zzz.txt"}
    result = site.apply(
        site.plays([{"command": setup}]),
        wrap=lambda real: EndedByItsBound(site.world, site.world.account(ACCOUNT), host=real.host),
    )
    (change,) = result.changes
    assert change.status.value == "changed", told(result)
    assert change.reason == "setup did not end within 10 minutes and was ended; verification shows it was done"


def test_what_was_not_reached_is_said_in_words(site: Site) -> None:
    setup = {"name": "setup", "argv": ["cmd", "/c", "ver"], "creates": r"D:\nothere.txt"}
    (change,) = site.apply(
        site.plays([{"command": setup}]),
        wrap=lambda real: EndedByItsBound(site.world, site.world.account(ACCOUNT), host=real.host),
    ).changes
    assert change.error is not None
    assert "verification shows it was not done" in change.error.why
    assert "{" not in change.error.why
