"""Results as Prometheus metrics, for the node exporter's textfile collector."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from converge.errors import InputProblem
from converge.model.change import HOST_STATUSES, WOULD_CHANGE, HostResult, Status
from converge.report.sink import Stream
from converge.report.visible import visible


class MetricsDocument:
    """Metrics of one run, written as a whole at its end: half of them would look like hosts that are gone."""

    def __init__(self, out: Stream, *, mode: str, clock: Callable[[], float] = time.time) -> None:
        self._out = out
        self._mode = mode
        self._clock = clock
        self._statuses: Counter[str] = Counter()
        self._restarts = 0
        self._looks = mode in ("check", "plan", "undo-check")
        self._ended = False
        self._registry = CollectorRegistry()
        self._host = self._gauge("converge_host_status", "1 for the status of a host in the last run", "host", "status")
        self._resources = self._gauge(
            "converge_host_resources", "Resources of a host by status; what was only looked at would_change",
            "host", "status",
        )  # fmt: skip
        self._seconds = self._gauge("converge_host_seconds", "How long the host took", "host")

    def host(self, result: HostResult) -> None:
        """Take one host's result in."""
        host = visible(result.host)
        self._statuses[self._word(result.status)] += 1
        self._restarts += result.restart_pending
        self._host.labels(host, self._word(result.status)).set(1)
        self._seconds.labels(host).set(result.seconds)
        for status, count in Counter(change.status for change in result.changes).items():
            self._resources.labels(host, self._word(status)).set(count)

    def end(self, errors: Iterable[InputProblem] = ()) -> None:
        """Write everything. Only the first call counts."""
        if self._ended:
            return
        self._ended = True
        hosts = self._gauge("converge_run_hosts", "Hosts of the last run by status", "mode", "status")
        for word in (*(status.value for status in HOST_STATUSES), WOULD_CHANGE):
            hosts.labels(self._mode, word).set(self._statuses[word])
        pending = self._gauge("converge_run_restart_pending_hosts", "Hosts that need a restart", "mode")
        pending.labels(self._mode).set(self._restarts)
        problems = self._gauge("converge_run_input_errors", "Problems in playbooks and inventory", "mode")
        problems.labels(self._mode).set(sum(1 for _ in errors))
        ended = self._gauge("converge_run_timestamp_seconds", "When the last run ended, seconds since 1970", "mode")
        ended.labels(self._mode).set(self._clock())
        self._out.write(generate_latest(self._registry).decode())
        self._out.flush()

    def _word(self, status: Status) -> str:
        return WOULD_CHANGE if self._looks and status is Status.CHANGED else status.value

    def _gauge(self, name: str, meaning: str, *labels: str) -> Gauge:
        return Gauge(name, meaning, labels, registry=self._registry)
