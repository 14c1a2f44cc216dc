"""What the page tells, gathered from what is remembered: hosts now, their past, hosts to which the same happens."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from converge.model.change import Json
from converge.model.recorded import UNDO_CHECK, HostRecord, HostSeen, RunRecord
from converge.report.folding import natural
from converge.report.runs import HostStory
from converge.report.vocabulary import shown_status

ORDER = (
    "failed", "unknown", "unreachable", "undecided", "waiting", "held", "stale", "drift", "undone", "would-undo", "changed",
    "skipped", "ok",
)  # fmt: skip
"""Statuses, the one that wants a person first. For those of `changed` that say something else see `shown_status`."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What was to be told of a host: its status, its error, the resources that were not in order. Kept once for all hosts."""

    status: str
    error: Mapping[str, str]
    resources: tuple[Mapping[str, Json], ...]


@dataclass(frozen=True, slots=True)
class HostNow:
    """A host as it was seen last. `finding` is the number of what there is to tell, None where it was in order."""

    host: str
    status: str
    seen: str
    finding: int | None


@dataclass(frozen=True, slots=True)
class Journal:
    """One run, host by host."""

    run: RunRecord
    hosts: Sequence[HostStory]
    left_out: int = 0  # hosts beyond what a page can hold


@dataclass(slots=True)
class Fleet:
    """Everything on the page. `past` holds, by host, (number of the run, number of the finding), newest first."""

    runs: list[RunRecord]
    hosts: list[HostNow]
    findings: list[Finding] = field(default_factory=list)
    past: dict[str, list[tuple[int, int]]] = field(default_factory=dict)

    def groups(self) -> list[tuple[Finding, list[str]]]:
        """Hosts to which the same happens, the largest group first."""
        found: dict[int, list[str]] = {}
        for host in self.hosts:
            if host.finding is not None and host.status not in ("ok", "skipped"):
                found.setdefault(host.finding, []).append(host.host)
        ordered = sorted(found.items(), key=lambda item: (-len(item[1]), item[0]))
        return [(self.findings[number], hosts) for number, hosts in ordered]


def fleet_of(
    runs: Sequence[tuple[RunRecord, Iterable[HostRecord]]], seen: Iterable[HostSeen]
) -> Fleet:
    """The fleet from the newest runs (newest first) and from how each host was seen last."""
    fleet = Fleet([], [])
    numbers: dict[str, int] = {}
    for number, (run, records) in enumerate(runs):
        counts = {shown_status(status, run.mode): count for status, count in run.hosts.items()}
        fleet.runs.append(replace(run, hosts=counts))
        for record in records:
            record = replace(record, status=shown_status(record.status, run.mode))
            finding = _number(record, fleet, numbers)
            fleet.past.setdefault(record.host, []).append((number, finding))
    states = {state.host: state for state in seen}
    for host in sorted({*states, *fleet.past}, key=natural):
        fleet.hosts.append(_now(host, states.get(host), fleet))
    return fleet


def _number(record: HostRecord, fleet: Fleet, numbers: dict[str, int]) -> int:
    text = json.dumps([record.status, record.error, record.resources], sort_keys=True, default=dict)
    if text not in numbers:
        numbers[text] = len(fleet.findings)
        fleet.findings.append(Finding(record.status, record.error or {}, record.resources))
    return numbers[text]


def _now(host: str, state: HostSeen | None, fleet: Fleet) -> HostNow:
    """The newest of both: a host out of reach has no new state, one in order has nothing to tell."""
    past = fleet.past.get(host)
    if not past:
        assert state is not None
        return HostNow(host, state.status, state.seen, None)
    # What an undo would do says nothing of how the host is.
    number, finding = next((each for each in past if fleet.runs[each[0]].mode != UNDO_CHECK), past[0])
    run = fleet.runs[number]
    if state is not None and state.run > run.run:
        return HostNow(host, state.status, state.seen, None)
    return HostNow(host, fleet.findings[finding].status, run.started, finding)
