"""Registry paths and data as people write them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from converge.model.facts import KeyContents, NamedValue
from converge.model.journal import RegistrySnapshot
from converge.model.registry import Hive, RegistryData, RegistryPath, RegistryType
from converge.windows import paths
from converge.windows.reg_file import render
from converge.windows.registry import check_value_name, in_view, parse_data, parse_path


@pytest.mark.parametrize(
    "text", ["HKLM\\SOFTWARE\\A", "HKEY_LOCAL_MACHINE\\SOFTWARE\\A", "hklm:\\software\\a", "HKLM\\SOFTWARE\\A\\"]
)
def test_one_key_has_many_spellings(text: str) -> None:
    assert parse_path(text) == RegistryPath(Hive.LOCAL_MACHINE, "SOFTWARE\\A")


@pytest.mark.parametrize("name", ["a*b", "[x]", "a/b", "a b", "ключ", "{0-1}", "ß"])
def test_names_are_taken_literally(name: str) -> None:
    assert parse_path(f"HKLM\\SOFTWARE\\{name}").name == name


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("SOFTWARE\\A", "hive"),
        ("HKLM\\a\\\\b", "empty component"),
        ("HKLM\\c:\temp", "control"),
        ("HKLM\\" + "a" * 256, "longer"),
        ("", "hive"),
    ],
)
def test_a_wrong_path_says_what_is_wrong(text: str, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        parse_path(text)


@pytest.mark.parametrize(
    ("label", "raw", "data"),
    [
        ("dword", 0xFFFFFFFF, 0xFFFFFFFF),
        ("dword", "0xffffffff", 0xFFFFFFFF),
        ("dword", "10", 10),
        ("qword", 2**64 - 1, 2**64 - 1),
        ("binary", "01 ff", b"\x01\xff"),
        ("binary", "hex:01,ff", b"\x01\xff"),
        ("multi_string", ["a", "b"], ("a", "b")),
        ("string", "", ""),
    ],
)
def test_data_keeps_its_meaning(label: str, raw: object, data: object) -> None:
    assert parse_data(label, raw).data == data


@pytest.mark.parametrize(
    ("label", "raw"),
    [
        ("dword", -1),
        ("dword", 2**32),
        ("dword", True),
        ("dword", "1.5"),
        ("qword", 2**64),
        ("multi_string", ["a", ""]),
        ("multi_string", "a"),
        ("string", "c:\temp"),
        ("string", 5),
        ("binary", "0"),
        ("none", "x"),
        ("link", "x"),
    ],
)
def test_data_that_cannot_be_meant_is_refused(label: str, raw: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_data(label, raw)


@pytest.mark.parametrize(
    ("path", "seen"),
    [
        ("HKLM\\SOFTWARE\\Vendor", "HKLM\\SOFTWARE\\WOW6432Node\\Vendor"),
        ("HKLM\\SOFTWARE\\Classes\\CLSID", "HKLM\\SOFTWARE\\Classes\\WOW6432Node\\CLSID"),
        ("HKLM\\SYSTEM\\CurrentControlSet", "HKLM\\SYSTEM\\CurrentControlSet"),
        ("HKLM\\SOFTWARE\\WOW6432Node\\Vendor", "HKLM\\SOFTWARE\\WOW6432Node\\Vendor"),
    ],
)
def test_the_32_bit_view(path: str, seen: str) -> None:
    assert in_view(parse_path(path), view=32, is_64_bit=True) == parse_path(seen)
    assert in_view(parse_path(path), view=32, is_64_bit=False) == parse_path(path)
    assert in_view(parse_path(path), view=64, is_64_bit=True) == parse_path(path)


@pytest.mark.parametrize(
    ("left", "right", "alike"),
    [
        (r"C:\WINNT\System32\a.exe", r'"c:\winnt\system32\A.EXE"', True),
        ("C:\\data\\", r"c:\DATA", True),
        ("C:\\", "c:\\", True),
        (r"C:\a.exe -k x", r'"C:\A.EXE"  -k x', True),
        (r'"C:\Program Files\a.exe" -k', r'"c:\program files\A.exe" -k', True),
        (r"C:\Program Files\a.exe", r"c:\program files\A.exe", True),
        (r"C:\Program Files\a.exe", r'"C:\Program Files\a.exe"', False),
        (r"C:\Program Files\a.exe -k", r'"C:\Program Files\a.exe" -k', False),
        (r"C:\Program Files", r'"C:\Program Files"', False),
        (r"C:\a.exe -k x", r"C:\a.exe -k y", False),
        (r"C:\a.exe -k x", r"C:\a.exe -K x", False),
        (r"C:\a.exe -k x", r"C:\a.exe", False),
        (r"C:\tool /Opt", r"C:\tool /opt", False),
        (r'C:\a.exe "x"', r"C:\a.exe x", False),
        (r"C:\a.exe x" + "\\", r"C:\a.exe x", False),
        (r'"C:\a.exe', r"C:\a.exe", False),
        (r'"C:\a.exe"x', r"C:\a.exe", False),
        (r'"C:\a.exe"-X', r'"C:\A.exe"-x', False),
        (r'"C:\a.exe"-x', r'"C:\A.exe"-x', True),
        (r"C:\a.exe/X", r"C:\a.exe/x", False),
        (r"C:\a.dll,Entry", r"C:\A.dll,entry", False),
        (r"C:\a.dll,-101", r"C:\A.dll,-101", True),
        (r"C:\a.scr Word", r"C:\a.scr word", False),
        (r"C:\a.vbs Word", r"C:\a.vbs word", False),
        (r"C:\a.exe.old\b", r"C:\A.exe.OLD\B", True),
    ],
)
def test_what_two_command_lines_may_differ_in(left: str, right: str, alike: bool) -> None:
    assert paths.same_path(left, right) is alike
    assert paths.same_path(right, left) is alike


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        (r"C:\data\keep.txt.", r"C:\data\keep.txt'"),
        (r"C:\data \x", r"C:\data\x'"),
        ("C:\\data\\keep.txt ", r"write 'C:\data\keep.txt'"),
        (" C:\\data", r"write 'C:\data'"),
        ("C:\\a. .\\b", r"C:\a\b'"),
        (r"C:\data\con", "device"),
        (r"C:\data\CON.txt", "device"),
        (r"C:\nul\x", "device"),
        (r"C:\lpt1.tar.gz", "device"),
        (r"C:\com5", "device"),
        (r"C:\x\aux .txt", "device"),
        (r"C:\a.txt:hidden", r"C:\a.txt'"),
        (r"C:\a.txt::$DATA", r"C:\a.txt'"),
        ("\\\\?\\C:\\x", r"C:\x'"),
        ("\\\\.\\C:\\x", r"C:\x'"),
        ("//?/C:/x", r"C:\x'"),
        (r"C:\a\..\b", "goes back"),
    ],
)
def test_another_spelling_of_a_path_is_refused_with_the_one_that_is_meant(path: str, meant: str) -> None:
    with pytest.raises(ValueError, match=re.escape(meant)):
        paths.check(path)


@pytest.mark.parametrize(
    "path", [r"C:\data\console.txt", r"C:\.config\a..b", r"C:\ lead\x", r"C:\com\com10", r"C:\a,b;c=d"]
)
def test_an_odd_name_is_a_name(path: str) -> None:
    assert paths.check(path) == path


@pytest.mark.parametrize("name", ["(Default)", "(default)"])
def test_the_default_value_is_named_by_nothing(name: str) -> None:
    with pytest.raises(ValueError, match="write ''"):
        check_value_name(name)


def test_paths_are_compared_as_windows_reads_them() -> None:
    assert paths.expand("%systemroot%\\x %other%", {"SystemRoot": "C:\\WINNT"}) == "C:\\WINNT\\x %other%"
    assert paths.same_folder("C:\\WINNT\\System32\\", "c:/winnt//system32")
    assert paths.executable_of('"C:\\Program Files\\a.exe" -k') == "C:\\Program Files\\a.exe"
    assert paths.executable_of("C:\\Program Files\\a.exe -k") == "C:\\Program Files\\a.exe"
    assert paths.parent("C:\\a") == "C:\\"
    assert paths.join("C:\\", "a", "b") == "C:\\a\\b"
    assert paths.is_within("c:\\winnt\\system32", "C:\\WINNT")
    assert not paths.is_within("c:\\winnt2", "C:\\WINNT")


@given(st.text(max_size=40))
def test_normalising_twice_is_normalising_once(text: str) -> None:
    assert paths.normalise(paths.normalise(text)) == paths.normalise(text)


def snapshot(version: str) -> RegistrySnapshot:
    key = RegistryPath(Hive.LOCAL_MACHINE, "SOFTWARE\\Ä")
    values = (
        NamedValue(key, "", RegistryData(RegistryType.STRING, 'a "quoted" \\ text')),
        NamedValue(key, "n\\ame", RegistryData(RegistryType.DWORD, 0xFFFFFFFF)),
        NamedValue(key, "multi", RegistryData(RegistryType.MULTI_STRING, ("a", "b"))),
        NamedValue(key, "expand", RegistryData(RegistryType.EXPAND_STRING, "%X%")),
        NamedValue(key, "quad", RegistryData(RegistryType.QWORD, 1)),
        NamedValue(key, "lost", RegistryData(RegistryType.LINK, None)),
    )
    gone = RegistryPath(Hive.LOCAL_MACHINE, "SOFTWARE\\Gone")
    return RegistrySnapshot(((key, KeyContents((), ())), (gone, None)), values, version)


def test_a_backup_is_what_regedit_imports() -> None:
    text = render(snapshot("5.2.3790"))
    assert text.startswith(b"\xff\xfe")
    lines = text.decode("utf-16").split("\r\n")
    assert lines[0] == "Windows Registry Editor Version 5.00"
    assert "[HKEY_LOCAL_MACHINE\\SOFTWARE\\Ä]" in lines
    assert '@="a \\"quoted\\" \\\\ text"' in lines
    assert '"n\\\\ame"=dword:ffffffff' in lines
    assert '"multi"=hex(7):61,00,00,00,62,00,00,00,00,00' in lines
    assert '"quad"=hex(b):01,00,00,00,00,00,00,00' in lines
    assert any(line.startswith('; "lost" could not be read') for line in lines)
    assert "; HKEY_LOCAL_MACHINE\\SOFTWARE\\Gone was not there" in lines


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r", "\x85", "\u2028"])
@pytest.mark.parametrize("version", ["5.2.3790", "4.0.1381"])
def test_a_name_that_holds_line_ends_brings_no_entries_of_its_own(ends: str, version: str) -> None:
    hostile = f'x"=""{ends}[-HKEY_LOCAL_MACHINE\\SOFTWARE]{ends}"y'
    key, odd = RegistryPath(Hive.LOCAL_MACHINE, "SOFTWARE\\A"), RegistryPath(Hive.LOCAL_MACHINE, f"SOFTWARE\\{hostile}")
    values = (
        NamedValue(key, hostile, RegistryData(RegistryType.DWORD, 1)),
        NamedValue(key, hostile, RegistryData(RegistryType.LINK, None)),
        NamedValue(key, "text", RegistryData(RegistryType.STRING, hostile)),
        NamedValue(odd, "v", RegistryData(RegistryType.DWORD, 1)),
    )
    keys = ((key, KeyContents((), ())), (odd, KeyContents((), ())), (odd, None))
    data = render(RegistrySnapshot(keys, values, version))
    text = data.decode("cp1252") if version.startswith("4") else data.decode("utf-16")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith((";", "  "))]
    assert [line.split("=")[0] for line in lines[1:]] == ["[HKEY_LOCAL_MACHINE\\SOFTWARE\\A]", '"text"']
    assert all("y" not in line or line.startswith(";") for line in text.splitlines()[1:])


def test_a_backup_for_windows_nt_4_is_in_its_own_format() -> None:
    text = render(snapshot("4.0.1381"))
    assert text.startswith(b"REGEDIT4\r\n")
    assert b'"expand"=hex(2):25,58,25,00' in text
