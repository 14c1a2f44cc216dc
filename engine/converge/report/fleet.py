"""The fleet as it is remembered, as one JSON document."""

from __future__ import annotations

import json
from collections.abc import Iterable

from converge.model.overview import HostLatest
from converge.model.recorded import RunRecord
from converge.report.folding import natural
from converge.report.runs import SCHEMA, run_record_as_json
from converge.report.sink import Stream


def fleet_as_json(
    hosts: Iterable[HostLatest], runs: Iterable[RunRecord], out: Stream, *, version: str, made: str
) -> None:
    """Write `{"converge", "schema", "made", "hosts": {NAME: {...}}, "runs": [...]}`, host by host."""
    out.write(f'{{"converge": {json.dumps(version)}, "schema": {SCHEMA}, "made": {json.dumps(made)}, "hosts": {{')
    for number, host in enumerate(sorted(hosts, key=lambda host: natural(host.host))):
        found = host.result
        content = {
            "status": host.status,
            "mode": host.mode,
            "run": host.run,
            "seen": host.seen,
            "playbooks": json.loads(host.playbooks),
            "error": json.loads(found.error) if found is not None and found.error else None,
            "resources": json.loads(found.resources) if found is not None else [],
        }
        out.write((",\n " if number else "\n ") + f"{json.dumps(host.host)}: {json.dumps(content)}")
    out.write(f'\n}},\n "runs": {json.dumps([run_record_as_json(run) for run in runs])}\n}}\n')
