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
    """Collects every error and warning of a load."""

    def __init__(self) -> None:
        self.errors: list[InputProblem] = []
        self.warnings: list[InputProblem] = []
        self._uncounted = 0

    def error(self, place: Place, message: str, *, expected: str = "", hint: str = "") -> None:
        """Note something that is wrong."""
        if len(self.errors) < MAX_FINDINGS:
            self.errors.append(InputProblem(*place, message, expected, hint))
        else:
            self._uncounted += 1

    def warn(self, place: Place, message: str, *, expected: str = "", hint: str = "") -> None:
        """Note something odd that Ansible lets pass, and so does converge."""
        if len(self.warnings) < MAX_FINDINGS:
            self.warnings.append(InputProblem(*place, message, expected, hint))

    def raise_errors(self) -> None:
        """Raise InputErrors with every error noted so far, if there is one."""
        if not self.errors:
            return
        if self._uncounted:
            self.errors.append(InputProblem(self.errors[-1].file, 0, 0, f"and {self._uncounted} more problems"))
        raise InputErrors(self.errors)


def nearest(word: str, known: Iterable[str], *, cutoff: float = 0.75) -> str:
    """The known word that was probably meant, or an empty text."""
    matches = get_close_matches(word[:200], list(known), n=1, cutoff=cutoff)
    return matches[0] if matches else ""


def did_you_mean(word: str, known: Iterable[str], *, cutoff: float = 0.75) -> str:
    """A hint with the nearest right spelling, or an empty text."""
    match = nearest(word, known, cutoff=cutoff)
    return f"did you mean {match}?" if match else ""
