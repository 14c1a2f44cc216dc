"""Text from outside made harmless for a terminal: what would move its cursor or turn its letters around is spelled out."""

from __future__ import annotations

import unicodedata

# Cc control (ESC among them), Cf format (bidi controls, zero-width characters, tags), Cs lone surrogates,
# Co and Cn of no agreed shape, Zl and Zp line ends that only some programs know.
_SPELLED_OUT = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\\0"}


def visible(text: str) -> str:
    """The text on one line, every character of it either printable or spelled out as `\\x1b`, `\\u202e`, `\\n`."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_spelled(character) for character in text)


def _spelled(character: str) -> str:
    if unicodedata.category(character) not in _SPELLED_OUT:
        return character
    if character in _SHORT:
        return _SHORT[character]
    number = ord(character)
    if number <= 0xFF:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number <= 0xFFFF else f"\\U{number:08x}"
