"""What is meant to become of drift that a round left, and when: told ahead, from the same rules that decide. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from converge.model.change import HostResult, Problem, Status
from converge.model.recorded import Drift, Intention
from converge.schedule.drift import Known, Left, RoundDecision, Times
from converge.schedule.policy import GroupPolicy
from converge.schedule.windows import ChangeWindows

MOST_ROUNDS = 500  # ahead that are looked at for one that may repair
_SECOND = timedelta(seconds=1)


def first_round(policy: GroupPolicy, windows: ChangeWindows, *, since: datetime) -> datetime | None:
    """The first round due from a moment on that lies within the windows; None where none is foreseeable. Splay comes on top."""
    moment: datetime | None = since
    for _ in range(MOST_ROUNDS):
        due = policy.due_after(moment - _SECOND) if moment is not None else None
        if due is None or windows.open_until(due) is not None:
            return due
        moment = windows.next_opening(due)
    return None


@dataclass(slots=True)
class Foresight:
    """Predicts for one group after one round. The same question is worked out only once."""

    group: str
    policy: GroupPolicy
    times: Times
    now: datetime
    _rounds: dict[tuple[int, datetime], datetime | None] = field(default_factory=dict)

    def intentions(
        self, known: Known, looked: Sequence[HostResult], repaired: Sequence[HostResult], decision: RoundDecision
    ) -> Iterator[Intention]:
        """What is left after a round, by host: hosts not looked at, drift left alone, drift that was not repaired."""
        for result in looked:
            if result.error is not None and result.status not in (Status.OK, Status.CHANGED):
                yield self._told(result.host, "", Left.NOT_SEEN, words=_words(result.error), since=self.now)
        for (host, address), reason in decision.left.items():
            yield self._left(known[host, address], reason)
        for result in repaired:
            for address, words in _not_repaired(result, decision.permitted.get(result.host, frozenset())):
                drift = known.get((result.host, address))
                if drift is not None and drift.quarantined is not None:
                    yield self._left(drift, Left.QUARANTINED)
                else:
                    yield self._told(result.host, address, Left.NOT_REPAIRED, words=words, since=self.now)
        told = {*decision.left, *((host, each) for host, all_ in decision.permitted.items() for each in all_)}
        for key, drift in known.items():
            if drift.quarantined is not None and drift.since is None and key not in told:
                words = f"{_quarantined(drift)}; at present in order"
                yield Intention(self.group, drift.host, drift.address, Left.QUARANTINED.value, None, words)

    def _left(self, drift: Drift, reason: Left) -> Intention:
        host, address = drift.host, drift.address
        if reason is Left.MONITORED:
            words = "the policy only monitors this group"
            return Intention(self.group, host, address, reason.value, None, words)
        if reason is Left.QUARANTINED:
            return Intention(self.group, host, address, reason.value, None, f"quarantined: {_quarantined(drift)}")
        if reason is Left.CHANGES:
            words = (
                f"this host has more drift than {self.policy.budgets.changes_per_host}, its budget; a person must decide"
            )
            return Intention(self.group, host, address, reason.value, None, words)
        if reason is Left.GRACE:
            ends = (drift.since or self.now) + self.policy.grace
            return self._told(host, address, reason, words=f"in its grace period until {_moment(ends)}", since=ends)
        if reason is Left.HOSTS:
            words = f"the budget of a round is {self.policy.budgets.hosts} hosts; other hosts come first"
            return self._told(host, address, reason, words=words, since=self.now)
        return self._outside(host, address, reason)

    def _outside(self, host: str, address: str, reason: Left) -> Intention:
        end = self.times.windows[host].open_until(self.now)
        since = self.now if end is None else end
        opens = self.times.windows[host].next_opening(since)
        when = f"opens {_moment(opens)}" if opens else "does not open in the foreseeable future"
        words = f"{reason.words}, which {when}" if end is None else f"{reason.words}; the next {when}"
        return self._told(host, address, reason, words=words, since=since)

    def _told(self, host: str, address: str, reason: Left, *, words: str, since: datetime) -> Intention:
        windows = self.times.windows.get(host, ChangeWindows()) if reason is not Left.NOT_SEEN else ChangeWindows()
        due = self._round(windows, since)
        if due is None and reason is not Left.NOT_SEEN:
            words += "; no round of its cadence lies within its window"
        return Intention(self.group, host, address, reason.value, due, words)

    def _round(self, windows: ChangeWindows, since: datetime) -> datetime | None:
        key = (id(windows), since)
        if key not in self._rounds:
            # A round that is due at this very moment is the one that just ended.
            moment = since if since > self.now else self.now + _SECOND
            self._rounds[key] = first_round(self.policy, windows, since=moment)
        return self._rounds[key]


def windows_without_rounds(groups: Mapping[str, GroupPolicy], *, now: datetime) -> tuple[str, ...]:
    """Groups that are to be repaired and never would be: no round of theirs lies within their window."""
    return tuple(
        name
        for name, policy in groups.items()
        if policy.mode == "enforce" and first_round(policy, policy.window, since=now) is None
    )


def _not_repaired(result: HostResult, permitted: Iterable[str]) -> Iterator[tuple[str, str]]:
    """What was meant to be repaired at a host and was not, and why."""
    by_address = {change.address: change for change in result.changes}
    for address in sorted(permitted):
        change = by_address.get(address)
        if change is not None and change.status in (Status.CHANGED, Status.OK):
            continue
        error = change.error if change is not None and change.error is not None else result.error
        reason = change.reason if change is not None else None
        yield address, _words(error) if error is not None else reason or result.status.value


def _words(problem: Problem) -> str:
    return f"{problem.what} [{problem.code}]"


def _quarantined(drift: Drift) -> str:
    since = f" since {_moment(drift.quarantined)}" if drift.quarantined else ""
    return f"changed back or repair failed {drift.reverted} times{since}; a person must release it"


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
