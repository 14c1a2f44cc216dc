"""Results as the JSON of the contract, hosts written as they end."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from converge.errors import InputProblem
from converge.model.change import Change, HostResult, Json, Status
from converge.report.sink import Stream

SCHEMA = 1  # the version of the document; it changes when a reader would have to
_ALWAYS = (Status.OK, Status.CHANGED, Status.FAILED, Status.UNREACHABLE, Status.UNDECIDED, Status.SKIPPED)


def host_as_json(result: HostResult) -> dict[str, Json]:
    """One host's result."""
    return {
        "status": result.status.value,
        "round_trips": result.round_trips,
        "seconds": round(result.seconds, 3),
        "error": result.error.as_json() if result.error else None,
        "resources": [change_as_json(change) for change in result.changes],
    }


def change_as_json(change: Change) -> dict[str, Json]:
    """One resource's result; the steps of a procedure stand within it."""
    shown: dict[str, Json] = {
        "address": change.address,
        "key": dict(change.key),
        "name": change.name,
        "play": change.play,
        "status": change.status.value,
        "reason": change.reason,
        "way_back": str(change.way_back),
        "before": change.before,
        "after": change.after,
        "actions": [dict(action) for action in change.actions],
        "error": change.error.as_json() if change.error else None,
        "notes": list(change.notes),
    }
    if change.steps:
        shown["steps"] = [change_as_json(step) for step in change.steps]
    return shown


def problem_as_json(problem: InputProblem) -> dict[str, Json]:
    """One thing that is wrong in the user's files."""
    return {
        "file": problem.file,
        "line": problem.line,
        "column": problem.column,
        "message": problem.message,
        "expected": problem.expected,
        "hint": problem.hint,
    }


def summary(statuses: Mapping[Status, int]) -> dict[str, int]:
    """How many hosts ended how; the rarer statuses only where there are some."""
    return {status.value: statuses.get(status, 0) for status in Status if status in _ALWAYS or statuses.get(status)}


class JsonDocument:
    """One document, written piece by piece. It is valid JSON once `end` was called, whatever was written before."""

    def __init__(self, out: Stream, *, version: str, mode: str, run: str, playbooks: Sequence[str]) -> None:
        self._out = out
        self._head = {"converge": version, "schema": SCHEMA, "mode": mode, "run": run, "playbooks": list(playbooks)}
        self._statuses: Counter[Status] = Counter()
        self._begun = False
        self._ended = False

    def host(self, result: HostResult) -> None:
        """Write one host's result at once."""
        self.entry(result.host, result.status, host_as_json(result))

    def entry(self, host: str, status: Status, content: Mapping[str, Json]) -> None:
        """Write what there is to say of one host at once."""
        self._begin()
        comma = "," if self._statuses else ""
        self._out.write(f"{comma}\n  {json.dumps(host)}: {json.dumps(content)}")
        self._out.flush()
        self._statuses[status] += 1

    def end(self, errors: Iterable[InputProblem] = ()) -> None:
        """Close the document with the errors and the summary. Only the first call counts."""
        if self._ended:
            return
        self._begin()
        self._ended = True
        tail = {"errors": [problem_as_json(error) for error in errors], "summary": summary(self._statuses)}
        self._out.write(f"\n }},\n {json.dumps(tail)[1:]}\n")
        self._out.flush()

    def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            self._out.write(f'{json.dumps(self._head)[:-1]},\n "hosts": {{')
