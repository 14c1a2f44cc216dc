"""What a run does with each host, first in memory and then for real: bring it to the desired state, or something else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, Self

from converge.apply.host import apply, check
from converge.apply.options import ApplyOptions
from converge.apply.recounting import recounted
from converge.apply.walking import not_begun
from converge.model.change import HostResult, Problem
from converge.model.journal import Journal
from converge.model.machine import Machine, Observer
from converge.model.play import Play
from converge.runs.recording import Recorder


@dataclass(frozen=True, slots=True)
class Subject:
    """One host as a task sees it: the plays that are for it, its variables, and what is remembered of it."""

    host: str
    plays: tuple[Play, ...]
    variables: Mapping[str, object]
    run: str
    recorder: Recorder


class Task(Protocol):
    """What is done with a host. A value that can be pickled, for a worker elsewhere may do it; used from many threads."""

    def narrowed(self, host: str) -> Self:
        """As much of it as concerns one host."""

    def check(self, subject: Subject, observer: Observer, *, options: ApplyOptions) -> HostResult:
        """What would be done. Sends only reads."""

    def apply(self, subject: Subject, machine: Machine, *, journal: Journal, options: ApplyOptions) -> HostResult:
        """Do it."""

    def recount(self, subject: Subject, problem: Problem) -> HostResult:
        """What the journal says of a host that did not come to an end. Raises JournalUnavailable."""


@dataclass(frozen=True, slots=True)
class Converging:
    """Hosts are brought to what their plays declare."""

    def narrowed(self, host: str) -> Self:
        """The same for every host."""
        return self

    def check(self, subject: Subject, observer: Observer, *, options: ApplyOptions) -> HostResult:
        """What would change."""
        return check(
            subject.plays,
            observer=observer,
            variables=subject.variables,
            history=subject.recorder.history(subject.host),
            run=subject.run,
            options=options,
        )

    def apply(self, subject: Subject, machine: Machine, *, journal: Journal, options: ApplyOptions) -> HostResult:
        """Change it."""
        return apply(
            subject.plays,
            machine=machine,
            variables=subject.variables,
            journal=journal,
            options=options,
        )

    def recount(self, subject: Subject, problem: Problem) -> HostResult:
        """What was done, cut and not begun of what the plays declare."""
        store, host = subject.recorder.store, subject.host
        return recounted(
            host,
            store.runs.changes(subject.run, host),
            history=store.history(host),
            remaining=not_begun(subject.plays, problem.what),
            problem=problem,
        )
