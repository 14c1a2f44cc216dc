"""YAML as Ansible reads it (version 1.1, `!vault`, `!unsafe`), as a tree in which every node knows its line and column."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Final, TypeAlias

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from converge.inventory import yaml_plain
from converge.inventory.scalars import became, yaml_value
from converge.inventory.tree import MAX_DEPTH, Mark, Node, Pairs
from converge.inventory.values import Findings, Place, Unsafe
from converge.model.secret import Locked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ruamel.yaml.events import Event

MAX_GROWTH = 10
MAX_WEIGHT = 100_000
"""A document may stand for this many values, and ten times as many as it writes out, once its aliases are followed."""

VAULT_HEADER = "$ANSIBLE_VAULT;"
_CORE: Final = "tag:yaml.org,2002:"
_TEXT_TAGS = frozenset({_CORE + "str", "!"})
_CONVERTED_TAGS = frozenset(_CORE + name for name in ("int", "float", "bool", "null"))
_VAULT_TAGS = frozenset({"!vault", "!vault-encrypted"})


def read_yaml(text: str, *, file: str, findings: Findings) -> Node | None:
    """The one document of a YAML text; a node holding None if it is empty; None once its problems are noted."""
    if (quick := yaml_plain.read(text)) is not None:
        return quick
    return _Composer(text, file=file, findings=findings).document()


_NodeStart: TypeAlias = ScalarEvent | MappingStartEvent | SequenceStartEvent
_NodeEvent: TypeAlias = _NodeStart | AliasEvent


class _Stop(Exception):
    """The problem is noted; the rest of the document makes no sense."""


class _Composer:
    def __init__(self, text: str, *, file: str, findings: Findings) -> None:
        self._text = text
        self._file = file
        self._findings = findings
        self._anchors: dict[str, tuple[Node, int]] = {}
        self._depth = 0
        self._written = 0

    def document(self) -> Node | None:
        noted = len(self._findings.errors)
        parser = YAML(typ="safe", pure=True)
        parser.version = "1.1"
        try:
            node = self._stream(iter(parser.parse(self._text)))
        except _Stop:
            return None
        except MarkedYAMLError as error:
            self._syntax(error)
            return None
        except Exception as error:  # noqa: BLE001 - the parser raises many kinds on hostile text; all are the text's fault
            self._findings.error(Place(self._file), f"is no YAML: {_reason(error)}")
            return None
        return node if len(self._findings.errors) == noted else None

    def _syntax(self, error: MarkedYAMLError) -> None:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        message = ", ".join(part for part in (error.context, error.problem) if part) or "is no YAML"
        hint = "indent with spaces, YAML knows no tabs" if "\\t" in message else ""
        if "mapping values are not allowed" in message:
            hint = "quote texts that hold a colon and a space"
        self._findings.error(Place(self._file, line, column), message, hint=hint)

    def _stream(self, events: Iterator[Event]) -> Node:
        root: Node | None = None
        for event in events:
            if isinstance(event, DocumentStartEvent) and root is not None:
                self._error(event, "a second document starts", expected="one document in a file")
                raise _Stop
            if isinstance(event, StreamEndEvent):
                break
            if isinstance(event, ScalarEvent | MappingStartEvent | SequenceStartEvent | AliasEvent):
                root, _ = self._node(event, events)
        return root or Node(None, 1, 1)

    def _node(self, event: _NodeEvent, events: Iterator[Event]) -> tuple[Node, int]:
        """The node that starts with `event`, and how many values it stands for."""
        if isinstance(event, AliasEvent):
            return self._alias(event)
        self._depth += 1
        self._written += 1
        if self._depth > MAX_DEPTH:
            self._error(event, f"is nested deeper than {MAX_DEPTH} levels")
            raise _Stop
        line, column = _mark(event)
        weight = 1
        if isinstance(event, ScalarEvent):
            node = Node(self._scalar(event), line, column)
            if event.tag is None and event.style is None:
                node.became = became(str(event.value), node.value)
        elif isinstance(event, SequenceStartEvent):
            items, weight = self._sequence(event, events)
            node = Node(items, line, column)
        else:
            pairs, weight = self._mapping(event, events)
            node = Node(pairs, line, column)
        if weight > MAX_WEIGHT + MAX_GROWTH * self._written:
            self._error(event, "stands for too many values once its aliases are followed")
            raise _Stop
        self._depth -= 1
        if event.anchor:
            self._anchors[event.anchor] = (node, weight)
        return node, weight

    def _alias(self, event: AliasEvent) -> tuple[Node, int]:
        known = self._anchors.get(event.anchor)
        if known is None:
            self._error(event, f"*{event.anchor} refers to no anchor before it, or to itself")
            raise _Stop
        return known

    def _sequence(self, start: SequenceStartEvent, events: Iterator[Event]) -> tuple[list[Node], int]:
        self._check_collection_tag(start)
        items: list[Node] = []
        weight = 1
        for event in events:
            if isinstance(event, SequenceEndEvent):
                break
            node, size = self._node(_node_event(event), events)
            items.append(node)
            weight += size
        return items, weight

    def _mapping(self, start: MappingStartEvent, events: Iterator[Event]) -> tuple[Pairs, int]:
        self._check_collection_tag(start)
        pairs: Pairs = {}
        merged: list[Node] = []
        weight = 1
        for event in events:
            if isinstance(event, MappingEndEvent):
                break
            merge = isinstance(event, ScalarEvent) and event.value == "<<" and event.style is None
            key, _ = self._node(_node_event(event), events)
            value, size = self._node(_node_event(next(events)), events)
            weight += size + 1
            if merge:
                merged.extend(value.value if isinstance(value.value, list) else [value])
            else:
                self._add(pairs, key=key, value=value, mark=_mark(event))
        return self._merge(pairs, merged), weight

    def _add(self, pairs: Pairs, *, key: Node, value: Node, mark: Mark) -> None:
        name = key.value
        if isinstance(name, dict | list | Locked):
            self._findings.error(Place(self._file, *mark), "is no key", expected="a text left of the colon")
        elif name in pairs:
            first = pairs[name][0][0]
            self._findings.error(
                Place(self._file, *mark), f"duplicate key {str(name)[:100]}", hint=f"it stands in line {first} already"
            )
        else:
            pairs[name] = (mark, value)

    def _merge(self, pairs: Pairs, merged: list[Node]) -> Pairs:
        """`<<: *defaults` fills in what the mapping does not say itself; the earlier of several wins."""
        for node in merged:
            if not isinstance(node.value, dict):
                self._findings.error(
                    Place(self._file, node.line, node.column), "is nothing to merge", expected="a mapping right of <<:"
                )
                continue
            for key, pair in node.value.items():
                pairs.setdefault(key, pair)
        return pairs

    def _check_collection_tag(self, event: MappingStartEvent | SequenceStartEvent) -> None:
        if event.tag not in (None, "!", _CORE + "map", _CORE + "seq"):
            self._unknown_tag(event)

    def _scalar(self, event: ScalarEvent) -> object:
        tag, value = event.tag, str(event.value)
        if tag is None:
            return yaml_value(value) if event.style is None else value
        if tag in _TEXT_TAGS:
            return value
        if tag == "!unsafe":
            return Unsafe(value)
        if tag in _VAULT_TAGS:
            return Locked(f"encrypted with Ansible Vault, {self._file}:{_mark(event)[0]}")
        if tag in _CONVERTED_TAGS:
            return yaml_value(value)
        if tag == _CORE + "binary":
            try:
                return base64.b64decode(value).decode("utf-8", "replace")
            except binascii.Error:
                self._error(event, "is no base64")
                return None
        self._unknown_tag(event)
        return None

    def _unknown_tag(self, event: _NodeStart) -> None:
        self._error(event, f"unknown tag {str(event.tag)[:60]}", expected="a plain value, !vault or !unsafe")

    def _error(self, event: Event, message: str, *, expected: str = "") -> None:
        self._findings.error(Place(self._file, *_mark(event)), message, expected=expected)


def _node_event(event: Event) -> _NodeEvent:
    """What the parser gives between the start and the end of a collection is a node."""
    assert isinstance(event, ScalarEvent | MappingStartEvent | SequenceStartEvent | AliasEvent)
    return event


def _mark(event: Event) -> Mark:
    return event.start_mark.line + 1, event.start_mark.column + 1


def _reason(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
