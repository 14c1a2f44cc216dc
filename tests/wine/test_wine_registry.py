"""Registry values, keys and references on a real registry: check shows the drift alone, apply repairs it byte by byte."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from tests.wine.agent import (
    HKLM,
    REG_BINARY,
    REG_DWORD,
    REG_EXPAND_SZ,
    REG_MULTI_SZ,
    REG_NONE,
    REG_QWORD,
    REG_SZ,
    Agent,
    Value,
    Win32Error,
    multi_sz,
    sz,
)
from tests.wine.conftest import Converge, HostMaker, Result
from tests.wine.registry import Expandable

ROOT = r"SOFTWARE\Witness"

# name, as a playbook says it, as it is stored
VALUES = [
    ("Text", "type: string, data: 'plain'", REG_SZ, sz("plain")),
    ("Empty", "type: string, data: ''", REG_SZ, sz("")),
    ("Quoted", """type: string, data: 'it''s "q" & <t> %d ^'""", REG_SZ, sz("""it's "q" & <t> %d ^""")),
    ("Größe 日本", "type: string, data: 'Käse 日本 🧀'", REG_SZ, sz("Käse 日本 🧀")),
    ("Expanding", r"type: expand_string, data: '%SystemRoot%\x'", REG_EXPAND_SZ, sz(r"%SystemRoot%\x")),
    ("Unknown variable", "type: expand_string, data: '%NoSuchThing%'", REG_EXPAND_SZ, sz("%NoSuchThing%")),
    ("Star*", "type: dword, data: 0xffffffff", REG_DWORD, b"\xff\xff\xff\xff"),
    ("[brackets]", "type: dword, data: 0", REG_DWORD, bytes(4)),
    ("a/b", "type: dword, data: 7", REG_DWORD, struct.pack("<I", 7)),
    (r"back\slash", "type: string, data: 'x'", REG_SZ, sz("x")),
    ("Large", "type: qword, data: 0xffffffffffffffff", REG_QWORD, b"\xff" * 8),
    ("List", "type: multi_string, data: [one, 'zwei ü', three]", REG_MULTI_SZ, multi_sz(["one", "zwei ü", "three"])),
    ("No entries", "type: multi_string, data: []", REG_MULTI_SZ, multi_sz([])),
    ("Octets", "type: binary, data: '00ff7f80'", REG_BINARY, b"\x00\xff\x7f\x80"),
    ("", "type: string, data: 'the default'", REG_SZ, sz("the default")),
]


def played(values: list[tuple[str, str, int, bytes]], key: str) -> str:
    """A playbook of these values."""
    entries = [
        "    - registry_value: {key: 'HKLM\\%s', name: '%s', %s}" % (key, name, wish)  # noqa: UP031  # braces all over
        for name, wish, _, _ in values
    ]
    return "- name: registry\n  hosts: all\n  resources:\n" + "\n".join(entries) + "\n"


@pytest.fixture
def key(windows: Agent, request: pytest.FixtureRequest) -> str:
    """A key of the test's own."""
    path = f"{ROOT}\\{request.node.originalname}-{abs(hash(request.node.name)) % 10000}"
    windows.make_key(HKLM, path)
    return path


def stored(windows: Agent, key: str) -> dict[str, tuple[int, bytes]]:
    """Everything a key holds."""
    return {value.name: (value.kind, value.data) for value in windows.values(HKLM, key)}


def assert_settled(result: Result) -> None:
    """Nothing is left to do."""
    assert result.exit_code == 0, result.text + result.complaint
    assert result.of("changed") == result.of("failed") == []


def test_missing_values_of_every_type_are_made_byte_for_byte(converge: Converge, windows: Agent, key: str) -> None:
    play = played(VALUES, key)

    checked = converge.check(play)
    assert checked.exit_code == 2, checked.text + checked.complaint
    assert len(checked.of("changed")) == len(VALUES)
    assert stored(windows, key) == {}

    applied = converge.apply(play)
    assert applied.exit_code == 0, applied.text + applied.complaint
    assert stored(windows, key) == {name: (kind, data) for name, _, kind, data in VALUES}

    assert_settled(converge.check(play))


def test_values_that_are_right_are_left_alone_and_wrong_ones_alone_are_shown(
    converge: Converge, windows: Agent, key: str
) -> None:
    for name, _, kind, data in VALUES:
        windows.set_value(HKLM, key, Value(name, kind, data))
    windows.set_value(HKLM, key, Value("Foreign", REG_NONE, b"\1\2\3"))
    play = played(VALUES, key)
    assert_settled(converge.check(play))

    # The right data with the wrong type is drift as well.
    windows.set_value(HKLM, key, Value("Text", REG_EXPAND_SZ, sz("plain")))
    windows.set_value(HKLM, key, Value("Expanding", REG_EXPAND_SZ, sz(r"C:\windows\x")))
    windows.set_value(HKLM, key, Value("Star*", REG_QWORD, b"\xff" * 4 + bytes(4)))
    windows.set_value(HKLM, key, Value("List", REG_MULTI_SZ, multi_sz(["one", "three", "zwei ü"])))
    before = stored(windows, key)

    checked = converge.check(play)
    assert checked.exit_code == 2
    shown = {address.rpartition(f"{key}\\")[2] for address in checked.of("changed")}
    assert shown == {"Text", "Expanding", "Star*", "List"}
    assert stored(windows, key) == before

    assert converge.apply(play).exit_code == 0
    repaired = {name: (kind, data) for name, _, kind, data in VALUES}
    assert stored(windows, key) == {**repaired, "Foreign": (REG_NONE, b"\1\2\3")}
    assert_settled(converge.check(play))


@pytest.mark.parametrize("expandable", list(Expandable))
def test_expandable_texts_are_judged_alike_however_a_host_answers_them(
    new_host: HostMaker, tmp_path: Path, windows: Agent, key: str, expandable: Expandable
) -> None:
    converge = Converge(tmp_path, new_host(expandable=expandable))
    windows.set_value(HKLM, key, Value("Right", REG_EXPAND_SZ, sz(r"%SystemRoot%\x")))
    windows.set_value(HKLM, key, Value("Expanded", REG_EXPAND_SZ, sz(r"C:\windows\x")))
    play = played(
        [(name, r"type: expand_string, data: '%SystemRoot%\x'", 0, b"") for name in ("Right", "Expanded")], key
    )

    checked = converge.check(play)
    assert [address.rpartition("\\")[2] for address in checked.of("changed")] == ["Expanded"], checked.text

    assert converge.apply(play).exit_code == 0
    assert stored(windows, key) == dict.fromkeys(("Right", "Expanded"), (REG_EXPAND_SZ, sz(r"%SystemRoot%\x")))
    assert_settled(converge.check(play))


def test_values_and_keys_are_removed_and_made(converge: Converge, windows: Agent, key: str) -> None:
    windows.make_key(HKLM, rf"{key}\old\deep [x]\日本")
    windows.set_value(HKLM, rf"{key}\old\deep [x]\日本", Value("v", REG_SZ, sz("x")))
    windows.make_key(HKLM, rf"{key}\old*")
    windows.set_value(HKLM, key, Value("gone", REG_SZ, sz("x")))
    windows.set_value(HKLM, key, Value("gone*", REG_SZ, sz("x")))
    play = f"""
- name: registry
  hosts: all
  resources:
    - registry_key: {{key: 'HKLM\\{key}\\old', ensure: absent, recursive: true}}
    - registry_key: {{key: 'HKLM\\{key}\\new [1]*\\ü'}}
    - registry_value: {{key: 'HKLM\\{key}', name: gone, ensure: absent}}
    - registry_value: {{key: 'HKLM\\{key}\\made\\on the way', name: v, type: dword, data: 1}}
"""
    checked = converge.check(play)
    assert (checked.exit_code, len(checked.of("changed"))) == (2, 4), checked.text + checked.complaint
    assert sorted(windows.keys(HKLM, key)) == ["old", "old*"]

    applied = converge.apply(play)
    assert applied.exit_code == 0, applied.text
    assert sorted(windows.keys(HKLM, key)) == ["made", "new [1]*", "old*"]
    assert windows.keys(HKLM, rf"{key}\new [1]*") == ["ü"]
    assert [value.name for value in windows.values(HKLM, key)] == ["gone*"]
    assert_settled(converge.check(play))


def test_a_multi_string_keeps_its_other_entries_and_their_order(converge: Converge, windows: Agent, key: str) -> None:
    windows.set_value(HKLM, key, Value("List", REG_MULTI_SZ, multi_sz(["Zebra", "SMTPSVC", "Ape"])))
    play = f"""
- name: registry
  hosts: all
  resources:
    - registry_value: {{key: 'HKLM\\{key}', name: List, type: multi_string, contains: [Ldapsvc, Smtpsvc]}}
"""
    assert converge.apply(play).exit_code == 0
    assert windows.value(HKLM, key, "List").texts == ["Zebra", "SMTPSVC", "Ape", "Ldapsvc"]
    assert_settled(converge.check(play))


def test_a_value_of_a_service_that_does_not_exist_is_not_written(converge: Converge, windows: Agent) -> None:
    play = """
- name: registry
  hosts: all
  resources:
    - registry_value: {key: 'HKLM\\SYSTEM\\CurrentControlSet\\Services\\NoSuchSvc', name: ImagePath,
                       type: expand_string, data: 'C:\\x.exe'}
"""
    assert converge.check(play).exit_code == 3
    assert converge.apply(play).exit_code == 3
    with pytest.raises(Win32Error):
        windows.keys(HKLM, r"SYSTEM\CurrentControlSet\Services\NoSuchSvc")


REFERENCES = r"""
- name: references
  hosts: all
  resources:
    - registry_references: {roots: ['HKLM\%s'], files: [Seo.dll, Smtpsvc.dll], from: ['%%SystemRoot%%\System32\Inetsrv'],
                            directory: 'D:\Inetsrv'}
"""


@pytest.mark.parametrize("shells_allowed", [True, False])
def test_references_are_re_pointed_and_decoys_stay(
    new_host: HostMaker, tmp_path: Path, windows: Agent, key: str, shells_allowed: bool
) -> None:
    converge = Converge(tmp_path, new_host(shells_allowed=shells_allowed))
    wrong = {
        (rf"{key}\CLSID\{{1}}\InprocServer32", ""): (REG_SZ, r"C:\windows\System32\Inetsrv\seo.dll"),
        (rf"{key}\Tüte 日本", "Käse*"): (REG_EXPAND_SZ, r'"%SystemRoot%\system32\inetsrv\SMTPSVC.DLL" /x'),
        (rf"{key}\a    REG_SZ    b", "c    REG_SZ    d"): (REG_SZ, r"c:\WINDOWS\system32\inetsrv\Seo.dll"),
    }
    decoys = {
        (rf"{key}\decoys", "other product"): (REG_SZ, r"C:\Vendor\Seo.dll"),
        (rf"{key}\decoys", "longer name"): (REG_SZ, r"C:\windows\System32\Inetsrv\MySeo.dll"),
        (rf"{key}\decoys", "in words"): (REG_SZ, "Seo.dll is the event library"),
        (rf"{key}\decoys", "list"): (REG_MULTI_SZ, "C:\\windows\\System32\\Inetsrv\\Seo.dll\0"),
        (rf"{key}\decoys", "bytes"): (REG_BINARY, r"C:\windows\System32\Inetsrv\Seo.dll"),
    }
    for (path, name), (kind, text) in (wrong | decoys).items():
        windows.make_key(HKLM, path)
        windows.set_value(HKLM, path, Value(name, kind, sz(text)))

    checked = converge.check(REFERENCES % key)
    assert checked.exit_code == 2, checked.text + checked.complaint
    assert all(windows.value(HKLM, path, name).data == sz(text) for (path, name), (_, text) in wrong.items())

    applied = converge.apply(REFERENCES % key)
    assert applied.exit_code == 0, applied.text + applied.complaint
    told = [(value.kind, value.text) for value in (windows.value(HKLM, path, name) for path, name in wrong)]
    assert told == [
        (REG_SZ, r"D:\Inetsrv\seo.dll"),
        (REG_EXPAND_SZ, r'"D:\Inetsrv\SMTPSVC.DLL" /x'),
        (REG_SZ, r"D:\Inetsrv\Seo.dll"),
    ]
    for (path, name), (kind, text) in decoys.items():
        assert windows.value(HKLM, path, name) == Value(name, kind, sz(text))
    assert_settled(converge.check(REFERENCES % key))
