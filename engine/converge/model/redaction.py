"""Secrets cut out of what others wrote, in every spelling in which a program may give them back."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import quote, quote_plus
from xml.sax.saxutils import escape

from converge.model.secret import Secret

HIDDEN: Final = "****"
_ENTITIES: Final = {'"': "&quot;", "'": "&apos;"}
_SHORTEST_CORE: Final = 6  # characters of base64 that stand for a secret; fewer stand by chance in other words
_BASE64: Final = rb"[A-Za-z0-9+/_-]"


class Redaction:
    """Knows the spellings of some secrets."""

    def __init__(self, secrets: Iterable[Secret]) -> None:
        texts = {secret.reveal() for secret in secrets if secret}
        plain = {spelling for text in texts for spelling in _spellings(text)}
        cores = {core for text in texts for core in _base64_cores(text)}
        patterns = [re.escape(spelling) for spelling in sorted(plain, key=len, reverse=True)]
        patterns += [
            _BASE64 + b"*" + re.escape(core) + _BASE64 + b"*=*" for core in sorted(cores, key=len, reverse=True)
        ]
        self._pattern = re.compile(b"|".join(patterns)) if patterns else None

    def __repr__(self) -> str:
        return "Redaction(****)"

    def of_bytes(self, message: bytes) -> bytes:
        """A message with asterisks in place of every secret, and of every base64 that holds one."""
        return self._pattern.sub(HIDDEN.encode(), message) if self._pattern is not None else message

    def of_text(self, text: str) -> str:
        """The same of a text."""
        return self.of_bytes(text.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")


def _spellings(text: str) -> Iterator[bytes]:
    """As it is, escaped for XML, JSON and URLs, in hexadecimal; in UTF-8, UTF-16 and Latin-1."""
    for spelling in (text, escape(text), escape(text, _ENTITIES), json.dumps(text)[1:-1]):
        yield spelling.encode("utf-8", "surrogatepass")
        yield spelling.encode("ascii", "xmlcharrefreplace")
    yield text.encode("utf-16-le", "surrogatepass")
    yield text.encode("latin-1", "replace")
    for encoded in _encoded(text):
        yield encoded.hex().encode()
        yield encoded.hex().upper().encode()
    for quoted in (
        quote(text, safe="", errors="replace"),
        quote(text, errors="replace"),
        quote_plus(text, errors="replace"),
    ):
        yield quoted.encode()
        yield re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), quoted).encode()


def _base64_cores(text: str) -> Iterator[bytes]:
    """What base64 makes of a secret wherever it begins in a longer text, as in USER:PASSWORD: the part that depends on it alone."""
    for encoded in _encoded(text):
        for offset in range(3):
            first = 0 if offset == 0 else offset + 1  # characters that also hold bits of what stands before
            last = (offset + len(encoded)) * 8 // 6
            core = base64.b64encode(b"\0" * offset + encoded)[first:last]
            if len(core) >= _SHORTEST_CORE:
                yield core
                yield core.translate(bytes.maketrans(b"+/", b"-_"))


def _encoded(text: str) -> set[bytes]:
    return {
        text.encode("utf-8", "surrogatepass"),
        text.encode("utf-16-le", "surrogatepass"),
        text.encode("latin-1", "replace"),
    }
