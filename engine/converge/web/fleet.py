"""The fleet as one value: every host with what is known of it now, made once for each state of the store."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from converge.model.change import Json
from converge.model.overview import HostLatest
from converge.report.folding import natural
from converge.report.vocabulary import ORDER, shown_status

IN_ORDER = ("ok", "skipped", "changed")
"""Statuses that need no attention. What would change is `drift`, what was changed back by an undo `undone`."""
AGES = (("within the hour", 1), ("within a day", 24), ("within a week", 168), ("within 30 days", 720))
"""How long ago something was learnt of a host: words and hours. What is older or never was has words of its own."""
OLDER, NEVER = "longer ago", "never"


@dataclass(frozen=True, slots=True)
class Finding:
    """What there is to say of a host: its status, its error, the resources that were not in order."""

    status: str
    error: Mapping[str, str]
    resources: tuple[Mapping[str, Json], ...]


@dataclass(frozen=True, slots=True)
class HostView:
    """A host now. `finding` is the key of what there is to tell of it, empty where there is nothing."""

    name: str
    status: str
    run: str
    playbooks: str
    seen: str | None
    tried: str
    finding: str = ""

    @property
    def needs_attention(self) -> bool:
        """Whether it is not in order."""
        return self.status not in IN_ORDER


@dataclass(slots=True)
class FleetView:
    """All hosts in the order of their names; what there is to tell of them, once for all that share it."""

    hosts: Sequence[HostView]
    texts: Mapping[str, tuple[str, str, str]]
    _findings: dict[str, Finding] = field(default_factory=dict)

    def counts(self) -> Counter[str]:
        """Hosts by status."""
        return Counter(host.status for host in self.hosts)

    def finding(self, key: str) -> Finding:
        """What there is to tell of the hosts with this key."""
        if key not in self._findings:
            status, error, resources = self.texts[key]
            self._findings[key] = Finding(status, _mapping(error), _resources(resources))
        return self._findings[key]

    def groups(self) -> list[tuple[str, list[HostView]]]:
        """Hosts to which the same happens, by the key of their finding, the largest group first."""
        found: dict[str, list[HostView]] = {}
        for host in self.hosts:
            if host.finding and host.needs_attention:
                found.setdefault(host.finding, []).append(host)
        return sorted(found.items(), key=lambda item: (-len(item[1]), natural(item[1][0].name)))

    def ages(self, now: datetime) -> dict[str, int]:
        """How many hosts were seen how long ago."""
        limits = age_limits(now)
        return dict(Counter(age(host, limits) for host in self.hosts))


def age(host: HostView, limits: Iterable[tuple[str, str]]) -> str:
    """The words for how long ago a host was seen; `limits` are words and moments, newest first."""
    if host.seen is None:
        return NEVER
    return next((words for words, since in limits if host.seen >= since), OLDER)


def age_limits(now: datetime) -> list[tuple[str, str]]:
    """What `age` needs to know of the present moment."""
    return [(words, (now - timedelta(hours=hours)).isoformat(timespec="seconds")) for words, hours in AGES]


def fleet_of(latest: Iterable[HostLatest]) -> FleetView:
    """The fleet from what the store knows of each host."""
    hosts: list[HostView] = []
    texts: dict[str, tuple[str, str, str]] = {}
    keys: dict[tuple[str, str, str], str] = {}
    for each in latest:
        status = shown_status(each.status, each.mode)
        key = ""
        if each.result is not None:
            text = (status, _without_name(each.result.error, each.host), each.result.resources)
            if text not in keys:
                keys[text] = hashlib.sha256("\0".join(text).encode("utf-8", "surrogatepass")).hexdigest()[:16]
                texts[keys[text]] = (status, each.result.error, each.result.resources)  # in the words of one of them
            key = keys[text]
        tried = each.result.tried if each.result is not None else each.seen or ""
        hosts.append(HostView(each.host, status, each.run, each.playbooks, each.seen, tried, key))
    hosts.sort(key=lambda host: natural(host.name))
    return FleetView(hosts, texts)


def _without_name(error: str, host: str) -> str:
    """An error in JSON without the name of its host: what differs by the name alone is the same. Compared, never shown."""
    return error.replace(json.dumps(host)[1:-1], "") if len(host) > 2 else error


def by_need(host: HostView) -> int:
    """A sort key: what needs attention most comes first."""
    return ORDER.index(host.status) if host.status in ORDER else len(ORDER)


def _mapping(text: str) -> Mapping[str, str]:
    value: Json = json.loads(text) if text else {}
    return value if isinstance(value, dict) else {}


def _resources(text: str) -> tuple[Mapping[str, Json], ...]:
    value: Json = json.loads(text)
    return tuple(each for each in value if isinstance(each, dict)) if isinstance(value, list) else ()
