"""What an inventory says: each value with the place where it was said."""

from __future__ import annotations

from typing import NamedTuple

from converge.model.position import Position
from converge.reading.tree import Node, plain


class Variable(NamedTuple):
    """The value of a variable as it was written, not yet rendered."""

    value: object
    place: Position


def variable(node: Node, *, place: Position) -> Variable:
    """A node as the value of a variable whose name stands at `place`."""
    return Variable(plain(node), place)
