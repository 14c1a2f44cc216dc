"""Files and registry of a world: case, refusals and return values as WMI's providers give them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from converge.lab.file_system import FileSystem
from converge.lab.registry_provider import Getter, RegistryProvider
from converge.lab.world import LabAccount, World
from converge.windows.registry import parse_path

MakeWorld = Callable[..., World]

IMAGE = r"""
files:
  'C:\data': {A.txt: hello, b.dll: {size: 10, version: 1.2.3.4}, open.dll: {size: 3, in_use: true},
              fixed.dll: {size: 3, deny: [write]}}
  'C:\data\full': {x: 1}
  'C:\empty': {}
  'C:\closed': {'\': {deny: [read, write]}, secret: 1}
  'D:\': {}
registry:
  'HKLM\SOFTWARE\Lab':
    Text: one
    Raw: {expand_string: '%SystemRoot%\x'}
    List: [a, b]
    Number: {dword: 0xffffffff}
    Big: {qword: 0xffffffffffffffff}
    Bytes: {binary: '00 ff'}
    Odd: {type: 77, hex: '01'}
    '': the default
    '\': {values: {'\back\slash': x}}
    '\Sub\Deep': {v: 1}
    '\Closed': {'\': {deny: [read, write]}, v: 1}
"""
LAB = parse_path(r"HKLM\SOFTWARE\Lab")


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    return make_world(IMAGE)


@pytest.fixture
def files(world: World) -> FileSystem:
    return FileSystem(world)


@pytest.fixture
def registry(world: World) -> RegistryProvider:
    return RegistryProvider(world)


@pytest.mark.parametrize(
    ("source", "target", "code"),
    [
        (r"c:\DATA\a.TXT", r"C:\data\new.txt", 0),
        (r"C:\data\A.txt", r"D:\a.txt", 0),
        (r"C:\data\A.txt", r"C:\data\B.DLL", 10),
        (r"C:\data\A.txt", r"C:\DATA\FULL", 10),
        (r"C:\data\gone", r"C:\data\new.txt", 9),
        (r"C:\data\A.txt", r"C:\gone\new.txt", 9),
        (r"C:\data\A.txt", r"C:\closed\new.txt", 2),
        (r"C:\closed\secret", r"C:\data\new.txt", 2),
        (r"C:\data\A.txt", r"C:\data\a?.txt", 21),
        (r"C:\data\A.txt", "new.txt", 21),
        (r"C:\data", r"C:\data\full\data", 21),
        (r"C:\data\full", r"C:\full", 0),
    ],
)
def test_copies_return_their_code(files: FileSystem, source: str, target: str, code: int) -> None:
    assert files.copy(source, target) == code


@pytest.mark.parametrize(
    ("source", "target", "code"),
    [
        (r"C:\data\A.txt", r"C:\data\new.txt", 0),
        (r"C:\data\A.txt", r"C:\DATA\a.TXT", 0),
        (r"C:\data\A.txt", r"C:\empty\A.txt", 0),
        (r"C:\data\A.txt", r"D:\A.txt", 13),
        (r"C:\data\A.txt", r"C:\data\b.dll", 10),
        (r"C:\data\open.dll", r"C:\data\new.dll", 15),
        (r"C:\data\fixed.dll", r"C:\data\new.dll", 2),
        (r"C:\data\gone", r"C:\data\new.dll", 9),
        (r"C:\data\full", r"C:\data\full\below", 21),
        (r"C:\data", r"C:\data2", 0),
    ],
)
def test_renames_return_their_code(files: FileSystem, source: str, target: str, code: int) -> None:
    assert files.rename(source, target) == code
    assert files.world.files.exists(target) == (code in (0, 10))


@pytest.mark.parametrize(
    ("path", "code"),
    [
        (r"C:\data\A.txt", 0),
        (r"C:\empty", 0),
        (r"C:\data\full", 14),
        (r"C:\data\open.dll", 15),
        (r"C:\data\fixed.dll", 2),
        (r"C:\closed\secret", 2),
        (r"C:\gone", 9),
    ],
)
def test_deletions_return_their_code(files: FileSystem, path: str, code: int) -> None:
    assert files.delete(path) == code
    assert not code or files.world.files.exists(path) == (code != 9)


def test_names_keep_their_case_and_are_found_in_any(world: World) -> None:
    assert world.files.real_path(r"c:\DATA\a.TXT") == r"C:\data\A.txt"
    assert world.files.real_path(r"c:\DATA\gone\X") == r"C:\data\gone\X"


def test_a_copy_equals_its_source_and_another_version_does_not(world: World, files: FileSystem) -> None:
    files.copy(r"C:\data\b.dll", r"D:\b.dll")
    original, copied = world.files.file(r"C:\data\b.dll"), world.files.file(r"D:\b.dll")
    assert original is not None
    assert copied is not None
    assert copied.digest("sha256") == original.digest("sha256")
    assert copied.version == "1.2.3.4"
    assert len(copied.read()) == 10


@pytest.mark.parametrize(
    ("name", "getter", "code", "data"),
    [
        ("text", Getter.STRING, 0, "one"),
        ("", Getter.STRING, 0, "the default"),
        ("\\BACK\\slash", Getter.STRING, 0, "x"),
        ("List", Getter.MULTI_STRING, 0, ("a", "b")),
        ("Number", Getter.DWORD, 0, 0xFFFFFFFF),
        ("Big", Getter.QWORD, 0, 2**64 - 1),
        ("Bytes", Getter.BINARY, 0, b"\x00\xff"),
        ("Raw", Getter.EXPANDED_STRING, 0, r"C:\WINDOWS\x"),
        ("Text", Getter.DWORD, 0x80041005, None),
        ("Number", Getter.BINARY, 0x80041005, None),
        ("Odd", Getter.BINARY, 0x80041005, None),
        ("Nope", Getter.STRING, 1, None),
    ],
)
def test_getters_return_what_their_type_holds(
    registry: RegistryProvider, name: str, getter: Getter, code: int, data: object
) -> None:
    assert registry.get(LAB, name, getter=getter) == (code, data)


@pytest.mark.parametrize(
    ("quirk", "answer"),
    [("raw", (0, r"%SystemRoot%\x")), ("expanded", (0, r"C:\WINDOWS\x")), ("error", (0x80041005, None))],
)
def test_get_string_of_an_expandable_string_follows_the_quirk(
    make_world: MakeWorld, quirk: str, answer: tuple[int, str | None]
) -> None:
    world = make_world(IMAGE + f"quirks: {{get_string_of_expandable: {quirk}}}\n")
    assert RegistryProvider(world).get(LAB, "Raw", getter=Getter.STRING) == answer


def test_missing_and_closed_keys_are_told_apart(registry: RegistryProvider) -> None:
    assert registry.enum_key(LAB / "Gone") == (2, ())
    assert registry.enum_key(LAB / "Closed") == (5, ())
    assert registry.read(LAB / "Closed", "v") == (5, None)
    assert registry.set(LAB / "Closed", "v", number=4, data=2) == 5
    assert registry.set(LAB / "Gone", "v", number=4, data=2) == 2
    assert registry.check_access(LAB, 0x3) == (0, True)
    assert registry.check_access(LAB / "Closed", 0x1) == (5, False)


def test_keys_are_made_with_parents_and_removed_only_without_subkeys(registry: RegistryProvider) -> None:
    assert registry.create_key(LAB / r"New\Below") == 0
    assert registry.delete_key(LAB / "New") == 5
    assert registry.delete_key(LAB / r"new\BELOW") == 0
    assert registry.delete_key(LAB / "New") == 0
    assert registry.delete_key(LAB / "New") == 2


def test_an_account_is_denied_what_it_lacks_and_below_it(world: World) -> None:
    account = LabAccount(name="x", password="y", denies=(r"registry_read:HKEY_LOCAL_MACHINE\Software\lab\sub",))
    registry = RegistryProvider(world, account)
    assert registry.enum_key(LAB / r"Sub\Deep")[0] == 5
    assert registry.enum_key(LAB)[0] == 0


def test_classes_root_is_a_view_of_the_machines_classes(world: World, registry: RegistryProvider) -> None:
    registry.create_key(parse_path(r"HKCR\.lab"))
    assert world.registry.find(parse_path(r"HKLM\SOFTWARE\Classes\.LAB")) is not None
    assert not RegistryProvider(
        world, LabAccount(name="x", password="y", denies=(r"registry_write:HKLM\SOFTWARE\Classes",))
    ).writable(parse_path(r"HKCR\.lab"))


def test_a_disk_gives_8_3_names_and_knows_its_things_by_them(files: FileSystem) -> None:
    tree = files.world.files
    for name in ("Program Files", "Program Notes", "Inetsrv", "readme.first.text"):
        files.make_folder(rf"C:\empty\{name}")
    assert files.write(r"C:\empty\Program Notes\o[1].long", b"x") == 0
    assert tree.short_path(r"c:\EMPTY\program notes\o[1].long") == r"C:\EMPTY\PROGRA~2\O_1_~1.LON"
    assert tree.short_path(r"C:\empty\Inetsrv") == r"C:\EMPTY\INETSRV"
    assert tree.short_path(r"C:\empty\readme.first.text") == r"C:\EMPTY\README~1.TEX"
    assert tree.real_path(r"c:\empty\progra~2\o_1_~1.lon") == r"C:\empty\Program Notes\o[1].long"
    assert not tree.exists(r"C:\empty\PROGRA~3")
    assert files.delete(r"C:\empty\PROGRA~2\O_1_~1.LON") == 0
    assert not tree.exists(r"C:\empty\Program Notes\o[1].long")
