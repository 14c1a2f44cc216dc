"""Texts that stand for values: plain scalars of YAML in two dialects, and the Python literals of INI files."""

from __future__ import annotations

import ast
import re
import warnings

_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON"), True),
    **dict.fromkeys(("false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF"), False),
}
_NUMBER_BEGINS = frozenset("-+.0123456789")
_WHOLE = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,30})")
_HEX = re.compile(r"0x[0-9a-fA-F]{1,32}")
_FRACTION = re.compile(r"[-+]?(?:[0-9]{1,30}\.[0-9]{0,30}|\.[0-9]{1,30})(?:[eE][-+]?[0-9]{1,3})?")

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE = frozenset({"yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"})
_FALSE = frozenset({"no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"})
_MAY_START_A_VALUE = frozenset("-+0123456789.~nNyYtTfFoO")

# https://yaml.org/type/int.html and https://yaml.org/type/float.html (YAML 1.1)
_BASED = re.compile(r"([-+]?)0(?:b(?P<binary>[01_]+)|x(?P<hex>[0-9a-fA-F_]+)|(?P<octal>[0-7_]+))")
_DECIMAL = re.compile(r"[-+]?(?:0|[1-9][0-9_]*)")
_FLOAT = re.compile(r"(?:[-+]?[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+][0-9]+)?")
_SEXAGESIMAL = re.compile(r"([-+]?)([0-9][0-9_]*)((?::[0-5]?[0-9])+)(\.[0-9_]*)?")
_SPECIAL_FLOAT = re.compile(r"([-+]?)\.(inf|Inf|INF)|\.(?:nan|NaN|NAN)")

_PLAIN_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_.\-\\]*")
_MOST_BITS = 14_000  # somewhat less than the 4300 digits that Python writes
_PLAIN_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,17}")
_LITERAL_WORDS = frozenset({"True", "False", "None"})


class Unsafe(str):
    """A text marked `!unsafe`: braces in it mean themselves."""

    __slots__ = ()


def plain_value(text: str) -> str | int | float | bool | None:
    """The value of an unquoted scalar: YAML 1.1's truth words, as Ansible has them; numbers decimal or 0x.

    What is a number in one YAML version and a text or another number in the next (010, 1_000, 1:30, dates) stays a text.
    """
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _NUMBER_BEGINS:
        return text
    if _WHOLE.fullmatch(text):
        return int(text)
    if _HEX.fullmatch(text):
        return int(text, 16)
    return float(text) if _FRACTION.fullmatch(text) else text


def yaml_value(text: str) -> object:
    """The value of a plain (unquoted) YAML 1.1 scalar. Dates stay texts."""
    if text in _NULLS:
        return None
    if text[0] not in _MAY_START_A_VALUE:
        return text
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    try:
        return _short_enough(_yaml_number(text))
    except (ValueError, OverflowError):  # digits without a digit (`0x_`), or more of them than Python converts
        return text


def became(text: str, value: object) -> str:
    """What a plain scalar became that reads back otherwise than it was written; empty where it did not, or meant it."""
    if isinstance(value, str) or value is None:
        return ""
    if isinstance(value, bool):
        return "" if text.lower() in ("true", "false") else "true or false"
    written = text.removeprefix("+")
    if str(value) == written or written.lstrip("-")[:2] in ("0x", "0b"):
        return ""
    if ":" in text:
        return "a number in base 60, as of minutes and seconds"
    return "a number in base 8" if isinstance(value, int) and "_" not in text else "a number in another spelling"


def _yaml_number(text: str) -> object:
    if _DECIMAL.fullmatch(text):
        return int(text.replace("_", ""))
    if based := _BASED.fullmatch(text):
        base = {"binary": 2, "hex": 16, "octal": 8}[based.lastgroup or "octal"]
        return int(based[1] + str(based[based.lastgroup or "octal"]).replace("_", ""), base)
    if _FLOAT.fullmatch(text):
        return float(text.replace("_", ""))
    if sexagesimal := _SEXAGESIMAL.fullmatch(text):
        return _base_sixty(sexagesimal)
    if special := _SPECIAL_FLOAT.fullmatch(text):
        return float((special[1] or "") + "inf") if special[2] else float("nan")
    return text


def _short_enough(value: object) -> object:
    """Raises ValueError for a number that could be read (in hex, say) and not be written in decimal."""
    if isinstance(value, int) and value.bit_length() > _MOST_BITS:
        raise ValueError("a number of too many digits")
    return value


def _base_sixty(match: re.Match[str]) -> object:
    """`1:30` is 90 in YAML 1.1. An integer must not start with a zero, so that `01:30` stays a text."""
    sign, first, rest, fraction = match[1], match[2], match[3], match[4]
    if fraction is None and first.startswith("0"):
        return match[0]
    total = int(first.replace("_", ""))
    for part in rest[1:].split(":"):
        total = total * 60 + int(part)
    value: int | float = total if fraction is None else total + float("0" + fraction.replace("_", "") + "0")
    return -value if sign == "-" else value


def ini_value(text: str) -> object:
    """The value right of `=` in an INI inventory: a Python literal if it is one, else the text itself."""
    if _PLAIN_WORD.fullmatch(text) and text not in _LITERAL_WORDS:
        return text
    if _PLAIN_INTEGER.fullmatch(text):
        return int(text)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a backslash in a Windows path is no mistake of a Python programmer
            return _plain(ast.literal_eval(text), text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text


def _plain(value: object, text: str) -> object:
    """Python has more kinds of values than an inventory: tuples and sets are lists, bytes texts, as in Ansible."""
    if isinstance(value, list | tuple | set):
        return [_plain(item, text) for item in value]
    if isinstance(value, dict):
        return {str(_plain(key, text)): _plain(item, text) for key, item in value.items()}
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if value is ...:
        return "..."
    if isinstance(value, complex):
        return str(value)
    return _short_enough(value)
