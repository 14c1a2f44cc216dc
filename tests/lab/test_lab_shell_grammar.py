"""The grammar of cmd, with lines converge never sends, and the argument rules of programs."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converge.lab.shell.grammar import (
    CommandChain,
    CommandGroup,
    If,
    LineRefused,
    Redirect,
    Simple,
    expand_variables,
    parse,
    split_arguments,
    words,
)
from converge.windows.commands import command_line

_VARIABLES = {"PATH": r"C:\WINNT", "X": "1"}


def _lookup(name: str) -> str | None:
    return _VARIABLES.get(name.upper())


@pytest.mark.parametrize(
    ("line", "meaning"),
    [
        ("echo a", Simple("echo a")),
        ('echo "a & b"', Simple('echo "a & b"')),
        ("echo a^&b", Simple("echo a&b")),
        ('echo "a^&b"', Simple('echo "a^&b"')),
        ('echo ^"a & b', CommandChain("&", Simple('echo "a '), Simple("b"))),
        ("a & b", CommandChain("&", Simple("a "), Simple("b"))),
        ("a&&b||c", CommandChain("||", CommandChain("&&", Simple("a"), Simple("b")), Simple("c"))),
        ("a | b & c", CommandChain("&", CommandChain("|", Simple("a "), Simple("b ")), Simple("c"))),
        ("a || b && c", CommandChain("||", Simple("a "), CommandChain("&&", Simple("b "), Simple("c")))),
        ("(a & b) > x", CommandGroup(CommandChain("&", Simple("a "), Simple("b")), (Redirect(1, ">", "x"),))),
        ("a >> x 2>&1", Simple("a  ", (Redirect(1, ">>", "x"), Redirect(2, ">", "&1")))),
        ("a2>x", Simple("a2", (Redirect(1, ">", "x"),))),
        ("a 2>x", Simple("a ", (Redirect(2, ">", "x"),))),
        ('a < "b c"', Simple("a ", (Redirect(0, "<", "b c"),))),
        ("> x echo a", Simple(" echo a", (Redirect(1, ">", "x"),))),
        ("@echo a", Simple("echo a")),
        ("if exist x y", If(("exist", "x"), False, False, Simple("y"))),
        ("if not defined x (y) else z", If(("defined", "x"), True, False, CommandGroup(Simple("y")), Simple("z"))),
        ("if /i a==A b & c", If(("==", "a", "A"), False, True, CommandChain("&", Simple("b "), Simple("c")))),
        ("ifx", Simple("ifx")),
        ("a ^", Simple("a ")),
        ("a )", Simple("a )")),
        ("a\r\nb", Simple("a")),
    ],
)
def test_a_line_means_what_cmd_reads(line: str, meaning: object) -> None:
    assert parse(line) == meaning


@pytest.mark.parametrize("line", ["", "   ", "\r\n"])
def test_an_empty_line_means_nothing(line: str) -> None:
    assert parse(line) is None


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("a >", "The syntax of the command is incorrect."),
        ("a > & b", "& was unexpected at this time."),
        ("| a", "| was unexpected at this time."),
        ("a && && b", "&& was unexpected at this time."),
        ("(a", "The syntax of the command is incorrect."),
        ("(a) b", "b was unexpected at this time."),
        ("if exist", "The syntax of the command is incorrect."),
        ("if a b", "The syntax of the command is incorrect."),
        ("a" * 8192, "The command line is too long."),
        ("(" * 100, "The command line is too long."),
    ],
)
def test_a_line_cmd_cannot_read_is_refused_with_its_words(line: str, complaint: str) -> None:
    with pytest.raises(LineRefused, match=complaint.replace("|", r"\|")):
        parse(line)


@pytest.mark.parametrize(
    ("line", "expanded"),
    [
        ("echo %PATH%", r"echo C:\WINNT"),
        ("echo %path%%x%", r"echo C:\WINNT1"),
        ("echo %NOPE%", "echo %NOPE%"),
        ("echo ^%PATH^%", "echo ^%PATH^%"),
        ("echo 100% %X%", "echo 100% %X%"),
        ("%%", "%%"),
    ],
)
def test_variables_are_put_in_where_they_are_known(line: str, expanded: str) -> None:
    assert expand_variables(line, _lookup) == expanded


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        (' "a b c" d e', ["a b c", "d", "e"]),
        (r' "ab\"c" "\\" d', ['ab"c', "\\", "d"]),
        (r' a\\\b d"e f"g h', [r"a\\\b", "de fg", "h"]),
        (r" a\\\"b c d", [r"a\"b", "c", "d"]),
        (r' a\\\\"b c" d e', [r"a\\b c", "d", "e"]),
        (' ""', [""]),
        ("", []),
    ],
)
def test_programs_see_arguments_by_the_rules_of_the_c_runtime(text: str, arguments: list[str]) -> None:
    """The examples of "Parsing C Command-Line Arguments"."""
    assert split_arguments(text) == arguments


def test_inner_commands_see_more_separators_and_no_quotes() -> None:
    assert words(' "a b",c;d=e /y ""') == ["a b", "c", "d", "e", "/y", ""]


_arguments = st.lists(
    st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\u2028\u2029\x85"), max_size=20),
    max_size=4,
)


@settings(max_examples=300)
@given(_arguments)
def test_whatever_the_arguments_a_built_line_hands_them_over_unchanged(arguments: list[str]) -> None:
    try:
        line = command_line(["prog.exe", *arguments])
    except ValueError:  # refused rather than misread
        assert "".join(arguments).count("%") > 1
        assert any("%" in argument and '"' in argument for argument in arguments)
        return
    node = parse(expand_variables(line, _lookup))
    assert isinstance(node, Simple)
    assert node.redirects == ()
    assert split_arguments(node.text) == ["prog.exe", *arguments]


@settings(max_examples=300)
@given(st.text(st.sampled_from('ab "^&|<>()%=\\/1@'), max_size=40))
def test_no_line_makes_the_parser_fail_otherwise_than_by_refusing(line: str) -> None:
    with contextlib.suppress(LineRefused):
        parse(expand_variables(line, _lookup))
