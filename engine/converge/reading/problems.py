"""Everything found wrong or odd in the files read so far, collected so that all of it can be told at once."""

from __future__ import annotations

from collections.abc import Iterable

from converge.errors import InputErrors, InputProblem
from converge.model.position import Position

MAX_PROBLEMS = 300
"""More than anybody reads: the rest is only counted, and files so wrong are not read to their end."""


class Problems:
    """Collects every error and warning of a load, each once however many hosts or folders share it."""

    def __init__(self) -> None:
        self._errors: dict[InputProblem, None] = {}
        self._warnings: dict[InputProblem, None] = {}
        self._changed: set[tuple[str, str]] = set()

    def __len__(self) -> int:
        return len(self._errors)

    @property
    def full(self) -> bool:
        """Whether no further error is noted, so that reading on is of no use."""
        return len(self._errors) >= MAX_PROBLEMS

    @property
    def errors(self) -> tuple[InputProblem, ...]:
        """What is wrong, in the order of files, lines and columns."""
        return tuple(sorted(self._errors, key=lambda item: (item.file, item.line, item.column)))

    @property
    def warnings(self) -> tuple[InputProblem, ...]:
        """What is odd, in the order in which it was found."""
        return tuple(self._warnings)

    def error(self, position: Position, message: str, *, expected: str = "", hint: str = "") -> None:
        """Note something that is wrong."""
        if not self.full:
            self._errors[InputProblem(*position, message, expected, hint)] = None

    def warn(self, position: Position, message: str, *, expected: str = "", hint: str = "") -> None:
        """Note something odd that is let pass."""
        if len(self._warnings) < MAX_PROBLEMS:
            self._warnings[InputProblem(*position, message, expected, hint)] = None

    def changed(self, position: Position, name: str, became: str) -> None:
        """Note once for each variable that its value is not read as it is written."""
        if (name, became) not in self._changed:
            self._changed.add((name, became))
            message = f"the value of {name[:100]} is not the text that is written: it is read as {became}"
            self.warn(position, message, hint="put it in quotes if the text is meant; true and false mean themselves")

    def extend(self, problems: Iterable[InputProblem]) -> None:
        """Note what was found wrong elsewhere."""
        for problem in problems:
            if not self.full:
                self._errors[problem] = None

    def raise_if_any(self) -> None:
        """Raise InputErrors with every error noted so far, if there is one."""
        found = list(self.errors)
        if not found:
            return
        if self.full:
            found.append(InputProblem(found[-1].file, 0, 0, f"there may be more problems than these {MAX_PROBLEMS}"))
        raise InputErrors(found, warnings=self._warnings)


def problem(position: Position, message: str, *, expected: str = "", hint: str = "") -> InputProblem:
    """One problem at a place."""
    return InputProblem(*position, message, expected, hint)


def failure(position: Position, message: str, *, expected: str = "", hint: str = "") -> InputErrors:
    """The error for one problem that is found later than while files are read."""
    return InputErrors([problem(position, message, expected=expected, hint=hint)])
