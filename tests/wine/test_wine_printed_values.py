"""What a real reg.exe prints on one line of many queries is read as it is stored, or not at all."""

from __future__ import annotations

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
    multi_sz,
    sz,
)

from converge.model.registry import RegistryData, RegistryType
from converge.windows.commands import ReadingCommand, ReadingLine
from converge.windows.registry import parse_path
from converge.winrm.printed import TELLING, PrintedForm, PrintedValue

KEY = r"SOFTWARE\Witness\Printed (values)"
PLACE = parse_path(f"HKLM\\{KEY}")
MARK = "0123456789abcdef"


def string(text: str) -> RegistryData:
    return RegistryData(RegistryType.STRING, text)


# name, as it is stored, and what may be believed of how it is printed
VALUES: list[tuple[str, int, bytes, RegistryData | None]] = [
    ("Text", REG_SZ, sz("plain"), string("plain")),
    ("Empty", REG_SZ, sz(""), string("")),
    ("Trailing", REG_SZ, sz("  x  "), string("  x  ")),
    ("Signs", REG_SZ, sz('it\'s "q" & <t> %d ^'), string('it\'s "q" & <t> %d ^')),
    ("Looks alike", REG_SZ, sz("a    REG_SZ    b"), string("a    REG_SZ    b")),
    ("c    REG_SZ    d", REG_SZ, sz("e"), string("e")),
    ("Non-ASCII", REG_SZ, sz("Käse ü"), string("Käse ü")),
    ("Lost", REG_SZ, sz("日本"), None),
    ("Broken", REG_SZ, sz("x\r\n    Forged    REG_SZ    y"), None),
    ("Ends in a line end", REG_SZ, sz("x\r\n"), None),
    ("Ends in half of one", REG_SZ, sz("x\n"), None),
    ("Star*", REG_DWORD, b"\xff\xff\xff\xff", RegistryData(RegistryType.DWORD, 0xFFFFFFFF)),
    ("[brackets]", REG_DWORD, bytes(4), RegistryData(RegistryType.DWORD, 0)),
    ("Octets", REG_BINARY, b"\x00\xff\x7f\x80", RegistryData(RegistryType.BINARY, b"\x00\xff\x7f\x80")),
    ("", REG_SZ, sz("the default"), string("the default")),
]
UNREAD = [("Nothing", REG_NONE, b"\x01"), ("Odd", 77, b"\x01")]


@pytest.fixture
def printed(windows: Agent) -> dict[str, PrintedValue | None]:
    """What is read of each value. Wine's reg.exe writes in code page 437, so what it wrote is turned into UTF-8 here."""
    windows.make_key(HKLM, KEY)
    more: list[tuple[str, int, bytes]] = [
        ("List", REG_MULTI_SZ, multi_sz(["one", r"C:\0"])),
        ("Expanding", REG_EXPAND_SZ, sz(r"%SystemRoot%\x")),
    ]
    more += [("Large", REG_QWORD, b"\xff" * 8), *UNREAD, *(value[:3] for value in VALUES)]
    for name, kind, data in more:
        windows.set_value(HKLM, KEY, Value(name, kind, data))
    asked = [*(name for name, _, _ in more), "Absent", "Forged"]
    line = ReadingLine((*TELLING, *(ReadingCommand.query_registry_value(PLACE, name) for name in asked)), MARK)
    ended = windows.run(f"cmd.exe /c {line.line}", seconds=60)
    pieces = ended.stdout.decode("cp437").split(f"{MARK}\r\n")[1:-1]
    assert len(pieces) == len(line.commands)
    form = PrintedForm.learnt("Active code page: 65001\r\n", *pieces[1 : len(TELLING)])
    assert form is not None
    assert form.unset == "(value not set)"
    return {name: form.read(piece, PLACE, name) for name, piece in zip(asked, pieces[len(TELLING) :], strict=True)}


def test_what_is_believed_is_what_is_stored(printed: dict[str, PrintedValue | None]) -> None:
    believed = {name: value.data for name, value in printed.items() if value}
    for name, _, _, wanted in VALUES:
        assert believed.get(name) == wanted, name


def test_types_are_told_where_data_is_not(printed: dict[str, PrintedValue | None]) -> None:
    told = {name: (value.type, value.data) for name, value in printed.items() if value}
    assert told["List"] == (RegistryType.MULTI_STRING, None)
    assert told["Large"] == (RegistryType.QWORD, None)  # Wine's prints "(null)"
    assert told["Expanding"] == (RegistryType.EXPAND_STRING, None)
    assert (value := printed["Expanding"]) is not None
    assert value.text == r"%SystemRoot%\x"
    assert not {"Nothing", "Odd", "Absent", "Forged"} & told.keys()


def test_a_shell_whose_code_page_is_another_tells_no_texts(windows: Agent) -> None:
    windows.make_key(HKLM, KEY)
    windows.set_value(HKLM, KEY, Value("Best", REG_SZ, sz("ĀŁ")))
    line = ReadingLine((*TELLING, ReadingCommand.query_registry_value(PLACE, "Best")), MARK)
    ended = windows.run(f"cmd.exe /c {line.line}", seconds=60)
    pieces = ended.stdout.decode("utf-8").split(f"{MARK}\r\n")[1:-1]
    form = PrintedForm.learnt(*pieces[: len(TELLING)])
    assert form is not None
    value = form.read(pieces[-1], PLACE, "Best")
    assert value is not None
    assert (value.type, value.text, value.data) == (RegistryType.STRING, "AL", None)
