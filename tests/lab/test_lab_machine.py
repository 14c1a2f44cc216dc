"""A world as a machine: every query and action of the model, refusals included, and injected mishaps."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import timedelta

import pytest

from converge.errors import ActionRefused, HostUnreachable, Interrupted
from converge.lab.world import LabAccount, World
from converge.model.action import (
    AnyAction,
    CopyFile,
    InvokeCimMethod,
    MoveDirectory,
    MoveFile,
    NewDirectory,
    NewRegistryKey,
    RemoveDirectory,
    RemoveFile,
    RemoveRegistryKey,
    RemoveRegistryValue,
    RestartComputer,
    ResumeService,
    RunCommand,
    SetRegistryValue,
    SetServiceImagePath,
    SetServiceStartMode,
    StartService,
    StopService,
    WriteFile,
)
from converge.model.answer import Absent, Found, Refused
from converge.model.facts import ServiceState, StartMode
from converge.model.machine import Machine
from converge.model.query import (
    AnyQuery,
    CimInstances,
    Directory,
    Events,
    File,
    OperatingSystem,
    RegistryKey,
    RegistrySearch,
    RegistryValue,
    Service,
    ServiceStartTime,
)
from converge.model.registry import RegistryData, RegistryType
from converge.testing.faulty_machine import FaultyMachine
from converge.testing.world_machine import WorldMachine
from converge.windows.registry import parse_path

MakeWorld = Callable[..., World]

IMAGE = r"""
files:
  'C:\app': {app.exe: 100, a.txt: hello}
  'C:\app\sub': {}
registry:
  'HKLM\SOFTWARE\Lab': {Text: 'C:\x\SEO.dll', Raw: {expand_string: '%SystemRoot%\seo.dll'}, Odd: {type: 77, hex: '01'},
                        '\Sub': {v: seo.dll}, '\Closed': {'\': {deny: [read]}, v: seo.dll}}
services:
  Svc: {image_path: 'C:\app\app.exe', display_name: Service}
  Run: {image_path: 'C:\app\app.exe', state: running, depends_on: [Svc]}
  Pause: {image_path: 'C:\app\app.exe', state: paused, can_pause: true}
  Gone: {image_path: 'C:\app\gone.exe'}
events:
  - {provider: Lab, id: 7, minutes_ago: 10, strings: [x], message: 'about %1'}
  - {provider: Lab, id: 8, minutes_ago: 500}
  - {log: Application, provider: Lab, id: 7, minutes_ago: 5}
cim:
  root/lab:
    Lab_Group:
      key: Name
      instances: [{Name: A, State: 0, Up: true, Tags: [x, y]}, {Name: B, State: null}]
      methods:
        Move: {effects: {cim: {root/lab: {Lab_Group: {key: Name, instances: [{Name: A, State: 1}]}}}}}
        Fail: {return_value: 5}
"""
LAB = parse_path(r"HKLM\SOFTWARE\Lab")


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    return make_world(IMAGE)


@pytest.fixture
def machine(world: World) -> WorldMachine:
    return WorldMachine(world)


def found(machine: Machine, query: AnyQuery) -> object:
    answer = machine.ask([query])[query]
    assert isinstance(answer, Found), answer
    return answer.value


def test_it_is_a_machine(machine: WorldMachine) -> None:
    as_machine: Machine = machine
    as_machine.ask([OperatingSystem()])
    as_machine.perform(NewRegistryKey(LAB))
    assert (as_machine.host, as_machine.round_trips) == ("SRV1", 2)


def test_facts_are_those_of_the_profile(machine: WorldMachine, world: World) -> None:
    query = OperatingSystem()
    facts = machine.ask([query]).value(query)
    assert facts is not None
    assert (facts.version, facts.build, facts.host_name, facts.now) == ("5.2.3790", 3790, "SRV1", world.now())


def test_services_are_told_with_dependents_and_start_time(machine: WorldMachine) -> None:
    query = Service("svc")
    service = machine.ask([query]).value(query)
    assert service is not None
    assert (service.state, service.dependents, service.path_name) == (ServiceState.STOPPED, ("Run",), r"C:\app\app.exe")
    assert found(machine, ServiceStartTime("Run"))
    assert machine.ask([ServiceStartTime("Svc")])[ServiceStartTime("Svc")] == Absent()


def test_registry_values_are_told_with_their_types(machine: WorldMachine) -> None:
    assert found(machine, RegistryValue(LAB, "text")) == RegistryData(RegistryType.STRING, r"C:\x\SEO.dll")
    raw = RegistryData(RegistryType.EXPAND_STRING, r"%SystemRoot%\seo.dll", expanded=r"C:\WINDOWS\seo.dll")
    assert found(machine, RegistryValue(LAB, "Raw")) == raw
    assert found(machine, RegistryValue(LAB, "Odd")) == RegistryData(RegistryType.UNKNOWN, None)


def test_a_raw_text_is_unknown_where_neither_getter_nor_shell_tells_it(make_world: MakeWorld) -> None:
    world = make_world(IMAGE + "quirks: {get_string_of_expandable: error}\n")
    query = RegistryValue(LAB, "Raw")
    assert found(WorldMachine(world), query) == RegistryData(
        RegistryType.EXPAND_STRING, r"%SystemRoot%\seo.dll", expanded=r"C:\WINDOWS\seo.dll"
    )
    shut = WorldMachine(world, LabAccount(name="x", password="y", denies=("shells",)))
    assert found(shut, query) == RegistryData(RegistryType.EXPAND_STRING, None, expanded=r"C:\WINDOWS\seo.dll")


def test_a_search_finds_texts_and_names_what_it_could_not_read(machine: WorldMachine) -> None:
    query = RegistrySearch((LAB, LAB / "Sub", parse_path(r"HKLM\Nope")), ("Seo.dll",))
    finds = machine.ask([query]).value(query)
    assert finds is not None
    assert {(str(item.key), item.name) for item in finds.values} == {
        (r"HKLM\SOFTWARE\Lab", "Text"),
        (r"HKLM\SOFTWARE\Lab", "Raw"),
        (r"HKLM\SOFTWARE\Lab\Sub", "v"),
    }
    assert finds.unreadable == (LAB / "Closed",)


def test_files_and_folders_are_told_as_they_are_spelled(machine: WorldMachine) -> None:
    query = File(r"c:\APP\A.TXT", hashed=True)
    file = machine.ask([query]).value(query)
    assert file is not None
    assert (file.path, file.size) == (r"C:\app\a.txt", 5)
    # As the certutil of Server 2003 tells.
    assert (file.sha256, file.sha1) == (None, hashlib.sha1(b"hello").hexdigest())
    listing = Directory(r"C:\app", listing=True)
    folder = machine.ask([listing]).value(listing)
    assert folder is not None
    assert ([file.size for file in folder.files], folder.directories) == ([100, 5], ("sub",))


def test_events_are_told_newest_first_since_a_time(machine: WorldMachine, world: World) -> None:
    query = Events("system", "LAB", (), world.now() - timedelta(hours=1), messages=True)
    events = machine.ask([query]).value(query)
    assert events is not None
    assert [(event.id, event.strings, event.message) for event in events] == [(7, ("x",), "about x")]
    assert found(machine, Events("System", "", (99,), world.now() - timedelta(days=9))) == ()


def test_what_only_wmi_knows_is_asked_in_wql(machine: WorldMachine) -> None:
    rows = found(machine, CimInstances(r"root\lab", "SELECT * FROM Lab_Group WHERE Name = 'A'"))
    assert rows == ({"Name": "A", "State": "0", "Tags": "x, y", "Up": "true"},)
    for query in (CimInstances("root/none", "SELECT * FROM X"), CimInstances("root/lab", "SELECT * FROM X")):
        assert machine.ask([query])[query] == Absent()
    wrong = CimInstances("root/lab", "SELEKT")
    assert isinstance(machine.ask([wrong])[wrong], Refused)


@pytest.mark.parametrize(
    ("query", "denial"),
    [
        (OperatingSystem(), "class:Win32_OperatingSystem"),
        (Service("Svc"), "service_query:SVC"),
        (Service("Nobody"), "service_query"),
        (ServiceStartTime("Run"), "service_query"),
        (RegistryKey(LAB), r"registry_read:HKLM\SOFTWARE"),
        (RegistryValue(LAB, "Nope"), "registry_read"),
        (File(r"C:\app\gone"), r"file_read:C:\app"),
        (File(r"C:\app\a.txt", hashed=True), "shells"),
        (Directory(r"C:\app"), "file_read"),
        (CimInstances("root/lab", "SELECT * FROM Lab_Group"), "namespace:root/lab"),
    ],
)
def test_a_host_that_will_not_say_is_not_a_host_that_lacks(world: World, query: AnyQuery, denial: str) -> None:
    machine = WorldMachine(world, LabAccount(name="x", password="y", denies=(denial,)))
    assert isinstance(machine.ask([query])[query], Refused)


def test_denied_events_are_refused(world: World) -> None:
    query = Events("System", "", (), world.now())
    machine = WorldMachine(world, LabAccount(name="x", password="y", denies=("events:system",)))
    assert isinstance(machine.ask([query])[query], Refused)


TEXT = RegistryData(RegistryType.STRING, "new")


@pytest.mark.parametrize(
    ("action", "query", "answer"),
    [
        (SetRegistryValue(LAB, "TEXT", TEXT), RegistryValue(LAB, "Text"), Found(TEXT)),
        (RemoveRegistryValue(LAB, "text"), RegistryValue(LAB, "Text"), Absent()),
        (RemoveRegistryKey(LAB / "Sub"), RegistryKey(LAB / "Sub"), Absent()),
        (MoveFile(r"C:\app\a.txt", r"C:\app\b.txt"), File(r"C:\app\a.txt"), Absent()),
        (RemoveFile(r"C:\app\a.txt"), File(r"C:\app\a.txt"), Absent()),
        (RemoveDirectory(r"C:\app\sub"), Directory(r"C:\app\sub"), Absent()),
        (MoveDirectory(r"C:\app", r"C:\app2"), Directory(r"C:\app"), Absent()),
    ],
)
def test_actions_change_what_is_answered(
    machine: WorldMachine, action: AnyAction, query: AnyQuery, answer: object
) -> None:
    machine.perform(action)
    assert machine.ask([query])[query] == answer


def test_files_are_made_and_copied(machine: WorldMachine, world: World) -> None:
    machine.perform(NewDirectory(r"C:\new\below"))
    machine.perform(WriteFile(r"C:\new\below\x", b"\x00\xff"))
    machine.perform(CopyFile(r"C:\new\below\x", r"C:\new\y"))
    file = world.files.file(r"C:\new\y")
    assert file is not None
    assert file.read() == b"\x00\xff"


def test_services_are_driven(machine: WorldMachine, world: World) -> None:
    machine.perform(StartService("Svc"))
    machine.perform(StartService("Svc"))
    machine.perform(StopService("Run"))
    machine.perform(StopService("Run"))
    machine.perform(ResumeService("Pause"))
    machine.perform(SetServiceStartMode("Run", StartMode.DISABLED))
    machine.perform(SetServiceImagePath("Gone", r"C:\app\app.exe"))
    machine.perform(StartService("Gone"))
    states = {record.name: record.state.value for record in world.services.values()}
    assert states == {"Svc": "running", "Run": "stopped", "Pause": "running", "Gone": "running"}
    machine.perform(RestartComputer())
    assert {record.state.value for record in world.services.values()} == {"stopped"}
    assert world.restarts == 1


def test_methods_of_an_image_have_their_effects(machine: WorldMachine) -> None:
    machine.perform(InvokeCimMethod("root/lab", "Lab_Group", "Move", keys=(("Name", "A"),)))
    rows = found(machine, CimInstances("root/lab", "SELECT State FROM Lab_Group WHERE Name = 'A'"))
    assert rows == ({"State": "1"},)


@pytest.mark.parametrize(
    ("action", "words"),
    [
        (StartService("Gone"), "returned 9, path not found"),
        (StartService("Nobody"), "returned 8"),
        (StopService("Svc2"), "returned 8"),
        (SetRegistryValue(LAB / "Nope", "x", TEXT), "returned 2, not there"),
        (SetRegistryValue(LAB, "x", RegistryData(RegistryType.UNKNOWN, None)), "cannot be written"),
        (RemoveRegistryKey(LAB), "returned 5, access denied"),
        (RemoveRegistryValue(LAB, "Nope"), "returned 2"),
        (CopyFile(r"C:\app\a.txt", r"C:\app\app.exe"), "returned 10, the target exists already"),
        (CopyFile(r"C:\app\sub", r"C:\app\sub2"), "returned 9"),
        (MoveFile(r"C:\app\a.txt", r"D:\a.txt"), "returned 13"),
        (RemoveFile(r"C:\app\sub"), "returned 9"),
        (RemoveDirectory(r"C:\app"), "returned 14, the folder is not empty"),
        (NewDirectory(r"Z:\new"), "returned 9"),
        (WriteFile(r"C:\app\a.txt", b""), "returned 10"),
        (WriteFile(r"C:\app\b", b"x" * (1024 * 1024 + 1)), "more than"),
        (RunCommand(("nosuch.exe",)), "exit code 1"),
        (RunCommand(("exit", "3"), shell=True), "exit code 3"),
        (InvokeCimMethod("root/lab", "Lab_Group", "Fail", keys=(("Name", "A"),)), "Lab_Group.Fail did not succeed"),
        (InvokeCimMethod("root/lab", "Nope", "Fail"), "not there"),
    ],
)
def test_what_is_refused_was_not_done(machine: WorldMachine, world: World, action: AnyAction, words: str) -> None:
    disk, registry = world.files.to_json(), world.registry.to_json()
    with pytest.raises(ActionRefused, match=words):
        machine.perform(action)
    assert (world.files.to_json(), world.registry.to_json()) == (disk, registry)


@pytest.mark.parametrize(
    ("action", "denial"),
    [
        (StartService("Svc"), "service_start:svc"),
        (StopService("Run"), "service_stop"),
        (SetRegistryValue(LAB, "x", TEXT), r"registry_write:HKLM\software\lab"),
        (CopyFile(r"C:\app\a.txt", r"C:\app\b"), r"file_write:c:\APP"),
        (WriteFile(r"C:\b", b""), "shells"),
        (NewDirectory(r"C:\b"), "shells"),
        (RunCommand(("hostname",)), "shells"),
        (RestartComputer(), "restart"),
        (InvokeCimMethod("root/lab", "Lab_Group", "Move", keys=(("Name", "A"),)), "invoke"),
    ],
)
def test_an_account_cannot_do_what_it_is_denied(world: World, action: AnyAction, denial: str) -> None:
    before = world.to_json()
    with pytest.raises(ActionRefused, match="access denied"):
        WorldMachine(world, LabAccount(name="x", password="y", denies=(denial,))).perform(action)
    assert world.to_json() == before


def test_a_command_brings_back_its_code_and_output(machine: WorldMachine) -> None:
    performed = machine.perform(RunCommand(("echo", "ü"), shell=True))
    assert (performed.code, performed.output.strip()) == (0, "ü")
    performed = machine.perform(RunCommand(("exit", "3010"), shell=True, reboot_codes=(3010,)))
    assert (performed.code, performed.reboot_needed) == (3010, True)
    assert machine.perform(RunCommand(("exit", "9"), shell=True, exit_codes=())).code == 9


@pytest.mark.parametrize(("breaks", "state"), [("before", "stopped"), ("after", "running")])
def test_a_line_breaks_before_or_after_the_action(machine: WorldMachine, world: World, breaks: str, state: str) -> None:
    broken = FaultyMachine(machine, break_at=2, breaks=breaks)  # type: ignore[arg-type]  # one of its two words
    broken.perform(NewRegistryKey(LAB / "x"))
    with pytest.raises(Interrupted):
        broken.perform(StartService("Svc"))
    record = world.service("Svc")
    assert record is not None
    assert record.state.value == state
    broken.perform(NewRegistryKey(LAB / "y"))


def test_a_host_can_stay_away_or_refuse(machine: WorldMachine, world: World) -> None:
    before = world.to_json()
    mishaps = FaultyMachine(machine, break_at=1, breaks="before", stays_broken=True)
    with pytest.raises(Interrupted):
        mishaps.perform(StartService("Svc"))
    with pytest.raises(HostUnreachable):
        mishaps.ask([OperatingSystem()])
    dying = FaultyMachine(machine, dies_at_ask=2)
    dying.ask([OperatingSystem()])
    with pytest.raises(HostUnreachable):
        dying.ask([OperatingSystem()])
    refusing = FaultyMachine(
        machine,
        refuses=lambda query: isinstance(query, Service),
        refuses_action=lambda action: isinstance(action, StartService),
    )
    answers = refusing.ask([Service("Svc"), File(r"C:\app\a.txt")])
    assert isinstance(answers[Service("Svc")], Refused)
    assert isinstance(answers[File(r"C:\app\a.txt")], Found)
    with pytest.raises(ActionRefused):
        refusing.perform(StartService("Svc"))
    assert world.to_json() == before
