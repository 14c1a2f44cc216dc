"""Escapes of YAML that eat the backslashes of Windows paths between double quotes."""

from __future__ import annotations

import re

_ESCAPES = {
    "\0": "0", "\a": "a", "\b": "b", "\t": "t", "\n": "n", "\v": "v", "\f": "f", "\r": "r", "\x1b": "e",
    "\x85": "N", "\xa0": "_", "\u2028": "L", "\u2029": "P",
}  # fmt: skip
"""What YAML (5.7, Escaped Characters) makes of a backslash and a letter between double quotes."""

_ESCAPED = re.compile("[" + "".join(_ESCAPES) + "]")
_PATH = re.compile(
    r"\s*(?:[A-Za-z]:(?=[\\" + "".join(_ESCAPES) + r"])"
    r"|%[A-Za-z0-9_()]+%|\\\\[^\\]|(?:HK(?:LM|CU|CR|U|CC)|HKEY_[A-Z_]+):?(?=[\\" + "".join(_ESCAPES) + r"]))",
    re.IGNORECASE,
)
_AFTER_EXPRESSION = re.compile(r"\}\}[\\" + "".join(_ESCAPES) + "]")
PROSE = frozenset({"content", "instructions", "else", "warning", "message", "dialogs", "when", "expr", "article"})
"""Keys whose texts are no paths: line breaks in them are meant."""


def corrected_path(text: str, *, key: str) -> str:
    """What was meant by a path in double quotes whose backslashes became control characters; empty if nothing is wrong."""
    if key in PROSE or not _ESCAPED.search(text) or not (_PATH.match(text) or _AFTER_EXPRESSION.search(text)):
        return ""
    return _ESCAPED.sub(lambda found: "\\" + _ESCAPES[found.group()], text)


def replaced_escapes(text: str) -> str:
    """The control characters of a text, in words."""
    names = {"\t": "a tab", "\n": "a line break", "\r": "a carriage return", "\xa0": "a no-break space"}
    found = dict.fromkeys(_ESCAPED.findall(text))
    return " and ".join(names.get(character, f"the character U+{ord(character):04X}") for character in found)
