"""What an inventory says: each value with the place where it was said."""

from __future__ import annotations

from typing import NamedTuple

from converge.model.position import Position

MAX_BYTES = 64 * 1024 * 1024
"""Of one file: an inventory of 100,000 hosts with a dozen variables each has a third of this."""


class Variable(NamedTuple):
    """The value of a variable as it was written, not yet rendered."""

    value: object
    place: Position
