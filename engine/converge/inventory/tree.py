"""What every reader of structured text (YAML, JSON) makes of it: nodes that know their line and column."""

from __future__ import annotations

from typing import TypeAlias

from converge.inventory.values import Place, Variable

MAX_DEPTH = 64
"""Levels of a document. An inventory needs two for each level of groups."""

Mark: TypeAlias = tuple[int, int]
"""Line and column, from 1."""


class Node:
    """A scalar, a list of nodes, or pairs: keys with their marks and nodes. Aliases share a node, so nobody changes one."""

    __slots__ = ("became", "column", "line", "value")

    def __init__(self, value: object, line: int, column: int, became: str = "") -> None:
        self.value = value
        self.became = became
        """What reading made of a text that hardly meant it; empty where it stayed what it was."""
        self.line = line
        self.column = column


Pairs: TypeAlias = dict[object, tuple[Mark, Node]]


def plain(node: Node) -> object:
    """The value of a node without its places. What an alias shares stays shared."""
    return _plain(node, {})


def _plain(node: Node, done: dict[int, object]) -> object:
    value = node.value
    if not isinstance(value, dict | list):
        return value
    if id(node) not in done:
        done[id(node)] = (
            {key: _plain(child, done) for key, (_, child) in value.items()}
            if isinstance(value, dict)
            else [_plain(child, done) for child in value]
        )
    return done[id(node)]


def variable(node: Node, *, file: str, mark: Mark) -> Variable:
    """A node as the value of a variable whose name stands at `mark`."""
    value = node.value
    return Variable(plain(node) if isinstance(value, dict | list) else value, Place(file, *mark))
