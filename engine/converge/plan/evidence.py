"""What a plan rests on, as digests: every answer of a host without what changes by itself."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum

from converge.model.answer import Answer, Answers, Found, Refused
from converge.model.change import Json
from converge.model.facts import (
    DirectoryFacts,
    EventRecord,
    KeyContents,
    OperatingSystemFacts,
    SearchFinds,
    ServiceFacts,
)
from converge.model.names import fold
from converge.model.query import AnyQuery, ServiceStartTime
from converge.model.registry import RegistryPath

_VOLATILE = {OperatingSystemFacts: {"now", "started"}, ServiceFacts: {"process_id"}}
_NOT_ASKED_FOR = {"since", "limit"}  # follow from the clock; the events themselves are compared


def evidence(answers: Answers, *, key: bytes) -> dict[str, str]:
    """A keyed digest of each answer, by its question in words."""
    return {question(query): digest_of(_steady(query, answer), key=key) for query, answer in answers.items()}


def digest_of(value: Json, *, key: bytes) -> str:
    """The keyed digest of a JSON value: equal for equal values, and nobody without the key can guess what it is of."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hmac.new(key, text.encode("ascii"), hashlib.sha256).hexdigest()[:32]


def question(query: AnyQuery) -> str:
    """A question in words that tell it apart: `RegistryValue(key=HKLM\\..., name=ImagePath)`."""
    named = ((item.name, getattr(query, item.name)) for item in fields(query))  # type: ignore[arg-type]  # every query is a dataclass
    told = ", ".join(f"{name}={_plain(value)}" for name, value in named if name not in _NOT_ASKED_FOR)
    return f"{type(query).__name__}({told})"


def _steady(query: AnyQuery, answer: Answer[object]) -> Json:
    """An answer as JSON, without the clock, process numbers and the order in which a host lists things."""
    if isinstance(answer, Refused):
        return {"refused": answer.code}
    if not isinstance(answer, Found):
        return None
    value = answer.value
    if isinstance(query, ServiceStartTime):
        return {"found": "started"}
    if isinstance(value, tuple) and all(isinstance(item, EventRecord) for item in value):
        return {"found": sorted({item.id for item in value})}  # whether they occur decides, not how often
    return {"found": _plain(value)}


def _plain(value: object) -> Json:
    if isinstance(value, SearchFinds):
        places = sorted(fold(f"{item.key}\\{item.name}") for item in value.values)
        return [places, sorted(fold(str(key)) for key in value.unreadable)]
    if isinstance(value, KeyContents):
        return [sorted(map(fold, value.subkeys)), sorted([fold(name), kind.label] for name, kind in value.values)]
    if isinstance(value, DirectoryFacts):
        files = sorted((_plain(file) for file in value.files), key=str)
        return [value.path, files, sorted(map(fold, value.directories))]
    if isinstance(value, RegistryPath):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        left_out = _VOLATILE.get(type(value), set())
        return {item.name: _plain(getattr(value, item.name)) for item in fields(value) if item.name not in left_out}
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, datetime):
        return value.isoformat()
    return value.hex() if isinstance(value, bytes) else value
