"""The service manager really refuses: every state, every reason, every event."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from converge.lab import service_manager
from converge.lab.world import LabAccount, World
from converge.model.facts import ServiceState, StartMode
from converge.windows.registry import parse_path

MakeWorld = Callable[..., World]

IMAGE = r"""
files:
  'C:\app': {app.exe: 100, inetinfo.exe: 100, needed.dll: 5}
services:
  Plain: {image_path: 'C:\app\app.exe', display_name: Plain Service}
  'Off': {image_path: 'C:\app\app.exe', start: disabled}
  NoFile: {image_path: 'C:\app\gone.exe', display_name: No File}
  NoFolder: {image_path: 'D:\gone\gone.exe'}
  Raw: {image_path: {string: '%SystemDrive%\app\app.exe'}}
  Expanded: {image_path: '%SystemDrive%\app\app.exe -k x'}
  Quoted: {image_path: '"C:\app\app.exe" /service'}
  NeedsFile: {image_path: 'C:\app\app.exe', needs: [{file: '{image_directory}\missing.dll'}], display_name: Needy}
  HasFile: {image_path: 'C:\app\app.exe', needs: [{file: '{image_directory}\NEEDED.DLL'}]}
  Specific:
    {image_path: 'C:\app\app.exe', needs: [{file: 'C:\x', exit_code: 1066, specific_exit_code: 171}]}
  Nameless: {image_path: 'C:\app\app.exe', needs: [{file: 'C:\x'}], nameless: true}
  Above: {image_path: 'C:\app\app.exe', depends_on: [Plain], display_name: Above It}
  OnBroken: {image_path: 'C:\app\app.exe', depends_on: [NoFile], display_name: On Broken}
  OnNothing: {image_path: 'C:\app\app.exe', depends_on: [Ghost], display_name: On Nothing}
  OnOff: {image_path: 'C:\app\app.exe', depends_on: ['Off']}
  RoundA: {image_path: 'C:\app\app.exe', depends_on: [RoundB]}
  RoundB: {image_path: 'C:\app\app.exe', depends_on: [RoundA]}
  Hanging: {image_path: 'C:\app\app.exe', hangs: true}
  Logon: {image_path: 'C:\app\app.exe', logon_fails: true, account: 'LAB\svc'}
  Slow: {image_path: 'C:\app\app.exe', start_seconds: 10, stop_seconds: 5}
  Mortal: {image_path: 'C:\app\app.exe', dies: {after_seconds: 3, exit_code: 1067}, display_name: Mortal}
  Crashing: {image_path: 'C:\app\app.exe', dies: {after_seconds: 3, crash: true}, display_name: Crashing}
  Pausing: {image_path: 'C:\app\app.exe', can_pause: true, state: paused}
  Forever: {image_path: 'C:\app\app.exe', can_stop: false, state: running}
"""


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    return make_world(IMAGE)


def _state(world: World, name: str) -> ServiceState:
    service_manager.settle(world)
    record = world.service(name)
    assert record is not None
    return record.state


def _events(world: World) -> list[int]:
    return [event.id for event in world.events if event.type == "error"]


@pytest.mark.parametrize("name", ["Plain", "plain", "Expanded", "Quoted", "HasFile"])
def test_what_can_run_starts(world: World, name: str) -> None:
    assert service_manager.start(world, name) == 0
    assert _state(world, name) is ServiceState.RUNNING
    assert _events(world) == []


@pytest.mark.parametrize(
    ("name", "error", "returned", "events"),
    [
        ("Nobody", 1060, 8, []),
        ("Off", 1058, 14, []),
        ("NoFile", 2, 9, [7000]),
        ("NoFolder", 3, 9, [7000]),
        ("Raw", 3, 9, [7000]),
        ("OnBroken", 1068, 8, [7000, 7001]),
        ("OnNothing", 1075, 13, [7003]),
        ("OnOff", 1068, 8, [7001]),
        ("RoundA", 1059, 18, []),
        ("Hanging", 1053, 7, [7009, 7000]),
        ("Logon", 1069, 15, [7038, 7000]),
        ("Pausing", 1056, 10, []),
        ("Forever", 1056, 10, []),
    ],
)
def test_what_cannot_run_is_refused_with_its_code_and_events(
    world: World, name: str, error: int, returned: int, events: list[int]
) -> None:
    assert service_manager.start(world, name) == error
    assert service_manager.return_code(error) == returned
    assert _events(world) == events


def test_event_7000_says_what_the_article_says(world: World) -> None:
    service_manager.start(world, "NoFile")
    event = world.events[-1]
    assert (event.log, event.provider, event.id, event.strings) == (
        "System",
        "Service Control Manager",
        7000,
        ("No File", "%%2"),
    )
    assert "The No File service failed to start due to the following error:" in event.message
    assert event.message.endswith("The system cannot find the file specified.")


@pytest.mark.parametrize(
    ("name", "code", "specific", "event", "strings"),
    [
        ("NeedsFile", 2, 0, 7023, ("Needy", "%%2")),
        ("Nameless", 2, 0, 7023, ("", "%%2")),
        ("Specific", 1066, 171, 7024, ("Specific", "171", "AB")),
    ],
)
def test_a_service_that_misses_a_file_is_accepted_and_ends(
    world: World, name: str, code: int, specific: int, event: int, strings: tuple[str, ...]
) -> None:
    assert service_manager.start(world, name) == 0
    record = world.service(name)
    assert record is not None
    assert record.state is ServiceState.STOPPED
    assert (record.exit_code, record.specific_exit_code) == (code, specific)
    assert (world.events[-1].id, world.events[-1].strings) == (event, strings)


def test_a_start_starts_what_it_depends_on_first(world: World) -> None:
    assert service_manager.start(world, "Above") == 0
    assert _state(world, "Plain") is ServiceState.RUNNING


def test_a_slow_service_is_pending_until_its_time_has_come(world: World) -> None:
    assert service_manager.start(world, "Slow") == 0
    assert _state(world, "Slow") is ServiceState.START_PENDING
    assert service_manager.stop(world, "Slow") == 1061
    assert service_manager.start(world, "Slow") == 1056
    world.clock.advance(10)
    assert _state(world, "Slow") is ServiceState.RUNNING
    assert service_manager.stop(world, "Slow") == 0
    assert _state(world, "Slow") is ServiceState.STOP_PENDING
    world.clock.advance(5)
    assert _state(world, "Slow") is ServiceState.STOPPED


@pytest.mark.parametrize(("name", "event", "code"), [("Mortal", 7023, 1067), ("Crashing", 7034, 1067)])
def test_a_service_that_dies_runs_first(world: World, name: str, event: int, code: int) -> None:
    assert service_manager.start(world, name) == 0
    assert _state(world, name) is ServiceState.RUNNING
    world.clock.advance(3)
    assert _state(world, name) is ServiceState.STOPPED
    record = world.service(name)
    assert record is not None
    assert record.exit_code == code
    assert world.events[-1].id == event


@pytest.mark.parametrize(
    ("name", "error", "returned"),
    [("Nobody", 1060, 8), ("Plain", 1062, 5), ("Forever", 1052, 4), ("Pausing", 0, 0)],
)
def test_stops_are_refused_with_their_code(world: World, name: str, error: int, returned: int) -> None:
    assert service_manager.stop(world, name) == error
    assert service_manager.return_code(error, stopping=True) == returned


def test_a_service_others_depend_on_does_not_stop_before_them(world: World) -> None:
    service_manager.start(world, "Above")
    assert service_manager.stop(world, "Plain") == 1051
    assert service_manager.return_code(1051) == 3
    assert service_manager.stop(world, "Above") == 0
    assert service_manager.stop(world, "Plain") == 0


def test_paused_goes_on_and_what_runs_can_pause(world: World) -> None:
    assert service_manager.resume(world, "Pausing") == 0
    assert _state(world, "Pausing") is ServiceState.RUNNING
    assert service_manager.pause(world, "Pausing") == 0
    assert _state(world, "Pausing") is ServiceState.PAUSED
    assert service_manager.resume(world, "Forever") == 1052
    assert service_manager.resume(world, "Plain") == 1062


@pytest.mark.parametrize(
    ("denial", "act"),
    [
        ("service_start:Plain", lambda world, who: service_manager.start(world, "plain", account=who)),
        ("service_stop", lambda world, who: service_manager.stop(world, "Forever", account=who)),
        (
            "service_change:PLAIN",
            lambda world, who: service_manager.set_start_mode(world, "Plain", StartMode.DISABLED, account=who),
        ),
        ("service_change", lambda world, who: service_manager.set_image_path(world, "Plain", "x", account=who)),
    ],
)
def test_a_denied_right_is_access_denied_and_changes_nothing(
    world: World, denial: str, act: Callable[[World, LabAccount], int]
) -> None:
    before = world.to_json()
    assert act(world, LabAccount(name="x", password="y", denies=(denial,))) == 5
    assert world.to_json() == before


def test_a_start_mode_is_written_to_the_registry_and_read_from_there_only_at_a_restart(world: World) -> None:
    record = world.service("Plain")
    assert record is not None
    service_manager.set_start_mode(world, "Plain", StartMode.DISABLED)
    start = world.registry.value(record.key, "start")
    assert start is not None
    assert start.data == 4
    world.registry.create(record.key).set("Start", number=4, data=2)
    assert service_manager.start(world, "Plain") == 1058
    service_manager.boot(world)
    assert _state(world, "Plain") is ServiceState.RUNNING
    assert world.restarts == 1


def test_the_image_path_is_read_from_the_registry_at_each_start(world: World) -> None:
    record = world.service("NoFile")
    assert record is not None
    world.registry.create(record.key).set("ImagePath", number=2, data=r"%SystemDrive%\app\app.exe")
    assert service_manager.start(world, "NoFile") == 0


HOSTED = r"""
files:
  'C:\app': {inetinfo.exe: 100}
registry:
  'HKLM\SYSTEM\CurrentControlSet\Services\InetInfo\Parameters': {DispatchEntries: [Ldapsvc, smtpSVC]}
services:
  IISADMIN: {image_path: 'C:\app\inetinfo.exe', shares_process: true, state: running}
  SMTPSVC: {image_path: 'C:\app\inetinfo.exe', shares_process: true, needs_dispatch_entry: true, depends_on: [IISADMIN]}
  POP3SVC: {image_path: 'C:\app\inetinfo.exe', shares_process: true, needs_dispatch_entry: true, depends_on: [IISADMIN]}
"""


def test_a_hosted_service_needs_its_entry_and_shares_the_process(make_world: MakeWorld) -> None:
    world = make_world(HOSTED)
    assert service_manager.start(world, "SMTPSVC") == 0
    smtp, admin = world.service("SMTPSVC"), world.service("IISADMIN")
    assert smtp is not None
    assert admin is not None
    assert smtp.process_id == admin.process_id != 0
    assert service_manager.start(world, "POP3SVC") == 1083
    assert world.events[-1].strings == ("POP3SVC", "%%1083")
    assert "does not implement the service" in world.events[-1].message


def test_a_new_entry_takes_effect_only_when_the_process_begins_anew(make_world: MakeWorld) -> None:
    world = make_world(HOSTED)
    key = world.registry.create(parse_path(r"HKLM\SYSTEM\CurrentControlSet\Services\InetInfo\Parameters"))
    key.set("DispatchEntries", number=7, data=["Ldapsvc", "Smtpsvc", "Pop3svc"])
    assert service_manager.start(world, "POP3SVC") == 1083
    assert service_manager.stop(world, "IISADMIN") == 0
    assert world.processes == {}
    assert service_manager.start(world, "POP3SVC") == 0
    assert _state(world, "IISADMIN") is ServiceState.RUNNING
