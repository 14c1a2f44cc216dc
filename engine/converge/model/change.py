"""What was decided and done for one resource and for one host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Literal

from converge.errors import ConvergeError, HostUnreachable
from converge.model.position import Position

if TYPE_CHECKING:
    from converge.model.diagnosis import Diagnosis

Json = Any  # what json.dumps takes: None, bool, int, float, str, lists and string-keyed mappings of these


class Status(StrEnum):
    """Outcomes of resources and hosts. In check, `changed` means would change.

    `waiting`: for a person, or for a word that was not given. `later` (of resources only): decided after a command.
    """

    OK = "ok"
    CHANGED = "changed"
    FAILED = "failed"
    UNREACHABLE = "unreachable"
    UNDECIDED = "undecided"
    WAITING = "waiting"
    SKIPPED = "skipped"
    UNKNOWN = "unknown"
    STALE = "stale"
    HELD = "held"
    LATER = "later"


WOULD_CHANGE = "would_change"
"""What metrics call `changed` where nothing was done."""
HOST_STATUSES = tuple(status for status in Status if status is not Status.LATER)
NEEDS_PERSON = "needs-operator"
NO_WAY_BACK = "no-way-back"
"""Codes of what waits: for a person, and for --accept-no-way-back."""


@dataclass(frozen=True, slots=True)
class WayBack:
    """Whether a change can be taken back: full, partial or none, and why not fully.

    `must_accept` is set where something is lost for good that nobody recorded (a raw text, a site's configuration):
    then the change is made only when the loss was accepted explicitly.
    """

    kind: Literal["full", "partial", "none"] = "full"
    reason: str = ""
    must_accept: bool = False

    def __str__(self) -> str:
        return f"{self.kind} ({self.reason})" if self.reason else self.kind


@dataclass(frozen=True, slots=True)
class Problem:
    """What went wrong for a host or resource, in words: a stable code, what, why, and what to try."""

    code: str
    what: str
    why: str = ""
    try_: str = ""
    unreachable: bool = field(default=False, compare=False)  # of the host's status, which the code need not tell

    @classmethod
    def of(cls, error: ConvergeError) -> Problem:
        """The words of an error."""
        return cls(error.code, error.what, error.why, error.try_, unreachable=isinstance(error, HostUnreachable))

    def as_json(self) -> dict[str, str]:
        """The form of the contract's `error`."""
        return {"code": self.code, "what": self.what, "why": self.why, "try": self.try_}


@dataclass(frozen=True, slots=True)
class Change:
    """The decision for one resource, and after apply its outcome.

    `before` and `after` are JSON values ready to be shown (sensitive ones are digests); absent is None; what could not
    be read is {"refused": {"code", "text"}}. `actions` are JSON objects of which each names its `action`.
    `may_be_changed_by` names commands that are due before it and may do anything: what is told of it is as the host is now.
    """

    address: str
    key: Mapping[str, Json]
    name: str
    play: str
    status: Status
    reason: str | None = None
    way_back: WayBack = field(default_factory=WayBack)
    before: Json = None
    after: Json = None
    actions: tuple[Mapping[str, Json], ...] = ()
    error: Problem | None = None
    position: Position | None = None
    notes: tuple[str, ...] = ()  # warnings worth a line: a reference left alone, keys that could not be read
    steps: tuple[Change, ...] = ()  # of a procedure
    may_be_changed_by: tuple[str, ...] = ()

    @property
    def is_pending_restart(self) -> bool:
        """Whether the computer must be restarted some time, which nobody allowed: the host is in order all the same."""
        return self.status is Status.WAITING and self.key.get("kind") == "restart_computer"

    def waits_for(self, code: str) -> bool:
        """Whether it waits for this: NEEDS_PERSON or NO_WAY_BACK."""
        return self.status is Status.WAITING and self.error is not None and self.error.code == code

    @property
    def is_due(self) -> bool:
        """Whether applying it does something: also where a person is to go on after the first steps of a procedure."""
        if self.status is Status.CHANGED:
            return True
        if not self.waits_for(NEEDS_PERSON):
            return False
        before = takewhile(lambda step: step.status is not Status.WAITING, self.steps)
        return any(step.status is Status.CHANGED for step in before)

    @property
    def differing(self) -> tuple[str, ...]:
        """The properties that the change is about, by name."""
        before = self.before if isinstance(self.before, Mapping) else {}
        after = self.after if isinstance(self.after, Mapping) else {}
        return tuple(name for name in {**before, **after} if before.get(name) != after.get(name))


@dataclass(frozen=True, slots=True)
class Window:
    """Whether a host may be changed now by its change windows, and if not, when next (ISO 8601 in UTC; None: not foreseeable)."""

    open: bool
    next: str | None = None

    def as_json(self) -> dict[str, Json]:
        """The form of the contract's `window`."""
        return {"open": self.open, "next": self.next}


@dataclass(frozen=True, slots=True)
class HostResult:
    """What became of one host in a run."""

    host: str
    status: Status
    changes: tuple[Change, ...] = ()
    round_trips: int = 0
    seconds: float = 0.0
    error: Problem | None = None
    evidence: Mapping[str, str] = field(default_factory=dict)  # for a saved plan: digests of the answers it rests on
    window: Window | None = None  # of a host that may be changed at times only
    diagnoses: tuple[Diagnosis, ...] = ()  # of a diagnosis

    @property
    def resources(self) -> tuple[Change, ...]:
        """What was decided and done for each resource, in their order: the same as `changes`, by the name that JSON gives it."""
        return self.changes

    @property
    def restart_pending(self) -> bool:
        """Whether the computer must be restarted some time."""
        return any(change.is_pending_restart for change in self.changes)


def host_status(changes: tuple[Change, ...]) -> Status:
    """The status of a host of its resources' statuses: the worst one; skipped only if nothing but skipped.

    What a command will decide, and a restart that is pending, make it no worse.
    """
    harmless = (Status.OK, Status.LATER)
    found = {Status.OK if change.status in harmless or change.is_pending_restart else change.status for change in changes}
    for status in (Status.UNKNOWN, Status.FAILED, Status.UNDECIDED, Status.WAITING, Status.CHANGED, Status.OK):
        if status in found:
            return status
    return Status.SKIPPED
