"""Health and metrics of the daemon, told over HTTP on loopback."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client import Counter as Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from converge.errors import UsageError
from converge.model.change import Json, Status
from converge.schedule.clock import Clock
from converge.schedule.drift import Left
from converge.schedule.enforcer import Round

LOOPBACK = "127.0.0.1"
LATE = timedelta(minutes=5)  # after which a round that was due and has not begun, nor is one under way, is bad health


class Telemetry:
    """What the daemon did, as metrics and as health. Told from its thread, asked from others."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._due: dict[str, datetime] = {}
        self._rounds: dict[str, Round] = {}
        self._registry = CollectorRegistry()
        self._made = self._counter("converge_enforce_rounds", "Rounds made", "group", "outcome")
        self._repaired = self._counter("converge_enforce_repaired_hosts", "Hosts repaired", "group", "status")
        self._hosts = self._gauge("converge_enforce_hosts", "Hosts by status as last seen", "group", "status")
        self._left = self._gauge("converge_enforce_left", "Drift left as it is, by reason", "group", "reason")
        self._quarantined = self._gauge("converge_enforce_quarantined", "Resources in quarantine", "group")
        self._began = self._gauge("converge_enforce_round_timestamp_seconds", "When the last round began", "group")
        self._next = self._gauge("converge_enforce_next_round_timestamp_seconds", "When the next is due", "group")

    def planned(self, due: Mapping[str, datetime]) -> None:
        """When the next round of each group is due."""
        with self._lock:
            self._due = dict(due)
        for group, moment in due.items():
            self._next.labels(group).set(moment.timestamp())

    def ended(self, made: Round) -> None:
        """A round ended."""
        with self._lock:
            self._rounds[made.group] = made
        self._began.labels(made.group).set(made.began.timestamp())
        self._made.labels(made.group, "failed" if made.error else "made").inc()
        if made.error is not None:
            return
        statuses = Counter(result.status for result in made.looked)
        for status in Status:
            self._hosts.labels(made.group, status.value).set(statuses[status])
        for status, count in Counter(result.status for result in made.repaired).items():
            self._repaired.labels(made.group, status.value).inc(count)
        counts = made.decision.counts()
        for reason in Left:
            self._left.labels(made.group, reason.value).set(counts[reason])
        self._quarantined.labels(made.group).set(len(made.quarantined))

    def metrics(self) -> bytes:
        """In Prometheus's text format."""
        return generate_latest(self._registry)

    def health(self) -> tuple[bool, Json]:
        """Whether every group is looked at as planned, and the groups."""
        now = self._clock.now()
        with self._lock:
            due, rounds = dict(self._due), dict(self._rounds)
        groups: dict[str, Json] = {}
        for group in {*due, *rounds}:
            made, following = rounds.get(group), due.get(group)
            error = made.error.what if made is not None and made.error is not None else None
            late = following is not None and now - following > LATE
            groups[group] = {
                "last": made.began.isoformat() if made else None,
                "next": following.isoformat() if following else None,
                "error": error,
                "late": late,
                "quarantined": len(made.quarantined) if made else 0,
            }
        well = not any(group["error"] or group["late"] for group in groups.values())
        return well, {"healthy": well, "groups": groups}

    def _gauge(self, name: str, meaning: str, *labels: str) -> Gauge:
        return Gauge(name, meaning, labels, registry=self._registry)

    def _counter(self, name: str, meaning: str, *labels: str) -> Metric:
        return Metric(name, meaning, labels, registry=self._registry)


@contextmanager
def served(telemetry: Telemetry, port: int) -> Iterator[int]:
    """Serve `/metrics` and `/healthz` on loopback within this block; the port, chosen by the system for 0. Raises UsageError."""

    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def do_GET(self) -> None:  # the name that http.server calls
            if self.path == "/metrics":
                self._answer(200, CONTENT_TYPE_PLAIN_0_0_4, telemetry.metrics())
            elif self.path == "/healthz":
                well, told = telemetry.health()
                self._answer(200 if well else 503, "application/json", json.dumps(told).encode())
            else:
                self._answer(404, "text/plain", b"/metrics or /healthz\n")

        def _answer(self, code: int, kind: str, body: bytes) -> None:
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # the name that http.server uses
            """Nobody reads who asked."""

    try:
        server = ThreadingHTTPServer((LOOPBACK, port), Handler)
    except OSError as error:
        raise UsageError(f"port {port} on {LOOPBACK} cannot be opened: {error.strerror or error}") from error
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)
