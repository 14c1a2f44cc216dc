"""What is remembered of runs that are over: who ran them, what became of each host, each change with its actions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from converge.model.change import Json, Problem
from converge.model.journal import History

UNDO_CHECK = "undo-check"
LOOKING = ("check", "plan", "monitor", UNDO_CHECK)
"""Modes of runs that change nothing."""
Outcome = Literal["done", "not-done", "refused", "unknown"]
WITHOUT_TRACE = ("RunCommand", "InvokeCimMethod")
"""Actions that may have done something although they were refused: a program that ended with an error has run all the same."""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run. Times are ISO 8601 in UTC; `ended` and `exit_code` are None while it goes on, and for ever if it was killed.

    `hosts` counts the hosts of each status.
    """

    run: str
    started: str
    ended: str | None
    mode: str
    playbooks: tuple[str, ...]
    user: str
    version: str
    exit_code: int | None
    hosts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HostRecord:
    """What became of one host in a run: its status, its error in words, and the resources that were not in order."""

    host: str
    status: str
    seconds: float
    error: Mapping[str, str] | None
    resources: tuple[Mapping[str, Json], ...] = ()


@dataclass(frozen=True, slots=True)
class RecordedAction:
    """One action as it was written down before it was sent, and what is known of it now."""

    number: int
    action: Mapping[str, Json]
    outcome: Outcome
    code: str = ""
    text: str = ""
    on_the_way: bool = False


@dataclass(frozen=True, slots=True)
class RecordedChange:
    """One change of one host in a run, in the order of `number`.

    `status` is None where the run was broken off during the change. `readable` says whether `before`, `after` and `declared` are
    what was there: of a sensitive change they are digests unless it was kept encrypted and was opened. `planned` names the kinds of
    actions that were decided on, in order; `on_the_way` are actions beside them, such as a folder that had to be there first.
    `serves` are the services that its handlers restart, `line` is that of the playbook's entry.
    """

    run: str
    host: str
    number: int
    address: str
    kind: str
    key: Mapping[str, Json]
    name: str
    play: str
    way_back: str
    before: Json = field(repr=False)
    after: Json = field(repr=False)
    declared: Mapping[str, Json] = field(repr=False)
    status: str | None = None
    found: Json = field(default=None, repr=False)
    text: str = ""
    actions: tuple[RecordedAction, ...] = ()
    sensitive: bool = False
    readable: bool = True
    notify: tuple[str, ...] = ()
    part_of: str = ""
    serves: tuple[str, ...] = ()
    planned: tuple[str, ...] = ()
    line: int = 0


@dataclass(frozen=True, slots=True)
class HostStory:
    """One host of a run: what became of it, each change, and what is still open on it today.

    `overridden` says who had it changed outside its change window, and why. `damage` says why its journal cannot be relied
    upon; then neither that nor what is open is known, and changes only where the journal was written off.
    """

    host: str
    result: HostRecord | None
    changes: Sequence[RecordedChange]
    still_open: History
    overridden: str = ""
    damage: Problem | None = None


@dataclass(frozen=True, slots=True)
class LaterRun:
    """What another run did to a host after a run began there. `reverts` names the run that it took back, if it is an undo.

    `status` is empty where it broke off.
    """

    run: str
    reverts: str
    status: str
    changes: tuple[RecordedChange, ...]


@dataclass(frozen=True, slots=True)
class LaterChange:
    """What a later run did last at an address. `after` is how it wanted it.

    `is_over` is false where that run broke off, or did not bring it to that.
    """

    run: str
    after: Json = field(repr=False)
    is_over: bool


@dataclass(frozen=True, slots=True)
class Drift:
    """A resource of a host that enforcement saw away from its desired state. Moments are aware.

    `since` is when the present drift was first seen, None while there is none. `reverted` counts how often it was changed
    back after a repair, or could not be repaired; `quarantined` is when that became too often.
    """

    host: str
    address: str
    since: datetime | None = None
    repaired: datetime | None = None
    reverted: int = 0
    quarantined: datetime | None = None

    def is_forgotten(self, now: datetime, after: timedelta) -> bool:
        """Whether it is in order for good: never repaired, or repaired long ago and not quarantined."""
        return self.quarantined is None and (self.repaired is None or now - self.repaired >= after)


@dataclass(frozen=True, slots=True)
class Outlook:
    """What enforcement means to do with a group: the round that is due next, and how it stands. Moments are aware.

    `revision` tells versions of the policy file apart. `owner` is the process that enforces (`user@machine pid 123`), empty
    once it has ended in order. `due` is None where no further round will be; one long past means that the process is gone.
    `error` says why the last round could not be made, and is empty where it was.
    """

    group: str
    mode: str
    revision: str
    owner: str
    written: datetime
    due: datetime | None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Intention:
    """What enforcement means to do with drift that its last round left, or with a host that it could not look at.

    `address` is empty where the whole host is meant. `reason` is a stable code, the `Left` of `schedule/drift.py`; `words`
    says the same to a person. `due` is the first round that would repair it if all stays as it is, None where none would.
    """

    group: str
    host: str
    address: str
    reason: str
    due: datetime | None
    words: str
