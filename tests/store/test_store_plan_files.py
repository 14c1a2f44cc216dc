"""Plans as files: whatever is changed in one is noticed, and what is not a plan of this format is told as such."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from converge.errors import UsageError
from converge.model.change import Change, Problem, Status, WayBack
from converge.model.position import Position
from converge.model.saved_plan import FORMAT, HostPlan, PlannedFrom, SavedPlan
from converge.store.keys import key_name
from converge.store.plan_files import ReadPlan, _signature, read_plan, write_plan

KEY, FOREIGN = b"k" * 32, b"f" * 32
STEP = Change("a:s", {"kind": "a"}, name="s", play="p", status=Status.CHANGED, before={"x": [1, None]}, after={"x": []})
CHANGE = Change(
    "a:b", {"kind": "a", "name": "b"}, name="b", play="p", status=Status.CHANGED, reason="why", before={"data": "1"},
    way_back=WayBack("none", "gone", must_accept=True), after={"data": "2"}, actions=({"action": "X", "key": "k"},),
    error=Problem("c", "w"), position=Position("f.yml", 1, 2), notes=("n",), steps=(STEP,),
)  # fmt: skip
PLAN = SavedPlan(
    "1", "run", "2026-11-20T22:00:00+00:00", "0.1.0", key_name(KEY),
    PlannedFrom({"p.yml": "00"}, ("inventory",), "web*", ("t",), ("s",), ("e",)),
    (HostPlan("web01", Status.CHANGED, (CHANGE,), None, ("p",), {"q": "d"}, {"v": "d"}), HostPlan("web02", Status.OK)),
    {"p": "mail stops meanwhile"},
)  # fmt: skip


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "plan.json"
    write_plan(PLAN, path, key=KEY)
    assert read_plan(path, key=KEY).doubt == ""
    return path


def others(value: Any) -> list[Any]:
    """Values in place of another."""
    if isinstance(value, bool) or value is None:
        return [not value, "x"]
    if isinstance(value, str):
        return [value + "x", value[:-1], None, 7] if value else ["x", None]
    return [value + 1, str(value)]


def flipped(document: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Every place of a document, with what may stand there instead."""
    value = document
    for part in place:
        value = value[part]
    if isinstance(value, dict | list):
        empty: tuple[Any, ...] = ({}, [], None)
        yield from ((place, other) for other in empty)
        for part in value if isinstance(value, dict) else range(len(value)):
            yield from flipped(document, (*place, part))
    else:
        yield from ((place, other) for other in others(value))


def told_of(path: Path) -> str:
    """What is said against a plan."""
    try:
        return read_plan(path, key=KEY).doubt
    except UsageError as error:
        return error.what if error.try_ else ""


def test_no_field_can_be_changed_unnoticed(saved: Path) -> None:
    original = json.loads(saved.read_text())
    tried = 0
    for place, other in flipped(original):
        if not place:
            continue
        document = deepcopy(original)
        at = document
        for part in place[:-1]:
            at = at[part]
        if json.dumps(at[place[-1]]) == json.dumps(other):
            continue
        for remove in (False, True) if isinstance(at, dict | list) else (False,):
            at[place[-1]] = other
            if remove:
                del at[place[-1]]
            saved.write_text(json.dumps(document))
            tried += 1
            assert told_of(saved), f"{place} became {other!r} and nobody noticed"
    assert tried > 300


def test_one_that_holds_no_warnings_is_read(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    write_plan(replace(PLAN, warnings={}), path, key=KEY)
    document = json.loads(path.read_text())
    del document["warnings"], document["signature"]
    path.write_text(json.dumps(document | {"signature": _signature(document, key=KEY)}))
    assert read_plan(path, key=KEY) == ReadPlan(replace(PLAN, warnings={}))


def test_a_field_more_is_noticed(saved: Path) -> None:
    document = json.loads(saved.read_text())
    document["hosts"][0]["changes"][0]["more"] = 1
    saved.write_text(json.dumps(document))
    assert read_plan(saved, key=KEY).doubt


@pytest.mark.parametrize("size", range(0, 1960, 97))
def test_a_part_of_it_is_no_plan(saved: Path, size: int) -> None:
    data = saved.read_bytes()
    assert size < len(data) - 2
    saved.write_bytes(data[:size])
    with pytest.raises(UsageError, match="is not a saved plan: it is not JSON, or only a part of it"):
        read_plan(saved, key=KEY)


def test_one_of_another_store_is_told(saved: Path) -> None:
    for key in (FOREIGN, None):
        assert read_plan(saved, key=key).doubt.startswith("it was signed with another key")


def test_one_of_another_version_is_told(saved: Path) -> None:
    document = json.loads(saved.read_text()) | {"converge_plan": FORMAT + 1, "something": "new"}
    saved.write_text(json.dumps(document))
    with pytest.raises(UsageError) as told:
        read_plan(saved, key=KEY)
    assert f"was written by another version of converge (its format is {FORMAT + 1}, " in told.value.what
    assert "converge plan -o" in told.value.try_
