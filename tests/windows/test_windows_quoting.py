"""Whoever reads a command line after it was sent, a name on it means the thing of that name, or it is refused before."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from converge.lab import effects
from converge.lab.shell import run_command_line
from converge.lab.shell.grammar import Simple, parse, split_arguments, words
from converge.lab.specs import Effects, Profile
from converge.lab.world import World
from converge.windows.commands import MAX_LINE, command_line, in_quotes, shell_line

FORBIDDEN = '<>:"/\\|?*'  # in names of files
NAMES = st.text(
    st.characters(exclude_categories=("Cs", "Cc"), exclude_characters=FORBIDDEN, max_codepoint=0xFFFF),
    min_size=1,
    max_size=30,
).map(lambda text: f"x{text}x")
ODD = [
    "Acme,Inc",
    "empty;old",
    "a=b",
    "a^b",
    "a&b",
    "a!b!c",
    "(x)",
    " x",
    "100%",
    "a'b",
    "[a] {b}",
    "@a",
    "~a",
    "a`b",
    "a+b",
]


def new_world() -> World:
    """A Windows with a drive C."""
    world = World(Profile(caption="Microsoft Windows Server 2003", version="5.2.3790"))
    effects.enact(world, Effects.model_validate({"files": {"C:\\there": {}}}))
    return world


def named(name: str) -> World:
    """A world in which a folder of that name was made by a command, and a file in it by a redirection."""
    world = new_world()
    path = rf"C:\{name}"
    for line in (f"mkdir {in_quotes(path)}", f"type nul >{in_quotes(path + chr(92) + name.replace('%', ''))}"):
        assert run_command_line(world, line).exit_code == 0, line
    return world


def assert_named(world: World, name: str) -> None:
    """Nothing but that folder, and that file in it, was made."""
    before = {path for path, _ in new_world().files.walk("C:\\")}
    assert {path for path, _ in world.files.walk("C:\\")} - before == {rf"C:\{name}"}
    assert world.files.file(rf"C:\{name}\{name.replace('%', '')}") is not None


@pytest.mark.parametrize("name", ODD)
def test_a_folder_and_a_file_of_an_odd_name_are_made_under_it(name: str) -> None:
    assert_named(named(name), name)


@given(NAMES.filter(lambda name: name.count("%") == 0))
def test_a_quoted_path_names_itself_to_commands_of_cmd_and_to_redirections(name: str) -> None:
    assert words(f" {in_quotes(name)}") == [name]
    node = parse(f"echo x >{in_quotes(name)}")
    assert isinstance(node, Simple)
    assert [redirect.target for redirect in node.redirects] == [name]


@pytest.mark.parametrize("path", ['C:\\a"b', "C:\\a\nb", r"C:\%TEMP%", r"C:\50%\100%"])
def test_a_path_that_cmd_would_read_otherwise_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match=r"no command of cmd|variable"):
        in_quotes(path)


@pytest.mark.parametrize("program", ["mkdir", "C:\\tools\\a.bat", "a.CMD", "a.bat.", "a.cmd "])
@given(argument=NAMES.filter(lambda name: "%" not in name))
def test_batch_files_and_commands_of_cmd_get_each_argument_as_one(program: str, argument: str) -> None:
    line = command_line([program, argument, "b"])
    node = parse(line)
    assert isinstance(node, Simple), line
    assert words(node.text)[-2:] == [argument, "b"], line


@pytest.mark.parametrize(
    "argv",
    [
        ["a.bat", 'x" & calc'],
        ["a.cmd", "%TEMP%"],
        ["A.BAT. ", 'x"'],
        ["mkdir", 'a"b'],
        ["mkdir", "%A%"],
        ["tool", 'x" & calc'],
        ["tool", "%TEMP%"],
        ["call", "a.bat"],
        ["start", "x"],
        ["for", "x"],
        ['a"b.exe'],
        ["a.exe", "x" * MAX_LINE],
    ],
)
def test_what_a_reader_would_take_for_more_than_an_argument_is_refused(argv: list[str]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        command_line(argv)


@pytest.mark.parametrize(
    "name", [r"C:\Acme,Inc\setup.exe", r"C:\a;b\x.exe", r"C:\a=b\x.exe", r"C:\a b\x.exe", "C:/a/b.exe"]
)
def test_a_program_is_named_whole(name: str) -> None:
    assert split_arguments(command_line([name, "/q"])) == [name, "/q"]
    assert command_line([name, "/q"]).startswith('"')


def test_a_line_that_is_longer_than_cmd_takes_is_refused() -> None:
    with pytest.raises(ValueError, match="characters"):
        shell_line(["echo " + "x" * MAX_LINE])
    assert shell_line(['dir "C:\\%TEMP%" & echo x']) == 'dir "C:\\%TEMP%" & echo x'
