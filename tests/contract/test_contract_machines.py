"""What every machine answers and does alike. Where lab and Wine differ, Microsoft's documents decide; the list:

- Win32_Directory and CIM_DataFile tell names in lower case; a name is compared without regard to case everywhere.
- StdRegProv.EnumValues tells nothing where there is only a default value (Wine's host); the lab tells the default value.
  Both are documented or recorded of some Windows: an answer must be the same from either.
- reg.exe prints in the code page of the console. Wine's prints in that of the system, whatever the shell was opened with:
  what it cannot print is a question mark, and the reader must not take it for a name.
- certutil.exe does nothing in Wine 8, so one with the two verbs needed stands in for it (tests/wine/certutil.c).
- Wine's service manager neither starts dependencies nor refuses to stop what others need, keeps no exit code of a service
  whose program does not implement it (Windows: 1083), and does not see a program die (Windows: 1067). Its host keeps these.
"""

from __future__ import annotations

import os
from hashlib import sha256

import pytest
from tests.contract.conftest import FOLDER, KEY, MACHINES, REAL_HOST, Contract

from converge.model.action import (
    CopyFile,
    MoveDirectory,
    MoveFile,
    NewDirectory,
    NewRegistryKey,
    RemoveDirectory,
    RemoveFile,
    RemoveRegistryKey,
    RemoveRegistryValue,
    RunCommand,
    SetRegistryValue,
    SetServiceStartMode,
    StartService,
    StopService,
    WriteFile,
)
from converge.model.answer import Absent, Found
from converge.model.facts import ServiceState, StartMode
from converge.model.names import fold
from converge.model.query import (
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

DATA = [
    ("text", RegistryData(RegistryType.STRING, "plain 'quoted' \"text\" <&>")),
    ("empty text", RegistryData(RegistryType.STRING, "")),
    ("non-ASCII", RegistryData(RegistryType.STRING, "Käse 日本")),
    ("number", RegistryData(RegistryType.DWORD, 0xFFFFFFFF)),
    ("large number", RegistryData(RegistryType.QWORD, 0xFFFFFFFFFFFFFFFF)),
    ("list", RegistryData(RegistryType.MULTI_STRING, ("one", "zwei ü", "three"))),
    ("empty list", RegistryData(RegistryType.MULTI_STRING, ())),
    ("octets", RegistryData(RegistryType.BINARY, b"\x00\x7f\xff")),
]


def test_a_real_host_is_among_them() -> None:
    missing = [name for name in REAL_HOST if not os.environ.get(name)]
    if missing:
        pytest.skip(f"no real host to ask: {', '.join(missing)} not set")
    assert "real" in MACHINES


@pytest.mark.parametrize("data", [data for _, data in DATA], ids=[name for name, _ in DATA])
@pytest.mark.parametrize("name", ["plain", "", "Stern* [x]/y", r"back\slash", "Grün 日本"])
def test_a_value_comes_back_as_it_was_set(contract: Contract, name: str, data: RegistryData) -> None:
    contract.does(SetRegistryValue(KEY, name, data))
    if name == "" and data.type not in (RegistryType.STRING, RegistryType.EXPAND_STRING):
        # A default value that is the only one is told by no enumeration, so its type is only known beside another.
        contract.does(SetRegistryValue(KEY, "beside", RegistryData(RegistryType.DWORD, 1)))
    assert contract.found(RegistryValue(KEY, name.swapcase())) == data


@pytest.mark.parametrize("name", ["plain", ""])
def test_an_expandable_string_is_raw_and_expanded(contract: Contract, name: str) -> None:
    contract.does(SetRegistryValue(KEY, name, RegistryData(RegistryType.EXPAND_STRING, r"%SystemRoot%\x")))
    told = contract.found(RegistryValue(KEY, name))
    root = contract.found(OperatingSystem()).system_root
    assert (told.type, told.data) == (RegistryType.EXPAND_STRING, r"%SystemRoot%\x")
    assert fold(told.expanded or "") == fold(rf"{root}\x")


def test_what_is_not_there_is_absent(contract: Contract) -> None:
    nowhere = KEY / "nowhere"
    queries = [
        RegistryKey(nowhere),
        RegistryValue(nowhere, "x"),
        RegistryValue(KEY, "x"),
        RegistryValue(KEY, ""),
        File(rf"{FOLDER}\nothing.txt"),
        File(r"C:\NoSuchFolder\nothing.txt"),
        Directory(rf"{FOLDER}\nowhere"),
        Service("NoSuchService"),
        ServiceStartTime("NoSuchService"),
        CimInstances("root/cimv2", "SELECT * FROM Win32_NoSuchClass"),
    ]
    answers = contract.machine.ask(queries)
    assert {type(query).__name__: answers[query] for query in queries} == {
        type(query).__name__: Absent() for query in queries
    }


def test_a_folder_is_no_file_and_a_file_no_folder(contract: Contract) -> None:
    contract.does(WriteFile(rf"{FOLDER}\x", b"x"))
    assert contract.answer(File(FOLDER)) == Absent()
    assert contract.answer(Directory(rf"{FOLDER}\x")) == Absent()


def test_keys_are_made_with_their_parents_and_removed_leaf_first(contract: Contract) -> None:
    deep = KEY / "a b" / "Ü [1]*" / "c"
    contract.does(NewRegistryKey(deep))
    contract.does(SetRegistryValue(KEY / "a b", "v", RegistryData(RegistryType.STRING, "x")))
    contents = contract.found(RegistryKey(KEY / "A B"))
    assert contents.subkeys == ("Ü [1]*",)
    assert contents.values == (("v", RegistryType.STRING),)

    contract.refuses(RemoveRegistryKey(KEY / "a b"))
    assert isinstance(contract.answer(RegistryKey(deep)), Found)
    contract.does(RemoveRegistryKey(deep))
    assert contract.answer(RegistryKey(deep)) == Absent()


def test_removing_what_is_not_there_is_refused(contract: Contract) -> None:
    contract.refuses(RemoveRegistryValue(KEY, "x"))
    contract.refuses(RemoveRegistryKey(KEY / "nowhere"))
    contract.refuses(SetRegistryValue(KEY / "nowhere", "v", RegistryData(RegistryType.DWORD, 1)))
    contract.refuses(RemoveFile(rf"{FOLDER}\nothing"))
    contract.refuses(RemoveDirectory(rf"{FOLDER}\nothing"))


def test_a_search_finds_the_texts_that_mention_a_file(contract: Contract) -> None:
    contract.does(NewRegistryKey(KEY / "CLSID" / "{1}" / "Käse"))
    contract.does(SetRegistryValue(KEY / "CLSID" / "{1}", "", RegistryData(RegistryType.STRING, r"C:\a\SEO.DLL")))
    contract.does(
        SetRegistryValue(KEY / "CLSID" / "{1}" / "Käse", "ü", RegistryData(RegistryType.STRING, r"D:\Seo.dll"))
    )
    contract.does(SetRegistryValue(KEY / "CLSID", "list", RegistryData(RegistryType.MULTI_STRING, ("Seo.dll",))))
    contract.does(SetRegistryValue(KEY / "CLSID", "other", RegistryData(RegistryType.STRING, "Se0.dll")))
    finds = contract.found(RegistrySearch((KEY, KEY / "nowhere"), ("Seo.dll",)))
    assert finds.unreadable == ()
    assert {(str(value.key), value.name, value.data.data) for value in finds.values} == {
        (str(KEY / "CLSID" / "{1}"), "", r"C:\a\SEO.DLL"),
        (str(KEY / "CLSID" / "{1}" / "Käse"), "ü", r"D:\Seo.dll"),
    }


@pytest.mark.parametrize("content", [b"", b"x", bytes(range(256)) * 40], ids=["empty", "short", "long"])
def test_a_file_holds_what_was_written(contract: Contract, content: bytes) -> None:
    path = rf"{FOLDER}\Datei (1) & ü.bin"
    contract.does(WriteFile(path, content))
    facts = contract.found(File(path.upper(), hashed=True))
    assert (facts.size, facts.sha256, facts.version) == (len(content), sha256(content).hexdigest(), None)
    contract.refuses(WriteFile(path, b"other"))


def test_files_are_copied_and_renamed_to_what_is_not_there_yet(contract: Contract) -> None:
    for name in ("a", "b"):
        contract.does(WriteFile(rf"{FOLDER}\{name}", name.encode() * 3))
    contract.refuses(CopyFile(rf"{FOLDER}\a", rf"{FOLDER}\b"))
    contract.refuses(MoveFile(rf"{FOLDER}\a", rf"{FOLDER}\b"))
    contract.refuses(CopyFile(rf"{FOLDER}\a", rf"{FOLDER}\nowhere\a"))
    contract.does(CopyFile(rf"{FOLDER}\a", rf"{FOLDER}\c"))
    contract.does(MoveFile(rf"{FOLDER}\b", rf"{FOLDER}\d"))
    listed = contract.found(Directory(FOLDER, listing=True))
    assert sorted((fold(file.path), file.size) for file in listed.files) == [
        (fold(rf"{FOLDER}\{name}"), 3) for name in ("a", "c", "d")
    ]


def test_folders_are_made_renamed_and_removed_when_empty(contract: Contract) -> None:
    contract.does(NewDirectory(rf"{FOLDER}\one two\drei ü"))
    contract.refuses(RemoveDirectory(rf"{FOLDER}\one two"))
    contract.does(MoveDirectory(rf"{FOLDER}\one two", rf"{FOLDER}\moved"))
    assert isinstance(contract.answer(Directory(rf"{FOLDER}\moved\drei ü")), Found)
    contract.does(RemoveDirectory(rf"{FOLDER}\moved\drei ü"))
    listed = contract.found(Directory(rf"{FOLDER}\moved", listing=True))
    assert (listed.files, listed.directories) == ((), ())


def test_a_service_is_stopped_and_started(contract: Contract) -> None:
    contract.does(StartService("spooler"))
    contract.wait("Spooler", ServiceState.RUNNING)
    assert isinstance(contract.answer(ServiceStartTime("SPOOLER")), Found)
    contract.does(StartService("Spooler"))

    contract.does(StopService("Spooler"))
    contract.wait("Spooler", ServiceState.STOPPED)
    assert contract.answer(ServiceStartTime("Spooler")) == Absent()
    contract.does(StopService("Spooler"))


def test_a_disabled_service_does_not_start(contract: Contract) -> None:
    before = contract.found(Service("Spooler")).start_mode
    contract.does(StopService("Spooler"))
    contract.wait("Spooler", ServiceState.STOPPED)
    contract.does(SetServiceStartMode("Spooler", StartMode.DISABLED))
    try:
        assert contract.found(Service("Spooler")).start_mode is StartMode.DISABLED
        contract.refuses(StartService("Spooler"))
    finally:
        contract.does(SetServiceStartMode("Spooler", before))
    assert contract.found(Service("Spooler")).start_mode is before


def test_acting_on_a_missing_service_is_refused(contract: Contract) -> None:
    contract.refuses(StartService("NoSuchService"))
    contract.refuses(StopService("NoSuchService"))
    contract.refuses(SetServiceStartMode("NoSuchService", StartMode.MANUAL))


def test_a_command_ends_with_its_code_and_output(contract: Contract) -> None:
    assert contract.machine.perform(RunCommand(("echo", "hello"))).output.strip() == "hello"
    contract.refuses(RunCommand(("exit", "3"), shell=True))
    assert contract.machine.perform(RunCommand(("exit", "3"), shell=True, exit_codes=(3,))).code == 3
    contract.refuses(RunCommand(("no-such-program.exe",)))


def test_the_host_knows_itself(contract: Contract) -> None:
    facts = contract.found(OperatingSystem())
    assert facts.host_name
    assert facts.version.count(".") == 2
    assert facts.build == int(facts.version.rpartition(".")[2])
    assert fold(facts.system_root).startswith("C:\\WIN")
    assert contract.found(Events("System", "No such source", (1,), facts.now)) == ()
