"""The one place where WQL text is built. Every name and value goes through here, escaped."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from datetime import UTC, datetime

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def name(text: str) -> str:
    """A class or property name. Raises ValueError for anything that is none."""
    if not _NAME.fullmatch(text):
        raise ValueError(f"{text!r} is no class or property name")
    return text


def quoted(text: str) -> str:
    """A string constant: backslashes and quotes escaped by a backslash (WQL, Windows Management Instrumentation)."""
    if "\x00" in text:
        raise ValueError("a WQL text cannot hold a NUL character")
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def timestamp(moment: datetime) -> str:
    """A point in time as a string constant in DMTF form, in UTC. Raises ValueError for a time without a zone."""
    if moment.tzinfo is None:
        raise ValueError("a time without a zone cannot be compared with a host's clock")
    return quoted(moment.astimezone(UTC).strftime("%Y%m%d%H%M%S.%f") + "+000")


def equals(column: str, value: str | int) -> str:
    """`column = value`."""
    return f"{name(column)} = {value if isinstance(value, int) else quoted(value)}"


def at_least(column: str, moment: datetime) -> str:
    """`column >= time`."""
    return f"{name(column)} >= {timestamp(moment)}"


def any_of(conditions: Sequence[str]) -> str:
    """Conditions joined by OR, in parentheses where there is more than one. Raises ValueError for none."""
    if not conditions:
        raise ValueError("nothing to choose from")
    return conditions[0] if len(conditions) == 1 else "(" + " OR ".join(conditions) + ")"


def all_of(conditions: Sequence[str]) -> str:
    """Conditions joined by AND. Raises ValueError for none."""
    if not conditions:
        raise ValueError("no condition")
    return " AND ".join(conditions)


def select(columns: Collection[str], class_name: str, *, where: str = "") -> str:
    """`SELECT columns FROM class [WHERE condition]`; no columns means all of them."""
    chosen = ", ".join(name(column) for column in columns) or "*"
    text = f"SELECT {chosen} FROM {name(class_name)}"  # noqa: S608  # this is the escaping builder, and WQL has no parameters
    if where.startswith("(") and where.endswith(")") and where.count("(") == 1:
        where = where[1:-1]
    return f"{text} WHERE {where}" if where else text


def associators(
    class_name: str, key: str, value: str, *, association: str, role: str = "", result_role: str = ""
) -> str:
    """`ASSOCIATORS OF {class.key='value'} WHERE AssocClass = ...`."""
    text = f"ASSOCIATORS OF {{{name(class_name)}.{name(key)}={quoted(value)}}} WHERE AssocClass = {name(association)}"
    if role:
        text += f" Role = {name(role)}"
    if result_role:
        text += f" ResultRole = {name(result_role)}"
    return text
