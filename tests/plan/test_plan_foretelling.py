"""Check predicts, question by question: a rehearsal answers after any actions what the host answers after the same ones.

And what is kept of a host's answers through an action is what the action did not change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from converge.errors import ActionRefused
from converge.lab import service_manager
from converge.lab.world import World
from converge.model.action import (
    AnyAction,
    CopyFile,
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
from converge.model.answer import Absent, Answer, Found, NotPredicted
from converge.model.facts import DirectoryFacts, FileFacts, KeyContents, ServiceFacts, StartMode
from converge.model.names import fold, same
from converge.model.query import (
    AnyQuery,
    CimInstances,
    Directory,
    Events,
    File,
    OperatingSystem,
    RegistryKey,
    RegistryValue,
    Service,
    ServiceStartTime,
)
from converge.model.registry import RegistryData, RegistryPath, RegistryType
from converge.plan.effects import may_change
from converge.rehearsal.rehearsal import Rehearsal
from converge.testing.conformance.case import Case
from converge.testing.world_machine import WorldMachine
from converge.windows.registry import parse_path

SERVICES = ("Plain", "busy", "Held", "Barred", "IISADMIN", "SMTPSVC", "W3SVC", "MSFTPSVC")
KEYS = tuple(
    parse_path(text)
    for text in (
        r"HKLM\SYSTEM\CurrentControlSet\Control\Session Manager\Environment",
        r"HKLM\SOFTWARE\Vendor",
        r"HKLM\software\VENDOR\Tree",
        r"HKLM\SOFTWARE\Vendor\Tree\Leaf",
        r"HKLM\SOFTWARE\Vendor\Tree\Leaf\Deep",
        r"HKLM\SOFTWARE\Vendor\Empty",
        r"HKLM\SOFTWARE\Vendor\New",
        r"HKLM\SOFTWARE\Vendor\New\Sub",
        r"HKCR\CLSID\{1}",
        r"HKLM\SOFTWARE\Classes\CLSID\{1}",
        r"HKLM\SYSTEM\CurrentControlSet\Services\Plain",
    )
)
ENVIRONMENT, VENDOR, CLASS = KEYS[0], KEYS[1], KEYS[8]
NAMES = ("", "Text", "NEW", "ImagePath", "Start", "t")
FOLDERS = (
    r"D:\Vendor",
    r"D:\vendor\Full",
    r"D:\Vendor\full\deep",
    r"D:\Vendor\empty",
    r"D:\Moved",
    r"D:\Moved\deep",
    "D:\\",
)
FILES = (r"D:\Vendor\app.dll", r"D:\Vendor\full\a.txt", r"D:\Vendor\FULL\deep\c.txt", r"D:\Moved\a.txt",
         r"D:\Moved\deep\c.txt", r"D:\Vendor\new.txt", r"D:\Vendor\empty\app.dll", r"C:\WINDOWS\System32\svc.exe")  # fmt: skip
DATA = (
    RegistryData(RegistryType.STRING, "x"),
    RegistryData(RegistryType.DWORD, 0xFFFFFFFF),
    RegistryData(RegistryType.EXPAND_STRING, r"%SystemRoot%\System32\other.exe"),
    RegistryData(RegistryType.MULTI_STRING, ("a", "b")),
)
POOL: tuple[AnyQuery, ...] = (
    *(RegistryKey(key) for key in KEYS),
    *(RegistryValue(key, name) for key in KEYS for name in NAMES),
    *(File(path, hashed) for path in FILES for hashed in (False, True)),
    *(Directory(path, listing) for path in FOLDERS for listing in (False, True)),
    *(Service(name) for name in SERVICES),
)
MORE: tuple[AnyQuery, ...] = (
    *(ServiceStartTime(name) for name in SERVICES),
    OperatingSystem(),
    Events("System", "Service Control Manager", (), datetime(2000, 1, 1, tzinfo=UTC)),
    CimInstances("root/cimv2", "SELECT Name, State, StartMode, PathName FROM Win32_Service"),
    CimInstances("root/cimv2", r"SELECT Name FROM CIM_DataFile WHERE Drive = 'D:' AND Path = '\\Vendor\\'"),
)

keys, names, data = st.sampled_from(KEYS), st.sampled_from(NAMES), st.sampled_from(DATA)
files, folders, services = st.sampled_from(FILES), st.sampled_from(FOLDERS), st.sampled_from(SERVICES)
actions: st.SearchStrategy[AnyAction] = st.one_of(
    st.builds(SetRegistryValue, keys, names, data),
    st.builds(RemoveRegistryValue, keys, names),
    st.builds(NewRegistryKey, keys),
    st.builds(RemoveRegistryKey, keys),
    st.builds(CopyFile, files, files),
    st.builds(MoveFile, files, files).filter(lambda move: not same(move.source, move.target)),
    st.builds(WriteFile, files, st.sampled_from([b"", b"some bytes"])),
    st.builds(RemoveFile, files),
    st.builds(NewDirectory, folders),
    st.builds(MoveDirectory, folders, folders).filter(lambda move: not same(move.source, move.target)),
    st.builds(RemoveDirectory, folders),
    st.builds(StartService, services),
    st.builds(StopService, services),
    st.builds(ResumeService, services),
    st.builds(SetServiceStartMode, services, st.sampled_from([StartMode.AUTOMATIC, StartMode.MANUAL, StartMode.DISABLED])),
    st.builds(SetServiceImagePath, services, st.sampled_from([r"%SystemRoot%\System32\other.exe", r"C:\x y.exe -k"])),
    st.just(RestartComputer()),
    st.just(RunCommand((r"echo x> D:\Vendor\new.txt",), shell=True)),
)  # fmt: skip
sequences = st.lists(actions, min_size=1, max_size=6)
BOUNDED = settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])


def make_world() -> World:
    world = Case("a world", "predicting", []).make_world()
    for name in ("MSFTPSVC",):
        service = world.service(name)
        assert service is not None
        service.start_seconds = service.stop_seconds = 0.0  # what takes time is told of elsewhere
    return world


@BOUNDED
@given(sequences)
@example([SetRegistryValue(CLASS, "NEW", DATA[0])])
@example([StartService("Held")])
@example([StopService("MSFTPSVC"), StopService("W3SVC"), StopService("IISADMIN"), StartService("MSFTPSVC")])
@example([MoveDirectory(FOLDERS[1], FOLDERS[4]), RemoveFile(FILES[4]), RemoveDirectory(FOLDERS[5])])
@example([SetServiceStartMode("busy", StartMode.DISABLED), StartService("busy")])
def test_a_rehearsal_answers_what_the_host_will(sequence: Sequence[AnyAction]) -> None:
    world = make_world()
    rehearsal = Rehearsal(WorldMachine(world))
    rehearsal.ask((*POOL, *MORE))
    real = WorldMachine(World.from_json(world.to_json()))
    for action in sequence:
        try:
            real.perform(action)
        except ActionRefused:
            break  # here a run would have ended
        rehearsal.perform(action)
    predicted, told = rehearsal.ask(POOL), real.ask(POOL)
    for query in POOL:
        if isinstance(query, Service) and RestartComputer() in sequence:
            continue  # what Windows starts by itself may fail to start
        if isinstance(query, File | Directory) and any(isinstance(action, RunCommand) for action in sequence):
            continue  # a program may bring what is absent, and is held to leave alone what is there
        if not isinstance(predicted[query], NotPredicted):
            assert comparable(predicted[query]) == comparable(told[query]), query


@BOUNDED
@given(sequences)
@example([SetRegistryValue(CLASS, "NEW", DATA[0])])
@example([SetRegistryValue(ENVIRONMENT, "NEW", DATA[0])])
@example([SetServiceStartMode("Plain", StartMode.DISABLED)])
@example([MoveFile(FILES[0], FILES[6])])
def test_whatever_an_action_changes_may_have_been_changed_by_it(sequence: Sequence[AnyAction]) -> None:
    machine = WorldMachine(make_world())
    queries = (*POOL, *MORE)
    before = machine.ask(queries)
    for action in sequence:
        try:
            machine.perform(action)
        except ActionRefused:
            service_manager.settle(machine.world)  # a refusal may have left traces too
        after = machine.ask(queries)
        for query in queries:
            if query == OperatingSystem() and isinstance(action, RunCommand):
                continue  # a program may do anything; only Windows itself is held to stay the same
            changed = before[query] != after[query]
            assert may_change(action, query) or not changed, f"{action} changed {query}"
        before = after


def test_answers_that_no_action_touches_are_kept() -> None:
    app = CopyFile(FILES[7], FILES[0])
    assert not may_change(app, RegistryValue(VENDOR, "Text"))
    assert not may_change(app, File(FILES[1]))
    assert not may_change(SetRegistryValue(VENDOR, "Text", DATA[0]), RegistryValue(VENDOR, "Other"))
    assert not may_change(SetRegistryValue(VENDOR, "Text", DATA[0]), Service("Plain"))
    assert not may_change(StartService("Plain"), RegistryValue(VENDOR, "Text"))
    assert not may_change(RunCommand(("setup",)), OperatingSystem())


def comparable(answer: Answer[object]) -> object:
    """An answer without what nobody can predict and nothing is decided by: process ids, times, spelling, order."""
    if not isinstance(answer, Found):
        return type(answer).__name__
    value = answer.value
    if isinstance(value, ServiceFacts):
        return replace(value, process_id=0, exit_code=0, specific_exit_code=0)
    if isinstance(value, KeyContents):
        return (
            sorted(fold(name) for name in value.subkeys),
            sorted((fold(name), kind.label) for name, kind in value.values),
        )
    if isinstance(value, FileFacts):
        return file_shown(value)
    if isinstance(value, DirectoryFacts):
        listed = sorted(str(file_shown(file)) for file in value.files)
        return fold(value.path), listed, sorted(fold(name) for name in value.directories)
    if isinstance(value, RegistryData):
        return replace(value, expanded=None)
    return value


def file_shown(file: FileFacts) -> object:
    return fold(file.path), file.size, file.version


def test_the_pool_holds_what_is_there_and_what_is_not() -> None:
    answers = WorldMachine(make_world()).ask(POOL)
    absent = sum(isinstance(answer, Absent) for answer in answers.values())
    assert 20 < absent < len(POOL) - 20
    assert isinstance(VENDOR, RegistryPath)
