"""Health and metrics of the daemon. They hold no accounts, no addresses and no texts of errors: monitors pass them on."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta

from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client import Counter as Metric

from converge.model.change import HOST_STATUSES, WOULD_CHANGE, Status
from converge.schedule.clock import Clock
from converge.schedule.drift import Left
from converge.schedule.enforcer import Round, Source
from converge.schedule.logins import RefusedLogins

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
        self._pending = self._gauge("converge_enforce_restart_pending_hosts", "Hosts that need a restart", "group")
        self._began = self._gauge("converge_enforce_round_timestamp_seconds", "When the last round began", "group")
        self._seconds = self._gauge("converge_enforce_round_duration_seconds", "How long the last round took", "group")
        self._running = self._gauge("converge_enforce_round_running", "Whether a round is under way", "group")
        self._next = self._gauge("converge_enforce_next_round_timestamp_seconds", "When the next is due", "group")
        self._refused = self._gauge("converge_enforce_refused_logins", "Hosts that refused an account")
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
            for metric in (self._quarantined, self._pending, self._began, self._seconds, self._running, self._next):
                _without(metric, group)
            for word in _LOOKED:
                _without(self._hosts, group, word)
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
        words = Counter(_looked(result.status) for result in made.looked)
        for word in _LOOKED:
            self._hosts.labels(made.group, word).set(words[word])
        changed = {result.host: result.restart_pending for result in (*made.looked, *made.repaired)}
        self._pending.labels(made.group).set(sum(changed.values()))
        reasons = Counter(each.reason for each in made.intentions)
        for reason in Left:
            self._left.labels(made.group, reason.value).set(reasons[reason.value])
        self._quarantined.labels(made.group).set(len(made.quarantined))

    def metrics(self) -> bytes:
        """In Prometheus's text format."""
        self._refused.set(sum(hosts for hosts, _, _ in self._logins.standing().values()))
        return generate_latest(self._registry)

    def is_well(self) -> bool:
        """Whether every group is looked at as planned, by the policy as it is written, with accounts that are let in."""
        now = self._clock.now()
        with self._lock:
            due, rounds, under_way = dict(self._due), dict(self._rounds), dict(self._under_way)
        failed = any(made.error is not None for made in rounds.values())
        late = any(now - moment > LATE for group, moment in due.items() if group not in under_way)
        stuck = any(now - since > STUCK for since in under_way.values())
        refused = any(nowhere for _, _, nowhere in self._logins.standing().values())
        return self._source.problem is None and not (failed or late or stuck or refused)

    def _gauge(self, name: str, meaning: str, *labels: str) -> Gauge:
        return Gauge(name, meaning, labels, registry=self._registry)

    def _counter(self, name: str, meaning: str, *labels: str) -> Metric:
        return Metric(name, meaning, labels, registry=self._registry)


def _looked(status: Status) -> str:
    """A status as a metric tells it of a host that was only looked at."""
    return WOULD_CHANGE if status is Status.CHANGED else status.value


_LOOKED = tuple(_looked(status) for status in HOST_STATUSES)


def _without(metric: Gauge, *labels: str) -> None:
    with suppress(KeyError):  # older versions of the library raise it for what was never told
        metric.remove(*labels)
