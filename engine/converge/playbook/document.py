"""A YAML file as a tree in which every value knows its line and column; bounded, and safe for any bytes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)
from ruamel.yaml.reader import ReaderError

from converge.model.change import Position
from converge.playbook.problems import Problems
from converge.playbook.scalars import corrected_path, plain_value, replaced_escapes

MAX_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 40
MAX_WEIGHT = 500_000
"""Values a file may stand for once its aliases are followed."""

_CORE = "tag:yaml.org,2002:"
_QUOTE_IT = "an expression that begins a value needs quotes: '{{ ... }}'"


@dataclass(frozen=True, slots=True)
class Scalar:
    """One text, number, truth value or null."""

    position: Position
    value: str | int | float | bool | None
    block: bool = False  # written as a block (| or >), so that line breaks in it are meant


@dataclass(frozen=True, slots=True)
class Listing:
    """A list."""

    position: Position
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A mapping, with the places of its keys."""

    position: Position
    items: Mapping[str, Node]
    keys: Mapping[str, Position] = field(default_factory=dict)

    def place(self, key: str) -> Position:
        """Where a key stands."""
        return self.keys.get(key, self.position)


Node = Scalar | Listing | Table


def plain(node: Node) -> object:
    """The node as Python values, without places."""
    if isinstance(node, Scalar):
        return node.value
    if isinstance(node, Listing):
        return [plain(item) for item in node.items]
    return {key: plain(item) for key, item in node.items.items()}


def kind_of(node: Node) -> str:
    """What a node is, in words."""
    if isinstance(node, Scalar):
        names = {str: "a text", bool: "true or false", type(None): "nothing"}
        return names.get(type(node.value), "a number")
    return "a list" if isinstance(node, Listing) else "a mapping"


def read_document(file: str, data: bytes, problems: Problems) -> Node | None:
    """The one document of a file; None once what is wrong with it is noted."""
    text = _decoded(file, data, problems)
    if text is None:
        return None
    return _Composer(file, text, problems).document()


def _decoded(file: str, data: bytes, problems: Problems) -> str | None:
    whole = Position(file, 0, 0)
    if len(data) > MAX_BYTES:
        problems.add(whole, f"the file is larger than {MAX_BYTES // 2**20} MiB")
        return None
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        problems.add(whole, "the file is UTF-16", expected="UTF-8", hint="save it again as UTF-8")
        return None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1
        message = f"the byte 0x{data[error.start]:02x} is no UTF-8"
        problems.add(Position(file, line, column), message, expected="UTF-8", hint="save the file again as UTF-8")
        return None


def _quoted_at(line: str, mark: Any) -> str:
    """The text in double quotes around a mark of the parser."""
    column = mark.column if mark else 0
    text = line[line.rfind('"', 0, column) + 1 :].partition('"')[0]
    return text if 0 < len(text) <= 260 and column <= len(line) else r"C:\folder\file"


_LEFT_OPEN = {
    "while parsing a flow sequence": ("list", "[", "]"),
    "while parsing a flow mapping": ("mapping", "{", "}"),
    "while scanning a quoted scalar": ("text", "a quote", "the same quote"),
}
"""What the parser was at when it broke off: what that is called, how it begins, and how it ends."""


class _BrokenOff(Exception):
    """The problem is noted, and the rest of the file makes no sense."""


class _Composer:
    """Builds the tree from the parser's events, which come without recursion and so can be bounded."""

    def __init__(self, file: str, text: str, problems: Problems) -> None:
        self._file = file
        self._text = text
        self._problems = problems
        self._anchors: dict[str, tuple[Node, int]] = {}

    def document(self) -> Node | None:
        parser = YAML(typ="safe", pure=True)
        try:
            return self._stream(iter(parser.parse(self._text)))
        except _BrokenOff:
            return None
        except MarkedYAMLError as error:
            self._syntax(error)
        except ReaderError as error:
            before = self._text[: error.position]
            position = Position(self._file, before.count("\n") + 1, len(before) - before.rfind("\n"))
            character = f"U+{ord(self._text[error.position]):04X}" if error.position < len(self._text) else ""
            self._problems.add(position, f"the character {character} may not stand in YAML")
        except Exception:  # noqa: BLE001 - the parser is not total: it stumbles in many ways on hostile text
            self._problems.add(Position(self._file, 0, 0), "this is no YAML")
        return None

    def _syntax(self, error: MarkedYAMLError) -> None:
        if self._left_open(error):
            return
        mark = error.problem_mark or error.context_mark
        position = Position(self._file, mark.line + 1, mark.column + 1) if mark else Position(self._file, 0, 0)
        message = " ".join(part for part in (error.problem, error.context) if part) or "this is no YAML"
        line = "".join(self._text.split("\n")[mark.line : mark.line + 1]) if mark else ""
        expected = hint = ""
        if "escape" in message or "hexadecimal" in message:
            expected = "single quotes around a text with backslashes"
            hint = (
                f"between double quotes a backslash begins an escape: write '{_quoted_at(line, mark)}' in single quotes"
            )
        elif "'\\t'" in message:
            message, expected = "a tab stands where YAML allows only blanks", "indentation by blanks"
        elif "{{" in line:
            hint = _QUOTE_IT
        elif "mapping values are not allowed" in message:
            hint = "a text that holds a colon and a blank needs quotes; or the line is indented differently from its neighbours"
        self._problems.add(position, message, expected=expected, hint=hint)

    def _left_open(self, error: MarkedYAMLError) -> bool:
        """Note a bracket or a quote that is not closed, where it begins; False if the error is another one."""
        begun, found = error.context_mark, error.problem_mark
        if error.context not in _LEFT_OPEN or begun is None or found is None:
            return False
        what, begins, ends = _LEFT_OPEN[error.context]
        line = self._text.split("\n")[begun.line]
        hint = _QUOTE_IT if "{{" in line else ""
        if begun.line == found.line and "end" not in (error.problem or ""):
            position = Position(self._file, found.line + 1, found.column + 1)
            expected = f"a comma before the next item of the {what}, or {ends} at its end"
            self._problems.add(position, f"a comma or {ends} is missing before this", expected=expected, hint=hint)
        else:
            position = Position(self._file, begun.line + 1, begun.column + 1)
            message = f"the {what} that begins with {begins} here is not closed"
            self._problems.add(position, message, expected=f"{ends} at its end", hint=hint)
        return True

    def _stream(self, events: Iterator[Event]) -> Node:
        root: Node | None = None
        seen = False
        for event in events:
            if isinstance(event, DocumentStartEvent):
                if seen:
                    self._fail(event, "a second document begins", expected="one document in a file")
                seen = True
            elif isinstance(event, StreamEndEvent):
                break
            elif isinstance(event, ScalarEvent | MappingStartEvent | SequenceStartEvent | AliasEvent):
                root, _ = self._node(event, events, depth=0, key="")
        return root or Scalar(Position(self._file, 0, 0), None)

    def _node(self, event: Event, events: Iterator[Event], *, depth: int, key: str) -> tuple[Node, int]:
        """The node that begins with an event, and how many values it stands for."""
        if isinstance(event, AliasEvent):
            known = self._anchors.get(event.anchor)
            if known is None:
                self._fail(event, f"*{event.anchor} names no anchor before it, or one around it")
            return known
        if depth > MAX_DEPTH:
            self._fail(event, f"this is nested deeper than {MAX_DEPTH} levels")
        node: Node
        if isinstance(event, ScalarEvent):
            node, weight = self._scalar(event, key=key), 1
        elif isinstance(event, SequenceStartEvent):
            node, weight = self._listing(event, events, depth=depth, key=key)
        elif isinstance(event, MappingStartEvent):
            node, weight = self._table(event, events, depth=depth)
        else:
            self._fail(event, "a value stands here")
        if weight > MAX_WEIGHT:
            self._fail(event, f"this stands for more than {MAX_WEIGHT} values once its aliases are followed")
        if event.anchor:
            self._anchors[event.anchor] = (node, weight)
        return node, weight

    def _scalar(self, event: ScalarEvent, *, key: str) -> Scalar:
        position = self._position(event)
        text = str(event.value)
        tag = str(event.tag) if event.tag else ""
        if tag and tag not in (_CORE + "str", "!"):
            hint = "put it into the inventory" if "vault" in tag else "leave the tag out"
            self._problems.add(position, f"the tag {tag} is not known in a playbook", hint=hint)
        if event.style == '"' and (better := corrected_path(text, key=key)):
            message = f"the path holds {replaced_escapes(text)}: between double quotes a backslash begins an escape"
            self._problems.add(position, message, expected="a path", hint=f"write '{better}' in single quotes")
        if event.style or tag:
            return Scalar(position, text, block=event.style in ("|", ">"))
        return Scalar(position, plain_value(text))

    def _listing(
        self, start: SequenceStartEvent, events: Iterator[Event], *, depth: int, key: str
    ) -> tuple[Listing, int]:
        self._check_tag(start)
        items: list[Node] = []
        weight = 1
        for event in events:
            if isinstance(event, SequenceEndEvent):
                break
            node, size = self._node(event, events, depth=depth + 1, key=key)
            items.append(node)
            weight += size
        return Listing(self._position(start), tuple(items)), weight

    def _table(self, start: MappingStartEvent, events: Iterator[Event], *, depth: int) -> tuple[Table, int]:
        self._check_tag(start)
        items: dict[str, Node] = {}
        keys: dict[str, Position] = {}
        merged: list[Node] = []
        weight = 1
        for event in events:
            if isinstance(event, MappingEndEvent):
                break
            key = self._key(event, start)
            node, size = self._node(next(events), events, depth=depth + 1, key=key)
            weight += size
            if key == "<<":
                merged.append(node)
            elif key in items:
                self._problems.add(
                    self._position(event), f"the key {key} stands here twice", hint=f"first in line {keys[key].line}"
                )
            else:
                items[key], keys[key] = node, self._position(event)
        for node in merged:
            self._merge(node, items, keys)
        return Table(self._position(start), items, keys), weight

    def _key(self, event: Event, start: MappingStartEvent) -> str:
        if not isinstance(event, ScalarEvent):
            flow = isinstance(event, MappingStartEvent) and event.flow_style and start.flow_style
            self._fail(event, "a key must be a text", hint=_QUOTE_IT if flow else "")
        value = event.value if event.style else plain_value(str(event.value))
        if value is None or isinstance(value, float):
            self._problems.add(self._position(event), "a key must be a text", hint="put it in quotes")
        return str(event.value)

    def _merge(self, node: Node, items: dict[str, Node], keys: dict[str, Position]) -> None:
        """`<<: *other`: the other's keys stand here too, except those that stand here already."""
        for source in node.items if isinstance(node, Listing) else (node,):
            if not isinstance(source, Table):
                self._problems.add(source.position, f"<< takes a mapping, not {kind_of(source)}")
                continue
            for key, item in source.items.items():
                if key not in items:
                    items[key], keys[key] = item, source.place(key)

    def _check_tag(self, event: SequenceStartEvent | MappingStartEvent) -> None:
        if event.tag and str(event.tag) not in (_CORE + "seq", _CORE + "map", "!"):
            self._problems.add(self._position(event), f"the tag {event.tag} is not known", hint="leave it out")

    def _position(self, event: Event) -> Position:
        mark = event.start_mark
        return Position(self._file, mark.line + 1, mark.column + 1)

    def _fail(self, event: Event, message: str, *, expected: str = "", hint: str = "") -> NoReturn:
        self._problems.add(self._position(event), message, expected=expected, hint=hint)
        raise _BrokenOff
