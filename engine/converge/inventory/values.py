"""What an inventory says, each value with the place where it was said, and everything found wrong on the way."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, NamedTuple

from converge.errors import InputErrors, InputProblem

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_FINDINGS = 500
"""More errors than anybody reads: the rest is only counted."""


class Place(NamedTuple):
    """Where something stands. Line and column count from 1; line 0 means the whole file."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


class Variable(NamedTuple):
    """The value of a variable as it was written, not yet rendered."""

    value: object
    place: Place


class Unsafe(str):
    """A text marked `!unsafe`: braces in it mean themselves."""

    __slots__ = ()


class Findings:
    """Collects every error and warning of a load, each once however many hosts or folders share it."""

    def __init__(self) -> None:
        self._errors: dict[InputProblem, None] = {}
        self._warnings: dict[InputProblem, None] = {}
        self._uncounted = 0
        self._changed: set[tuple[str, str]] = set()

    @property
    def errors(self) -> tuple[InputProblem, ...]:
        """What is wrong, in the order in which it was found."""
        return tuple(self._errors)

    @property
    def warnings(self) -> tuple[InputProblem, ...]:
        """What is odd, in the order in which it was found."""
        return tuple(self._warnings)

    def error(self, place: Place, message: str, *, expected: str = "", hint: str = "") -> None:
        """Note something that is wrong."""
        self.take([InputProblem(*place, message, expected, hint)])

    def take(self, problems: Iterable[InputProblem]) -> None:
        """Note what somebody else found wrong."""
        for problem in problems:
            if len(self._errors) < MAX_FINDINGS:
                self._errors[problem] = None
            else:
                self._uncounted += problem not in self._errors

    def warn(self, place: Place, message: str, *, expected: str = "", hint: str = "") -> None:
        """Note something odd that Ansible lets pass, and so does converge."""
        if len(self._warnings) < MAX_FINDINGS:
            self._warnings[InputProblem(*place, message, expected, hint)] = None

    def changed(self, place: Place, name: str, became: str) -> None:
        """Note once for each variable that its value is not read as it is written."""
        if (name, became) not in self._changed:
            self._changed.add((name, became))
            hint = "put it in quotes if the text is meant; true and false mean themselves"
            self.warn(place, f"the value of {name[:100]} is not the text that is written: it is read as {became}", hint=hint)

    def raise_errors(self) -> None:
        """Raise InputErrors with every error noted so far, if there is one."""
        if not self._errors:
            return
        problems = list(self._errors)
        if self._uncounted:
            problems.append(InputProblem(problems[-1].file, 0, 0, f"and {self._uncounted} more problems"))
        raise InputErrors(problems, warnings=self._warnings)


def nearest(word: str, known: Iterable[str], *, cutoff: float = 0.75) -> str:
    """The known word that was probably meant, or an empty text."""
    matches = get_close_matches(word[:200], list(known), n=1, cutoff=cutoff)
    return matches[0] if matches else ""


def did_you_mean(word: str, known: Iterable[str], *, cutoff: float = 0.75) -> str:
    """A hint with the nearest right spelling, or an empty text."""
    match = nearest(word, known, cutoff=cutoff)
    return f"did you mean {match}?" if match else ""
