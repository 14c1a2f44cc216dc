"""What is quoted for a reader means the same to the cmd, the batch files and the programs of Wine as by Microsoft's rules.

Where Wine reads a line otherwise, the quoting avoids that line: it names the same thing under both, or refuses the name.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.wine.agent import HKLM, Agent, sz
from tests.wine.conftest import Converge

from converge.windows.commands import command_line, in_quotes

pytestmark = pytest.mark.timeout(600)

FORBIDDEN = '<>:"/\\|?*'
PRINTABLE = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in FORBIDDEN and not chr(code).isalnum())
NAMES = [
    f"a{PRINTABLE}b", *(f"a{character}b" for character in ",;=^&!%"), " lead", "100%", "(x) & y", "a^^b", "&&", "ä,ö", "日本;語",
]  # fmt: skip
ARGUMENTS = [*NAMES, 'a"b', 'a "b" c', "%TEMP%", "%TEMP% & x", "a%", "%%", "a|b>c", "back\\", "back slash\\",
    "%PATH%\\", "", "^%TEMP^%",
]  # fmt: skip


@pytest.fixture
def folder(windows: Agent, tmp_path: Path) -> str:
    """A folder of the test's own."""
    path = rf"C:\quoting {tmp_path.name}"
    windows.make_folder(path)
    return path


def run(windows: Agent, line: str) -> str:
    """What a line prints that is sent as WinRS sends it."""
    ended = windows.run(f"cmd.exe /c {'@' if line.startswith(chr(34)) else ''}{line}")
    return ended.stdout.decode("utf-8", "replace")


def test_folders_and_redirections_have_the_names_they_were_given(windows: Agent, folder: str) -> None:
    for name in NAMES:
        path = rf"{folder}\{name}"
        run(windows, f"mkdir {in_quotes(path)}")
        run(windows, f"echo x >{in_quotes(path + '.txt')}")
        assert {entry.name for entry in windows.list_folder(folder)} == {name, f"{name}.txt"}
        run(windows, f"rmdir {in_quotes(path)}")
        assert {entry.name for entry in windows.list_folder(folder)} == {f"{name}.txt"}
        windows.delete_file(f"{path}.txt")


def test_programs_get_their_arguments_as_they_are(windows: Agent) -> None:
    key = r"SOFTWARE\WitnessQuoting"
    for argument in ARGUMENTS:
        run(windows, command_line(["reg.exe", "add", rf"HKLM\{key}", "/v", "v", "/d", argument, "/f"]))
        assert windows.value(HKLM, key, "v").data == sz(argument), argument
        windows.remove_value(HKLM, key, "v")


def test_batch_files_get_their_arguments_as_they_are(windows: Agent, folder: str) -> None:
    batch = rf"{folder}\Acme,Inc.bat"
    windows.write_file(batch, b'@set "got=%~1"\r\n@set "then=%~2"\r\n@set got\r\n@set then\r\n')
    refused = []
    for argument in ARGUMENTS:
        if not argument or not argument.isascii():
            continue
        try:
            line = command_line([batch, argument, "end"])
        except ValueError:
            refused.append(argument)
            continue
        assert run(windows, line).split("\r\n")[:2] == [f"got={argument}", "then=end"], line
    assert refused == [
        argument for argument in ARGUMENTS if argument.isascii() and ('"' in argument or "%" in argument)
    ]


def test_files_of_odd_names_are_brought_and_folders_made_and_removed(
    converge: Converge, windows: Agent, folder: str
) -> None:
    there = {"Acme": b"precious", "list.txt": b"precious", "empty": b"precious"}
    for name, data in there.items():
        windows.write_file(rf"{folder}\{name}", data)
    windows.make_folder(rf"{folder}\empty;old")
    play = rf"""
- name: names
  hosts: all
  resources:
    - directory: {{path: '{folder}\Acme,Inc'}}
    - file: {{path: '{folder}\Acme,Inc\a^b & 100%.txt', content: x}}
    - file: {{path: '{folder}\list.txt,v', content: ''}}
    - directory: {{path: '{folder}\empty;old', ensure: absent}}
    - directory: {{path: '{folder}\Smith,John\(a)=b'}}
"""
    applied = converge.apply(play)
    assert applied.exit_code == 0, applied.text + applied.complaint
    assert {entry.name for entry in windows.list_folder(folder)} == {*there, "Acme,Inc", "list.txt,v", "Smith,John"}
    assert {name: windows.read_file(rf"{folder}\{name}") for name in there} == there
    assert windows.read_file(rf"{folder}\Acme,Inc\a^b & 100%.txt") == b"x"
    assert [entry.name for entry in windows.list_folder(rf"{folder}\Acme,Inc")] == ["a^b & 100%.txt"]
    assert converge.check(play).exit_code == 0


def test_a_command_runs_a_batch_file_with_just_its_arguments(converge: Converge, windows: Agent, folder: str) -> None:
    batch, got = rf"{folder}\Acme,Inc;x=y^z & co.bat", rf"{folder}\got.txt"
    windows.write_file(batch, b'@set "got=%~1"\r\n@set "then=%~2"\r\n@>"%~dp0got.txt" set got\r\n@>>"%~dp0got.txt" set then\r\n')

    def play(argument: str) -> str:
        return rf"""
- name: batch
  hosts: all
  resources:
    - command: {{name: batch, argv: ['{batch}', '{argument}', end], unless: {{file: {{path: '{got}', exists: true}}}}}}
"""

    for argument in ("a,b", "a;b", "a=b", "a^b", "a & b", "a,b;c=d^e&f", "/v:a=b,c"):
        applied = converge.apply(play(argument))
        assert applied.exit_code == 0, applied.text + applied.complaint
        assert windows.read_file(got).decode().split("\r\n")[:2] == [f"got={argument}", "then=end"]
        windows.delete_file(got)
    refused = converge.apply(play("100%"))
    assert refused.exit_code != 0
    assert "per cent" in refused.text + refused.complaint
    assert {entry.name for entry in windows.list_folder(folder)} == {batch.rpartition("\\")[2]}
