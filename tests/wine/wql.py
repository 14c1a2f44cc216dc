"""WQL: SELECT with conditions and ASSOCIATORS OF, read into a small tree that can be asked about a row."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

from tests.wine.soap import CimValue, Row

_TOKEN = re.compile(
    r"""\s*(?:(?P<string>'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")|(?P<number>-?\d+)|(?P<word>[A-Za-z_]\w*)"""
    r"""|(?P<sign><=|>=|<>|!=|[=<>(),*{}.]))"""
)
_DMTF = re.compile(r"(\d{14})\.(\d{6})([+-]\d{3})")
MAX_LENGTH = 100_000
MAX_DEPTH = 50
Constant = str | int | bool | None


class BadQuery(Exception):
    """A text that is no WQL."""


@dataclass(frozen=True)
class Comparison:
    """`column operator constant`."""

    column: str
    operator: str
    constant: Constant

    def holds(self, row: dict[str, CimValue]) -> bool:
        """Whether it holds for a row whose names are in lower case."""
        return _compared(row[self.column], self.operator, self.constant)

    def bound(self, column: str) -> set[str] | None:
        """The texts that the column is bound to; None where it is not."""
        bound = self.column == column and self.operator == "="
        return {str(self.constant).lower()} if bound else None

    def columns(self) -> set[str]:
        """The columns it names."""
        return {self.column}


@dataclass(frozen=True)
class Joined:
    """Conditions joined by AND or OR, or one that is negated."""

    word: str
    parts: tuple[Condition, ...]

    def holds(self, row: dict[str, CimValue]) -> bool:
        """Whether it holds for a row."""
        if self.word == "not":
            return not self.parts[0].holds(row)
        return (all if self.word == "and" else any)(part.holds(row) for part in self.parts)

    def bound(self, column: str) -> set[str] | None:
        """The texts that the column is bound to."""
        bounds = [part.bound(column) for part in self.parts]
        known = [bound for bound in bounds if bound is not None]
        if self.word == "and" and known:
            return set.intersection(*known)
        return set().union(*known) if self.word == "or" and len(known) == len(bounds) else None

    def columns(self) -> set[str]:
        """The columns it names."""
        return set().union(*(part.columns() for part in self.parts))


Condition = Comparison | Joined


@dataclass(frozen=True)
class Select:
    """`SELECT columns FROM class WHERE condition`; no columns are all of them."""

    columns: tuple[str, ...]
    class_name: str
    where: Condition | None

    def holds(self, row: Row) -> bool:
        """Whether the condition holds for a row. Raises BadQuery where it names a column the row lacks."""
        folded = {name.lower(): value for name, value in row.items()}
        unknown = ({column.lower() for column in self.columns} | self._conditioned()) - set(folded)
        if unknown:
            raise BadQuery(f"no such property: {', '.join(sorted(unknown))}")
        return self.where is None or self.where.holds(folded)

    def _conditioned(self) -> set[str]:
        return self.where.columns() if self.where else set()

    def bound(self, column: str) -> set[str] | None:
        """The texts (in lower case) that a column can have at all; None where nothing binds it."""
        return self.where.bound(column.lower()) if self.where else None


@dataclass(frozen=True)
class Associators:
    """`ASSOCIATORS OF {class.key='value'} WHERE AssocClass = ... Role = ... ResultRole = ...`."""

    class_name: str
    key: str
    value: str
    where: tuple[tuple[str, str], ...]


def parse(text: str) -> Select | Associators:
    """Read a query. Raises BadQuery."""
    if len(text) > MAX_LENGTH:
        raise BadQuery("too long")
    reader = _Reader(text)
    word = reader.word()
    if word == "select":
        return reader.select()
    if word == "associators":
        return reader.associators()
    raise BadQuery(f"unknown query {word}")


class _Reader:
    def __init__(self, text: str) -> None:
        self._tokens: list[tuple[str, str]] = []
        end, stripped = 0, text.rstrip()
        while end < len(stripped):
            match = _TOKEN.match(stripped, end)
            if not match:
                raise BadQuery(f"what is {stripped[end : end + 20]!r}")
            self._tokens.append((match.lastgroup or "", match.group(match.lastgroup or 0)))
            end = match.end()
        self._next = 0

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._next] if self._next < len(self._tokens) else ("end", "")

    def _take(self) -> tuple[str, str]:
        token = self._peek()
        self._next += 1
        return token

    def _is(self, text: str) -> bool:
        kind, found = self._peek()
        if kind != "string" and found.lower() == text:
            self._next += 1
            return True
        return False

    def _expect(self, text: str) -> None:
        if not self._is(text):
            raise BadQuery(f"{text} expected instead of {self._peek()[1]!r}")

    def word(self) -> str:
        kind, found = self._take()
        if kind != "word":
            raise BadQuery(f"a word expected instead of {found!r}")
        return found.lower()

    def _name(self) -> str:
        kind, found = self._take()
        if kind != "word":
            raise BadQuery(f"a name expected instead of {found!r}")
        return found

    def select(self) -> Select:
        columns = [] if self._is("*") else [self._name()]
        while columns and self._is(","):
            columns.append(self._name())
        self._expect("from")
        class_name = self._name()
        where = self._either(0) if self._is("where") else None
        self._end()
        return Select(tuple(columns), class_name, where)

    def _end(self) -> None:
        if self._peek()[0] != "end":
            raise BadQuery(f"nothing more expected, but {self._peek()[1]!r}")

    def associators(self) -> Associators:
        self._expect("of")
        self._expect("{")
        class_name = self._name()
        self._expect(".")
        key = self._name()
        self._expect("=")
        value = str(self._constant())
        self._expect("}")
        pairs = []
        if self._is("where"):
            while self._peek()[0] == "word":
                word = self.word()
                self._expect("=")
                pairs.append((word, self._name().lower()))
        self._end()
        return Associators(class_name, key.lower(), value, tuple(pairs))

    def _either(self, depth: int) -> Condition:
        return self._joined("or", lambda: self._all(depth), depth)

    def _all(self, depth: int) -> Condition:
        return self._joined("and", lambda: self._one(depth), depth)

    def _joined(self, word: str, read: Callable[[], Condition], depth: int) -> Condition:
        if depth > MAX_DEPTH:
            raise BadQuery("too deep")
        parts = [read()]
        while self._is(word):
            parts.append(read())
        return parts[0] if len(parts) == 1 else Joined(word, tuple(parts))

    def _one(self, depth: int) -> Condition:
        if self._is("("):
            inside = self._either(depth + 1)
            self._expect(")")
            return inside
        if self._is("not"):
            return Joined("not", (self._one(depth + 1),))
        column = self._name().lower()
        _, sign = self._take()
        operator = {"!=": "<>", "is": "="}.get(sign.lower(), sign.lower())
        if operator == "=" and self._is("not"):
            operator = "<>"
        if operator not in ("=", "<>", "<", ">", "<=", ">=", "like"):
            raise BadQuery(f"unknown operator {sign!r}")
        return Comparison(column, operator, self._constant())

    def _constant(self) -> Constant:
        kind, found = self._take()
        if kind == "string":
            return re.sub(r"\\(.)", r"\1", found[1:-1])
        if kind == "number":
            return int(found)
        words: dict[str, Constant] = {"true": True, "false": False, "null": None}
        if kind == "word" and found.lower() in words:
            return words[found.lower()]
        raise BadQuery(f"a constant expected instead of {found!r}")


def _compared(value: CimValue, operator: str, constant: Constant) -> bool:
    if constant is None or value is None:
        return (value is None) == (constant is None) if operator == "=" else operator == "<>" and value is not constant
    if operator == "like":
        return re.fullmatch(_pattern(str(constant)), str(value), re.IGNORECASE | re.DOTALL) is not None
    if isinstance(value, datetime):
        return _ordered(value, operator, _moment(str(constant)))
    if isinstance(value, bool):
        return _ordered(value, operator, str(constant).lower() == "true")
    if isinstance(value, int):
        return _ordered(value, operator, int(constant))
    return _ordered(str(value).lower(), operator, str(constant).lower())


def _ordered(value: object, operator: str, constant: object) -> bool:
    if operator in ("=", "<>"):
        return (value == constant) is (operator == "=")
    less, equal = value < constant, value == constant  # type: ignore[operator]  # both are of one ordered type here
    return bool({"<": less, "<=": less or equal, ">": not less and not equal, ">=": not less}[operator])


def _pattern(like: str) -> str:
    parts = re.split(r"(\[[^\]]*\]|[%_])", like)
    return "".join({"%": ".*", "_": "."}.get(part, part if part.startswith("[") else re.escape(part)) for part in parts)


def _moment(text: str) -> datetime:
    match = _DMTF.fullmatch(text)
    if not match:
        raise BadQuery(f"{text!r} is no time")
    zone = timezone(timedelta(minutes=int(match[3])))
    read = datetime.strptime(match[1], "%Y%m%d%H%M%S").replace(microsecond=int(match[2]), tzinfo=zone)
    return read.astimezone(UTC)
