"""Saved plans as files: JSON that people can read, signed with the key of the store, whole on the disk or not there."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from converge.errors import UsageError
from converge.model.change import Json
from converge.model.opening import NotOrdinary, is_stream, read_own
from converge.model.saved_plan import FORMAT, SavedPlan
from converge.store import durable
from converge.store.keys import derived_key, key_name

LARGEST = 512 * 1024 * 1024  # bytes
_HEAD = "converge_plan"
_SEAL = "signature"
_PLAN: TypeAdapter[SavedPlan] = TypeAdapter(SavedPlan)


@dataclass(frozen=True, slots=True)
class ReadPlan:
    """A plan as a file holds it. `doubt` says in words why it cannot be relied upon; empty where its signature is right."""

    plan: SavedPlan
    doubt: str = ""


def check_place(path: Path) -> None:
    """Whether a plan can be written there, asked before any host is. Raises UsageError."""
    try:
        if is_stream(path):
            raise NotOrdinary(path)
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        os.close(descriptor)
        os.unlink(name)
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> UsageError:
    return UsageError(
        f"the plan cannot be written to {path}: {error.strerror or error}",
        try_="a file in a folder that is there and that this account may write",
    )


def write_plan(plan: SavedPlan, path: Path, *, key: bytes) -> None:
    """Write it for its owner alone; a file that is there is replaced by all of it. Raises UsageError where that fails."""
    document: dict[str, Json] = {_HEAD: FORMAT, **_PLAN.dump_python(plan, mode="json")}
    document[_SEAL] = _signature(document, key=key)
    try:
        durable.replace_whole(path, lambda file: json.dump(document, file, indent=1))
    except OSError as error:
        raise _unwritable(path, error) from error


def read_plan(path: Path, *, key: bytes | None) -> ReadPlan:
    """Read a plan and compare its signature; without a `key` that cannot be done. Raises UsageError for what is not a plan."""
    document = _document(path)
    version = document[_HEAD]
    if version != FORMAT or isinstance(version, bool):
        raise UsageError(
            f"the plan {path} was written by another version of converge (its format is {version!r}, this one reads {FORMAT})",
            try_="make it again with `converge plan -o`",
        )
    content = {name: value for name, value in document.items() if name not in (_HEAD, _SEAL)}
    try:
        plan = _PLAN.validate_python(content)
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise _no_plan(path, f"{where} is not as a plan has it") from None
    return ReadPlan(plan, _doubt(document, plan, key=key))


def _document(path: Path) -> dict[str, Any]:
    try:
        data = read_own(path, most=LARGEST)
    except OSError as error:
        raise UsageError(f"the plan {path} cannot be read: {error.strerror or error}") from error
    if len(data) > LARGEST:
        raise _no_plan(path, f"it is larger than {LARGEST:,} bytes")
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        raise _no_plan(path, "it is not JSON, or only a part of it") from None
    if not isinstance(document, dict) or _HEAD not in document:
        raise _no_plan(path, f"it has no {_HEAD}")
    return document


def _doubt(document: Mapping[str, Json], plan: SavedPlan, *, key: bytes | None) -> str:
    if key is None or plan.key != key_name(key):
        return "it was signed with another key: it was made with another state folder or store"
    given = document.get(_SEAL)
    if not isinstance(given, str) or not hmac.compare_digest(given.encode(), _signature(document, key=key).encode()):
        return "its signature is not that of its content: it was changed after it was made"
    return ""


def _signature(document: Mapping[str, Json], *, key: bytes) -> str:
    content = {name: value for name, value in document.items() if name != _SEAL}
    text = json.dumps(content, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hmac.new(derived_key(key, purpose="signature"), text.encode("ascii"), hashlib.sha256).hexdigest()


def _no_plan(path: Path, why: str) -> UsageError:
    return UsageError(f"{path} is not a saved plan: {why}", try_="`converge plan -o FILE` makes one")
