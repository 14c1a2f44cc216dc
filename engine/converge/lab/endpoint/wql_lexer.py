"""WQL as tokens: words, strings with backslash escapes, numbers, operators, and the object paths of ASSOCIATORS OF."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

MAX_QUERY: Final = 65_536
"""Characters of a query that are read at all."""
MAX_TOKENS: Final = 20_000


class InvalidQuery(Exception):
    """A text that is no query of WQL: WBEM_E_INVALID_QUERY (0x80041017)."""


class QueryTooComplex(Exception):
    """More keywords or nesting than the service weighs: WBEM_E_QUOTA_VIOLATION (0x8004106C)."""


class Kind(Enum):
    """What a token is."""

    WORD = auto()
    STRING = auto()
    NUMBER = auto()
    SYMBOL = auto()
    PATH = auto()
    END = auto()


@dataclass(frozen=True, slots=True)
class Token:
    """One token. `text` is the value: of a string without quotes and escapes, of a path without its braces."""

    kind: Kind
    text: str

    def is_word(self, *words: str) -> bool:
        """Whether it is one of these keywords, in any case."""
        return self.kind is Kind.WORD and self.text.upper() in words

    def is_symbol(self, *symbols: str) -> bool:
        """Whether it is one of these signs."""
        return self.kind is Kind.SYMBOL and self.text in symbols


# A quoted text ends at the first quote that no backslash escapes; in braces, quoted texts may hold a brace.
_QUOTED: Final = r"'(?:[^'\\]|\\.)*'" + "|" + r'"(?:[^"\\]|\\.)*"'
_TOKEN = re.compile(
    rf"(?P<space>\s+)|(?P<string>{_QUOTED})|(?P<path>\{{(?:[^\}}'\"]|{_QUOTED})*\}})"
    r"|(?P<number>[+-]?(?:0[xX][0-9A-Fa-f]+|\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)(?![\w]))"
    r"|(?P<word>[^\W\d]\w*(?:\.[^\W\d]\w*)*)|(?P<symbol><>|!=|<=|>=|[=<>(),*])",
    re.DOTALL,
)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


def tokens(text: str) -> list[Token]:
    """The tokens of a query, ended by one of kind END. Raises InvalidQuery and QueryTooComplex."""
    if len(text) > MAX_QUERY:
        raise QueryTooComplex(f"a query of {len(text)} characters")
    found = [*_scanned(text), Token(Kind.END, "")]
    if len(found) > MAX_TOKENS:
        raise QueryTooComplex(f"a query of {len(found)} tokens")
    return found


def _scanned(text: str) -> Iterator[Token]:
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise InvalidQuery(f"nothing in WQL begins like {text[position : position + 20]!r}")
        position = match.end()
        kind, found = match.lastgroup, match[0]
        if kind == "string":
            yield Token(Kind.STRING, unescaped(found[1:-1]))
        elif kind == "path":
            yield Token(Kind.PATH, found[1:-1].strip())
        elif kind in ("word", "number", "symbol"):
            yield Token(Kind[kind.upper()], found)


def unescaped(text: str) -> str:
    r"""The text without its escapes: `\\` is a backslash, `\'` a quote."""
    return _ESCAPED.sub(r"\1", text)
