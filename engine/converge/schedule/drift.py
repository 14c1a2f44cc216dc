"""What may be repaired now: from drift as it is seen and remembered, the policy, and a moment. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from converge.model.change import HostResult, Status
from converge.model.recorded import Drift
from converge.schedule.policy import GroupPolicy
from converge.schedule.windows import ChangeWindows

Known = dict[tuple[str, str], Drift]
_TRIED = (Status.FAILED, Status.UNKNOWN)


class Left(StrEnum):
    """Why drift is left as it is for now, or a host was not looked at. The values are in metrics and in the store."""

    MONITORED = "monitored"
    GRACE = "grace"
    QUARANTINED = "quarantined"
    CHANGES = "changes-budget"
    HOSTS = "hosts-budget"
    WINDOW = "outside-window"
    TOO_SHORT = "window-too-short"
    NOT_REPAIRED = "not-repaired"
    NOT_SEEN = "not-looked-at"

    @property
    def words(self) -> str:
        """To a person."""
        return _WORDS[self]


_WORDS = {
    Left.MONITORED: "monitored",
    Left.GRACE: "in its grace period",
    Left.QUARANTINED: "quarantined",
    Left.CHANGES: "more changes than the budget of a host",
    Left.HOSTS: "more hosts than the budget of a round",
    Left.WINDOW: "outside the window",
    Left.TOO_SHORT: "the window would probably end first",
    Left.NOT_REPAIRED: "could not be repaired",
    Left.NOT_SEEN: "could not be checked",
}


@dataclass(frozen=True, slots=True)
class Times:
    """When hosts may be changed, and how many seconds changing them is likely to take. A host that is not named: any time."""

    windows: Mapping[str, ChangeWindows] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)

    def reason(self, host: str, now: datetime) -> Left | None:
        """Why a host may not be begun now."""
        if host not in self.windows:
            return None
        end = self.windows[host].open_until(now)
        if end is None:
            return Left.WINDOW
        return Left.TOO_SHORT if now + timedelta(seconds=self.seconds.get(host, 0.0)) > end else None


ANY_TIME = Times()


@dataclass(frozen=True, slots=True)
class RoundDecision:
    """By host, the addresses that may be changed; by host and address, why the others may not."""

    permitted: Mapping[str, frozenset[str]] = field(default_factory=dict)
    left: Mapping[tuple[str, str], Left] = field(default_factory=dict)

    def counts(self) -> Counter[Left]:
        """How much is left for which reason."""
        return Counter(self.left.values())


def seen(known: Known, results: Collection[HostResult], *, policy: GroupPolicy, now: datetime) -> Known:
    """What is known after looking. A host that could not be checked stays as it was known.

    What is no longer declared is forgotten, unless it is in quarantine: that is for a person to end.
    """
    after = dict(known)
    whole = {result.host for result in results if result.error is None}
    declared = {(result.host, change.address) for result in results for change in result.changes}
    for key, drift in known.items():
        if drift.host in whole and key not in declared and drift.quarantined is None:
            del after[key]
    for result in results:
        for change in result.changes:
            key = (result.host, change.address)
            if change.is_due:
                after[key] = _drifting(after.get(key), key, policy=policy, now=now)
            elif change.status is Status.OK and key in after:
                settled = replace(after[key], since=None)
                if settled.is_forgotten(now, policy.forget_after):
                    del after[key]
                else:
                    after[key] = settled
    return after


def _drifting(drift: Drift | None, key: tuple[str, str], *, policy: GroupPolicy, now: datetime) -> Drift:
    if drift is None:
        return Drift(*key, since=now)
    if drift.since is not None:
        return drift
    back = replace(drift, since=now, reverted=drift.reverted + (drift.repaired is not None))
    return _judged(back, policy=policy, now=now)


def repaired(known: Known, results: Iterable[HostResult], *, policy: GroupPolicy, now: datetime) -> Known:
    """What is known after repairing. What could not be repaired counts like what was changed back."""
    after = dict(known)
    for result in results:
        for change in result.changes:
            key = (result.host, change.address)
            if key not in after:
                continue
            if change.status is Status.CHANGED:
                after[key] = replace(after[key], since=None, repaired=now)
            elif change.status in _TRIED:
                tried = replace(after[key], reverted=after[key].reverted + 1)
                after[key] = _judged(tried, policy=policy, now=now)
    return after


def _judged(drift: Drift, *, policy: GroupPolicy, now: datetime) -> Drift:
    if drift.quarantined is None and drift.reverted >= policy.quarantine_after:
        return replace(drift, quarantined=now)
    return drift


def decide(
    known: Known,
    drifting: Mapping[str, Sequence[str]],
    *,
    policy: GroupPolicy,
    now: datetime,
    times: Times = ANY_TIME,
) -> RoundDecision:
    """What may be changed now of what was just seen drifting, the longest drift first."""
    left: dict[tuple[str, str], Left] = {}
    ripe: dict[str, list[str]] = {}
    for host, addresses in drifting.items():
        for address in addresses:
            reason = _reason(known[host, address], policy=policy, now=now) or times.reason(host, now)
            if reason is None:
                ripe.setdefault(host, []).append(address)
            else:
                left[host, address] = reason
    permitted: dict[str, frozenset[str]] = {}
    for host in sorted(ripe, key=lambda name: (min(known[name, each].since or now for each in ripe[name]), name)):
        over = None
        if len(ripe[host]) > policy.budgets.changes_per_host:
            over = Left.CHANGES
        elif len(permitted) >= policy.budgets.hosts:
            over = Left.HOSTS
        if over is None:
            permitted[host] = frozenset(ripe[host])
        else:
            left |= {(host, address): over for address in ripe[host]}
    return RoundDecision(permitted, left)


def _reason(drift: Drift, *, policy: GroupPolicy, now: datetime) -> Left | None:
    if policy.mode == "monitor":
        return Left.MONITORED
    if drift.quarantined is not None:
        return Left.QUARANTINED
    if drift.since is None or now - drift.since < policy.grace:
        return Left.GRACE
    return None


def drifting(results: Iterable[HostResult]) -> dict[str, list[str]]:
    """By host, the addresses that would change."""
    found = {
        result.host: [change.address for change in result.changes if change.is_due]
        for result in results
        if result.error is None
    }
    return {host: addresses for host, addresses in found.items() if addresses}
