"""Reads the YAML that large inventories are written in, forty times as fast as a whole parser: nested mappings of words.

Anything else (quotes with escapes, lists, anchors, tags, long texts, mistakes) makes `read` return None, and the
whole parser takes over, which also tells of mistakes. So this file never decides what is wrong, and what it does read
it reads exactly as the whole parser would (a property test compares them).
"""

from __future__ import annotations

import re

from converge.inventory.scalars import became, yaml_value
from converge.inventory.tree import MAX_DEPTH, Node, Pairs

MAX_LINE = 1000
"""A longer line is left to the whole parser: matching is quadratic in runs of spaces."""

_SPOILED = re.compile(r"[^\n -~]")
_WORD = r"[A-Za-z0-9_./\\~$(][A-Za-z0-9_./\\@+=~$()|^;<>%*&?! -]*"
_LINE = re.compile(
    rf"""(?P<indent>\ *)(?P<key>[A-Za-z0-9_][A-Za-z0-9_.-]*):
         (?:\ +(?: '(?P<single>[^'\\{{}}%]*)' | "(?P<double>[^"\\{{}}%]*)"
                 | \{{(?P<flow>[^{{}}\[\]"'\#:]*(?::\ [^{{}}\[\]"'\#:]*)*)\}} | (?P<word>{_WORD}) ))?
         \ *(?:\ \#.*)?""",
    re.VERBOSE,
)
_NOTHING = re.compile(r" *(?:#.*)?")
_FLOW_PAIR = re.compile(r" *([A-Za-z0-9_][A-Za-z0-9_.-]*): +([A-Za-z0-9_./\\][A-Za-z0-9_./\\@+=-]*) *")


def read(text: str) -> Node | None:
    """The document, or None if it is not of the plain sort."""
    if _SPOILED.search(text):
        return None
    lines = text.split("\n")
    start = 1 if lines[0] == "---" else 0
    document = _Document()
    for number, line in enumerate(lines[start:], start=start + 1):
        if len(line) > MAX_LINE:
            return None
        match = _LINE.fullmatch(line)
        if match is None:
            if _NOTHING.fullmatch(line):
                continue
            return None
        if not document.add(match, number):
            return None
    return document.root


class _Document:
    """The mappings that the next line may add to, by their indentation."""

    def __init__(self) -> None:
        self.root: Node | None = None
        self._open: list[tuple[int, Pairs]] = []
        self._waiting: Node | None = None
        """The node of a key without a value: what is indented deeper belongs to it."""

    def add(self, match: re.Match[str], number: int) -> bool:
        """Add a line. False: it is beyond this reader."""
        indent = match.end("indent")
        pairs = self._pairs_at(indent, number)
        node = _value(match, number)
        if pairs is None or node is None:
            return False
        key = yaml_value(match["key"])
        if key in pairs:
            return False
        pairs[key] = ((number, indent + 1), node)
        self._waiting = node if match.lastgroup == "key" else None
        return True

    def _pairs_at(self, indent: int, number: int) -> Pairs | None:
        if self.root is None or (self._open and indent > self._open[-1][0]):
            if self.root is None:
                self.root = parent = Node(None, 0, 0)
            elif self._waiting is None or len(self._open) >= MAX_DEPTH - 1:
                return None
            else:
                parent = self._waiting
            pairs: Pairs = {}
            parent.value, parent.line, parent.column = pairs, number, indent + 1
            self._open.append((indent, pairs))
            return pairs
        while self._open and self._open[-1][0] > indent:
            self._open.pop()
        return self._open[-1][1] if self._open and self._open[-1][0] == indent else None


def _value(match: re.Match[str], number: int) -> Node | None:
    kind = match.lastgroup or ""
    column = match.start(kind) + 1
    if kind == "word":
        return _scalar(match["word"].rstrip(" "), number, column)
    if kind in ("single", "double"):
        return Node(match[kind], number, column - 1)
    if kind == "flow":
        return _flow(match["flow"], number=number, column=column - 1)
    return Node(None, number, match.end("key") + 2)


def _scalar(text: str, number: int, column: int) -> Node:
    value = yaml_value(text)
    return Node(value, number, column, "" if value is text else became(text, value))


def _flow(text: str, *, number: int, column: int) -> Node | None:
    pairs: Pairs = {}
    at = column + 1
    for piece in text.split(","):
        match = _FLOW_PAIR.fullmatch(piece)
        if match is None:
            return None
        key = yaml_value(match[1])
        if key in pairs:
            return None
        mark = (number, at + match.start(1))
        pairs[key] = (mark, _scalar(match[2], number, at + match.start(2)))
        at += len(piece) + 1
    return Node(pairs, number, column)
