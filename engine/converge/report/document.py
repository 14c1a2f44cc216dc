"""Results as the JSON of the contract, hosts written as they end."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from converge.errors import InputProblem
from converge.model.change import Change, HostResult, Json, Status
from converge.report.sink import Stream

SCHEMA = 2  # the version of the document; it changes when a reader would have to
_ALWAYS = (Status.OK, Status.CHANGED, Status.FAILED, Status.UNREACHABLE, Status.UNDECIDED, Status.SKIPPED)


class Tally:
    """How many hosts ended how, with how many resources of each status, and how many need a restart."""

    def __init__(self) -> None:
        self.hosts: Counter[Status] = Counter()
        self.resources: Counter[Status] = Counter()
        self.restart_pending = 0

    def add(self, result: HostResult) -> None:
        """Take one host's result in."""
        self.hosts[result.status] += 1
        self.resources.update(change.status for change in result.changes)
        self.restart_pending += result.restart_pending

    def as_json(self) -> dict[str, Json]:
        """The form of the contract's `summary`; the rarer statuses only where there are some."""
        hosts = {each.value: self.hosts[each] for each in Status if each in _ALWAYS or self.hosts[each]}
        resources = {each.value: self.resources[each] for each in Status if self.resources[each]}
        return {**hosts, "resources": resources, "restart_pending": self.restart_pending}


def host_as_json(result: HostResult) -> dict[str, Json]:
    """One host's result."""
    windows = {"window": result.window.as_json()} if result.window is not None else {}
    return {
        "status": result.status.value,
        "round_trips": result.round_trips,
        "seconds": round(result.seconds, 3),
        "error": result.error.as_json() if result.error else None,
        "restart_pending": result.restart_pending,
        **windows,
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
    if change.may_be_changed_by:
        shown["may_be_changed_by"] = list(change.may_be_changed_by)
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


class JsonDocument:
    """One document, written piece by piece. It is valid JSON once `end` was called, whatever was written before."""

    def __init__(self, out: Stream, *, version: str, mode: str, run: str, playbooks: Sequence[str]) -> None:
        self._out = out
        self._head = {"converge": version, "schema": SCHEMA, "mode": mode, "run": run, "playbooks": list(playbooks)}
        self._tally = Tally()
        self._begun = False
        self._ended = False

    def host(self, result: HostResult) -> None:
        """Write one host's result at once."""
        self.entry(result, host_as_json(result))

    def entry(self, result: HostResult, content: Mapping[str, Json]) -> None:
        """Write what there is to say of one host at once."""
        self._begin()
        comma = "," if self._tally.hosts else ""
        self._out.write(f"{comma}\n  {json.dumps(result.host)}: {json.dumps(content)}")
        self._out.flush()
        self._tally.add(result)

    def end(self, errors: Iterable[InputProblem] = ()) -> None:
        """Close the document with the errors and the summary. Only the first call counts."""
        if self._ended:
            return
        self._begin()
        self._ended = True
        tail = {"errors": [problem_as_json(error) for error in errors], "summary": self._tally.as_json()}
        self._out.write(f"\n }},\n {json.dumps(tail)[1:]}\n")
        self._out.flush()

    def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            self._out.write(f'{json.dumps(self._head)[:-1]},\n "hosts": {{')
