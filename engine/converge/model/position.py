"""A place in a file that a user wrote."""

from __future__ import annotations

from typing import NamedTuple


class Position(NamedTuple):
    """A file, and a line and column in it that count from 1; line 0 means the whole file."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file
