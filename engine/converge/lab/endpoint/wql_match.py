"""Whether an instance satisfies a condition of WQL, and what a condition says of keys before any instance is read."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from typing import Any, Final

from converge.lab.endpoint.object_path import ObjectPath, parse_object_path
from converge.lab.endpoint.schema import RANGES, CimClass, CimType, Property, Row
from converge.lab.endpoint.wql import And, Comparison, Condition, IsA, IsNull, Like, Literal, NotTerm, Or
from converge.lab.endpoint.wql_lexer import InvalidQuery, QueryTooComplex
from converge.model.names import fold
from converge.wsman.cim import Reference, Value
from converge.wsman.namespaces import split_wmi_uri

MAX_ALTERNATIVES: Final = 4096

_COMPARE: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}
_DMTF = re.compile(r"(\d{14})(?:\.(\d{1,6}))?(?:([+-])(\d{3}))?", re.ASCII)
_THIS: Final = ("__THIS", "__CLASS")


def check(condition: Condition | None, cim_class: CimClass) -> None:
    """Raise InvalidQuery where a condition names a property the class lacks or compares it with what it cannot be."""
    for leaf in _leaves(condition):
        if fold(leaf.name) in _THIS:
            continue
        declared = cim_class.by_name.get(fold(leaf.name))
        if declared is None:
            raise InvalidQuery(f"{cim_class.name} has no property {leaf.name[:80]!r}")
        if isinstance(leaf, Comparison):
            _constant(declared, leaf.value)
        elif isinstance(leaf, Like) and declared.type is not CimType.STRING:
            raise InvalidQuery(f"LIKE does not apply to {leaf.name}")


def _leaves(condition: Condition | None) -> Iterable[Comparison | Like | IsNull | IsA]:
    if isinstance(condition, (And, Or)):
        for operand in condition.operands:
            yield from _leaves(operand)
    elif isinstance(condition, NotTerm):
        yield from _leaves(condition.operand)
    elif condition is not None:
        yield condition


def matches(condition: Condition | None, row: Row, cim_class: CimClass) -> bool:
    """Whether an instance satisfies a condition that `check` has passed. Texts are compared in any case."""
    if condition is None:
        return True
    if isinstance(condition, And):
        return all(matches(operand, row, cim_class) for operand in condition.operands)
    if isinstance(condition, Or):
        return any(matches(operand, row, cim_class) for operand in condition.operands)
    if isinstance(condition, NotTerm):
        return not matches(condition.operand, row, cim_class)
    return _leaf_matches(condition, row, cim_class)


def _leaf_matches(leaf: Comparison | Like | IsNull | IsA, row: Row, cim_class: CimClass) -> bool:
    if isinstance(leaf, IsA):
        return cim_class.is_a(leaf.class_name)
    if fold(leaf.name) in _THIS:
        return isinstance(leaf, Comparison) and _COMPARE[leaf.operator](fold(cim_class.name), fold(str(leaf.value)))
    declared = cim_class.by_name[fold(leaf.name)]
    found = row.get(declared.name)
    if isinstance(leaf, IsNull):
        return (found is None) is not leaf.negated
    if isinstance(leaf, Like):
        return found is not None and bool(_pattern(leaf.pattern).fullmatch(str(found))) is not leaf.negated
    return _compares(found, leaf, declared)


def _compares(found: Value, leaf: Comparison, declared: Property) -> bool:
    if found is None:
        return False
    wanted = _constant(declared, leaf.value)
    if isinstance(found, Reference):
        same = isinstance(wanted, ObjectPath) and refers(wanted, found)
        return same is (leaf.operator == "=")
    return _COMPARE[leaf.operator](fold(found) if isinstance(found, str) else found, wanted)


def _constant(declared: Property, literal: Literal) -> str | int | float | bool | datetime | ObjectPath:
    """The constant as the property's type, converted as WMI does. Raises InvalidQuery where it cannot be."""
    if declared.array or literal is None:
        raise InvalidQuery(f"{declared.name} cannot be compared so")
    if declared.type is CimType.REFERENCE:
        return parse_object_path(str(literal))
    if declared.type is CimType.STRING:
        return fold(str(literal))
    converted = _converted(declared.type, literal)
    if converted is None:
        raise InvalidQuery(f"{declared.name} is a {declared.type}, {str(literal)[:80]!r} is not")
    return converted


def _converted(kind: CimType, literal: str | int | float | bool) -> int | float | bool | datetime | None:
    if kind is CimType.DATETIME:
        return parse_dmtf(literal) if isinstance(literal, str) else None
    if kind is CimType.BOOLEAN:
        return {"true": True, "false": False, "1": True, "0": False, "-1": True}.get(str(literal).strip().lower())
    if isinstance(literal, str):
        return int(literal) if re.fullmatch(r"\s*[+-]?\d{1,20}\s*", literal, re.ASCII) else None
    return literal if kind in RANGES else None


def parse_dmtf(text: str) -> datetime | None:
    """The time of a DMTF text such as `20240102030405.000000+060` (offset in minutes) or an ISO date; None if it is neither."""
    match = _DMTF.fullmatch(text.strip())
    try:
        if match is None:
            moment = datetime.fromisoformat(text.strip())
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        offset = timedelta(minutes=int((match[3] or "+") + (match[4] or "0")))
        fraction = int((match[2] or "0").ljust(6, "0"))
        return datetime.strptime(match[1], "%Y%m%d%H%M%S").replace(microsecond=fraction, tzinfo=timezone(offset))
    except (ValueError, OverflowError):
        return None


@lru_cache(maxsize=256)
def _pattern(text: str) -> re.Pattern[str]:
    """The pattern as a regular expression that matches in linear time: each piece after a `%` is taken where it first fits."""
    pieces: list[list[str]] = [[]]
    position = 0
    while position < len(text):
        sign = text[position]
        closing = text.find("]", position + 2) if sign == "[" else -1
        if closing > 0:
            pieces[-1].append(_character_set(text[position + 1 : closing]))
            position = closing
        elif sign == "%":
            pieces.append([])
        else:
            pieces[-1].append("." if sign == "_" else re.escape(sign))
        position += 1
    first, *rest = ["".join(piece) for piece in pieces]
    if rest:
        *middle, last = rest
        first += "".join(f"(?>.*?{piece})" for piece in middle if piece) + f".*{last}"
    return re.compile(first, re.IGNORECASE | re.DOTALL)


def _character_set(inside: str) -> str:
    negated = inside.startswith("^") and len(inside) > 1
    members = inside[1:] if negated else inside
    escaped = re.sub(r"([\\\[\]^&~|])", r"\\\1", members)
    text = f"[{'^' if negated else ''}{escaped}]"
    try:
        re.compile(text)
    except re.error as error:
        raise InvalidQuery(f"[{inside[:40]}] is no set of characters") from error
    return text


def refers(path: ObjectPath, reference: Reference) -> bool:
    """Whether a reference points to the instance a path names; the namespace counts only where the path tells it."""
    named = split_wmi_uri(reference.resource_uri)
    if named is None:
        return False
    if path.namespace and fold(path.namespace) != fold(named[0]):
        return False
    keys = {name: value for name, value in reference.selectors if isinstance(value, str)}
    return path.names(named[1], keys)


def alternatives(condition: Condition | None, names: Iterable[str]) -> tuple[dict[str, str], ...]:
    """The sets of values of these properties under which a condition can hold, by upper-case name.

    An empty set means that it can hold whatever they are. Raises QueryTooComplex where there are too many.
    """
    return tuple(_alternatives(condition, frozenset(fold(name) for name in names)))


def _alternatives(condition: Condition | None, names: frozenset[str]) -> list[dict[str, str]]:
    if isinstance(condition, Comparison) and condition.operator == "=" and fold(condition.name) in names:
        return [{fold(condition.name): str(condition.value)}]
    if isinstance(condition, Or):
        return _bounded([found for operand in condition.operands for found in _alternatives(operand, names)])
    if isinstance(condition, And):
        combined: list[dict[str, str]] = [{}]
        for operand in condition.operands:
            more = _alternatives(operand, names)
            if len(combined) * len(more) > MAX_ALTERNATIVES:
                raise QueryTooComplex("too many combinations of keys")
            combined = [one | other for one in combined for other in more]
        return combined
    return [{}]


def _bounded(found: list[dict[str, str]]) -> list[dict[str, str]]:
    if len(found) > MAX_ALTERNATIVES:
        raise QueryTooComplex("too many combinations of keys")
    return found
