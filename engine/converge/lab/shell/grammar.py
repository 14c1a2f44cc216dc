"""The grammar of cmd.exe: from a line to what it means. Nothing is run here.

Read in the order cmd reads: first %VARIABLES%, then quotes and carets, operators, redirections. On a command line an
undefined variable stays as it is written. Of `for` only counting (`/L`) is known; labels, substrings of variables and delayed
expansion are not.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

MAX_LINE = 8191  # characters cmd.exe takes (KB 830473)
_MAX_DEPTH = 32
_VARIABLE = re.compile(r"%([^%\r\n]+)%")
_IF = re.compile(r"if(?=[\s(\"])", re.IGNORECASE)
_ELSE = re.compile(r"\s*else(?=[\s(])", re.IGNORECASE)
_COUNTING = re.compile(
    r"for[ \t]+/l[ \t]+%(?P<name>[a-z])[ \t]+in[ \t]*\([ \t]*(?P<from>[+-]?\d{1,10})[ \t]*[,; ][ \t]*(?P<by>[+-]?\d{1,10})"
    r"[ \t]*[,; ][ \t]*(?P<to>[+-]?\d{1,10})[ \t]*\)[ \t]*do(?=[\s(@])",
    re.IGNORECASE,
)
_BLANK = " \t,;="


class LineRefused(Exception):
    """A line cmd refuses as a whole; the text is what it prints."""


@dataclass(frozen=True, slots=True)
class Redirect:
    """`2>&1`, `>>file`: the handle, what is done, and the file or handle it is done to."""

    handle: int
    mode: Literal["<", ">", ">>"]
    target: str

    @property
    def duplicates(self) -> int | None:
        """The handle that is doubled, for `2>&1`."""
        return int(self.target[1]) if re.fullmatch(r"&[0-9]", self.target) else None


@dataclass(frozen=True, slots=True)
class Simple:
    """One command with its arguments as they were written, quotes kept, carets gone."""

    text: str
    redirects: tuple[Redirect, ...] = ()


@dataclass(frozen=True, slots=True)
class CommandChain:
    """Two commands joined by an operator."""

    operator: Literal["&", "&&", "||", "|"]
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class CommandGroup:
    """Commands in parentheses."""

    body: Node
    redirects: tuple[Redirect, ...] = ()


@dataclass(frozen=True, slots=True)
class If:
    """`if [not] TEST command [else command]`; `words` is the test."""

    words: tuple[str, ...]
    negated: bool
    any_case: bool
    then: Node
    otherwise: Node | None = None


@dataclass(frozen=True, slots=True)
class Counting:
    """`for /L %NAME in (FROM,BY,TO) do command`: the command as it was written, for each number; letters count by case."""

    name: str
    numbers: range
    text: str


Node = Simple | CommandChain | CommandGroup | If | Counting


def expand_variables(line: str, lookup: Callable[[str], str | None]) -> str:
    """Put in every %NAME% that is known; all others stay."""

    def replacement(match: re.Match[str]) -> str:
        found = lookup(match.group(1))
        return match.group() if found is None else found

    return _VARIABLE.sub(replacement, line)


def parse(line: str) -> Node | None:
    """What a line means, or None for an empty one. Raises LineRefused."""
    if len(line) > MAX_LINE:
        raise LineRefused("The command line is too long.")
    reader = _CommandReader(re.split(r"[\r\n]", line, maxsplit=1)[0])
    node = reader.sequence()
    if reader.rest:
        raise LineRefused(f"{reader.rest[0]} was unexpected at this time.")
    return node


@dataclass
class _CommandReader:
    text: str
    position: int = 0
    depth: int = 0
    redirects: list[Redirect] = field(default_factory=list)

    @property
    def rest(self) -> str:
        return self.text[self.position :]

    def sequence(self) -> Node | None:
        left = self._joined(0)
        while left is not None and self._operator("&"):
            right = self._joined(0)
            if right is None:
                break
            left = CommandChain("&", left, right)
        return left

    def _joined(self, level: int) -> Node | None:
        """Operators from the loosest to the tightest: ||, &&, |."""
        if level == 3:
            return self._command()
        operator: Literal["||", "&&", "|"] = ("||", "&&", "|")[level]
        left = self._joined(level + 1)
        while self._operator(operator):
            right = self._joined(level + 1)
            if left is None or right is None:
                raise LineRefused(f"{operator} was unexpected at this time.")
            left = CommandChain(operator, left, right)
        return left

    def _operator(self, operator: str) -> bool:
        self._skip_blanks()
        if not self.rest.startswith(operator):
            return False
        if len(operator) == 1 and self.rest[1:2] == operator:
            return False
        self.position += len(operator)
        return True

    def _skip_blanks(self) -> None:
        while self.position < len(self.text) and self.text[self.position] in _BLANK:
            self.position += 1

    def _command(self) -> Node | None:
        while self.position < len(self.text) and self.text[self.position] in _BLANK + "@":
            self.position += 1
        if self.rest.startswith("("):
            return self._group()
        if match := _IF.match(self.rest):
            self.position += match.end()
            return self._if()
        if match := _COUNTING.match(self.rest):
            self.position += match.end()
            return self._counting(match)
        return self._simple()

    def _counting(self, match: re.Match[str]) -> Node:
        begin, by, end = int(match["from"]), int(match["by"]), int(match["to"])
        start = self.position
        self._skip_blanks()
        if self.sequence() is None:
            raise LineRefused("The syntax of the command is incorrect.")
        numbers = range(begin, end + (1 if by > 0 else -1), by) if by else range(0)
        return Counting(match["name"], numbers, self.text[start : self.position])

    def _group(self) -> Node:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise LineRefused("The command line is too long.")
        self.position += 1
        body = self.sequence()
        self._skip_blanks()
        if body is None or not self.rest.startswith(")"):
            raise LineRefused("The syntax of the command is incorrect.")
        self.position += 1
        self.depth -= 1
        after = self._simple()
        if after is not None and after.text.strip() and not _ELSE.match(" " + after.text + " "):
            raise LineRefused(f"{after.text.split()[0]} was unexpected at this time.")
        if after is not None and after.text.strip():
            self.position -= len(after.text)
            return CommandGroup(body)
        return CommandGroup(body, after.redirects if after else ())

    def _if(self) -> Node:
        any_case = negated = False
        word = self._word()
        while word.lower() in ("/i", "not"):
            any_case, negated = any_case or word.lower() == "/i", negated or word.lower() == "not"
            word = self._word()
        words: tuple[str, ...]
        if word.lower() in ("exist", "defined", "errorlevel"):
            words = (word.lower(), self._word())
        elif "==" in word:
            words = ("==", *word.split("==", 1))
        else:
            words = ("==", word, self._equal_to())
        if not words[-1] and words[0] != "==":
            raise LineRefused("The syntax of the command is incorrect.")
        self._skip_blanks()
        grouped = self.rest.startswith("(")
        then = self._group() if grouped else self.sequence()
        if then is None:
            raise LineRefused("The syntax of the command is incorrect.")
        otherwise = None
        if grouped and (match := _ELSE.match(self.rest)):
            self.position += match.end()
            otherwise = self._command()
        return If(words, negated, any_case, then, otherwise)

    def _equal_to(self) -> str:
        while self.rest[:1] in (" ", "\t"):
            self.position += 1
        if not self.rest.startswith("=="):
            raise LineRefused("The syntax of the command is incorrect.")
        self.position += 2
        return self._word()

    def _word(self) -> str:
        """One word of a test, quotes kept."""
        while self.rest[:1] in (" ", "\t"):
            self.position += 1
        start, quoted = self.position, False
        while self.position < len(self.text):
            character = self.text[self.position]
            if character == '"':
                quoted = not quoted
            elif not quoted and (
                character in " \t&|()<>" or (self.text.startswith("==", self.position) and start == 0)
            ):
                break
            self.position += 1
        return self.text[start : self.position]

    def _simple(self) -> Simple | None:
        text: list[str] = []
        redirects: list[Redirect] = []
        quoted = False
        while self.position < len(self.text):
            character = self.text[self.position]
            if character == '"':
                quoted = not quoted
            elif not quoted and character == "^":
                self.position += 1
                character = self.text[self.position : self.position + 1]
            elif not quoted and (character in "&|" or (character == ")" and self.depth)):
                break
            elif not quoted and character in "<>":
                redirects.append(self._redirect(text))
                continue
            text.append(character)
            self.position += 1
        written = "".join(text)
        return Simple(written, tuple(redirects)) if written.strip() or redirects else None

    def _redirect(self, text: list[str]) -> Redirect:
        mode: Literal["<", ">", ">>"] = "<" if self.rest[0] == "<" else ">>" if self.rest.startswith(">>") else ">"
        self.position += len(mode)
        handle = 0 if mode == "<" else 1
        if text and text[-1].isdigit() and (len(text) == 1 or text[-2] in " \t"):
            handle = int(text.pop())
        if match := re.match(r"&[0-9]", self.rest):
            self.position += match.end()
            return Redirect(handle, mode, match.group())
        self._skip_blanks()
        target = self._target()
        if not target:
            found = self.rest[:1]
            raise LineRefused(
                f"{found} was unexpected at this time." if found else "The syntax of the command is incorrect."
            )
        return Redirect(handle, mode, target)

    def _target(self) -> str:
        target: list[str] = []
        quoted = False
        while self.position < len(self.text):
            character = self.text[self.position]
            if character == '"':
                quoted = not quoted
            elif not quoted and (character in _BLANK + "&|<>" or (character == ")" and self.depth)):
                break
            else:
                target.append(character)
            self.position += 1
        return "".join(target)


def split_arguments(text: str) -> list[str]:
    """Arguments as a program's C runtime sees them: blanks separate, quotes group, backslashes before a quote halve.

    Source: Parsing C Command-Line Arguments. A doubled quote inside quotes is one quote.
    """
    arguments: list[str] = []
    position = 0
    while position < len(text):
        while position < len(text) and text[position] in " \t":
            position += 1
        if position >= len(text):
            break
        argument, position = _argument(text, position)
        arguments.append(argument)
    return arguments


def _argument(text: str, position: int) -> tuple[str, int]:
    found: list[str] = []
    quoted = False
    while position < len(text):
        character = text[position]
        if character == "\\":
            run = len(text) - position - len(text[position:].lstrip("\\"))
            position += run
            if text[position : position + 1] != '"':
                found.append("\\" * run)
                continue
            found.append("\\" * (run // 2))
            if run % 2:
                found.append('"')
                position += 1
            continue
        if character == '"':
            if quoted and text[position + 1 : position + 2] == '"':
                found.append('"')
                position += 1
            else:
                quoted = not quoted
        elif character in " \t" and not quoted:
            break
        else:
            found.append(character)
        position += 1
    return "".join(found), position


def words(text: str) -> list[str]:
    """Arguments as the commands inside cmd see them: blanks, commas, semicolons and equals signs separate; quotes go."""
    found: list[str] = []
    current: list[str] = []
    quoted = started = False
    for character in text:
        if character == '"':
            quoted, started = not quoted, True
        elif character in _BLANK and not quoted:
            if started:
                found.append("".join(current))
            current, started = [], False
        else:
            current.append(character)
            started = True
    return [*found, "".join(current)] if started else found
