"""What is taken of a printed registry: every key and nomination of an honest host, and bounded of a host that prints for ever."""

from __future__ import annotations

import pytest

from converge.model.registry import Hive, RegistryData, RegistryPath, RegistryType
from converge.windows.registry import long_name
from converge.winrm.registry_search import (
    MAX_LINE,
    MAX_NOMINATED,
    MAX_SHOWN,
    _Printed,
    _shown_as,
)

SOFTWARE = RegistryPath(Hive.LOCAL_MACHINE, "SOFTWARE")
CLASSES = RegistryPath(Hive.CLASSES_ROOT, "")
FILE = "SEO.DLL"


def printed(root: RegistryPath, *lines: str, below: frozenset[str] = frozenset()) -> _Printed:
    taken = _Printed(root, (FILE,), below)
    taken.take("".join(f"{line}\r\n" for line in lines).encode())
    taken.end(whole=True)
    return taken


def shown(taken: _Printed, key: RegistryPath) -> bool:
    return _shown_as(key.hive, key.folded) in taken.shown


@pytest.mark.parametrize("root", [SOFTWARE, CLASSES])
def test_every_key_below_a_root_is_shown_and_what_mentions_the_file_is_nominated(root: RegistryPath) -> None:
    key = root / "Clsid" / "{1} x" / "InProcServer32"
    taken = printed(
        root,
        "",
        long_name(root),
        long_name(key).upper(),
        r"    (Default)    REG_SZ    C:\WINDOWS\seo.dll",
        "    other    REG_SZ    nothing",
        long_name(root / "Last"),
        below=frozenset({"CLSID", "LAST", "MISSING"}),
    )
    assert not taken.garbled
    assert taken.tops == {"CLSID", "LAST"}
    assert all(shown(taken, there) for there in (root, key, root / "Last"))
    assert not shown(taken, root / "Clsid")
    assert taken.nominated == {key: [("", RegistryData(RegistryType.STRING, r"C:\WINDOWS\seo.dll"))]}


@pytest.mark.parametrize(
    "line",
    [
        r"HKEY_LOCAL_MACHINE\SYSTEM\X",
        r"HKEY_LOCAL_MACHINE\SOFTWAREX",
        r"HKEY_LOCAL_MACHINE\SOFTWARE\\X",
        "HKEY_LOCAL_MACHINE\\SOFTWARE\\X\x01",
        r"HKEY_LOCAL_MACHINE\SOFTWARE" + "\\" + "x" * 256,
        r"HKEY_USERS\SOFTWARE\X",
        "HKEY_",
    ],
)
def test_what_is_no_key_below_the_root_is_garbled_and_nominates_nothing(line: str) -> None:
    taken = printed(SOFTWARE, r"HKEY_LOCAL_MACHINE\SOFTWARE\A", line, "    a    REG_SZ    seo.dll")
    assert taken.garbled
    assert taken.nominated == {}
    assert len(taken.shown) == 1


def test_a_line_without_end_keys_without_end_and_nominations_without_end_are_bounded() -> None:
    taken = _Printed(SOFTWARE, (FILE,))
    for number in range(0, 4 * MAX_SHOWN, 1000):
        lines = [rf"HKEY_LOCAL_MACHINE\SOFTWARE\{name}" for name in range(number, number + 1000)]
        taken.take("\r\n".join([*lines, ""]).encode())
    assert len(taken.shown) == MAX_SHOWN
    for _ in range(40):
        taken.take(b"    a    REG_SZ    seo.dll" + b"x" * 60_000 + b"\r\n")
    assert taken.garbled
    kept = sum(len(str(given)) for nominations in taken.nominated.values() for given in nominations)
    assert kept <= MAX_NOMINATED + MAX_LINE
    for _ in range(40):
        taken.take(b"x" * 60_000)
        assert len(taken._rest) <= MAX_LINE + 60_000


def test_the_last_key_of_an_output_that_broke_off_does_not_count_as_shown() -> None:
    taken = _Printed(SOFTWARE, (FILE,))
    taken.take(b"HKEY_LOCAL_MACHINE\\SOFTWARE\\A\r\nHKEY_LOCAL_MACHINE\\SOFTWARE\\B\r\n    v    REG_SZ    x\r\n")
    taken.end(whole=False)
    assert shown(taken, SOFTWARE / "A")
    assert not shown(taken, SOFTWARE / "B")
