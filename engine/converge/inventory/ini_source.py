"""Inventories in Ansible's INI: sections of hosts, `[group:vars]`, `[group:children]`."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, NamedTuple

from converge.inventory.checks import check_variables
from converge.inventory.values import Variable
from converge.model.position import Position
from converge.reading.problems import Problems
from converge.reading.scalars import became, ini_value
from converge.reading.spelling import did_you_mean

if TYPE_CHECKING:
    from converge.inventory.groups import Membership

_SECTION = re.compile(r"\[([^:\]\s]+)(?::(\w+))?\]\s*(?:#.*)?")
_CHILD = re.compile(r"([^:\]\s]+)\s*(?:#.*)?")
_NEEDS_SHELL_RULES = re.compile(r"""["'\\#]""")
_TOKEN = re.compile(r"\S+")
_KINDS = ("hosts", "vars", "children")
_COMMENTS = ("#", ";")


class _Token(NamedTuple):
    text: str
    column: int


def read_ini_inventory(text: str, *, file: str, members: Membership, problems: Problems) -> None:
    """Add what an INI inventory says. Lines before the first section are hosts of no group."""
    reader = _IniReader(file, members=members, problems=problems)
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if stripped and not stripped.startswith(_COMMENTS):
            reader.line(stripped, Position(file, number, len(line) - len(line.lstrip()) + 1))
    reader.finish()


class _IniReader:
    def __init__(self, file: str, *, members: Membership, problems: Problems) -> None:
        self._file = file
        self._members = members
        self._problems = problems
        self._group = "ungrouped"
        self._kind = "hosts"
        self._set_here: set[str] = set()
        self._undeclared: dict[str, tuple[Position, str]] = {}

    def line(self, line: str, place: Position) -> None:
        """Read a line without the blanks around it."""
        if section := _SECTION.fullmatch(line):
            self._section(section[1], section[2] or "hosts", place=place)
        elif line.startswith("[") and line.endswith("]"):
            self._problems.error(
                place, f"{line[:80]} is not a section", expected="[group], [group:vars] or [group:children]"
            )
        elif self._kind == "hosts":
            self._host(line, place)
        elif self._kind == "vars":
            self._variable(line, place)
        else:
            self._child(line, place)

    def finish(self) -> None:
        """Tell of groups that are named but declared nowhere."""
        for name, (place, message) in self._undeclared.items():
            hint = did_you_mean(name, self._members.groups.keys() - self._undeclared, cutoff=0.6)
            self._problems.error(place, message, expected=f"a section [{name}] or [{name}:children]", hint=hint)

    def _section(self, name: str, kind: str, *, place: Position) -> None:
        self._set_here = set()
        if kind not in _KINDS:
            hint = did_you_mean(kind, _KINDS, cutoff=0.5)
            self._problems.error(place, f"section of unknown type {kind[:60]}", expected="vars or children", hint=hint)
            kind = "vars" if hint.endswith("vars?") else "children"
        elif kind == "vars" and name not in self._members.groups:
            self._undeclared.setdefault(name, (place, f"variables of the undeclared group {name}"))
        if kind != "vars":
            self._undeclared.pop(name, None)
        self._members.add_group(name)
        self._group, self._kind = name, kind

    def _child(self, line: str, place: Position) -> None:
        match = _CHILD.fullmatch(line)
        if match is None:
            self._problems.error(place, f"{line[:80]} is not a name of a group", expected="one group in a line")
            return
        name = match[1]
        if name not in self._members.groups:
            self._undeclared.setdefault(name, (place, f"{self._group} contains the undeclared group {name}"))
        self._members.add_child(self._group, name, place=place)

    def _variable(self, line: str, place: Position) -> None:
        name, equals, value = line.partition("=")
        name = name.strip()
        if not equals or not name:
            self._problems.error(place, "is not a variable", expected="name=value")
            return
        self._once(name, place)
        self._members.set_group_variable(
            self._members.groups[self._group],
            name=name,
            variable=self._read(name, value.strip(), place),
            problems=self._problems,
        )

    def _host(self, line: str, place: Position) -> None:
        try:
            tokens = _tokens(line, place.column)
        except ValueError as error:
            self._problems.error(
                place, f"is no host: {str(error).lower()}", hint="close every quote, double every backslash"
            )
            return
        pattern = tokens[0].text
        if pattern.startswith("---"):
            self._problems.error(place, "'---' starts a YAML file", hint="name the file .yml")
            return
        variables = self._inline(tokens[1:], place)
        if pattern.endswith(":") and pattern.count("[") == pattern.count("]"):
            self._problems.error(place, f"{pattern[:80]} ends in a colon, after which the port is missing")
            check_variables(variables.items(), self._problems)  # of no host, so nobody else will
            return
        group = self._members.groups[self._group]
        self._members.add_hosts(pattern, group, place=place, problems=self._problems, variables=variables)

    def _inline(self, tokens: list[_Token], place: Position) -> dict[str, Variable]:
        """The `name=value` pairs right of a host."""
        variables: dict[str, Variable] = {}
        self._set_here = set()
        told = False
        for token in tokens:
            at = Position(self._file, place.line, token.column)
            name, equals, value = token.text.partition("=")
            if not equals or not name:
                hint = (
                    "write name=value without blanks, or quote the value" if not name or "=" not in token.text else ""
                )
                if not told:  # the words of one value without quotes are one mistake
                    self._problems.error(at, "is not a variable of a host", expected="name=value", hint=hint)
                told = True
                continue
            self._once(name, at)
            variables[name] = self._read(name, value, at)
        return variables

    def _read(self, name: str, text: str, place: Position) -> Variable:
        value = ini_value(text)
        if isinstance(value, int | float) and (changed := became(text, value)):
            self._problems.changed(place, name, changed)
        return Variable(value, place)

    def _once(self, name: str, place: Position) -> None:
        if name in self._set_here:
            self._problems.error(place, f"duplicate key {name[:100]}", hint="the same section or line sets it already")
        self._set_here.add(name)


def _tokens(line: str, column: int) -> list[_Token]:
    """Part a host line by the rules of a shell: quotes, backslashes, and comments wherever a # stands."""
    if not _NEEDS_SHELL_RULES.search(line):
        return [_Token(match[0], column + match.start()) for match in _TOKEN.finditer(line)]
    tokens: list[_Token] = []
    at = 0
    for text in shlex.split(line, comments=True):
        start = line.find(text.partition("=")[0], at)
        at = max(start, at)
        tokens.append(_Token(text, column + at))
    if not tokens:
        raise ValueError("nothing stands before the comment")
    return tokens
