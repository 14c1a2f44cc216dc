"""The fleet as it is remembered at one moment: what was learnt last of each host, and how far a run has come."""

from __future__ import annotations

from dataclasses import dataclass, field

from converge.model.recorded import HostRecord


@dataclass(frozen=True, slots=True)
class LastResult:
    """The last thing worth telling of a host. `error` and `resources` are JSON as it was written, equal for equal findings."""

    run: str
    mode: str
    tried: str
    status: str
    error: str = field(default="", repr=False)
    resources: str = field(default="[]", repr=False)


@dataclass(frozen=True, slots=True)
class HostLatest:
    """A host as it is known now. `seen` is when something was learnt of it last (ISO 8601 in UTC), None if never.

    `status`, `run` and `mode` are those of the last run that spoke of it, `result` what there is to tell of that: None for a
    host that was found in order, as before. `playbooks` is the JSON list of that run's playbooks.
    """

    host: str
    status: str
    run: str
    mode: str
    playbooks: str
    seen: str | None
    result: LastResult | None


@dataclass(frozen=True, slots=True)
class Told:
    """One entry of a host's story: a run, and what became of the host in it. `result` is None where the run was broken off."""

    run: str
    mode: str
    started: str
    result: HostRecord | None
    journaled: bool
