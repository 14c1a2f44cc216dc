"""Health and metrics of the daemon, told over HTTP on loopback."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client import Counter as Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from converge.errors import UsageError
from converge.model.change import Json, Status
from converge.schedule.clock import Clock
from converge.schedule.drift import Left
from converge.schedule.enforcer import Round, Source
from converge.schedule.logins import RefusedLogins

LOOPBACK = "127.0.0.1"
LATE = timedelta(minutes=5)  # after which a round that was due and has not begun is bad health
STUCK = timedelta(hours=6)  # after which one that began and has not ended is


class Telemetry:
    """What the daemon did, as metrics and as health. Told from its thread, asked from others."""

    def __init__(self, clock: Clock, source: Source, logins: RefusedLogins) -> None:
        self._clock = clock
        self._source = source
        self._logins = logins
        self._lock = threading.Lock()
        self._due: dict[str, datetime] = {}
        self._rounds: dict[str, Round] = {}
        self._under_way: dict[str, datetime] = {}
        self._registry = CollectorRegistry()
        self._made = self._counter("converge_enforce_rounds", "Rounds made", "group", "outcome")
        self._repaired = self._counter("converge_enforce_repaired_hosts", "Hosts repaired", "group", "status")
        self._hosts = self._gauge("converge_enforce_hosts", "Hosts by status as last seen", "group", "status")
        self._left = self._gauge("converge_enforce_left", "Drift left as it is, by reason", "group", "reason")
        self._quarantined = self._gauge("converge_enforce_quarantined", "Resources in quarantine", "group")
        self._began = self._gauge("converge_enforce_round_timestamp_seconds", "When the last round began", "group")
        self._seconds = self._gauge("converge_enforce_round_duration_seconds", "How long the last round took", "group")
        self._running = self._gauge("converge_enforce_round_running", "Whether a round is under way", "group")
        self._next = self._gauge("converge_enforce_next_round_timestamp_seconds", "When the next is due", "group")
        self._refused = self._gauge("converge_enforce_refused_logins", "Hosts that refused an account", "account")
        self._policy = self._gauge("converge_enforce_policy", "1 for the policy in force", "revision")
        self._policy_refused = self._gauge("converge_enforce_policy_refused", "Whether a newer policy file is wrong")
        self.policed()

    def policed(self) -> None:
        """The policy was read anew, or could not be."""
        groups = self._source.policy.groups.keys()
        with self._lock:
            gone = {*self._due, *self._rounds} - groups
            for group in gone:
                self._due.pop(group, None)
                self._rounds.pop(group, None)
        for group in gone:
            for metric in (self._quarantined, self._began, self._seconds, self._running, self._next):
                _without(metric, group)
            for status in Status:
                _without(self._hosts, group, status.value)
            for reason in Left:
                _without(self._left, group, reason.value)
        self._policy.clear()
        self._policy.labels(self._source.revision).set(1)
        self._policy_refused.set(self._source.problem is not None)

    def planned(self, due: Mapping[str, datetime]) -> None:
        """When the next round of each group is due."""
        with self._lock:
            self._due = dict(due)
        for group, moment in due.items():
            self._next.labels(group).set(moment.timestamp())

    def began(self, group: str) -> None:
        """A round begins."""
        with self._lock:
            self._under_way[group] = self._clock.now()
        self._running.labels(group).set(1)

    def ended(self, made: Round) -> None:
        """A round ended."""
        with self._lock:
            self._rounds[made.group] = made
            self._under_way.pop(made.group, None)
        self._running.labels(made.group).set(0)
        outcome = "failed" if made.error else "elsewhere" if made.elsewhere else "made"
        self._made.labels(made.group, outcome).inc()
        for status, count in Counter(result.status for result in made.repaired).items():
            self._repaired.labels(made.group, status.value).inc(count)
        if outcome != "made":
            return
        self._began.labels(made.group).set(made.began.timestamp())
        self._seconds.labels(made.group).set((self._clock.now() - made.began).total_seconds())
        statuses = Counter(result.status for result in made.looked)
        for status in Status:
            self._hosts.labels(made.group, status.value).set(statuses[status])
        reasons = Counter(each.reason for each in made.intentions)
        for reason in Left:
            self._left.labels(made.group, reason.value).set(reasons[reason.value])
        self._quarantined.labels(made.group).set(len(made.quarantined))

    def metrics(self) -> bytes:
        """In Prometheus's text format."""
        self._refused.clear()
        for account, (hosts, _, _) in self._logins.standing().items():
            self._refused.labels(account).set(hosts)
        return generate_latest(self._registry)

    def health(self) -> tuple[bool, Json]:
        """Whether every group is looked at as planned, by the policy as it is written, with accounts that are let in."""
        groups = self._groups()
        logins = {
            account: {"hosts": hosts, "tried_again": again.isoformat(), "tried_nowhere": nowhere}
            for account, (hosts, again, nowhere) in self._logins.standing().items()
        }
        problem = self._source.problem
        policy = {"revision": self._source.revision, "error": str(problem) if problem is not None else None}
        well = problem is None and not any(each["error"] or each["late"] or each["stuck"] for each in groups.values())
        well = well and not any(each["tried_nowhere"] for each in logins.values())
        return well, {"healthy": well, "policy": policy, "groups": groups, "refused_logins": logins}

    def _groups(self) -> dict[str, dict[str, Json]]:
        now = self._clock.now()
        with self._lock:
            due, rounds, under_way = dict(self._due), dict(self._rounds), dict(self._under_way)
        groups: dict[str, dict[str, Json]] = {}
        for group in sorted({*due, *rounds, *under_way}):
            made, following, since = rounds.get(group), due.get(group), under_way.get(group)
            groups[group] = {
                "last": made.began.isoformat() if made else None,
                "next": following.isoformat() if following else None,
                "under_way_since": since.isoformat() if since else None,
                "error": made.error.what if made is not None and made.error is not None else None,
                "late": since is None and following is not None and now - following > LATE,
                "stuck": since is not None and now - since > STUCK,
                "quarantined": len(made.quarantined) if made else 0,
            }
        return groups

    def _gauge(self, name: str, meaning: str, *labels: str) -> Gauge:
        return Gauge(name, meaning, labels, registry=self._registry)

    def _counter(self, name: str, meaning: str, *labels: str) -> Metric:
        return Metric(name, meaning, labels, registry=self._registry)


def _without(metric: Gauge, *labels: str) -> None:
    with suppress(KeyError):  # older versions of the library raise it for what was never told
        metric.remove(*labels)


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
