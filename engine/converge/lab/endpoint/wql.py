"""WQL as a tree: SELECT, ASSOCIATORS OF and REFERENCES OF, with all of their clauses that hosts without schema queries take.

Grammar after the WMI reference, "WQL (SQL for WMI)" and "ASSOCIATORS OF Statement". Keywords and names are read in any
case; AND binds closer than OR; nesting and the number of keywords are bounded, as they are on a host.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from converge.lab.endpoint.object_path import ObjectPath, parse_object_path
from converge.lab.endpoint.wql_lexer import InvalidQuery, Kind, QueryTooComplex, Token, tokens

MAX_DEPTH: Final = 64
MAX_KEYWORDS: Final = 1024
"""ANDs and ORs in one query. Hosts refuse "large numbers" of them with a quota violation without saying how many."""

Literal = str | int | float | bool | None
OPERATORS: Final = ("=", "<>", "<", ">", "<=", ">=")
_MIRRORED: Final = {"=": "=", "<>": "<>", "<": ">", ">": "<", "<=": ">=", ">=": "<="}


@dataclass(frozen=True, slots=True)
class Comparison:
    """A property set against a constant; one of OPERATORS."""

    name: str
    operator: str
    value: Literal


@dataclass(frozen=True, slots=True)
class Like:
    """A property set against a pattern of `%`, `_`, `[a-f]` and `[^a-f]`."""

    name: str
    pattern: str
    negated: bool = False


@dataclass(frozen=True, slots=True)
class IsNull:
    """Whether a property has no value."""

    name: str
    negated: bool = False


@dataclass(frozen=True, slots=True)
class IsA:
    """Whether a property (an object, or `__this`) is of a class or of one derived from it."""

    name: str
    class_name: str


@dataclass(frozen=True, slots=True)
class NotTerm:
    """The opposite of a condition."""

    operand: Condition


@dataclass(frozen=True, slots=True)
class And:
    """All of these hold."""

    operands: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """One of these holds."""

    operands: tuple[Condition, ...]


Condition = Comparison | Like | IsNull | IsA | NotTerm | And | Or


@dataclass(frozen=True, slots=True)
class Select:
    """Instances of a class and of those derived from it. `properties` empty is `*`."""

    class_name: str
    properties: tuple[str, ...] = ()
    where: Condition | None = None


@dataclass(frozen=True, slots=True)
class Related:
    """ASSOCIATORS OF, or with `references` REFERENCES OF, an instance. Clauses are by their upper-case names."""

    source: ObjectPath
    references: bool = False
    clauses: dict[str, str] = field(default_factory=dict)
    class_definitions: bool = False
    keys_only: bool = False


Query = Select | Related

_RELATED_CLAUSES: Final = {
    False: ("ASSOCCLASS", "RESULTCLASS", "RESULTROLE", "ROLE", "REQUIREDQUALIFIER", "REQUIREDASSOCQUALIFIER"),
    True: ("RESULTCLASS", "ROLE", "REQUIREDQUALIFIER"),
}


def parse(text: str) -> Query:
    """The query a text spells. Raises InvalidQuery and QueryTooComplex."""
    return _Parser(tokens(text)).query()


class _Parser:
    """Recursive descent over the tokens of one query."""

    def __init__(self, found: list[Token]) -> None:
        self._tokens = found
        self._position = 0
        self._depth = 0
        self._keywords = 0

    def query(self) -> Query:
        first = self._next()
        if first.is_word("SELECT"):
            parsed: Query = self._select()
        elif first.is_word("ASSOCIATORS", "REFERENCES"):
            parsed = self._related(references=first.is_word("REFERENCES"))
        else:
            raise InvalidQuery(f"a query does not begin with {first.text[:40]!r}")
        if self._peek().kind is not Kind.END:
            raise InvalidQuery(f"{self._peek().text[:40]!r} stands where the query should end")
        return parsed

    def _peek(self) -> Token:
        return self._tokens[self._position]

    def _next(self) -> Token:
        token = self._tokens[self._position]
        if token.kind is not Kind.END:
            self._position += 1
        return token

    def _accept_word(self, word: str) -> bool:
        if self._peek().is_word(word):
            self._position += 1
            return True
        return False

    def _accept_symbol(self, symbol: str) -> bool:
        if self._peek().is_symbol(symbol):
            self._position += 1
            return True
        return False

    def _expect_word(self, word: str) -> None:
        if not self._accept_word(word):
            raise InvalidQuery(f"{word} is missing before {self._peek().text[:40]!r}")

    def _expect_symbol(self, symbol: str) -> None:
        if not self._accept_symbol(symbol):
            raise InvalidQuery(f"{symbol} is missing before {self._peek().text[:40]!r}")

    def _name(self) -> str:
        token = self._next()
        if token.kind is not Kind.WORD:
            raise InvalidQuery(f"a name is missing before {token.text[:40]!r}")
        return token.text

    def _select(self) -> Select:
        properties: list[str] = []
        if not self._accept_symbol("*"):
            properties.append(self._name())
            while self._accept_symbol(","):
                properties.append(self._name())
        self._expect_word("FROM")
        class_name = self._name()
        where = self._any_of() if self._accept_word("WHERE") else None
        return Select(class_name, tuple(properties), where)

    def _any_of(self) -> Condition:
        operands = [self._all_of()]
        while self._accept_word("OR"):
            self._count_keyword()
            operands.append(self._all_of())
        return operands[0] if len(operands) == 1 else Or(tuple(operands))

    def _all_of(self) -> Condition:
        operands = [self._negation()]
        while self._accept_word("AND"):
            self._count_keyword()
            operands.append(self._negation())
        return operands[0] if len(operands) == 1 else And(tuple(operands))

    def _count_keyword(self) -> None:
        self._keywords += 1
        if self._keywords > MAX_KEYWORDS:
            raise QueryTooComplex(f"more than {MAX_KEYWORDS} ANDs and ORs")

    def _negation(self) -> Condition:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise QueryTooComplex(f"conditions nested deeper than {MAX_DEPTH}")
        try:
            if self._accept_word("NOT"):
                return NotTerm(self._negation())
            if self._accept_symbol("("):
                inner = self._any_of()
                self._expect_symbol(")")
                return inner
            return self._comparison()
        finally:
            self._depth -= 1

    def _comparison(self) -> Condition:
        first = self._next()
        if first.kind in (Kind.STRING, Kind.NUMBER) or first.is_word("TRUE", "FALSE", "NULL"):
            operator = _MIRRORED[self._operator()]
            return Comparison(self._name(), operator, _literal(first))
        if first.kind is not Kind.WORD:
            raise InvalidQuery(f"a condition does not begin with {first.text[:40]!r}")
        return self._condition_on(first.text)

    def _condition_on(self, name: str) -> Condition:
        negated = self._accept_word("NOT")
        if self._accept_word("LIKE"):
            return Like(name, self._string(), negated=negated)
        if negated:
            raise InvalidQuery("NOT stands before neither LIKE nor a condition")
        if self._accept_word("ISA"):
            return IsA(name, self._string())
        if self._accept_word("IS"):
            negated = self._accept_word("NOT")
            self._expect_word("NULL")
            return IsNull(name, negated=negated)
        operator = self._operator()
        value = _literal(self._next())
        if value is None and operator in ("=", "<>"):
            return IsNull(name, negated=operator == "<>")
        return Comparison(name, operator, value)

    def _operator(self) -> str:
        token = self._next()
        operator = "<>" if token.text == "!=" else token.text
        if token.kind is not Kind.SYMBOL or operator not in OPERATORS:
            raise InvalidQuery(f"{token.text[:40]!r} compares nothing")
        return operator

    def _string(self) -> str:
        token = self._next()
        if token.kind is not Kind.STRING:
            raise InvalidQuery(f"a quoted text is missing before {token.text[:40]!r}")
        return token.text

    def _related(self, *, references: bool) -> Related:
        self._expect_word("OF")
        token = self._next()
        if token.kind is not Kind.PATH:
            raise InvalidQuery("an object path in braces is missing")
        clauses: dict[str, str] = {}
        flags: set[str] = set()
        if self._accept_word("WHERE"):
            while self._peek().kind is Kind.WORD:
                self._related_clause(clauses, flags, references=references)
            if not clauses and not flags:
                raise InvalidQuery("WHERE is followed by no clause")
        return Related(
            parse_object_path(token.text),
            references=references,
            clauses=clauses,
            class_definitions="CLASSDEFSONLY" in flags,
            keys_only="KEYSONLY" in flags,
        )

    def _related_clause(self, clauses: dict[str, str], flags: set[str], *, references: bool) -> None:
        name = self._name().upper()
        if name in ("CLASSDEFSONLY", "KEYSONLY"):
            flags.add(name)
            return
        if name not in _RELATED_CLAUSES[references] or name in clauses:
            raise InvalidQuery(f"the clause {name} has no place here")
        self._expect_symbol("=")
        clauses[name] = self._name()


def _literal(token: Token) -> Literal:
    if token.kind is Kind.STRING:
        return token.text
    if token.kind is Kind.NUMBER:
        digits = token.text
        if "x" in digits.lower():
            return int(digits, 16)
        return float(digits) if any(sign in digits for sign in ".eE") else _whole(digits)
    if token.is_word("TRUE", "FALSE"):
        return token.is_word("TRUE")
    if token.is_word("NULL"):
        return None
    raise InvalidQuery(f"{token.text[:40]!r} is no constant")


def _whole(digits: str) -> int:
    # 64 bits have 20 digits; more is not a number WMI knows.
    if len(digits) > 21:
        raise InvalidQuery("a number of more than 64 bits")
    return int(digits)
