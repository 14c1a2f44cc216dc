"""The changes of one host in one run, read back from its journal."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Protocol

from converge.errors import JournalUnavailable
from converge.model.change import Json, Status
from converge.model.recorded import Outcome, RecordedAction, RecordedChange
from converge.model.secret import Secret
from converge.store.chain import Row


class Opener(Protocol):
    """Opens what was sealed."""

    def open(self, sealed: str) -> Secret:
        """The text. Raises JournalUnavailable where it was sealed with another key."""


def changes_of(run: str, host: str, *, rows: Iterable[Row], opener: Opener | None = None) -> tuple[RecordedChange, ...]:
    """The changes of `run` among a host's rows, oldest first; later runs' rows tell what became of unknown actions."""
    found: dict[int, RecordedChange] = {}
    where: dict[int, int] = {}
    for row in rows:
        if row.run != run and '"ActionSettled"' not in row.body:
            continue
        try:
            event = json.loads(row.body)["event"]
            if row.run == run:
                _take(found, where, event, run=run, host=host, opener=opener)
            elif event["event"] == "ActionSettled" and event["run"] == run:
                _conclude(found, where, event, outcome=event["result"])
        except (ValueError, KeyError, TypeError) as error:
            raise JournalUnavailable(
                f"row {row.number} of the journal of {host} cannot be read", code="journal-damaged"
            ) from error
    return tuple(found.values())


def broken_off(run: str, *, rows: Iterable[Row]) -> frozenset[str]:
    """The addresses of changes that other runs than `run` began last and did not end well, among a host's rows."""
    begun: dict[tuple[str, int], str] = {}
    open_: dict[str, bool] = {}
    for row in rows:
        event = json.loads(row.body)["event"]
        if row.run == run or event["event"] not in ("ChangeBegun", "ChangeEnded"):
            continue
        if event["event"] == "ChangeBegun":
            begun[(row.run, event["change"])] = event["address"]
            open_[event["address"]] = True
        elif (address := begun.get((row.run, event["change"]))) is not None:
            open_[address] = event["status"] != Status.CHANGED.value
    return frozenset(address for address, is_open in open_.items() if is_open)


def _take(
    found: dict[int, RecordedChange],
    where: dict[int, int],
    event: Mapping[str, Json],
    *,
    run: str,
    host: str,
    opener: Opener | None,
) -> None:
    match event["event"]:
        case "ChangeBegun":
            found[event["change"]] = _begun(event, run=run, host=host, opener=opener)
        case "ActionIntended":
            change = found.get(event["change"]) or _without_beginning(event, run=run, host=host)
            action = RecordedAction(event["action_number"], event["action"], "unknown")
            found[event["change"]] = replace(change, actions=(*change.actions, action))
            where[action.number] = event["change"]
        case "ActionEnded":
            _conclude(found, where, event, outcome=event["result"])
        case "ChangeEnded" if event["change"] in found:
            ended = {"status": event["status"], "found": event["found"], "text": event["text"]}
            found[event["change"]] = replace(found[event["change"]], **ended)
        case _:
            pass


def _begun(event: Mapping[str, Json], *, run: str, host: str, opener: Opener | None) -> RecordedChange:
    sensitive = event["confidential"]
    states: Mapping[str, Json] = event
    kept = not sensitive
    if sensitive and event.get("sealed") and opener is not None:
        states, kept = json.loads(opener.open(event["sealed"]).reveal()), True
    return RecordedChange(
        run, host, event["change"], event["address"], event["kind"], event["key"], event["name"], event["play"],
        event["way_back"], states["before"], states["after"], states["declared"], sensitive=sensitive, kept=kept,
        notify=tuple(event.get("notify", ())), part_of=event.get("part_of", ""),
    )  # fmt: skip


def _without_beginning(event: Mapping[str, Json], *, run: str, host: str) -> RecordedChange:
    """Services started again for an earlier run's broken restart: actions that belong to no resource."""
    return RecordedChange(
        run, host, event["change"], event["address"], "", {}, event["address"], "", "full", None, None, {}
    )


def _conclude(
    found: dict[int, RecordedChange], where: dict[int, int], event: Mapping[str, Json], *, outcome: Outcome
) -> None:
    number = event["action_number"]
    if number not in where:
        return
    change = found[where[number]]
    actions = tuple(
        replace(action, outcome=outcome, code=event.get("code", action.code), text=event.get("text", action.text))
        if action.number == number
        else action
        for action in change.actions
    )
    found[where[number]] = replace(change, actions=actions)
