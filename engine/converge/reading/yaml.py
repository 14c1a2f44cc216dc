"""A YAML file as a tree in which every value knows its line and column; bounded, and safe for any text.

The events are those of libyaml, with which Ansible reads too; it parses without recursion. Two dialects differ in what
a word without quotes stands for: in converge's own files what YAML versions disagree about (010, 1_000, 1:30, dates)
stays a text; what Ansible reads too is YAML 1.1 with `!vault` and `!unsafe`, as there.
"""

from __future__ import annotations

import base64
import re
from typing import Any, NoReturn

from yaml import MarkedYAMLError, YAMLError
from yaml.events import (
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

try:
    from yaml import CSafeLoader as Parser
except ImportError:  # PyYAML was built without libyaml: the same events, ten times slower
    from yaml import SafeLoader as Parser  # type: ignore[assignment]  # only its events are used

from converge.model.position import Position
from converge.model.secret import Locked
from converge.reading.escapes import corrected_path, replaced_escapes
from converge.reading.problems import Problems
from converge.reading.scalars import Unsafe, became, plain_value, yaml_value
from converge.reading.tree import Listing, Node, Scalar, Table, kind_of

MAX_DEPTH = 40
MAX_GROWTH = 10
MAX_WEIGHT = 100_000
"""A document may stand for this many values, and ten times as many as it writes out, once its aliases are followed."""
VAULT_HEADER = "$ANSIBLE_VAULT;"

_CORE = "tag:yaml.org,2002:"
_TEXT_TAGS = frozenset({_CORE + "str", "!"})
_CONVERTED_TAGS = frozenset(_CORE + name for name in ("int", "float", "bool", "null"))
_VAULT_TAGS = frozenset({"!vault", "!vault-encrypted"})
_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")
"""What the parser counts as the end of a line."""
_QUOTE_IT = "an expression that begins a value needs quotes: '{{ ... }}'"
_INDENTATION = "look at the indentation of this line and of those above"
_UNCLOSED = {
    "while parsing a flow sequence": ("list", "[", "]"),
    "while parsing a flow mapping": ("mapping", "{", "}"),
    "while scanning a quoted scalar": ("text", "a quote", "the same quote"),
}
"""What the parser was at when it broke off: what that is called, how it begins, and how it ends."""
_IN_PLAIN_WORDS = {
    "did not find expected '-' indicator": ("this is no item of the list above", "a dash, or other indentation"),
    "did not find expected key": ("this does not belong to the mapping above", "`key: value`, indented like its neighbours"),
    "could not find expected ':'": ("a colon is missing after this", "`key: value`"),
    "did not find expected node content": ("a value, or the closing bracket, is missing here", ""),
    "block sequence entries are not allowed in this context": ("a list cannot begin on this line", "the dash on a line of its own"),
    "found character that cannot start any token": ("a text cannot begin with this character", "quotes around it"),
}  # fmt: skip


def read_yaml(text: str, *, file: str, problems: Problems, ansible: bool = False) -> Node | None:
    """The one document of a YAML text; None once what is wrong with it is noted. An empty one holds the scalar None."""
    return _Composer(text, file=file, problems=problems, ansible=ansible).document()


class _BrokenOff(Exception):
    """The problem is noted, and the rest of the file makes no sense."""


class _Composer:
    """Builds the tree from the parser's events."""

    def __init__(self, text: str, *, file: str, problems: Problems, ansible: bool) -> None:
        self._text = text
        self._file = file
        self._problems = problems
        self._ansible = ansible
        self._value = yaml_value if ansible else plain_value
        self._anchors: dict[str, tuple[Node, int]] = {}
        self._written = 0
        self._next: Any = None

    def document(self) -> Node | None:
        noted = len(self._problems)
        try:
            self._require_printable()
            self._next = Parser(self._text).get_event
            root = self._stream()
        except _BrokenOff:
            return None
        except MarkedYAMLError as error:
            self._syntax(error)
            return None
        except YAMLError:
            self._problems.error(Position(self._file), "this is not YAML")
            return None
        return root if len(self._problems) == noted or not self._ansible else None

    def _require_printable(self) -> None:
        if found := _FORBIDDEN.search(self._text):
            before = self._text[: found.start()]
            position = Position(self._file, before.count("\n") + 1, len(before) - before.rfind("\n"))
            self._problems.error(position, f"the character U+{ord(found[0]):04X} may not stand in YAML")
            raise _BrokenOff

    def _stream(self) -> Node:
        root: Node | None = None
        seen = False
        while not isinstance(event := self._next(), StreamEndEvent):
            if isinstance(event, DocumentStartEvent):
                if seen:
                    self._fail(event, "a second document begins", expected="one document in a file")
                seen = True
            elif isinstance(event, ScalarEvent | MappingStartEvent | SequenceStartEvent | AliasEvent):
                root, _ = self._node(event, depth=0, key="")
        return root or Scalar(Position(self._file), None)

    def _node(self, event: Event, *, depth: int, key: str) -> tuple[Node, int]:
        """The node that begins with an event, and how many values it stands for."""
        self._written += 1
        if depth > MAX_DEPTH:
            self._fail(event, f"this is nested deeper than {MAX_DEPTH} levels")
        node: Node
        if isinstance(event, ScalarEvent):
            node, weight = self._scalar(event, key=key), 1
        elif isinstance(event, AliasEvent):
            known = self._anchors.get(str(event.anchor))
            if known is None:
                self._fail(event, f"*{event.anchor} names no anchor before it, or one around it")
            return known
        elif isinstance(event, SequenceStartEvent):
            node, weight = self._listing(event, depth=depth, key=key)
        else:
            assert isinstance(event, MappingStartEvent)  # nothing else stands where a value may
            node, weight = self._table(event, depth=depth)
        if weight > MAX_WEIGHT + MAX_GROWTH * self._written:
            self._fail(event, "this stands for too many values once its aliases are followed")
        if event.anchor:
            self._anchors[event.anchor] = (node, weight)
        return node, weight

    def _listing(self, start: SequenceStartEvent, *, depth: int, key: str) -> tuple[Listing, int]:
        self._check_tag(start)
        items: list[Node] = []
        weight = 1
        while not isinstance(event := self._next(), SequenceEndEvent):
            node, size = self._node(event, depth=depth + 1, key=key)
            items.append(node)
            weight += size
        return Listing(self._position(start), items), weight

    def _table(self, start: MappingStartEvent, *, depth: int) -> tuple[Table, int]:
        self._check_tag(start)
        items: dict[str, Node] = {}
        keys: dict[str, Position] = {}
        typed: dict[str, object] = {}
        merged: list[Node] = []
        weight = 1
        while not isinstance(event := self._next(), MappingEndEvent):
            key = self._key(event, start, typed)
            node, size = self._node(self._next(), depth=depth + 1, key=key)
            weight += size + 1
            if key == "<<" and not event.style:
                merged.append(node)
            elif key in items:
                message = f"the key {key[:100]} stands here twice"
                self._problems.error(self._position(event), message, hint=f"first in line {keys[key].line}")
            else:
                items[key], keys[key] = node, self._position(event)
        for node in merged:
            self._merge(node, items, keys)
        return Table(self._position(start), items, keys, typed), weight

    def _key(self, event: Event, start: MappingStartEvent, typed: dict[str, object]) -> str:
        """The key as it is written; one that is no text is also noted in `typed`."""
        if not isinstance(event, ScalarEvent):
            flow = isinstance(event, MappingStartEvent) and event.flow_style and start.flow_style
            self._fail(event, "a key must be a text", hint=_QUOTE_IT if flow else "")
        text = str(event.value)
        value = text if event.style else self._value(text)
        if event.tag:
            value = self._tagged(event, self._position(event))
        if not isinstance(value, str):
            if isinstance(value, Locked) or (not self._ansible and (value is None or isinstance(value, float))):
                self._problems.error(self._position(event), "a key must be a text", hint="put it in quotes")
            typed[text] = value
        return text

    def _merge(self, node: Node, items: dict[str, Node], keys: dict[str, Position]) -> None:
        """`<<: *other`: the other's keys stand here too, except those that stand here already; the earlier of several wins."""
        for source in node.items if isinstance(node, Listing) else (node,):
            if not isinstance(source, Table):
                self._problems.error(source.position, f"<< takes a mapping, not {kind_of(source)}")
                continue
            for key, item in source.items.items():
                if key not in items:
                    items[key], keys[key] = item, source.place(key)

    def _scalar(self, event: ScalarEvent, *, key: str) -> Scalar:
        position = self._position(event)
        text = str(event.value)
        if event.tag:
            return Scalar(position, self._tagged(event, position), block=event.style in ("|", ">"))
        if not event.style:
            value = self._value(text)
            return Scalar(position, value, became="" if value is text else became(text, value))
        if event.style == '"' and not self._ansible and (better := corrected_path(text, key=key)):
            message = f"the path holds {replaced_escapes(text)}: between double quotes a backslash begins an escape"
            self._problems.error(position, message, expected="a path", hint=f"write '{better}' in single quotes")
        return Scalar(position, text, block=event.style in ("|", ">"))

    def _tagged(self, event: ScalarEvent, position: Position) -> object:
        """The value of a scalar that has a tag."""
        tag, text = str(event.tag), str(event.value)
        if tag in _TEXT_TAGS:
            return text
        if not self._ansible:
            hint = "put it into the inventory" if "vault" in tag else "leave the tag out"
            self._problems.error(position, f"the tag {tag[:60]} is not known in a playbook", hint=hint)
            return text
        if tag == "!unsafe":
            return Unsafe(text)
        if tag in _VAULT_TAGS:
            return Locked(f"encrypted with Ansible Vault, {position}")
        if tag in _CONVERTED_TAGS:
            return yaml_value(text)
        if tag == _CORE + "binary":
            try:
                return base64.b64decode(text).decode("utf-8", "replace")
            except ValueError:
                self._problems.error(position, "this is not base64")
                return None
        self._problems.error(position, f"the tag {tag[:60]} is not known", expected="a plain value, !vault or !unsafe")
        return None

    def _check_tag(self, event: SequenceStartEvent | MappingStartEvent) -> None:
        if event.tag and str(event.tag) not in (_CORE + "seq", _CORE + "map", "!"):
            self._problems.error(
                self._position(event), f"the tag {str(event.tag)[:60]} is not known", hint="leave it out"
            )

    def _position(self, event: Event) -> Position:
        mark = event.start_mark
        assert mark is not None  # the parser marks every event
        return Position(self._file, mark.line + 1, mark.column + 1)

    def _fail(self, event: Event, message: str, *, expected: str = "", hint: str = "") -> NoReturn:
        self._problems.error(self._position(event), message, expected=expected, hint=hint)
        raise _BrokenOff

    def _syntax(self, error: MarkedYAMLError) -> None:
        if self._is_unclosed(error):
            return
        mark = error.problem_mark or error.context_mark
        position = Position(self._file, mark.line + 1, mark.column + 1) if mark else Position(self._file)
        problem = str(error.problem or "this is not YAML")
        line = self._line(mark.line) if mark else ""
        message, expected = _IN_PLAIN_WORDS.get(problem, (problem, ""))
        hint = _INDENTATION if problem in _IN_PLAIN_WORDS else ""
        if "escape" in problem or "hexdecimal" in problem:
            expected = "single quotes around a text with backslashes"
            meant = _quoted_at(line, mark)
            hint = f"between double quotes a backslash begins an escape: write '{meant}' in single quotes"
        elif "tab character" in problem or line[position.column - 1 : position.column] == "\t":
            message, expected, hint = "a tab stands where YAML allows only blanks", "indentation by blanks", ""
        elif "{{" in line:
            hint = _QUOTE_IT
        elif "mapping values are not allowed" in problem:
            hint = "a text that holds a colon and a blank needs quotes; or the line is indented differently from its neighbours"
        self._problems.error(position, message, expected=expected, hint=hint)

    def _line(self, number: int) -> str:
        return "".join(_BREAK.split(self._text)[number : number + 1])

    def _is_unclosed(self, error: MarkedYAMLError) -> bool:
        """Note a bracket or a quote that is not closed, where it begins; False if the error is another one."""
        begun, found = error.context_mark, error.problem_mark
        if error.context not in _UNCLOSED or begun is None or found is None or "escape" in str(error.problem):
            return False
        what, begins, ends = _UNCLOSED[error.context]
        line = self._line(begun.line)
        hint = _QUOTE_IT if "{{" in line else ""
        if begun.line == found.line and "end" not in (error.problem or ""):
            position = Position(self._file, found.line + 1, found.column + 1)
            expected = f"a comma before the next item of the {what}, or {ends} at its end"
            self._problems.error(position, f"a comma or {ends} is missing before this", expected=expected, hint=hint)
        else:
            position = Position(self._file, begun.line + 1, begun.column + 1)
            message = f"the {what} that begins with {begins} here is not closed"
            self._problems.error(position, message, expected=f"{ends} at its end", hint=hint)
        return True


def _quoted_at(line: str, mark: Any) -> str:
    """The text in double quotes around a mark of the parser."""
    column = mark.column if mark else 0
    text = line[line.rfind('"', 0, column + 1) + 1 :].partition('"')[0]
    return text if 0 < len(text) <= 260 and column <= len(line) else r"C:\folder\file"
