"""Values as playbooks write them, with expressions at any depth: read once, worked out for each host."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from converge.model.position import Position
from converge.playbook.expressions import CompiledExpression, Mention, parse_bare, parse_template
from converge.playbook.sandbox import truth
from converge.reading.problems import Problems, failure
from converge.reading.sandbox import MAX_TEXT, Unusable
from converge.reading.tree import Listing, Node, Scalar, Table, plain
from converge.windows.conditions import Expression as Condition

LONGEST_SHOWN = 80  # characters of a variable's value in what is said of an expression
BARE = "expr"
"""A mapping of this one key holds a bare expression, which comes to true or false."""


class Value(Protocol):
    """Something a playbook says. `constant` if it is the same for every host."""

    @property
    def constant(self) -> bool:
        """Whether no expression occurs in it."""

    def render(self, scope: Mapping[str, object]) -> object:
        """The value for one host. Raises InputErrors with the place of the expression at fault."""

    def mentions(self) -> Iterator[tuple[Mention, Position]]:
        """Every variable it names, and where."""


@dataclass(frozen=True, slots=True)
class Constant:
    """A value without expressions."""

    value: object
    constant: bool = True

    def render(self, scope: Mapping[str, object]) -> object:
        """The value."""
        return self.value

    def mentions(self) -> Iterator[tuple[Mention, Position]]:
        """None."""
        return iter(())


@dataclass(frozen=True, slots=True)
class Whole:
    """One expression and nothing else: it keeps its type."""

    expression: CompiledExpression
    position: Position
    constant: bool = False

    def render(self, scope: Mapping[str, object]) -> object:
        """What it comes to."""
        try:
            return self.expression.evaluate(scope)
        except Unusable as error:
            raise failure(self.position, error.message, hint=error.hint) from None

    def mentions(self) -> Iterator[tuple[Mention, Position]]:
        """Those of the expression."""
        return ((mention, self.position) for mention in self.expression.mentions)


@dataclass(frozen=True, slots=True)
class Truth(Whole):
    """A bare expression that comes to true or false."""

    def render(self, scope: Mapping[str, object]) -> bool:
        """Whether it holds."""
        try:
            return truth(self.expression.evaluate(scope))
        except Unusable as error:
            raise failure(self.position, error.message, hint=error.hint) from None


@dataclass(frozen=True, slots=True)
class Judged:
    """A bare expression as a condition: it remembers how it is written, and what the variables in it were."""

    truth: Truth
    written: str
    constant: bool = False

    def render(self, scope: Mapping[str, object]) -> Condition:
        """The condition it came to."""
        holds = self.truth.render(scope)
        values = [found for mention, _ in self.mentions() if (found := _shown_value(mention, scope))]
        text = " ".join(self.written.split())
        described = f"{text} (where {', '.join(dict.fromkeys(values))})" if values else text
        return Condition.of(holds=holds, written=described)

    def mentions(self) -> Iterator[tuple[Mention, Position]]:
        """Those of the expression."""
        return self.truth.mentions()


def _shown_value(mention: Mention, scope: Mapping[str, object]) -> str:
    """`NAME is VALUE` for people; empty for what is long, missing or secret."""
    if getattr(scope, "secret_used", False):
        return ""
    found: object = scope.get(mention.name)
    for attribute in mention.attributes:
        found = found.get(attribute) if isinstance(found, Mapping) else None
    if getattr(scope, "secret_used", False) or not isinstance(found, str | int | list | tuple):
        return ""
    shown = {True: "true", False: "false"}[found] if isinstance(found, bool) else str(found) or "empty"
    return f"{'.'.join((mention.name, *mention.attributes))} is {shown}" if len(shown) <= LONGEST_SHOWN else ""


@dataclass(frozen=True, slots=True)
class Text:
    """A text in which expressions occur."""

    pieces: tuple[str | CompiledExpression, ...]
    position: Position
    constant: bool = False

    def render(self, scope: Mapping[str, object]) -> str:
        """The whole text."""
        try:
            text = "".join(piece if isinstance(piece, str) else _as_text(piece, scope) for piece in self.pieces)
            if len(text) > MAX_TEXT:
                raise Unusable(f"the text grows beyond {MAX_TEXT} characters")
        except Unusable as error:
            raise failure(self.position, error.message, hint=error.hint) from None
        return text

    def mentions(self) -> Iterator[tuple[Mention, Position]]:
        """Those of its expressions."""
        for piece in self.pieces:
            if isinstance(piece, CompiledExpression):
                for mention in piece.mentions:
                    yield mention, self.position


def _as_text(piece: CompiledExpression, scope: Mapping[str, object]) -> str:
    value = piece.evaluate(scope)
    if value is None:
        raise Unusable(
            "an expression inside a text has no value", hint="give it a value: NAME | default('...', true)"
        )
    return value if isinstance(value, str) else str(value)


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list in which expressions occur."""

    items: tuple[Value, ...]
    constant: bool = False

    def render(self, scope: Mapping[str, object]) -> list[object]:
        """The list."""
        return [item.render(scope) for item in self.items]

    def mentions(self) -> Iterator[tuple[Mention, Position]]:
        """Those of its items."""
        return (found for item in self.items for found in item.mentions())


@dataclass(frozen=True, slots=True)
class TableOf:
    """A mapping in whose values expressions occur."""

    items: Mapping[str, Value]
    constant: bool = False

    def render(self, scope: Mapping[str, object]) -> dict[str, object]:
        """The mapping."""
        return {key: item.render(scope) for key, item in self.items.items()}

    def mentions(self) -> Iterator[tuple[Mention, Position]]:
        """Those of its values."""
        return (found for item in self.items.values() for found in item.mentions())


def read_value(node: Node, problems: Problems, *, conditions: bool = True) -> Value:
    """The value of a node. An expression that is not right is noted; the value then stands as it is written.

    `conditions` says whether `{expr: ...}` may occur in it; elsewhere that is a mapping like any other.
    """
    if isinstance(node, Scalar):
        return _read_text(node, problems) if isinstance(node.value, str) else Constant(node.value)
    if isinstance(node, Listing):
        items = tuple(read_value(item, problems, conditions=conditions) for item in node.items)
        return Constant(plain(node)) if all(item.constant for item in items) else ListOf(items)
    table: dict[str, Value] = {}
    for key, item in node.items.items():
        bare = conditions and is_bare(node)
        table[key] = read_truth(item, problems) if bare else read_value(item, problems, conditions=conditions)
    truth_of = table.get(BARE) if conditions and is_bare(node) else None
    if isinstance(truth_of, Truth):
        return Judged(truth_of, str(plain(node.items[BARE])))
    return Constant(plain(node)) if all(item.constant for item in table.values()) else TableOf(table)


def _read_text(node: Scalar, problems: Problems) -> Value:
    text = str(node.value)
    try:
        # A block ends in a line break that nobody means as part of an expression's value.
        pieces = parse_template(text.strip() if node.block and text.lstrip().startswith("{{") else text)
    except Unusable as error:
        problems.error(node.position, error.message, hint=error.hint)
        return Constant(text)
    if len(pieces) == 1:
        (piece,) = pieces
        return Constant(piece) if isinstance(piece, str) else Whole(piece, node.position)
    return Text(pieces, node.position)


def is_bare(node: Node) -> bool:
    """Whether a node is `{expr: ...}`."""
    return isinstance(node, Table) and len(node.items) == 1 and BARE in node.items


def read_truth(node: Node, problems: Problems) -> Value:
    """A bare expression. Anything but a text or a truth value is noted."""
    value = node.value if isinstance(node, Scalar) else None
    if isinstance(value, bool):
        return Constant(value)
    try:
        if not isinstance(value, str):
            raise Unusable("a bare expression stands here, as one text")
        return Truth(parse_bare(value), node.position)
    except Unusable as error:
        problems.error(node.position, error.message, hint=error.hint)
        return Constant(False)


def holds_expression(node: Node) -> bool:
    """Whether an expression occurs anywhere in a node."""
    if isinstance(node, Scalar):
        return isinstance(node.value, str) and "{{" in node.value
    if is_bare(node):
        return True
    children: Sequence[Node] = node.items if isinstance(node, Listing) else tuple(node.items.values())
    return any(holds_expression(child) for child in children)
