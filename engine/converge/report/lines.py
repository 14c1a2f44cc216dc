"""Results as JSON lines: the run, then a host a line as they end, then the summary."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from converge.errors import InputProblem
from converge.model.change import HostResult, Json
from converge.report.document import SCHEMA, Tally, host_as_json, problem_as_json
from converge.report.sink import Stream


class JsonLines:
    """Each line is a JSON object whose `type` is run, host or end. The last one tells that nothing is missing."""

    def __init__(self, out: Stream, *, version: str, mode: str, run: str, playbooks: Sequence[str]) -> None:
        self._out = out
        self._head = {"converge": version, "schema": SCHEMA, "mode": mode, "run": run, "playbooks": list(playbooks)}
        self._tally = Tally()
        self._begun = False
        self._ended = False

    def host(self, result: HostResult) -> None:
        """Write one host's line at once."""
        self._begin()
        self._line("host", {"host": result.host, **host_as_json(result)})
        self._tally.add(result)

    def end(self, errors: Iterable[InputProblem] = ()) -> None:
        """Write the last line. Only the first call counts."""
        if self._ended:
            return
        self._begin()
        self._ended = True
        self._line("end", {"errors": [problem_as_json(error) for error in errors], "summary": self._tally.as_json()})

    def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            self._line("run", self._head)

    def _line(self, kind: str, content: Mapping[str, Json]) -> None:
        self._out.write(json.dumps({"type": kind, **content}) + "\n")
        self._out.flush()
