"""States in words, and the difference of two as lines marked `-`, `+` or blank."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Literal

from converge.model.change import Json

Mark = Literal["-", "+", " "]
Line = tuple[Mark, str]

LONGEST_LINE = 1000  # characters of one value that are shown
MOST_LINES = 100  # lines of one state that are shown
CONTEXT = 2  # entries of a list shown around one that differs
_REGISTRY_KEYS = {"type", "data", "expanded"}
_VALUE_KEYS = {"type", "data", "key", "name"}


def difference(before: Json, after: Json) -> list[Line]:
    """What leaves and what comes, line by line; of a list also the neighbours, of anything else only what differs."""
    old, new = in_words(before), in_words(after)
    if old == new:
        return [] if before == after else [("-", _short(str(before))), ("+", _short(str(after)))]
    context = CONTEXT if _is_list(before) and _is_list(after) else 0
    lines: list[Line] = []
    matcher = difflib.SequenceMatcher(a=old, b=new, autojunk=False)
    for tag, a1, a2, b1, b2 in matcher.get_opcodes():
        if tag == "equal":
            lines += _context(old[a1:a2], context, first=max(a1, b1) <= 1, last=a2 == len(old) and b2 == len(new))
        else:
            lines += [("-", line) for line in old[a1:a2]]
            lines += [("+", line) for line in new[b1:b2]]
    return lines


def in_words(value: Json) -> list[str]:
    """A state as lines; none for one that is absent."""
    return _bounded(_lines(value))


def _lines(value: Json) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, Mapping):
        return _items(value) if isinstance(value, list) else [_scalar("", value)]
    if "refused" in value:
        refused = value["refused"]
        return [_short(f"could not be read: {refused.get('text') or ''} ({refused.get('code') or 'no code'})")]
    if set(value) == {"sensitive"}:
        return [f"(sensitive, digest {value['sensitive']})"]
    if set(value) == {"done"}:
        return ["done" if value["done"] else "not done"]
    if "type" in value and set(value) <= _REGISTRY_KEYS:
        return _registry(value)
    lines: list[str] = []
    for name, item in value.items():
        lines += _property(name, item)
    return lines or ["present"]


def _property(name: str, value: Json) -> list[str]:
    if value is None:
        return []
    if isinstance(value, (list, Mapping)):
        inner = _lines(value)
        if len(inner) == 1:
            return [f"{name}: {inner[0].strip()}"]
        return [f"{name}:", *(f"  {line}" for line in inner)] if inner else []
    return [f"{name}: {_scalar(name, value)}"]


def _registry(value: Mapping[str, Json]) -> list[str]:
    kind, data = value["type"], value.get("data")
    if data is None:
        expanded = value.get("expanded")
        tail = f", it expands to {_text(expanded)}" if expanded is not None else ""
        return [f"{kind} (its raw data could not be read{tail})"]
    if isinstance(data, list):
        return [f"{kind} {len(data)} {'entry' if len(data) == 1 else 'entries'}", *_items(data)]
    if kind in ("dword", "qword", "dword_big_endian") and str(data).isdecimal():
        return [f"{kind} {data} (0x{int(data):x})"]
    if isinstance(data, str) and "string" not in str(kind):
        return _binary(str(kind), data)
    return [f"{kind} {_text(str(data))}"]


def _binary(kind: str, data: str) -> list[str]:
    size = len(data) // 2
    rows = [data[start : start + 64] for start in range(0, len(data), 64)]
    spaced = ["  " + " ".join(row[i : i + 2] for i in range(0, len(row), 2)) for row in rows]
    if len(spaced) == 1:
        return [f"{kind} {spaced[0].strip()}"]
    return [f"{kind} {size:,} bytes", *spaced]


def _items(items: Sequence[Json]) -> list[str]:
    lines: list[str] = []
    for item in items:
        if isinstance(item, Mapping) and set(item) >= _VALUE_KEYS:
            where = f"{item['key']}\\{item['name'] or '(default)'}"
            kind, *rest = _registry({name: item[name] for name in item if name in _REGISTRY_KEYS})
            lines += [f"  {where}: {kind}", *(f"  {line}" for line in rest)]
        elif isinstance(item, (Mapping, list)):
            inner = _lines(item)
            lines += [f"  {line}" for line in inner]
        else:
            lines.append(f"  {_scalar('', item)}")
    return lines


def _scalar(name: str, value: Json) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name == "size" and isinstance(value, int):
        return f"{value:,} bytes"
    return _text(str(value))


def _text(text: str) -> str:
    """A text as it is; in quotes where its ends could not be seen."""
    return _short(f'"{text}"' if not text or text != text.strip() else text)


def _short(text: str) -> str:
    if len(text) <= LONGEST_LINE:
        return text
    return f"{text[:LONGEST_LINE]}... ({len(text):,} characters)"


def _bounded(lines: list[str]) -> list[str]:
    if len(lines) <= MOST_LINES:
        return lines
    return [*lines[:MOST_LINES], f"  ... and {len(lines) - MOST_LINES:,} more lines"]


def _context(equal: list[str], context: int, *, first: bool, last: bool) -> list[Line]:
    if not context:
        return []
    head = [] if first else equal[:context]
    tail = [] if last else equal[-context:]
    if len(head) + len(tail) >= len(equal):
        return [(" ", line) for line in equal]
    shown = [*head, "  ...", *tail]
    return [(" ", line) for line in shown]


def _is_list(value: Json) -> bool:
    return isinstance(value, Mapping) and isinstance(value.get("data"), list)
