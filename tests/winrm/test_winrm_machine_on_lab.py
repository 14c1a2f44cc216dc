"""Converge's machine and the lab's endpoint meet: every answer and every action is checked against the world itself."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from converge.errors import ActionRefused, HostUnreachable, Interrupted, LoginRefused
from converge.lab import effects
from converge.lab.endpoint.host import WINRM_1, WINRM_2, WINRM_3, EndpointPolicy, SimulatedHost, Stack
from converge.lab.endpoint.mishaps import Mishap, MishapKind
from converge.lab.endpoint.server import LabServer
from converge.lab.specs import Effects, Profile, Quirks
from converge.lab.world import LabAccount, LoggedEvent, World
from converge.model.action import (
    AnyAction,
    CopyFile,
    InvokeCimMethod,
    MoveDirectory,
    MoveFile,
    NewDirectory,
    NewRegistryKey,
    Performed,
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
from converge.model.names import fold
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
from converge.model.registry import RegistryData, RegistryPath, RegistryType
from converge.model.secret import Secret
from converge.windows.registry import parse_path
from converge.winrm.connection import Connection, Login, MessageSealing
from converge.winrm.machine import WinRMMachine
from converge.winrm.nt_hash import nt_hash
from converge.winrm.session import Session
from converge.wsman.cim import Properties

USER, PASSWORD = "Administrator", "Correct horse 1!"
START = datetime(2006, 3, 1, 12, 0, tzinfo=UTC)
VENDOR = parse_path(r"HKLM\SOFTWARE\Vendor")
INETSRV = r"C:\WINDOWS\system32\inetsrv"
CONTENTS = {
    "files": {
        INETSRV: {
            "Inetinfo.exe": {"size": 14608, "version": "6.0.3790.1830"},
            "Seo.dll": {"size": 210_432, "version": "6.0.3790.1830"},
            "smtpread.txt": "read me",
            "O'Brien [1] 100%.dll": 7,
        },
        rf"{INETSRV}\MetaBack": {},
        r"D:\empty": {},
        r"D:\full": {"a.txt": "a"},
    },
    "registry": {
        r"HKLM\SYSTEM\CurrentControlSet\Control\Session Manager\Environment": {
            "windir": {"expand_string": "%SystemRoot%"},
        },
        str(VENDOR): {
            "Text": 'it\'s "quoted" & <tagged> äß日本😀',
            "Path": {"expand_string": r"%SystemRoot%\System32\Seo.dll"},
            "Plain": {"expand_string": r"C:\Tools\Seo.dll"},
            "List": ["one", "two", "three"],
            "Single": ["one"],
            "Number": 0xFFFFFFFF,
            "Large": {"qword": 0xFFFFFFFFFFFFFFFF},
            "Octets": {"binary": "00 7f ff"},
            "Nothing": {"none": ""},
            r"back\slash [*] %x%": "odd",
            "": "the default",
            "\\Käse 日本": {"a": "b"},
            "\\Deep\\er": {"": r'"D:\new\SEO.DLL" /s', "Other": "nothing"},
            "\\Empty": {},
        },
    },
    "services": {
        "IISADMIN": {
            "display_name": "IIS Admin Service",
            "image_path": rf"{INETSRV}\inetinfo.exe",
            "start": "automatic",
            "state": "running",
            "shares_process": True,
        },
        "SMTPSVC": {
            "display_name": "Simple Mail Transport Protocol (SMTP)",
            "image_path": rf"{INETSRV}\inetinfo.exe",
            "start": "automatic",
            "depends_on": ["IISADMIN"],
            "shares_process": True,
            "can_pause": True,
        },
        "Off": {"display_name": "Off", "image_path": rf"{INETSRV}\inetinfo.exe", "start": "disabled"},
        "O'Brien": {"display_name": "Quoted", "image_path": rf"{INETSRV}\inetinfo.exe", "start": "manual"},
    },
}


def make_world(*, version: str = "5.2.3790", denies: Collection[str] = (), quirks: Quirks | None = None) -> World:
    """A Windows with a few of everything."""
    profile = {
        "caption": "Microsoft(R) Windows(R) Server 2003, Standard Edition",
        "version": version,
        "service_pack": 2,
        "architecture": "x64",
        "host_name": "LAB1",
    }
    world = World(Profile.model_validate(profile), started=START)
    if quirks:
        world.quirks = quirks
    effects.enact(world, Effects.model_validate(CONTENTS))
    world.accounts[fold(USER)] = LabAccount(name=USER, password=PASSWORD, denies=tuple(denies))
    world.clock.freeze(START + timedelta(days=30))
    for minutes in (30, 20):
        world.log(
            LoggedEvent(
                record=0,
                log="System",
                provider="Service Control Manager",
                id=7000,
                type="error",
                time=world.now() - timedelta(minutes=minutes),
                strings=("SMTPSVC", "%%2"),
                message="It failed.",
            )
        )
    return world


@dataclass
class Pair:
    """A machine, and the host at the other end."""

    machine: WinRMMachine
    host: SimulatedHost

    @property
    def world(self) -> World:
        """What is true of the host."""
        return self.host.world

    def found(self, query: AnyQuery) -> object:
        """What is found."""
        answer = self.machine.ask([query])[query]
        assert isinstance(answer, Found), answer
        return answer.value

    def commands(self) -> list[str]:
        """The command lines that were run."""
        return [record.detail for record in self.host.log.records if record.operation == "Command"]


@pytest.fixture(scope="module")
def lab() -> Iterator[LabServer]:
    """One server for all hosts of this module."""
    with LabServer() as server:
        yield server


@pytest.fixture
def connect(lab: LabServer) -> Iterator[Callable[..., Pair]]:
    """Puts a world behind an endpoint and connects to it; sealed NTLM unless told otherwise."""
    machines: list[WinRMMachine] = []

    def build(
        world: World | None = None, *, stack: Stack | None = None, password: str = PASSWORD, **settings: object
    ) -> Pair:
        policy = EndpointPolicy(negotiate=True, basic=True, allow_unencrypted=settings.get("sealing") is MessageSealing.NEVER)
        host = SimulatedHost("lab1", world or make_world(), policy=policy, stack=stack)
        (endpoint,) = lab.start([host])
        connection = Connection("lab1", endpoint.url, username=USER, password=Secret(password), **settings)  # type: ignore[arg-type]  # the settings a test names
        machine = WinRMMachine(connection)
        machines.append(machine)
        return Pair(machine, host)

    yield build
    for machine in machines:
        machine.close()


BASIC = {"login": Login.BASIC, "sealing": MessageSealing.NEVER}
EVERYTHING: list[AnyQuery] = [
    OperatingSystem(),
    Service("smtpsvc"),
    Service("IISADMIN"),
    Service("O'Brien"),
    Service("nope"),
    ServiceStartTime("IISADMIN"),
    ServiceStartTime("SMTPSVC"),
    File(rf"{INETSRV}\seo.dll"),
    File(rf"{INETSRV}\O'Brien [1] 100%.dll"),
    File(r"C:\nope\nope.dll"),
    Directory(INETSRV, listing=True),
    Directory("C:\\", listing=True),
    Directory(r"D:\nope"),
    RegistryKey(VENDOR),
    RegistryValue(VENDOR, "text"),
    RegistryValue(VENDOR, ""),
    RegistryValue(VENDOR, "nope"),
    RegistryValue(VENDOR / "nope", "nope"),
    RegistrySearch((VENDOR,), ("Seo.dll",)),
    Events("System", "Service Control Manager", (7000, 7023), START, limit=1, messages=True),
    Events("System", "nobody", (1,), START),
    CimInstances("root/cimv2", "SELECT Name FROM Win32_Service WHERE Name='SMTPSVC'"),
    CimInstances("root/MSCluster", "SELECT * FROM MSCluster_Node"),
]


@pytest.mark.parametrize("settings", [{}, BASIC], ids=["ntlm", "basic"])
@pytest.mark.parametrize("stack", [WINRM_1, WINRM_2, WINRM_3], ids=lambda stack: stack.version)
def test_every_kind_of_question_is_answered_with_what_is_there(
    connect: Callable[..., Pair], settings: dict[str, object], stack: Stack
) -> None:
    pair = connect(stack=stack, **settings)
    answers = pair.machine.ask(EVERYTHING)
    system = answers.value(OperatingSystem())
    assert system is not None
    assert (system.version, system.build, system.service_pack) == ("5.2.3790", 3790, 2)
    assert (system.architecture, system.system_root, system.host_name) == ("x64", r"C:\WINDOWS", "LAB1")
    assert (system.product_type, system.language, system.now) == ("server", 1033, pair.world.now())
    smtp, iis = answers.value(Service("SMTPSVC")), answers.value(Service("iisadmin"))
    assert smtp is not None
    assert iis is not None
    assert (smtp.state, smtp.start_mode, iis.dependents) == (ServiceState.STOPPED, StartMode.AUTOMATIC, ("SMTPSVC",))
    assert answers.value(Service("O'Brien")) is not None
    assert answers.value(Service("nope")) is None
    assert answers.value(ServiceStartTime("IISADMIN")) is not None
    assert answers.value(ServiceStartTime("SMTPSVC")) is None
    seo = answers.value(File(rf"{INETSRV}\Seo.dll"))
    assert seo is not None
    assert (seo.size, seo.version) == (210_432, "6.0.3790.1830")
    assert answers.value(File(rf"{INETSRV}\O'Brien [1] 100%.dll")) is not None
    assert answers.value(File(r"C:\nope\nope.dll")) is None
    listing = answers.value(Directory(INETSRV, listing=True))
    assert listing is not None
    assert (len(listing.files), [fold(name) for name in listing.directories]) == (4, ["METABACK"])
    assert answers.value(Directory(r"D:\nope")) is None
    drive = answers.value(Directory("C:\\", listing=True))
    assert drive is not None
    assert "WINDOWS" in map(fold, drive.directories)
    _check_registry_and_the_rest(pair, answers)


def test_a_qword_that_an_older_windows_does_not_tell_is_refused_as_that(connect: Callable[..., Pair]) -> None:
    answer = connect(make_world(version="5.2.3790")).machine.ask([RegistryValue(VENDOR, "Large")])
    refused = answer[RegistryValue(VENDOR, "Large")]
    assert isinstance(refused, Refused)
    assert refused.text.startswith("it is a qword, which Windows before Vista and Server 2008 does not tell")
    told = connect(make_world(version="6.0.6001")).found(RegistryValue(VENDOR, "Large"))
    assert told == RegistryData(RegistryType.QWORD, 0xFFFFFFFFFFFFFFFF)


def _check_registry_and_the_rest(pair: Pair, answers: object) -> None:
    value = answers.value  # type: ignore[attr-defined]  # the Answers of the test above
    key = value(RegistryKey(VENDOR))
    assert set(key.subkeys) == {"Käse 日本", "Deep", "Empty"}
    assert ("Large", RegistryType.QWORD) in key.values
    assert ("Nothing", RegistryType.NONE) in key.values
    assert value(RegistryValue(VENDOR, "Text")).data == 'it\'s "quoted" & <tagged> äß日本😀'
    assert value(RegistryValue(VENDOR, "")).data == "the default"
    assert value(RegistryValue(VENDOR, "nope")) is None
    assert value(RegistryValue(VENDOR / "nope", "nope")) is None
    search = value(RegistrySearch((VENDOR,), ("Seo.dll",)))
    assert {(found.key.name, found.name) for found in search.values} == {
        ("Vendor", "Path"),
        ("Vendor", "Plain"),
        ("er", ""),
    }
    assert search.unreadable == ()
    (event,) = value(Events("System", "Service Control Manager", (7000, 7023), START, limit=1, messages=True))
    assert (event.time, event.strings, event.message) == (
        pair.world.now() - timedelta(minutes=20),
        ("SMTPSVC", "%%2"),
        "It failed.",
    )
    assert value(Events("System", "nobody", (1,), START)) == ()
    assert value(CimInstances("root/cimv2", "SELECT Name FROM Win32_Service WHERE Name='SMTPSVC'")) == (
        {"Name": "SMTPSVC"},
    )
    assert value(CimInstances("root/MSCluster", "SELECT * FROM MSCluster_Node")) is None


def test_a_hash_is_told_where_windows_can_make_one(connect: Callable[..., Pair]) -> None:
    query = File(rf"{INETSRV}\O'Brien [1] 100%.dll", hashed=True)
    readable = File(rf"{INETSRV}\smtpread.txt", hashed=True)
    newer = connect(make_world(version="6.1.7601"))
    answers = newer.machine.ask([query, readable])
    stored = newer.world.files.file(readable.path)
    found = answers.value(readable)
    assert stored is not None
    assert found is not None
    assert found.sha256 == stored.digest("sha256")
    odd, hashed = newer.world.files.file(query.path), answers.value(query)
    assert odd is not None
    assert hashed is not None
    assert hashed.sha256 == odd.digest("sha256")


def test_a_windows_that_knows_no_sha256_is_asked_for_sha1_and_only_once_whether_it_does(
    connect: Callable[..., Pair],
) -> None:
    files = [File(rf"{INETSRV}\smtpread.txt", hashed=True), File(rf"{INETSRV}\Seo.dll", hashed=True)]
    older, newer = connect(), connect(make_world(version="6.1.7601"))
    for query in files:
        stored = older.world.files.file(query.path)
        assert stored is not None
        for _ in range(2):
            found = older.machine.ask([query]).value(query)
            assert found is not None
            assert (found.sha256, found.sha1) == (None, stored.digest("sha1"))
            newer.machine.ask([query])

    def algorithms(pair: Pair) -> list[bool]:
        lines = [record.detail for record in pair.host.log.records if record.operation == "Command"]
        return ["SHA256" in line for line in lines]

    assert algorithms(older) == [True, False, False, False, False]
    assert algorithms(newer) == [True, True, True, True]


READING = {"Get", "Enumerate", "Pull", "Release", "Create", "Receive", "Signal", "Delete"}


def test_asking_sends_only_what_reads(connect: Callable[..., Pair]) -> None:
    pair = connect()
    before = pair.world.to_json()
    pair.machine.ask(EVERYTHING)
    for record in pair.host.log.records:
        if record.operation == "Invoke":
            assert record.resource.endswith("StdRegProv")
            assert record.method.startswith(("Get", "Enum"))
        elif record.operation == "Command":
            assert record.detail.startswith(("reg.exe query ", "certutil.exe -hashfile "))
        else:
            assert record.operation in READING
    assert pair.world.to_json() == before
    opened = sum(record.operation == "Create" for record in pair.host.log.records)
    assert sum(record.operation == "Delete" for record in pair.host.log.records) == opened


@pytest.mark.parametrize("quirk", ["raw", "expanded", "error"])
@pytest.mark.parametrize("denies", [(), ("shells",)], ids=["shells", "no shells"])
def test_an_expandable_string_is_told_raw_only_where_that_is_known(
    connect: Callable[..., Pair], quirk: str, denies: tuple[str, ...]
) -> None:
    world = make_world(denies=denies, quirks=Quirks.model_validate({"get_string_of_expandable": quirk}))
    pair = connect(world)
    holding, plain = RegistryValue(VENDOR, "Path"), RegistryValue(VENDOR, "Plain")
    answers = pair.machine.ask([holding, plain])
    known = quirk == "raw" or not denies
    assert answers.value(holding) == RegistryData(
        RegistryType.EXPAND_STRING,
        r"%SystemRoot%\System32\Seo.dll" if known else None,
        expanded=r"C:\WINDOWS\System32\Seo.dll",
    )
    assert answers.value(plain) == RegistryData(
        RegistryType.EXPAND_STRING, r"C:\Tools\Seo.dll" if known else None, expanded=r"C:\Tools\Seo.dll"
    )


VALUES = [
    RegistryData(RegistryType.STRING, ""),
    RegistryData(RegistryType.STRING, 'a "b" & <c> äß日本😀 100%'),
    RegistryData(RegistryType.EXPAND_STRING, r"%SystemRoot%\x %nope% y"),
    RegistryData(RegistryType.MULTI_STRING, ("one",)),
    RegistryData(RegistryType.MULTI_STRING, ("one", "Zwei & <drei>", "vier")),
    RegistryData(RegistryType.MULTI_STRING, ()),
    RegistryData(RegistryType.DWORD, 0),
    RegistryData(RegistryType.DWORD, 0xFFFFFFFF),
    RegistryData(RegistryType.QWORD, 0xFFFFFFFFFFFFFFFF),
    RegistryData(RegistryType.BINARY, b"\x00\x7f\x80\xff"),
    RegistryData(RegistryType.BINARY, b"\x00"),
    RegistryData(RegistryType.BINARY, b""),
]


@pytest.mark.parametrize("name", ["New", "", r"back\slash [*] %x%", "Käse 日本 'x'"])
def test_values_of_every_type_are_written_and_read_as_they_were(connect: Callable[..., Pair], name: str) -> None:
    pair = connect(make_world(version="6.1.7601"))
    key = VENDOR / "Fresh" / "Key [*]"
    pair.machine.perform(NewRegistryKey(key))
    for data in VALUES:
        pair.machine.perform(SetRegistryValue(key, name, data))
        stored = pair.world.registry.value(key, name)
        assert stored is not None
        assert (stored.type, stored.as_data().data) == (data.type, data.data)
        read = pair.found(RegistryValue(key, name))
        assert isinstance(read, RegistryData)
        assert (read.type, read.data) == (data.type, data.data)
    pair.machine.perform(RemoveRegistryValue(key, name))
    assert pair.world.registry.value(key, name) is None
    pair.machine.perform(RemoveRegistryKey(key))
    assert pair.world.registry.find(key) is None


def test_services_do_what_they_are_told(connect: Callable[..., Pair]) -> None:
    pair = connect()

    def state() -> ServiceState:
        record = pair.world.service("SMTPSVC")
        assert record is not None
        return record.state

    pair.machine.perform(StartService("SMTPSVC"))
    assert state() is ServiceState.RUNNING
    assert pair.machine.perform(StartService("SMTPSVC")) == Performed(code=10)
    with pytest.raises(ActionRefused, match="3, dependent services are running"):
        pair.machine.perform(StopService("IISADMIN"))
    pair.machine.perform(InvokeCimMethod("root/cimv2", "Win32_Service", "PauseService", keys=(("Name", "SMTPSVC"),)))
    assert state() is ServiceState.PAUSED
    pair.machine.perform(ResumeService("SMTPSVC"))
    assert state() is ServiceState.RUNNING
    pair.machine.perform(StopService("SMTPSVC"))
    pair.machine.perform(StopService("SMTPSVC"))
    assert state() is ServiceState.STOPPED
    pair.machine.perform(SetServiceStartMode("SMTPSVC", StartMode.DISABLED))
    with pytest.raises(ActionRefused, match="14, the service is disabled"):
        pair.machine.perform(StartService("SMTPSVC"))
    pair.machine.perform(SetServiceImagePath("SMTPSVC", r'"D:\new place\inetinfo.exe" -x'))
    smtp = pair.machine.ask([Service("SMTPSVC")]).value(Service("SMTPSVC"))
    assert smtp is not None
    assert (smtp.start_mode, smtp.path_name) == (StartMode.DISABLED, r'"D:\new place\inetinfo.exe" -x')
    with pytest.raises(ActionRefused):
        pair.machine.perform(StartService("nope"))
    with pytest.raises(ActionRefused, match="for drivers"):
        pair.machine.perform(SetServiceStartMode("SMTPSVC", StartMode.BOOT))


def test_files_and_folders_do_what_they_are_told(connect: Callable[..., Pair]) -> None:
    pair = connect()
    files, machine = pair.world.files, pair.machine
    machine.perform(CopyFile(rf"{INETSRV}\Seo.dll", r"D:\empty\Seo.dll"))
    copied = files.file(r"D:\empty\Seo.dll")
    assert copied is not None
    assert copied.size == 210_432
    with pytest.raises(ActionRefused, match="10, the target exists already"):
        machine.perform(CopyFile(rf"{INETSRV}\Inetinfo.exe", r"D:\empty\Seo.dll"))
    machine.perform(MoveFile(r"D:\empty\Seo.dll", r"D:\empty\Seo.dll.converge-1"))
    assert files.file(r"D:\empty\Seo.dll") is None
    machine.perform(RemoveFile(r"D:\empty\Seo.dll.converge-1"))
    assert files.file(r"D:\empty\Seo.dll.converge-1") is None
    machine.perform(NewDirectory(r"D:\new folder\a & b\c"))
    assert files.folder(r"D:\new folder\a & b\c") is not None
    machine.perform(MoveDirectory(r"D:\new folder\a & b", r"D:\new folder\moved"))
    assert files.folder(r"D:\new folder\moved\c") is not None
    machine.perform(RemoveDirectory(r"D:\new folder\moved\c"))
    assert files.folder(r"D:\new folder\moved\c") is None
    with pytest.raises(ActionRefused):
        machine.perform(RemoveDirectory(r"D:\full"))
    assert files.file(r"D:\full\a.txt") is not None
    with pytest.raises(ActionRefused):
        machine.perform(RemoveFile(r"D:\nope.txt"))


@pytest.mark.parametrize("content", [b"", b"x", bytes(range(256)) * 80], ids=["empty", "one byte", "20 KiB"])
def test_content_arrives_byte_for_byte_and_never_over_a_file_that_is_there(
    connect: Callable[..., Pair], content: bytes
) -> None:
    pair = connect()
    path = r"D:\empty\new & fresh.bin"
    pair.machine.perform(WriteFile(path, content))
    written = pair.world.files.file(path)
    assert written is not None
    assert written.read() == content
    folder = pair.world.files.folder(r"D:\empty")
    assert folder is not None
    assert len(folder.files) == 1
    with pytest.raises(ActionRefused, match="there already"):
        pair.machine.perform(WriteFile(path, b"other"))
    assert written.read() == content


@pytest.mark.parametrize("folder", ["Acme,Inc", "a;b=c", "(x) & y^z!", "100%", " 'lead'"])
@pytest.mark.parametrize("content", [b"", b"words"], ids=["empty", "words"])
def test_names_that_a_command_interpreter_would_part_are_written_and_nothing_else(
    connect: Callable[..., Pair], folder: str, content: bytes
) -> None:
    pair = connect()
    path = rf"D:\empty\{folder}"
    pair.machine.perform(NewDirectory(path))
    pair.machine.perform(WriteFile(rf"{path}\list.txt,v %X%", content))
    made = pair.world.files.folder(path)
    assert made is not None
    assert [(file.name, file.read()) for file in made.files.values()] == [("list.txt,v %X%", content)]
    outer = pair.world.files.folder(r"D:\empty")
    assert outer is not None
    assert not outer.files
    pair.machine.perform(RemoveFile(rf"{path}\list.txt,v %X%"))
    pair.machine.perform(RemoveDirectory(path))
    assert pair.world.files.folder(path) is None


def test_a_display_name_is_no_absent_service(connect: Callable[..., Pair]) -> None:
    asked = [Service("iis admin SERVICE"), ServiceStartTime("IIS Admin Service"), Service("Nothing"), Service("IISADMIN")]
    answers = connect().machine.ask(asked)
    for query in asked[:2]:
        told = answers[query]
        assert isinstance(told, Refused)
        assert "IISADMIN" in told.text
    assert answers[asked[2]] == Absent()
    assert isinstance(answers[asked[3]], Found)


def test_commands_bring_their_output_and_exit_code(connect: Callable[..., Pair]) -> None:
    pair = connect()
    done = pair.machine.perform(RunCommand(("cmd.exe", "/c", "echo", "grüß dich")))
    assert (done.code, done.reboot_needed) == (0, False)
    assert "grüß dich" in done.output
    with pytest.raises(ActionRefused, match="exit code 3"):
        pair.machine.perform(RunCommand(("exit 3",), shell=True, title="leaving"))
    assert pair.machine.perform(RunCommand(("exit 3",), shell=True, exit_codes=(), title="x")).code == 3
    assert pair.machine.perform(RunCommand(("exit 3010",), shell=True, reboot_codes=(3010,))).reboot_needed
    with pytest.raises(ActionRefused, match="control character"):
        pair.machine.perform(RunCommand(("a\nb",)))


def test_a_command_that_does_not_end_in_time_is_stopped_and_nobody_knows(connect: Callable[..., Pair]) -> None:
    pair = connect(operation_timeout=0.5, read_timeout=5.0)
    pair.host.mishaps.add(Mishap(MishapKind.SLOW_COMMAND, amount=60, operation="Command"))
    with pytest.raises(Interrupted, match=r"Setup did not end within 1\.5 s.* was ended \(signal terminate\)"):
        pair.machine.perform(RunCommand(("cmd.exe", "/c", "echo", "hello"), timeout=1.5, title="Setup"))
    ended = [record.operation for record in pair.host.log.records][-2:]
    assert ended == ["Signal", "Delete"]


def test_a_command_outlives_a_broken_line_and_is_started_once(connect: Callable[..., Pair]) -> None:
    pair = connect(operation_timeout=1.0, read_timeout=5.0)
    pair.host.mishaps.add(Mishap(MishapKind.SLOW_COMMAND, amount=1.0, operation="Command"))
    pair.host.mishaps.add(Mishap(MishapKind.DROP_BEFORE, operation="Receive", times=1))
    assert pair.machine.perform(RunCommand(("cmd.exe", "/c", "echo", "hello"))).code == 0
    assert len(pair.commands()) == 1


@pytest.mark.parametrize(
    ("returned", "what", "why"),
    [
        (1314, "returned 1314, the account lacks the privilege for it", ""),
        (0x80041234, "did not succeed", "2147750452 (0x80041234), a value without a documented meaning"),
    ],
)
def test_a_restart_that_windows_refuses_is_told_in_words(
    connect: Callable[..., Pair], monkeypatch: pytest.MonkeyPatch, returned: int, what: str, why: str
) -> None:
    pair = connect(make_world(version="6.1.7601"))
    monkeypatch.setattr(Session, "call", lambda *_args, **_given: Properties({"ReturnValue": returned}))
    with pytest.raises(ActionRefused) as raised:
        pair.machine.perform(RestartComputer(timeout=60))
    assert what in raised.value.what
    assert str(returned) not in raised.value.what or not why
    assert why in raised.value.why


def test_a_restart_is_waited_for(connect: Callable[..., Pair]) -> None:
    pair = connect(make_world(version="6.1.7601"))
    pair.world.clock.freeze(None)
    before = pair.machine.ask([OperatingSystem()]).value(OperatingSystem())
    pair.machine.perform(RestartComputer(timeout=60))
    after = pair.machine.ask([OperatingSystem()]).value(OperatingSystem())
    assert before is not None
    assert after is not None
    assert before.started is not None
    assert after.started is not None
    assert after.started > before.started


@pytest.mark.parametrize(
    ("denied", "query"),
    [
        ("class:Win32_Service", Service("SMTPSVC")),
        ("namespace:root/cimv2", File(r"C:\x.txt")),
        ("invoke", RegistryValue(VENDOR, "Text")),
        (f"registry_read:{VENDOR}", RegistryValue(VENDOR, "Text")),
        (f"registry_read:{VENDOR}", RegistryKey(VENDOR)),
        ("shells", File(rf"{INETSRV}\Seo.dll", hashed=True)),
        ("winrm", OperatingSystem()),
    ],
)
def test_what_an_account_may_not_see_is_refused_and_not_absent(
    connect: Callable[..., Pair], denied: str, query: AnyQuery
) -> None:
    pair = connect(make_world(denies=[denied]))
    other = CimInstances("root/default", "SELECT * FROM StdRegProv")
    answers = pair.machine.ask([query, other])
    answer = answers[query]
    assert isinstance(answer, Refused), answer
    assert answer.code == "access-denied"
    assert answer.text
    if denied not in ("winrm", "invoke"):
        assert not isinstance(answers[other], Refused)


@pytest.mark.parametrize(
    ("denied", "action"),
    [
        ("service_start:SMTPSVC", StartService("SMTPSVC")),
        ("service_change:SMTPSVC", SetServiceStartMode("SMTPSVC", StartMode.MANUAL)),
        (f"registry_write:{VENDOR}", RemoveRegistryValue(VENDOR, "Text")),
        ("shells", NewDirectory(r"D:\x")),
        (r"file_write:D:\full", RemoveFile(r"D:\full\a.txt")),
        ("restart", RestartComputer(timeout=5)),
    ],
)
def test_what_an_account_may_not_do_is_refused_and_not_done(
    connect: Callable[..., Pair], denied: str, action: AnyAction
) -> None:
    pair = connect(make_world(denies=[denied]))
    before = pair.world.to_json()
    with pytest.raises(ActionRefused) as refused:
        pair.machine.perform(action)
    assert pair.world.to_json() == before
    assert str(refused.value)


def test_a_search_without_a_shell_walks_and_tells_what_it_could_not_read(connect: Callable[..., Pair]) -> None:
    query = RegistrySearch((VENDOR, parse_path(r"HKLM\SOFTWARE\nope")), ("Seo.dll",))
    expected = connect().found(query)
    denied = VENDOR / "Käse 日本"
    for denies in (("shells", f"registry_read:{denied}"), (f"registry_read:{denied}",)):
        pair = connect(make_world(denies=denies))
        finds = pair.found(query)
        assert finds.unreadable == (denied,)  # type: ignore[attr-defined]  # of SearchFinds
        names = {(found.key, found.name) for found in finds.values}  # type: ignore[attr-defined]  # as above
        assert names == {(found.key, found.name) for found in expected.values}  # type: ignore[attr-defined]  # as above


@pytest.mark.parametrize("settings", [{}, BASIC], ids=["ntlm", "basic"])
def test_a_password_may_hold_any_character(connect: Callable[..., Pair], settings: dict[str, object]) -> None:
    world = make_world()
    world.accounts[fold(USER)] = LabAccount(name=USER, password="pä ß日本'\"%")
    assert connect(world, password="pä ß日本'\"%", **settings).found(OperatingSystem())


def test_a_password_may_be_given_as_its_hashes(connect: Callable[..., Pair]) -> None:
    hashes = f"{'0' * 32}:{nt_hash(PASSWORD).hex().upper()}"
    assert connect(password=hashes).found(OperatingSystem())
    with pytest.raises(LoginRefused):
        connect(password=f"{'0' * 32}:{'1' * 32}").machine.ask([OperatingSystem()])


def test_a_wrong_password_is_tried_once(connect: Callable[..., Pair]) -> None:
    pair = connect(password="wrong")
    for _ in range(3):
        with pytest.raises(LoginRefused) as refused:
            pair.machine.ask([OperatingSystem()])
    assert pair.host.log.refused_logins == 1
    assert "wrong" not in (refused.value.what, repr(refused.value))


UNTRUSTED = [
    Mishap(MishapKind.UNSEALED),
    Mishap(MishapKind.BAD_SEAL),
    Mishap(MishapKind.WRONG_RELATES_TO),
    Mishap(MishapKind.TRUNCATED_XML),
    Mishap(MishapKind.NOT_XML),
    Mishap(MishapKind.DOCUMENT_TYPE),
    Mishap(MishapKind.ENTITY_BOMB),
    Mishap(MishapKind.OVERSIZE),
    Mishap(MishapKind.HTTP_ERROR, amount=500),
    Mishap(MishapKind.HTTP_ERROR, amount=503),
    Mishap(MishapKind.TRICKLE, amount=0.2),
    Mishap(MishapKind.SILENCE),
    Mishap(MishapKind.DROP_AFTER),
    Mishap(MishapKind.CUT_SHORT),
]


def deadlines(mishap: Mishap) -> dict[str, float]:
    """Short ones where nothing but they would end it, else such as a busy machine keeps."""
    if mishap.kind in (MishapKind.SILENCE, MishapKind.TRICKLE, MishapKind.DELAY):
        return {"operation_timeout": 1.0, "read_timeout": 2.0}
    return {"operation_timeout": 10.0, "read_timeout": 20.0}


@pytest.mark.parametrize("mishap", UNTRUSTED, ids=lambda mishap: f"{mishap.kind}-{mishap.amount:g}")
def test_a_sealed_conversation_that_goes_wrong_is_one_clear_outcome(
    connect: Callable[..., Pair], mishap: Mishap
) -> None:
    pair = connect(**deadlines(mishap))
    assert pair.found(OperatingSystem())
    pair.host.mishaps.add(mishap)
    with pytest.raises(HostUnreachable) as raised:
        pair.machine.ask([OperatingSystem()])
    assert PASSWORD not in str(raised.value)
    pair.host.mishaps.clear()
    assert pair.found(OperatingSystem())


@pytest.mark.parametrize("mishap", UNTRUSTED, ids=lambda mishap: f"{mishap.kind}-{mishap.amount:g}")
def test_a_write_that_goes_wrong_is_done_at_most_once(connect: Callable[..., Pair], mishap: Mishap) -> None:
    pair = connect(**deadlines(mishap), host_timeout=20.0)
    assert pair.found(OperatingSystem())
    pair.host.mishaps.add(mishap)
    with pytest.raises((Interrupted, HostUnreachable)) as raised:
        pair.machine.perform(RemoveRegistryValue(VENDOR, "Text"))
    assert sum(record.method == "DeleteValue" for record in pair.host.log.records) <= 1
    if isinstance(raised.value, HostUnreachable):
        assert pair.world.registry.value(VENDOR, "Text") is not None


def test_a_login_that_the_host_forgot_is_made_again_for_a_read_and_a_write_is_not_sent_again(connect: Callable[..., Pair]) -> None:
    pair = connect()
    assert pair.found(OperatingSystem())
    pair.host.mishaps.add(Mishap(MishapKind.UNAUTHORIZED, times=1))
    assert pair.found(Service("SMTPSVC"))
    pair.host.mishaps.add(Mishap(MishapKind.UNAUTHORIZED, times=1))
    with pytest.raises(Interrupted):
        pair.machine.perform(StartService("SMTPSVC"))
    record = pair.world.service("SMTPSVC")
    assert record is not None
    assert record.state is ServiceState.STOPPED


def test_hosts_at_once_do_not_disturb_each_other(connect: Callable[..., Pair]) -> None:
    pairs = [connect() for _ in range(4)]
    pairs[1].host.mishaps.add(Mishap(MishapKind.ENTITY_BOMB))
    outcomes: list[object] = [None] * 4

    def ask(number: int) -> None:
        try:
            outcomes[number] = len(pairs[number].machine.ask(EVERYTHING))
        except HostUnreachable as error:
            outcomes[number] = error.code

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert outcomes == [len(EVERYTHING), "remote-protocol", len(EVERYTHING), len(EVERYTHING)]


def smtp_questions() -> list[list[AnyQuery]]:
    """What a check of smtp-follows-inetinfo.yml asks, round by round, its registry search apart."""
    names = ["Jpudll", "Mboxapi", "Seo", "Seos", "Smtpadm", "Smtpkey", "Smtpread", "Smtpsnap", "Smtpsvc"]
    service = RegistryPath(VENDOR.hive, r"SYSTEM\CurrentControlSet\Services\SMTPSVC")
    return [
        [OperatingSystem(), Service("W3SVC"), Service("SMTPSVC")],
        [File(r"D:\inetsrv\inetinfo.exe")],
        [
            *(File(rf"{folder}\{name}.dll") for folder in (INETSRV, r"D:\inetsrv") for name in names),
            RegistryValue(service, "ImagePath"),
            RegistryValue(service / "Parameters", "InstallPath"),
            *(RegistryValue(service / "Enum", name) for name in ("0", "Count", "NextInstance")),
        ],
    ]


@pytest.mark.parametrize("stack", [WINRM_1, WINRM_3], ids=lambda stack: stack.version)
@pytest.mark.parametrize("quirk", ["raw", "expanded", "error"])
def test_a_check_of_an_article_takes_at_most_25_requests(
    connect: Callable[..., Pair], stack: Stack, quirk: str
) -> None:
    world = make_world(quirks=Quirks.model_validate({"get_string_of_expandable": quirk}))
    service = RegistryPath(VENDOR.hive, r"SYSTEM\CurrentControlSet\Services\SMTPSVC")
    world.registry.create(service / "Parameters").set("InstallPath", number=1, data=INETSRV)
    for name in ("0", "Count", "NextInstance"):
        world.registry.create(service / "Enum").set(name, number=4, data=1)
    pair = connect(world, stack=stack)
    for questions in smtp_questions():
        pair.machine.ask(questions)
    assert pair.machine.round_trips == len(pair.host.log.records)
    assert pair.machine.round_trips <= 25
