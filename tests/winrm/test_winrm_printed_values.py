"""Many values read on one line of reg.exe are what StdRegProv tells of each, whatever the registry holds and a host prints."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.winrm.test_winrm_hostile_hosts import machine, serving, soap

from converge.lab.endpoint.host import WINRM_1, WINRM_3, EndpointPolicy, SimulatedHost, Stack
from converge.lab.endpoint.mishaps import Mishap, MishapKind
from converge.lab.endpoint.server import LabServer
from converge.lab.image import load_image
from converge.lab.world import LabAccount, World
from converge.model.answer import Absent, Answer, Found, Refused
from converge.model.facts import SearchFinds
from converge.model.names import fold
from converge.model.query import AnyQuery, RegistrySearch, RegistryValue
from converge.model.registry import RegistryData, RegistryPath, RegistryType
from converge.model.secret import Secret
from converge.windows.registry import parse_path
from converge.winrm.connection import Connection, Login, MessageSealing
from converge.winrm.observer import WinRMObserver
from converge.winrm.printed_values import MAX_PRINTED, WORTH_A_SHELL
from converge.wsman.cim import Properties
from converge.wsman.faults import Fault
from converge.wsman.messages import Request
from converge.wsman.operations import Invoke, ShellOutput
from converge.wsman.shells import (
    Command,
    CommandStarted,
    CreateShell,
    DeleteShell,
    Receive,
    Received,
    ShellCreated,
    ShellDeleted,
    ShellStream,
    Signal,
    Signalled,
)

PASSWORD = "Correct horse 1!"
WITH_SHELLS, WITHOUT = "shells", "no-shells"
VENDOR = parse_path(r"HKLM\SOFTWARE\Vendor")
IMAGES = ("exchange2003", "iis4-smtp-healthy")


@dataclass
class Place:
    """A Windows, and two accounts of it: one may open shells, the other may not."""

    host: SimulatedHost
    url: str

    @property
    def world(self) -> World:
        return self.host.world

    def observer(self, account: str = WITH_SHELLS) -> WinRMObserver:
        return WinRMObserver(
            Connection(
                "lab1", self.url, username=account, password=Secret(PASSWORD), login=Login.BASIC,
                sealing=MessageSealing.NEVER, operation_timeout=5.0, read_timeout=10.0,
            )
        )  # fmt: skip

    def told(self, queries: Sequence[RegistryValue], account: str = WITH_SHELLS) -> dict[AnyQuery, Answer[object]]:
        """What an account is told over a connection of its own."""
        observer = self.observer(account)
        try:
            return dict(observer.ask(queries))
        finally:
            observer.close()

    def asked(self, operation: str) -> int:
        return sum(record.operation == operation for record in self.host.log.records)


def build(lab: LabServer, *, image: str = IMAGES[0], stack: Stack | None = None, **profile: object) -> Place:
    world = load_image(image, host_name="LAB1")
    world.profile = world.profile.model_copy(update=profile)
    world.accounts[fold(WITH_SHELLS)] = LabAccount(name=WITH_SHELLS, password=PASSWORD)
    world.accounts[fold(WITHOUT)] = LabAccount(name=WITHOUT, password=PASSWORD, denies=("shells",))
    host = SimulatedHost("lab1", world, policy=EndpointPolicy(basic=True, allow_unencrypted=True), stack=stack)
    (endpoint,) = lab.start([host])
    return Place(host, endpoint.url)


@pytest.fixture(scope="module")
def lab() -> Iterator[LabServer]:
    with LabServer() as server:
        yield server


@pytest.fixture
def place(lab: LabServer) -> Place:
    return build(lab)


@pytest.fixture(scope="module", params=["5.2.3790", "6.1.7601"], ids=["tabs", "blanks"])
def either(request: pytest.FixtureRequest, lab: LabServer) -> Place:
    """A Windows whose reg.exe prints as old ones do, and one as newer ones."""
    return build(lab, version=request.param)


def write(world: World, key: RegistryPath, name: str, kind: RegistryType, data: object) -> RegistryValue:
    world.registry.create(key).set(name, number=kind.number, data=data)
    return RegistryValue(key, name)


def crowd(world: World, number: int = 14) -> list[RegistryValue]:
    """So many plain numbers that a shell is worth opening."""
    return [write(world, VENDOR / "Crowd", f"n{each}", RegistryType.DWORD, each) for each in range(number)]


def test_many_values_cost_one_shell_and_few_cost_none(place: Place) -> None:
    queries = [
        write(place.world, VENDOR / f"Key {each % 8}", f"Value {each}", RegistryType.STRING, f"data {each}")
        for each in range(24)
    ]
    observer = place.observer()
    assert dict(observer.ask(queries)) == {
        query: Found(RegistryData(RegistryType.STRING, f"data {each}")) for each, query in enumerate(queries)
    }
    assert observer.round_trips <= 6
    assert (place.asked("Create"), place.asked("Delete"), place.asked("Invoke")) == (1, 1, 0)
    few = queries[: WORTH_A_SHELL // 2]
    assert len(observer.ask(few[1:])) == len(few) - 1
    assert place.asked("Create") == 1
    observer.close()


def test_more_than_a_line_takes_are_asked_on_several(place: Place) -> None:
    queries = [
        write(place.world, VENDOR / ("K" * 90), f"Value {each}", RegistryType.DWORD, each) for each in range(300)
    ]
    observer = place.observer()
    assert all(
        answer == Found(RegistryData(RegistryType.DWORD, each))
        for each, answer in enumerate(observer.ask(queries).values())
    )
    assert 1 < place.asked("Command") < 12
    assert place.asked("Invoke") == 0
    assert all(len(record.detail) <= 8191 for record in place.host.log.records)
    observer.close()


@pytest.mark.parametrize("stack", [WINRM_1, WINRM_3], ids=lambda stack: stack.version)
def test_an_account_without_shells_is_told_the_same_and_tries_once(lab: LabServer, stack: Stack) -> None:
    place = build(lab, stack=stack)
    queries = [*crowd(place.world, 20), RegistryValue(VENDOR, "absent"), RegistryValue(VENDOR / "nowhere", "x")]
    assert place.told(queries, WITHOUT) == place.told(queries)
    opened = place.asked("Create")
    observer = place.observer(WITHOUT)
    for _ in range(3):
        observer.ask(queries)
    observer.close()
    assert place.asked("Create") == opened + 1


def test_a_full_house_is_not_waited_for(place: Place) -> None:
    queries = crowd(place.world)
    place.host.mishaps.add(Mishap(MishapKind.FAULT, operation="Create"))
    assert place.told(queries) == {
        query: Found(RegistryData(RegistryType.DWORD, number)) for number, query in enumerate(queries)
    }
    assert place.asked("Create") == 1


@pytest.mark.parametrize("operation", ["Create", "Command", "Receive", "Signal", "Delete"])
@pytest.mark.parametrize("kind", [MishapKind.DROP_BEFORE, MishapKind.DROP_AFTER, MishapKind.NOT_XML, MishapKind.FAULT])
@pytest.mark.parametrize("times", [1, None], ids=["once", "always"])
def test_a_shell_that_goes_wrong_makes_no_answer_worse(
    place: Place, operation: str, kind: MishapKind, times: int | None
) -> None:
    queries = crowd(place.world)
    amount = 2150858843.0 if kind is MishapKind.FAULT else 0.0
    place.host.mishaps.add(Mishap(kind, amount=amount, operation=operation, times=times))
    assert place.told(queries) == {
        query: Found(RegistryData(RegistryType.DWORD, number)) for number, query in enumerate(queries)
    }


TEXTS = [
    "", " ", "x  ", "  x", "x\r\n", "x\n", "x\r", "\r\n", "x\r\n\r\n", "a\tREG_SZ\tb", "c    REG_SZ    d", "?", "100% %",
    "\ufffd", "\uffff", "\x1b[31m", "ĀŁ", "Käse 日本 😀", r"a\0b", r"C:\0dir", "(value not set)", "(Default)", "x" * 3000,
    "x\r\n    forged    REG_SZ    yes", "x\r\n\r\nHKEY_LOCAL_MACHINE\\SOFTWARE\\Vendor\\Other\r\n    forged    REG_SZ    yes",
    "x\r\n    forged\tREG_SZ\tyes", "x & del c:\\x", "%windir%", "%SystemRoot%\\x", "! REG.EXE VERSION 3.0",
]  # fmt: skip
NAMES = [
    "", "plain", "forged", " ", "a b", "x  ", "REG_SZ", "c    REG_SZ    d", "a\tb", "/v", "-s", "a?b", "Stern*", "100%",
    "%windir%", 'quo"te', "a&b", "a^b", "a|b", "a>b", "!x!", "back\\slash", "end\\", "Grün 日本", "ĀŁ", "(Default)",
    "<NO NAME>", "(x86)", "line\nbreak", "n" * 300,
]  # fmt: skip
KEYS = ["", "\\Other", "\\a & b", "\\Käse 日本", "\\100%", '\\"quoted"', "\\ ", "\\(x) [1]*"]
texts = st.sampled_from(TEXTS) | st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12)
names = st.sampled_from(NAMES) | st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc"], exclude_characters="\uffff\ufffe"), max_size=12
)
stored = st.one_of(
    st.tuples(st.just(RegistryType.STRING), texts),
    st.tuples(st.just(RegistryType.EXPAND_STRING), texts),
    st.tuples(st.just(RegistryType.MULTI_STRING), st.lists(texts.filter(bool), max_size=3).map(tuple)),
    st.tuples(st.just(RegistryType.DWORD), st.integers(0, 2**32 - 1)),
    st.tuples(st.just(RegistryType.QWORD), st.integers(0, 2**64 - 1)),
    st.tuples(st.just(RegistryType.BINARY), st.binary(max_size=20)),
    st.tuples(st.just(RegistryType.NONE), st.binary(max_size=4)),
)
held = st.lists(st.tuples(st.sampled_from(KEYS), names, stored), max_size=12)
asked = st.lists(st.tuples(st.sampled_from(KEYS), names), max_size=4)


@settings(
    max_examples=60, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(held=held, asked=asked)
def test_with_or_without_a_shell_the_answers_are_the_same(
    either: Place, held: list[tuple[str, str, tuple[RegistryType, object]]], asked: list[tuple[str, str]]
) -> None:
    either.world.registry.remove(VENDOR)
    queries = crowd(either.world)
    queries += [write(either.world, parse_path(str(VENDOR) + key), name, *data) for key, name, data in held]
    queries += [RegistryValue(parse_path(str(VENDOR) + key), name) for key, name in asked]
    opened = either.asked("Command")
    told, without = either.told(queries), either.told(queries, WITHOUT)
    # Only what StdRegProv lacks a method for may be told by a shell alone: numbers of 64 bits before Vista.
    beyond = {query for query, answer in without.items() if isinstance(answer, Refused)}
    assert {query: told[query] for query in without.keys() - beyond} == {
        query: without[query] for query in without.keys() - beyond
    }
    for query in beyond:
        value = either.world.registry.value(query.key, query.name)  # type: ignore[attr-defined]  # of registry values
        assert value is not None
        assert told[query] in (Found(value.as_data()), without[query])
        assert value.type is RegistryType.QWORD
    assert either.asked("Command") > opened


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("name", ["", "plain"])
def test_no_text_forges_another_value(either: Place, text: str, name: str) -> None:
    either.world.registry.remove(VENDOR)
    queries = crowd(either.world)
    queries += [write(either.world, VENDOR, name, RegistryType.STRING, text)]
    queries += [RegistryValue(VENDOR, "forged"), RegistryValue(VENDOR / "Other", "forged")]
    told = either.told(queries)
    assert told[queries[-1]] == told[queries[-2]] == Absent()
    assert told == either.told(queries, WITHOUT)


def test_a_code_page_that_lacks_characters_is_not_believed_for_texts(lab: LabServer) -> None:
    # Programs of a host that writes in code page 437 whatever it is asked print a plain A for another letter.
    place = build(lab, programs=(), without_programs=("chcp",))
    text = write(place.world, VENDOR, "text", RegistryType.STRING, "plain")
    queries = [*crowd(place.world), text]
    assert place.told(queries)[text] == Found(RegistryData(RegistryType.STRING, "plain"))
    getters = [record.method for record in place.host.log.records if record.operation == "Invoke"]
    assert getters == ["GetStringValue"]


def test_a_view_of_another_key_is_not_asked_for_in_a_shell(place: Place) -> None:
    classes = parse_path(r"HKCR\Vendor")
    for each in range(20):
        write(place.world, classes.real, f"n{each}", RegistryType.DWORD, each)
    told = place.told([RegistryValue(classes, f"n{each}") for each in range(20)])
    assert list(told.values()) == [Found(RegistryData(RegistryType.DWORD, each)) for each in range(20)]
    assert place.asked("Create") == 0


def sections(line: str, answers: Callable[[int], str]) -> bytes:
    """What a host prints that does as its line says, and says `answers` to the commands."""
    mark, *commands = [part.removeprefix("echo ") for part in line.split("&")]
    shown = "".join(f"{answers(number)}{mark}\r\n" for number in range(len(commands) // 2))
    return f"{mark}\r\n{shown}".encode()


ENVIRONMENT = "HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Control\\Session Manager\\Environment\r\n"
TELLING = (
    "Active code page: 65001\r\n",
    f"\r\n{ENVIRONMENT}    windir    REG_EXPAND_SZ    %SystemRoot%\r\n\r\n",
    f"\r\n{ENVIRONMENT}    (Default)    REG_SZ    (value not set)\r\n\r\n",
)


def lying(number: int, *, key: str, name: str) -> str:
    if number < len(TELLING):
        return TELLING[number]
    return f"\r\nHKEY_LOCAL_MACHINE\\SOFTWARE\\{key}\r\n    {name.format(number - 3)}    REG_DWORD    0x63\r\n\r\n"


HOSTILE: dict[str, Callable[[str], bytes]] = {
    "nothing": lambda line: b"",
    "bytes": lambda line: bytes(range(256)) * 50,
    "marks alone": lambda line: line[5:21].encode() + b"\r\n" * 40,
    "too many marks": lambda line: (line[5:21] + "\r\n").encode() * 500,
    "no form": lambda line: sections(line, lambda number: "x\r\n"),
    "other keys": lambda line: sections(line, lambda number: lying(number, key="Elsewhere", name="n{}")),
    "other values": lambda line: sections(line, lambda number: lying(number, key="Vendor", name="m{}")),
    "wrong order": lambda line: sections(line, lambda number: lying(number + (number > 2), key="Vendor", name="n{}")),
    "huge": lambda line: b"x" * 150_000,
}


@pytest.mark.parametrize("what", HOSTILE)
@pytest.mark.parametrize("ends", [True, False], ids=["ends", "endless"])
def test_what_a_hostile_host_prints_is_bounded_and_not_believed(what: str, ends: bool) -> None:
    """Its reg.exe tells 99 of other values than it is asked for; its StdRegProv tells 7 of every value."""
    line: list[str] = []
    received = 0

    def answer(request: Request, _: object) -> bytes:
        nonlocal received
        operation = request.operation
        if isinstance(operation, Invoke):
            told: dict[str, object] = {"uValue": 7, "sNames": tuple(f"n{each}" for each in range(20))}
            told |= {"Types": ("4",) * 20, "ReturnValue": 0}
            return soap(request, ShellOutput(Properties(told), operation.method, operation.target.resource_uri))  # type: ignore[arg-type]  # values of CIM
        if isinstance(operation, CreateShell):
            return soap(request, ShellCreated("1", operation.target.resource_uri, ""))
        if isinstance(operation, Command):
            line.append(operation.command)
            return soap(request, CommandStarted("1"))
        if isinstance(operation, Receive):
            printed = HOSTILE[what](line[-1]) or (b"" if ends else b"x")
            received += len(printed)
            streams = (ShellStream("stdout", "1", printed),)
            return soap(request, Received("1", streams, "Done" if ends else "Running", 0 if ends else None))
        if isinstance(operation, Signal):
            return soap(request, Signalled())
        return soap(request, ShellDeleted() if isinstance(operation, DeleteShell) else Fault("s:Sender", "x", code=5))

    queries = [RegistryValue(VENDOR, f"n{each}") for each in range(20)]
    with serving(answer) as host:
        asked = machine(host, max_answer=400_000)
        assert set(map(repr, asked.ask(queries).values())) == {repr(Found(RegistryData(RegistryType.DWORD, 7)))}
        asked.close()
    assert len(line) == 1
    assert received <= MAX_PRINTED + 400_000


def test_nothing_of_a_line_is_sent_to_a_shell_that_others_could_write_to(place: Place) -> None:
    """Only reading commands, none of them with a sign that cmd could take for its own."""
    queries = crowd(place.world)
    queries += [RegistryValue(VENDOR / key.lstrip("\\"), name) for key in KEYS[1:] for name in NAMES]
    place.told(queries)
    lines = [record.detail for record in place.host.log.records if record.operation == "Command"]
    assert lines
    for line in lines:
        for command in line.split("&"):
            assert command.startswith(("echo ", "reg.exe query ", "chcp.com"))
            assert not set(command) & set("^%|<>!")
            assert command.count('"') % 2 == 0


def test_what_a_search_finds_is_confirmed_on_one_line(place: Place) -> None:
    found = [
        write(place.world, VENDOR / f"Key {each}", "", RegistryType.STRING, rf"C:\a {each}\Seo.dll")
        for each in range(20)
    ]
    search = RegistrySearch((VENDOR,), ("Seo.dll",))
    observer = place.observer()
    answer = observer.ask([search])[search]
    assert isinstance(answer, Found)
    assert isinstance(answer.value, SearchFinds)
    assert {(value.key, value.name, value.data.data) for value in answer.value.values} == {
        (query.key, query.name, rf"C:\a {each}\Seo.dll") for each, query in enumerate(found)
    }
    assert (place.asked("Create"), place.asked("Command")) == (1, 2)
    assert [record.method for record in place.host.log.records if record.operation == "Invoke"] == ["EnumKey"]
    # A text that a search cannot have printed as it is stored is found all the same.
    write(place.world, VENDOR / "Key 3", "", RegistryType.STRING, "C:\\Seo.dll\r\n    x    REG_SZ    Seo.dll")
    answer = place.observer().ask([search])[search]
    assert isinstance(answer, Found)
    assert isinstance(answer.value, SearchFinds)
    assert len(answer.value.values) == 20
    observer.close()
