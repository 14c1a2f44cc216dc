"""Everything found wrong in playbooks, collected so that all of it can be told at once."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from converge.errors import InputErrors, InputProblem
from converge.model.change import Position

MAX_PROBLEMS = 300
"""More than anybody reads: files so wrong are not read to their end."""
MAX_CANDIDATES = 2000
"""Names among which the nearest spelling is looked for; among more it takes too long."""


class Problems:
    """What is wrong in the files read so far."""

    def __init__(self) -> None:
        self._found: dict[InputProblem, None] = {}

    def __len__(self) -> int:
        return len(self._found)

    @property
    def full(self) -> bool:
        """Whether nothing more is noted, so that reading on is of no use."""
        return len(self._found) >= MAX_PROBLEMS

    def add(self, position: Position, message: str, *, expected: str = "", hint: str = "") -> None:
        """Note one; the same problem at the same place counts once."""
        if not self.full:
            self._found[problem(position, message, expected=expected, hint=hint)] = None

    def extend(self, problems: Iterable[InputProblem]) -> None:
        """Note those of an error that was raised."""
        for item in problems:
            self.add(Position(item.file, item.line, item.column), item.message, expected=item.expected, hint=item.hint)

    def raise_if_any(self) -> None:
        """Raise InputErrors with all of them, in the order of files, lines and columns."""
        if not self._found:
            return
        found = sorted(self._found, key=lambda item: (item.file, item.line, item.column))
        if self.full:
            found.append(InputProblem(found[-1].file, 0, 0, f"there may be more problems than these {MAX_PROBLEMS}"))
        raise InputErrors(found)


def problem(position: Position, message: str, *, expected: str = "", hint: str = "") -> InputProblem:
    """One problem at a place."""
    return InputProblem(position.file, position.line, position.column, message, expected, hint)


def failure(position: Position, message: str, *, expected: str = "", hint: str = "") -> InputErrors:
    """The error for one problem that is found while rendering for a host."""
    return InputErrors([problem(position, message, expected=expected, hint=hint)])


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word that was probably meant, or an empty text."""
    known = list(known)
    if len(known) > MAX_CANDIDATES:
        return ""
    folded = {name.lower().replace("-", "_"): name for name in known}
    found = get_close_matches(word[:100].lower().replace("-", "_"), folded, n=1, cutoff=0.72)
    return folded[found[0]] if found else ""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint with the nearest right spelling, or an empty text."""
    match = nearest(word, known)
    return f"did you mean {match}?" if match else ""


def shown(value: object) -> str:
    """A value as messages quote it, cut short."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
