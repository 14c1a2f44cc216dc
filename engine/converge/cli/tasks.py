"""What a run does with each host, first in memory and then for real: bring it to the desired state, or something else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from converge.apply.host import apply, check
from converge.apply.options import ApplyOptions
from converge.cli.remembering import Memory
from converge.cli.selection import Selection
from converge.lab.rehearsal import Rehearsal
from converge.model.change import HostResult
from converge.model.journal import Journal
from converge.model.machine import Machine, Observer


class Task(Protocol):
    """What is done with one host. Called from many threads."""

    def look(self, host: str, observer: Observer, *, run: str, options: ApplyOptions) -> HostResult:
        """What would be done. Sends only reads."""

    def bring(self, host: str, machine: Machine, *, journal: Journal, options: ApplyOptions) -> HostResult:
        """Do it."""


@dataclass(slots=True)
class Converging:
    """Hosts are brought to what their plays declare."""

    selection: Selection
    memory: Memory

    def look(self, host: str, observer: Observer, *, run: str, options: ApplyOptions) -> HostResult:
        """What would change."""
        return check(
            self.selection.targets[host].plays,
            observer=observer,
            rehearse=Rehearsal,
            variables=self.selection.variables(host),
            history=self.memory.history(host),
            run=run,
            options=options,
        )

    def bring(self, host: str, machine: Machine, *, journal: Journal, options: ApplyOptions) -> HostResult:
        """Change it."""
        return apply(
            self.selection.targets[host].plays,
            machine=machine,
            rehearse=Rehearsal,
            variables=self.selection.variables(host),
            journal=journal,
            options=options,
        )
