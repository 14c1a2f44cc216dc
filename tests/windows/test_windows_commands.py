"""Command lines reach the program as the arguments they were made of, and a reading command cannot write."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from converge.errors import LocalProtocolError
from converge.model.registry import Hive, RegistryPath
from converge.windows import files, services
from converge.windows.commands import MAX_LINE, ReadingCommand, ReadingLine, command_line
from converge.windows.return_codes import failed

ARGUMENTS = st.text(st.characters(exclude_categories=("Cs", "Cc"), max_codepoint=0xFFFF), max_size=30)
SPECIAL = set('()!^"<>&|%')


def through_cmd(line: str) -> str:
    """What cmd.exe hands on of one simple command line: carets escape, quotes protect, and nothing may be left special.

    Written from the rules Microsoft documents for `cmd` (special characters, carets, quotes), not from the code under test.
    """
    names = line.split("%")[1:-1]
    assert all('"' in name for name in names if name), f"cmd would expand a variable in {line!r}"
    handed, quoted, index = "", False, 0
    while index < len(line):
        character = line[index]
        if character == "^" and not quoted:
            index += 1
            handed += line[index]
        elif character == '"':
            quoted = not quoted
            handed += character
        else:
            assert quoted or character not in SPECIAL or character in "()!%", (
                f"cmd would act on {character!r} in {line!r}"
            )
            handed += character
        index += 1
    return handed


def through_runtime(line: str) -> list[str]:
    """How the C runtime splits a command line (Parsing C Command-Line Arguments)."""
    arguments: list[str] = []
    current, started, quoted, index = "", False, False, 0
    while index < len(line):
        character = line[index]
        if character == "\\":
            run = len(line[index:]) - len(line[index:].lstrip("\\"))
            index += run
            if line[index : index + 1] == '"':
                current += "\\" * (run // 2)
                if run % 2:
                    current += '"'
                    index += 1
            else:
                current += "\\" * run
            started = True
            continue
        if character == '"':
            quoted, started = not quoted, True
        elif character in " \t" and not quoted:
            if started:
                arguments.append(current)
            current, started = "", False
        else:
            current += character
            started = True
        index += 1
    if started:
        arguments.append(current)
    return arguments


@given(st.lists(ARGUMENTS, max_size=5))
def test_arguments_arrive_as_they_were(arguments: list[str]) -> None:
    argv = ["setup.exe", *arguments]
    assume(not any('"' in argument and "%" in argument for argument in arguments))
    assert through_runtime(through_cmd(command_line(argv))) == argv


@pytest.mark.parametrize("argv", [[], [""], ["a", "line\nbreak"], ["a", "nul\x00"]])
def test_what_no_line_can_carry_is_refused(argv: list[str]) -> None:
    with pytest.raises(ValueError, match=r"command needs a program|control character"):
        command_line(argv)


@pytest.mark.parametrize(
    "argv",
    [
        ("reg.exe", "add", "HKLM\\SOFTWARE\\X", "/v", "y"),
        ("reg.exe", "delete", "HKLM\\SOFTWARE\\X", "/f"),
        ("reg.exe", "query", "HKLM\\SOFTWARE\\X", "/s", "&", "del", "c:\\x"),
        ("reg.exe", "query", 'HKLM\\"&del c:\\x&"', "/s"),
        ("reg.exe", "query", "\\\\other\\HKLM\\SOFTWARE"),
        ("reg.exe", "query", "%TEMP%"),
        ("reg.exe", "export", "HKLM\\SOFTWARE", "c:\\x.reg"),
        ("certutil.exe", "-delstore", "my", "x"),
        ("certutil.exe", "-hashfile", "-urlcache", "SHA256"),
        ("certutil.exe", "-urlcache", "-f", "http://192.0.2.1/x"),
        ("cmd.exe", "/c", "reg", "query", "HKLM"),
        ("chcp.com", "65001"),
        ("a", "&", "b"),
        (),
    ],
)
def test_an_observers_shell_takes_nothing_that_could_write(argv: tuple[str, ...]) -> None:
    with pytest.raises(LocalProtocolError):
        ReadingCommand(argv)


def test_the_reading_commands_are_what_they_say() -> None:
    classes = RegistryPath(Hive.LOCAL_MACHINE, "SOFTWARE\\Classes")
    assert ReadingCommand.search_registry(classes).line == "reg.exe query HKLM\\SOFTWARE\\Classes /s"
    spaced = RegistryPath(Hive.LOCAL_MACHINE, "SOFTWARE\\A & B")
    assert ReadingCommand.query_registry_value(spaced, "").line == 'reg.exe query "HKLM\\SOFTWARE\\A & B" /ve'
    assert ReadingCommand.hash_file("C:\\a b\\c.dll").line == 'certutil.exe -hashfile "C:\\a b\\c.dll" SHA256'
    assert ReadingCommand.hash_file("C:\\100%.dll").argv == ("certutil.exe", "-hashfile", "C:\\100%.dll", "SHA256")
    with pytest.raises(LocalProtocolError):
        ReadingCommand.query_registry_value(classes, "%TEMP%")


MARK = "0123456789abcdef"
VENDOR = RegistryPath(Hive.LOCAL_MACHINE, "SOFTWARE\\Vendor")


def test_a_line_of_reading_commands_is_marked_before_between_and_after() -> None:
    commands = (ReadingCommand.query_registry_value(VENDOR, "a b"), ReadingCommand.query_registry_value(VENDOR, ""))
    query = "reg.exe query HKLM\\SOFTWARE\\Vendor"
    assert ReadingLine(commands, MARK).line == f'echo {MARK}&{query} /v "a b"&echo {MARK}&{query} /ve&echo {MARK}'


@pytest.mark.parametrize(
    "name",
    ["a&del c:\\x", "a|b", "a>b", "a<b", "a^b", "!x!", "end\\", "\u201cquoted\u201d", "\uff02&\uff02", "\u2028"],
)
def test_what_cmd_could_take_for_more_than_a_name_never_stands_beside_another_command(name: str) -> None:
    for hostile in (
        ReadingCommand.query_registry_value(VENDOR, name),
        ReadingCommand.query_registry_value(VENDOR / name, ""),
    ):
        assert not hostile.joinable
        with pytest.raises(LocalProtocolError):
            ReadingLine((hostile,), MARK)


@pytest.mark.parametrize("name", ['"', '"&del c:\\x&"', "%TEMP%", "a\nb", "a\r\nb", "\x00", "a\tb"])
def test_what_no_line_can_carry_is_no_reading_command(name: str) -> None:
    with pytest.raises(LocalProtocolError):
        ReadingCommand.query_registry_value(VENDOR, name)
    with pytest.raises(LocalProtocolError):
        ReadingCommand.query_registry_value(VENDOR / name, "x")


@given(st.lists(st.tuples(ARGUMENTS.filter(bool), ARGUMENTS), min_size=1, max_size=6))
def test_cmd_parts_a_line_where_it_was_joined_and_nowhere_else(places: list[tuple[str, str]]) -> None:
    commands = []
    for key, name in places:
        try:
            command = ReadingCommand.query_registry_value(VENDOR / key, name)
        except LocalProtocolError:
            continue
        commands += [command] if command.joinable else []
    for line in ReadingLine.filled(commands, mark=MARK):
        assert parted(line.line) == [
            ["echo", MARK],
            *(part for command in line.commands for part in (list(command.argv), ["echo", MARK])),
        ]


def parted(line: str) -> list[list[str]]:
    """The commands that cmd finds in a line, each as the arguments its program sees."""
    parts, quoted = [""], False
    for character in line:
        quoted ^= character == '"'
        parts[-1:] = [parts[-1], ""] if character == "&" and not quoted else [parts[-1] + character]
    return [through_runtime(through_cmd(part)) for part in parts]


def test_lines_are_filled_and_none_is_longer_than_cmd_takes() -> None:
    commands = [ReadingCommand.query_registry_value(VENDOR / ("k" * 200), f"n{number}") for number in range(200)]
    lines = ReadingLine.filled(commands, mark=MARK)
    assert [command for line in lines for command in line.commands] == commands
    assert all(len(line.line) <= MAX_LINE for line in lines)
    assert all(len(line.line) > MAX_LINE - 300 for line in lines[:-1])
    assert ReadingLine.filled([], mark=MARK) == []
    with pytest.raises(LocalProtocolError):
        ReadingLine(tuple(commands), MARK)


@pytest.mark.parametrize("mark", ["", "x", "0123456789abcde&", "0123456789ABCDEF", "echo", "0" * 15, "0" * 65])
def test_a_mark_is_a_long_number_and_nothing_else(mark: str) -> None:
    with pytest.raises(LocalProtocolError):
        ReadingLine((ReadingCommand.code_page(),), mark)


def test_a_value_that_nobody_documents_stands_behind_what_explains_it() -> None:
    assert failed("StartService", 2, services.RETURN_CODES) == ("StartService returned 2, access denied", "")
    for what, why in (failed("StartService", 99, services.RETURN_CODES), failed("Copy", 99, files.RETURN_CODES)):
        assert "99" not in what
        assert "99, a value without a documented meaning" in why
