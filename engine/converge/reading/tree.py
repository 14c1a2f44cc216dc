"""What a structured text says: scalars, lists and mappings that know their line and column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from converge.model.position import Position

_NO_KEYS: Mapping[str, object] = {}


class Scalar:
    """One text, number, truth value or null.

    `block`: written as a block (| or >), so that line breaks in it are meant. `became`: what reading made of a text that
    hardly meant it; empty where it stayed what it was.
    """

    __slots__ = ("became", "block", "position", "value")

    def __init__(self, position: Position, value: object, *, block: bool = False, became: str = "") -> None:
        self.position = position
        self.value = value
        self.block = block
        self.became = became


class Listing:
    """A list."""

    __slots__ = ("items", "position")

    def __init__(self, position: Position, items: Sequence[Node]) -> None:
        self.position = position
        self.items = items


class Table:
    """A mapping, with the places of its keys. `typed` holds the keys that are no texts, as the values they stand for."""

    __slots__ = ("items", "keys", "position", "typed")

    def __init__(
        self,
        position: Position,
        items: Mapping[str, Node],
        keys: Mapping[str, Position],
        typed: Mapping[str, object] = _NO_KEYS,
    ) -> None:
        self.position = position
        self.items = items
        self.keys = keys
        self.typed = typed

    def place(self, key: str) -> Position:
        """Where a key stands."""
        return self.keys.get(key, self.position)


Node: TypeAlias = Scalar | Listing | Table
"""Aliases share a node, so nobody changes one."""


def plain(node: Node) -> object:
    """The node as Python values, without places. What an alias shares stays shared."""
    if isinstance(node, Scalar):
        return node.value
    return _plain(node, {})


def _plain(node: Node, done: dict[int, object]) -> object:
    if isinstance(node, Scalar):
        return node.value
    if id(node) not in done:
        done[id(node)] = (
            [_plain(item, done) for item in node.items]
            if isinstance(node, Listing)
            else {node.typed.get(key, key): _plain(item, done) for key, item in node.items.items()}
        )
    return done[id(node)]


def kind_of(node: Node) -> str:
    """What a node is, in words."""
    if isinstance(node, Scalar):
        names = {str: "a text", bool: "true or false", type(None): "nothing"}
        return names.get(type(node.value), "a number")
    return "a list" if isinstance(node, Listing) else "a mapping"


def place_at(node: Node, location: Sequence[int | str]) -> Position:
    """Where a location stands that leads through keys and items, as far as it leads."""
    position = node.position
    for step in location:
        if isinstance(node, Table) and str(step) in node.items:
            position, node = node.place(str(step)), node.items[str(step)]
        elif isinstance(node, Listing) and isinstance(step, int) and step < len(node.items):
            node = node.items[step]
            position = node.position
        else:
            break
    return position
