"""What a run would do, and what it would not, in numbers: for the question before it, and for the end of a check."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from converge.model.change import NEEDS_PERSON, NO_WAY_BACK, Change, HostResult, Status

_NOT_SEEN = (Status.UNREACHABLE, Status.FAILED, Status.UNDECIDED, Status.UNKNOWN, Status.STALE)


@dataclass(slots=True)
class Totals:
    """Counts of hosts and changes, taken host by host as they were looked at."""

    changes: int = 0
    hosts: int = 0
    services: int = 0  # that restart
    restarted: int = 0  # hosts that restart
    restart_pending: int = 0  # hosts that need a restart afterwards
    persons: int = 0  # hosts that wait for one
    words: int = 0  # changes that --accept-no-way-back would allow
    closed: int = 0  # hosts outside their change windows
    troubled: int = 0  # hosts of which something could not be decided, or that could not be asked

    def add(self, result: HostResult) -> None:
        """Take one host's look in."""
        changes = list(result.changes)
        waiting = list(_parts(changes))
        self.persons += any(change.waits_for(NEEDS_PERSON) for change in waiting)
        self.words += sum(change.waits_for(NO_WAY_BACK) for change in changes)
        self.restart_pending += result.restart_pending
        self.troubled += result.status in _NOT_SEEN
        if result.status is Status.HELD or (result.window is not None and not result.window.open):
            self.closed += 1
            if result.status is Status.HELD:
                return
        due = [change for change in changes if change.is_due]
        if not due or result.error is not None:
            return
        self.hosts += 1
        kinds = [str(change.key.get("kind")) for change in due]
        self.services += kinds.count("restart_service")
        self.restarted += "restart_computer" in kinds
        self.changes += sum(kind not in ("restart_service", "restart_computer") for kind in kinds)

    def what(self) -> str:
        """The changes and hosts: `214 changes to 17 hosts`."""
        return f"{_many(self.changes, 'change')} to {_many(self.hosts, 'host')}"

    def besides(self) -> str:
        """What comes with them, and what is not done; empty where there is nothing of the kind."""
        comes = [
            _many(self.services, "service restarts", "services restart"),
            _many(self.restarted, "host restarts", "hosts restart"),
            _many(self.restart_pending, "host needs a restart afterwards", "hosts need a restart afterwards"),
        ]
        left = [
            _many(self.persons, "host waits for a person", "hosts wait for a person"),
            _many(self.words, "change has no way back", "changes have no way back"),
            _many(self.closed, "host is outside its change window", "hosts are outside their change windows"),
            _many(self.troubled, "host could not be checked or decided", "hosts could not be checked or decided"),
        ]
        if self.words:
            left[1] += " (--accept-no-way-back)"
        comes, left = ([words for words in each if not words.startswith("0 ")] for each in (comes, left))
        return "; ".join([*([", ".join(comes)] if comes else []), *([f"not done: {', '.join(left)}"] if left else [])])


def _parts(changes: list[Change]) -> Iterator[Change]:
    for change in changes:
        yield change
        yield from _parts(list(change.steps))


def _many(count: int, one: str, more: str = "") -> str:
    return f"{count} {one if count == 1 else more or one + 's'}"
