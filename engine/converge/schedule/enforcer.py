"""The daemon: rounds over groups when they are due, each looked at, and where the policy says so repaired."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from converge.errors import ConvergeError
from converge.fleet.stop import StopToken
from converge.model.change import HostResult, Problem
from converge.model.recorded import Drift
from converge.schedule.clock import Clock
from converge.schedule.drift import Decision, decide, drifting, repaired, seen
from converge.schedule.policy import GroupPolicy, Policy

Permitted = Mapping[str, frozenset[str]]


class Hands(Protocol):
    """Looks at hosts and changes them. Both may raise ConvergeError where nothing could be begun."""

    def look(self, name: str, policy: GroupPolicy, *, stop: StopToken) -> Sequence[HostResult]:
        """Every host of a group as it is now; changed means would change."""

    def repair(
        self, name: str, policy: GroupPolicy, planned: Sequence[HostResult], *, permitted: Permitted, stop: StopToken
    ) -> Sequence[HostResult]:
        """Change these hosts, at each only these addresses."""


class Ledger(Protocol):
    """What outlasts a restart. Every method may raise JournalUnavailable."""

    def begun(self, group: str) -> datetime | None:
        """When the last round of a group began."""

    def begin(self, group: str, moment: datetime) -> None:
        """A round begins."""

    def drift(self, group: str) -> Sequence[Drift]:
        """The drift known in a group."""

    def keep(self, group: str, drift: Sequence[Drift]) -> None:
        """The drift known from now on."""


@dataclass(frozen=True, slots=True)
class Round:
    """What one round came to. `error` says why it could not be made."""

    group: str
    began: datetime
    looked: tuple[HostResult, ...] = ()
    repaired: tuple[HostResult, ...] = ()
    decision: Decision = field(default_factory=Decision)
    quarantined: tuple[Drift, ...] = ()
    newly_quarantined: tuple[Drift, ...] = ()
    error: Problem | None = None


@dataclass(slots=True)
class Enforcer:
    """Makes rounds until it is told to stop. `tell` hears of each; `beat` is called whenever the loop turns."""

    policy: Policy
    hands: Hands
    ledger: Ledger
    clock: Clock
    tell: Callable[[Round], None]
    planned: Callable[[Mapping[str, datetime]], None] = lambda _due: None
    chance: random.Random = field(default_factory=random.Random)
    _due: dict[str, datetime] = field(default_factory=dict)

    def run(self, stop: StopToken) -> None:
        """Until `stop`. A round that was missed is made up once. Raises JournalUnavailable before the first round only."""
        for name in self.policy.groups:
            self._plan(name, self.ledger.begun(name))
        while self._due and not stop.is_set():
            self.planned(dict(self._due))
            name = min(self._due, key=lambda each: (self._due[each], each))
            if not self.clock.wait_until(self._due[name], stop):
                return
            began = self.clock.now()
            self.tell(self.round(name, stop=stop))
            self._plan(name, began)

    def round(self, name: str, *, stop: StopToken) -> Round:
        """One round of one group, now. What keeps it from being made is told, and the next one is tried all the same."""
        began = self.clock.now()
        try:
            self.ledger.begin(name, began)
            return self._round(name, began, stop)
        except ConvergeError as error:
            return Round(name, began, error=Problem.of(error))

    def _round(self, name: str, began: datetime, stop: StopToken) -> Round:
        policy = self.policy.groups[name]
        before = {(each.host, each.address): each for each in self.ledger.drift(name)}
        looked = tuple(self.hands.look(name, policy, stop=stop))
        known = seen(before, looked, policy=policy, now=self.clock.now())
        self.ledger.keep(name, list(known.values()))
        found = drifting(looked)
        decision = decide(known, found, policy=policy, now=self.clock.now())
        done: tuple[HostResult, ...] = ()
        if decision.permitted and not stop.is_set():
            planned = [result for result in looked if result.host in decision.permitted]
            done = tuple(self.hands.repair(name, policy, planned, permitted=decision.permitted, stop=stop))
            known = repaired(known, done, policy=policy, now=self.clock.now())
            self.ledger.keep(name, list(known.values()))
        quarantined = tuple(each for each in known.values() if each.quarantined is not None)
        fresh = tuple(each for each in quarantined if each.quarantined is not None and each.quarantined >= began)
        return Round(name, began, looked, done, decision, quarantined, fresh)

    def _plan(self, name: str, begun: datetime | None) -> None:
        """When the next round is due: now if it never was made or was missed, else after its cadence and some splay."""
        now = self.clock.now()
        policy = self.policy.groups[name]
        due = policy.due_after(min(begun, now)) if begun is not None else now
        if due is None:  # a cron line without any further date
            self._due.pop(name, None)
            return
        splay = timedelta(seconds=self.chance.uniform(0, policy.splay.total_seconds()))
        self._due[name] = max(due, now) if due <= now else due + splay
