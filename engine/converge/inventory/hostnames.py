"""Host patterns as they stand in inventories: `web[01:50:2].example.com:5985` is twenty-five names and a port."""

from __future__ import annotations

import re
import string
from ipaddress import AddressValueError, IPv6Address
from itertools import product

MAX_EXPANSION = 1_000_000
"""More hosts than any inventory has: a range beyond it is a slip."""

_BRACKETED_PORT = re.compile(r"\[(.+)\]:([0-9]+)")
_PORT = re.compile(r"((?:[^:\[\]]|\[[^\]]*\])*):([0-9]+)")
_RANGE = re.compile(r"\[([^\[\]]*)\]")
_VALID_RANGE = re.compile(r"\[(?:[a-zA-Z]:[a-zA-Z]|[0-9]+:[0-9]+)(?::[0-9]+)?\]")
_LABEL = re.compile(r"(?:\w[\w-]*)?[^\W_]")
_NUMBER = re.compile(r"[0-9]{1,18}")


class BadRange(ValueError):
    """A range that cannot be expanded; the text says why."""


def expand(pattern: str) -> tuple[list[str], int | None]:
    """The names a host pattern stands for, and the port it gives them. Raises BadRange.

    As in Ansible, a text that is no host name (with a port or not) is taken as a name as it stands.
    """
    name, port = split_port(pattern)
    return expand_ranges(name), port


def split_port(pattern: str) -> tuple[str, int | None]:
    """Part `name:port`, if what stands before the port can be a host name or address at all."""
    name, port = pattern, None
    for form in (_BRACKETED_PORT, _PORT):
        if match := form.fullmatch(name):
            name, port = match[1], match[2]
    if not is_host_pattern(name):
        return pattern, None
    if port is None:
        return name, None
    if len(port) > 5 or not 0 < int(port) < 65536:
        raise BadRange(f"{port} is not a port: 1 to 65535")
    return name, int(port)


def is_host_pattern(text: str) -> bool:
    """Whether a text is a host name, an IPv4 or an IPv6 address, any of them with ranges in it."""
    without_ranges = _VALID_RANGE.sub("0", text)
    try:
        IPv6Address(without_ranges)
    except AddressValueError:
        return all(_LABEL.fullmatch(label) for label in without_ranges.split("."))
    return "%" not in text


def expand_ranges(pattern: str) -> list[str]:
    """Every name of a pattern with ranges, the last range running fastest. Raises BadRange."""
    if "[" not in pattern and "]" not in pattern:
        return [pattern]
    pieces = _RANGE.split(pattern)
    fixed, ranges = pieces[::2], pieces[1::2]
    if any("[" in piece or "]" in piece for piece in fixed) or not ranges:
        raise BadRange("a bracket is not closed, or nested in another")
    choices = [_range(text) for text in ranges]
    total = 1
    for choice in choices:
        total *= len(choice)
        if total > MAX_EXPANSION:
            raise BadRange(f"the range stands for more than {MAX_EXPANSION} hosts")
    return [
        fixed[0] + "".join(value + rest for value, rest in zip(values, fixed[1:], strict=True))
        for values in product(*choices)
    ]


def _range(text: str) -> list[str]:
    bounds = text.split(":")
    if len(bounds) not in (2, 3):
        raise BadRange(f"[{text}] is not a range: [begin:end] or [begin:end:step]")
    begin, end = bounds[0] or "0", bounds[1]
    step = _step(bounds[2] if len(bounds) == 3 else "1", text)
    if not end:
        raise BadRange(f"[{text}] has no end: [begin:end]")
    if len(begin) == len(end) == 1 and begin in string.ascii_letters and end in string.ascii_letters:
        letters = string.ascii_letters
        first, last = letters.index(begin), letters.index(end)
        _check_order(first, last, text=text)
        return list(letters[first : last + 1 : step])
    if not _NUMBER.fullmatch(begin) or not _NUMBER.fullmatch(end):
        raise BadRange(f"[{text}] runs neither between two numbers nor between two letters")
    width = len(begin) if begin.startswith("0") and len(begin) > 1 else 0
    if width and width != len(end):
        raise BadRange(f"[{text}]: begin and end must have as many digits, since begin is padded with zeros")
    first, last = int(begin), int(end)
    _check_order(first, last, text=text)
    if (last - first) // step >= MAX_EXPANSION:
        raise BadRange(f"[{text}] stands for more than {MAX_EXPANSION} hosts")
    return [str(number).zfill(width) for number in range(first, last + 1, step)]


def _step(text: str, whole: str) -> int:
    if not _NUMBER.fullmatch(text) or int(text) == 0:
        raise BadRange(f"[{whole}]: the step must be a number above 0")
    return int(text)


def _check_order(first: int, last: int, *, text: str) -> None:
    if first > last:
        raise BadRange(f"[{text}] runs backwards")
