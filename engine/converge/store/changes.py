"""The changes of one host in one run, read back from its journal."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from converge.errors import JournalUnavailable
from converge.model.change import Json, Status
from converge.model.recorded import LaterChange, LaterRun, Outcome, RecordedAction, RecordedChange
from converge.model.secret import Secret

Content = Mapping[str, Json]
"""What a row of the journal holds."""


class Opener(Protocol):
    """Opens what was sealed."""

    def open(self, sealed: str) -> Secret:
        """The text. Raises JournalUnavailable where it was sealed with another key."""


def changes_of(
    run: str, host: str, *, rows: Iterable[Content], opener: Opener | None = None
) -> tuple[RecordedChange, ...]:
    """The changes of `run` among a host's rows, oldest first; later runs' rows tell what became of unknown actions."""
    found: dict[int, RecordedChange] = {}
    where: dict[int, int] = {}
    restarts: dict[tuple[str, str], Sequence[str]] = {}
    for content in rows:
        event = content["event"]
        try:
            if content["run"] == run and event["event"] == "HandlerPending":
                restarts[(event["play"], event["handler"])] = event.get("restarts", ())
            elif content["run"] == run:
                _take(found, where, event, run=run, host=host, opener=opener)
            elif event["event"] == "ActionSettled" and event["run"] == run:
                _conclude(found, where, event, outcome=event["result"])
        except (ValueError, KeyError, TypeError) as error:
            raise JournalUnavailable(
                f"row {content['number']} of the journal of {host} cannot be read", code="journal-damaged"
            ) from error
    return tuple(replace(change, serves=_serves(change, restarts)) for change in found.values())


def _serves(change: RecordedChange, restarts: Mapping[tuple[str, str], Sequence[str]]) -> tuple[str, ...]:
    named = (name for handler in change.notify for name in restarts.get((change.play, handler), ()))
    return tuple(dict.fromkeys(name for name in named if name))  # an empty one stands for the computer


def later_runs(
    run: str, host: str, *, rows: Iterable[Content], opener: Opener | None = None
) -> tuple[LaterRun, ...]:
    """What other runs than `run` did, among a host's rows, in the order in which they began."""
    held = list(rows)
    reverts: dict[str, str] = {}
    ended: dict[str, str] = {}
    for content in held:
        if content["run"] != run:
            event, by = content["event"], content["run"]
            ended.setdefault(by, "")
            if event["event"] == "TakingBack":
                reverts[by] = event["run"]
            elif event["event"] == "RunEnded":
                ended[by] = event["status"]
    return tuple(
        LaterRun(by, reverts.get(by, ""), status, changes_of(by, host, rows=held, opener=opener))
        for by, status in ended.items()
    )


def later_changes(run: str, *, rows: Iterable[Content]) -> dict[str, LaterChange]:
    """What other runs than `run` did last at each address, among a host's rows."""
    begun: dict[tuple[str, int], Mapping[str, Json]] = {}
    found: dict[str, LaterChange] = {}
    for content in rows:
        event, by = content["event"], content["run"]
        if by == run or event["event"] not in ("ChangeBegun", "ChangeEnded"):
            continue
        if event["event"] == "ChangeBegun":
            begun[(by, event["change"])] = event
            found[event["address"]] = LaterChange(by, event["after"], is_over=False)
        elif (change := begun.get((by, event["change"]))) is not None:
            is_over = event["status"] == Status.CHANGED.value
            found[change["address"]] = LaterChange(by, change["after"], is_over=is_over)
    return found


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
            action = RecordedAction(
                event["action_number"], event["action"], "unknown", on_the_way=event.get("on_the_way", False)
            )
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
    readable = not sensitive
    if sensitive and event.get("sealed") and opener is not None:
        states, readable = json.loads(opener.open(event["sealed"]).reveal()), True
    return RecordedChange(
        run, host, event["change"], event["address"], event["kind"], event["key"], event["name"], event["play"],
        event["way_back"], states["before"], states["after"], states["declared"], sensitive=sensitive, readable=readable,
        notify=tuple(event.get("notify", ())), part_of=event.get("part_of", ""),
        planned=tuple(event.get("planned", ())), line=event.get("line", 0),
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
