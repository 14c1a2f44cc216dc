"""Hosts that a stop left behind, or a worker that was lost: told from their journals, for as long as these can be read."""

from __future__ import annotations

import threading
import time

from converge.errors import JournalUnavailable
from converge.model.change import HostResult, Problem, Status
from converge.runs.stage import Stage
from converge.runs.tasks import Subject

PATIENCE = 5.0  # seconds for all hosts of a stage: who stops a run does not wait for a database that hangs


class Recounting:
    """Tells of hosts of one stage that did not come to an end."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._ends: float | None = None

    def __call__(self, host: str, problem: Problem) -> HostResult:
        """What became of a host, by its journal; `unknown` only where that does not tell."""
        if not self._stage.changes_hosts:
            return HostResult(host, Status.UNDECIDED, error=problem)
        self._ends = self._ends or time.monotonic() + PATIENCE
        found: list[HostResult] = []
        reading = threading.Thread(target=self._read, args=(host, problem, found), daemon=True)
        reading.start()
        reading.join(max(0.0, self._ends - time.monotonic()))
        return found[0] if found else HostResult(host, Status.UNKNOWN, error=problem)

    def _read(self, host: str, problem: Problem, found: list[HostResult]) -> None:
        stage = self._stage
        target = stage.selection.targets[host]
        subject = Subject(host, target.plays, {}, stage.run, stage.recorder)
        try:
            found.append(stage.task.recount(subject, problem))
        except JournalUnavailable:
            return
