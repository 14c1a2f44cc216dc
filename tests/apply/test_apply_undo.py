"""Undo: what a run changed is as it was, byte for byte; what somebody else changed since is left alone and told."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from tests.apply.apply_site import HOST, Site, actions, statuses, told

from converge.errors import Interrupted
from converge.lab import service_manager
from converge.model.action import AnyAction, Performed, StartService, StopService
from converge.model.facts import ServiceState, StartMode
from converge.model.machine import Machine
from converge.testing.conformance.case import ACCOUNT
from converge.windows.registry import parse_path

VENDOR = r"HKLM\SOFTWARE\Vendor"
APP = r"D:\Vendor\app.dll"


def value(name: str, data: Any, *, key: str = VENDOR, kind: str = "string", **more: Any) -> dict[str, Any]:
    return {"registry_value": {"key": key, "name": name, "type": kind, "data": data}, **more}


EVERY_KIND: list[tuple[str, list[dict[str, Any]]]] = [
    ("a text", [value("Text", "another")]),
    ("a text that becomes a number", [value("Text", 7, kind="dword")]),
    ("an expandable text", [value("Path", r"%windir%\x", kind="expand_string")]),
    ("a list", [value("List", ["one"], kind="multi_string")]),
    ("an entry of a list", [{"registry_value": {"key": VENDOR, "name": "List", "contains": ["four"]}}]),
    ("the largest dword", [value("Number", 0, kind="dword")]),
    ("the largest qword", [value("Large", 1, kind="qword")]),
    ("octets", [value("Octets", "00", kind="binary")]),
    ("the default value", [value("", "other")]),
    ("a name with a backslash", [value("back\\slash [*] %x% äß日本", "z")]),
    ("a value that goes", [{"registry_value": {"key": VENDOR, "name": "Large", "ensure": "absent"}}]),
    ("a new value", [value("New", "n")]),
    ("the 32-bit view", [{"registry_value": {"key": VENDOR, "name": "Text", "type": "string", "data": "y", "view": 32}}]),
    ("a new value deep in new keys", [value("a", "1", key=VENDOR + r"\A\B\C"), value("b", "2", key=VENDOR + r"\A\B\C")]),
    ("new keys", [{"registry_key": {"key": VENDOR + r"\New\Käse / 日本"}}, value("v", "1", key=VENDOR + r"\New\Käse / 日本")]),
    ("a key with all in it", [{"registry_key": {"key": VENDOR + r"\Tree", "ensure": "absent", "recursive": True}}]),
    ("an empty key", [{"registry_key": {"key": VENDOR + r"\Empty", "ensure": "absent"}}]),
    ("references", [{"registry_references": {"roots": [r"HKLM\SOFTWARE\Classes"], "files": ["Seo.dll"],
                                             "directory": r"D:\Vendor", "from": [r"%SystemRoot%\Wrong"]}}]),
    ("a file that is replaced", [{"file": {"path": APP, "copy_from": r"D:\Media\new.dll"}}]),
    ("a file of the same size and version", [{"file": {"path": r"D:\Vendor\plain.txt", "content": "some other text"}},
                                             {"file": {"path": r"D:\Media\plain.txt", "content": "the new!"}}]),
    ("a new file", [{"file": {"path": r"D:\Vendor\new.dll", "copy_from": r"D:\Media\new.dll"}}]),
    ("a file that goes", [{"file": {"path": APP, "ensure": "absent"}}]),
    ("contents in new folders", [{"directory": {"path": r"D:\Vendor\n\e\w"}},
                                 {"file": {"path": r"D:\Vendor\n\e\w\a.txt", "content": "ä"}}]),
    ("new folders", [{"directory": {"path": r"D:\Vendor\n\e\w"}}]),
    ("a folder with all in it", [{"directory": {"path": r"D:\Vendor\full", "ensure": "absent", "recursive": True}}]),
    ("an empty folder", [{"directory": {"path": r"D:\Vendor\empty", "ensure": "absent"}}]),
    ("a service that starts", [{"service": {"name": "Plain", "running": True, "start_mode": "automatic"}}]),
    ("a service that stops", [{"service": {"name": "Busy", "running": False, "start_mode": "disabled"}}]),
    ("a disabled service", [{"service": {"name": "Barred", "running": True, "start_mode": "manual"}}]),
    ("services that need one another", [{"service": {"name": "MSFTPSVC", "running": False}},
                                        {"service": {"name": "W3SVC", "running": False, "start_mode": "disabled"}}]),
    ("several steps", [{"procedure": {"name": "p", "done_when": {"registry_value": {"key": VENDOR, "name": "S", "exists": True}},
        "steps": [{"registry_key": {"key": VENDOR + r"\Tree", "ensure": "absent", "recursive": True}}, value("S", "1"),
                  value("t", 2, key=VENDOR + r"\Tree2", kind="dword")]}}]),
]  # fmt: skip
TITLES = [title for title, _ in EVERY_KIND]
ENTRIES = [entries for _, entries in EVERY_KIND]


@pytest.mark.parametrize("entries", ENTRIES, ids=TITLES)
def test_everything_is_as_it_was(site: Site, entries: list[dict[str, Any]]) -> None:
    before = site.essence()
    applied = site.apply(site.plays(entries), accept_no_way_back=True)
    after = site.essence()
    assert after != before, told(applied)

    predicted = site.check_undo()
    assert site.essence() == after, "looking touched the world"
    undone = site.undo()
    assert undone.status.value == "changed", told(undone)
    assert site.essence() == before, told(undone)
    assert (statuses(predicted), actions(predicted)) == (statuses(undone), actions(undone))

    again = site.undo(site.runs[0])
    assert (again.status.value, actions(again)) == ("ok", [])

    back = site.undo(site.runs[1])
    assert back.status.value == "changed", told(back)
    assert site.essence() == after, told(back)
    assert site.check(site.plays(entries)).status.value == ("ok" if applied.status.value == "changed" else "failed")

    site.undo()
    assert site.essence() == before


@pytest.mark.parametrize(
    ("entry", "starts"),
    [
        ({"running": False}, True),
        ({"running": False, "start_mode": "manual"}, True),
        ({"running": False, "start_mode": "automatic"}, True),
        ({"running": True, "start_mode": "manual"}, False),
    ],
    ids=str,
)
def test_a_service_that_ran_although_it_was_disabled_does_so_again(
    site: Site, entry: dict[str, Any], starts: bool
) -> None:
    service_manager.set_start_mode(site.world, "Busy", StartMode.DISABLED, account=site.world.account(ACCOUNT))
    before = site.essence()
    site.apply(site.plays([{"service": {"name": "Busy", **entry}}]))
    predicted = site.check_undo()
    undone = site.undo()
    assert undone.status.value == "changed", told(undone)
    assert site.essence() == before, told(undone)
    assert actions(predicted) == actions(undone)
    assert ("StartService" in str(actions(undone))) is starts


def test_newest_first(site: Site) -> None:
    site.apply(site.plays([value("a", "1", key=VENDOR + r"\N"), {"file": {"path": APP, "ensure": "absent"}}]))
    order = [f"file:{APP}", rf"registry_value:{VENDOR}\N\a", rf"registry_key:{VENDOR}\N"]
    assert list(statuses(site.undo())) == order


class TestSomebodyElse:
    def test_what_was_changed_since_is_left_alone_and_told(self, site: Site) -> None:
        site.apply(site.plays([value("Text", "ours"), value("Number", 1, kind="dword")]))
        site.world.registry.create(parse_path(VENDOR)).set("Text", number=1, data="theirs")
        result = site.undo()
        assert result.status.value == "failed"
        assert statuses(result) == {
            rf"registry_value:{VENDOR}\Number": "changed",
            rf"registry_value:{VENDOR}\Text": "failed",
        }
        (failed,) = [change for change in result.changes if change.error]
        assert failed.error is not None
        assert failed.error.code == "changed-since"
        for word in ("as it was", "ours", "theirs", site.runs[0]):
            assert word in failed.error.what + failed.error.why
        assert "after it: data ours, type string" in failed.error.why
        assert not set("{}[]") & set(failed.error.why)
        held = site.world.registry.value(parse_path(VENDOR), "Text")
        assert held is not None
        assert held.data == "theirs"

    def test_what_they_put_back_already_needs_nothing(self, site: Site) -> None:
        site.apply(site.plays([value("Text", "ours")]))
        site.world.registry.create(parse_path(VENDOR)).set("Text", number=1, data="as it was")
        result = site.undo()
        assert (result.status.value, actions(result)) == ("ok", [])

    def test_a_new_key_in_which_something_lies_by_now_stays(self, site: Site) -> None:
        site.apply(site.plays([value("a", "1", key=VENDOR + r"\N")]))
        site.world.registry.create(parse_path(VENDOR + r"\N")).set("theirs", number=1, data="x")
        assert site.undo().status.value == "changed"
        key = site.world.registry.find(parse_path(VENDOR + r"\N"))
        assert key is not None
        assert list(key.values) == ["THEIRS"]

    def test_a_kept_file_that_is_gone_is_told(self, site: Site) -> None:
        site.apply(site.plays([{"file": {"path": APP, "copy_from": r"D:\Media\new.dll"}}]))
        assert site.world.files.remove(f"{APP}.converge-{site.runs[0]}")
        result = site.undo()
        assert result.status.value == "failed"
        assert "where it was kept, is not there" in told(result)
        assert site.world.files.file(APP) is not None

    def test_a_service_that_another_needs_by_now_is_not_stopped(self, site: Site) -> None:
        site.apply(site.plays([{"service": {"name": "SMTPSVC", "running": True}}]))
        record = site.world.service("Plain")
        assert record is not None
        record.depends_on, record.state = ("SMTPSVC",), ServiceState.RUNNING
        result = site.undo()
        assert "which needs it, runs" in told(result)
        assert site.world.service("SMTPSVC").state is ServiceState.RUNNING  # type: ignore[union-attr]  # it is there


COMMAND = {"command": {"name": "once", "argv": [r"C:\WINDOWS\System32\cmd.exe", "/c", "exit 0"]}}


class TestNoWayBack:
    def test_nothing_is_begun_until_that_is_accepted(self, site: Site) -> None:
        site.apply(site.plays([COMMAND, value("Text", "new")]), accept_no_way_back=True)
        before = site.essence()
        for result in (site.check_undo(), site.undo()):
            assert result.error is not None
            assert result.error.code == "no-way-back"
            assert "command:once" in result.error.what
            assert "--accept-no-way-back" in result.error.try_
        assert site.essence() == before

        accepted = site.undo(site.runs[0], accept_no_way_back=True)
        assert statuses(accepted) == {rf"registry_value:{VENDOR}\Text": "changed", "command:once": "skipped"}

    def test_the_plan_had_said_so(self, site: Site) -> None:
        planned = site.check(site.plays([COMMAND]))
        assert planned.changes[0].way_back.kind == "none"

    def test_a_procedure_with_such_a_step_is_left_as_a_whole(self, site: Site) -> None:
        steps = [value("One", "1"), COMMAND, value("Two", "2")]
        done = {"registry_value": {"key": VENDOR, "name": "Two", "exists": True}}
        site.apply(
            site.plays([{"procedure": {"name": "p", "done_when": done, "steps": steps}}]), accept_no_way_back=True
        )
        after = site.essence()
        assert site.undo().status.value == "waiting"
        result = site.undo(site.runs[0], accept_no_way_back=True)
        assert set(statuses(result).values()) == {"skipped"}
        assert site.essence() == after

    def test_sensitive_values_need_the_key_of_the_journal(self, site: Site) -> None:
        site.apply(site.plays([value("Text", "hidden", sensitive=True)]), accept_no_way_back=True)
        result = site.undo()
        assert "no way back" in told(result)
        assert "hidden" not in told(result)

    def test_with_the_key_they_come_back(self, site: Site) -> None:
        before = site.essence()
        site.journal_key = "a key of some length"
        site.apply(site.plays([value("Text", "hidden", sensitive=True)]))
        assert site.essence() != before
        result = site.undo()
        assert result.status.value == "changed", told(result)
        assert "hidden" not in str(result)
        assert site.essence() == before


RESTART = {"name": "restart busy", "restart_service": {"name": "Busy"}}


class TestHandlers:
    def test_a_service_that_was_restarted_is_restarted_again(self, site: Site) -> None:
        plays = site.plays([value("Text", "new", notify="restart busy"), value("New", "n")], [RESTART])
        site.apply(plays)
        performed: list[AnyAction] = []
        result = site.undo(wrap=lambda machine: Watched(machine, performed))
        assert statuses(result)["handler:restart busy"] == "changed"
        assert list(statuses(result))[-1] == "handler:restart busy"
        assert performed[-2:] == [StopService("Busy"), StartService("Busy")]
        with site.store() as store:
            assert store.history(HOST).pending == ()

    def test_only_if_what_asked_for_it_is_taken_back(self, site: Site) -> None:
        plays = site.plays([value("Text", "new", notify="restart busy"), value("New", "n")], [RESTART])
        site.apply(plays)
        site.world.registry.create(parse_path(VENDOR)).set("Text", number=1, data="as it was")
        assert "handler:restart busy" not in statuses(site.undo())

    def test_windows_is_restarted_only_where_that_is_allowed(self, site: Site) -> None:
        plays = site.plays([value("Text", "new", notify="boot")], [{"name": "boot", "restart_computer": {}}])
        site.apply(plays, allow_reboot=True)
        assert "handler:boot" in statuses(site.check_undo())
        refused = site.undo()
        assert statuses(refused)["handler:boot"] == "waiting"
        assert "--allow-reboot" in told(refused)


class Cut:
    """A machine whose line breaks at one of its actions, before or after the host has done it."""

    def __init__(self, machine: Machine, *, at: int, done: bool) -> None:
        self.machine, self.left, self.done = machine, at, done
        self.ask = machine.ask

    @property
    def host(self) -> str:
        return self.machine.host

    @property
    def round_trips(self) -> int:
        return self.machine.round_trips

    def perform(self, action: AnyAction) -> Performed:
        self.left -= 1
        if self.left >= 0:
            return self.machine.perform(action)
        if self.left == -1 and self.done:
            self.machine.perform(action)
        raise Interrupted("the connection was lost")


class Watched(Cut):
    """A machine that tells what was done to it."""

    def __init__(self, machine: Machine, performed: list[AnyAction]) -> None:
        super().__init__(machine, at=1000, done=True)
        self.performed = performed

    def perform(self, action: AnyAction) -> Performed:
        self.performed.append(action)
        return super().perform(action)


class Killed(Exception):
    """The process is gone: nothing more is written down."""


class KilledAt(Cut):
    """A machine under which converge is killed at one of its actions."""

    def perform(self, action: AnyAction) -> Performed:
        try:
            return super().perform(action)
        except Interrupted:
            raise Killed from None


LONG = [
    value("a", "1", key=VENDOR + r"\A\B"),
    {"file": {"path": APP, "copy_from": r"D:\Media\new.dll"}},
    {"directory": {"path": r"D:\Vendor\x\y"}},
    {"file": {"path": r"D:\Vendor\x\y\a.txt", "content": "a"}},
    {"registry_key": {"key": VENDOR + r"\Tree", "ensure": "absent", "recursive": True}},
    {"service": {"name": "Busy", "running": False, "start_mode": "disabled"}},
    {"directory": {"path": r"D:\Vendor\full", "ensure": "absent", "recursive": True}},
]


@pytest.mark.parametrize("done", [False, True], ids=["not done", "done"])
@pytest.mark.parametrize("kind", [Cut, KilledAt], ids=["cut", "killed"])
@pytest.mark.parametrize("at", range(17))
def test_whatever_was_broken_off_can_be_taken_back(site: Site, at: int, kind: type[Cut], done: bool) -> None:
    before = site.essence()
    try:
        site.apply(site.plays(LONG), wrap=lambda machine: kind(machine, at=at, done=done))
    except Killed:
        assert kind is KilledAt
    result = site.undo()
    assert result.status.value in ("changed", "ok"), told(result)
    assert site.essence() == before, told(result)


@pytest.mark.parametrize("at", range(13))
def test_an_undo_that_was_broken_off_is_finished_by_another(site: Site, at: int) -> None:
    before = site.essence()
    site.apply(site.plays(LONG))
    with suppress(Killed):
        site.undo(wrap=lambda machine: KilledAt(machine, at=at, done=True))
    result = site.undo(site.runs[0])
    assert result.status.value in ("changed", "ok"), told(result)
    assert site.essence() == before, told(result)
