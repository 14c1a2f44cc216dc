"""The daemon: rounds over groups when they are due, each looked at, and where the policy says so repaired."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from converge.errors import ConvergeError, Held, JournalUnavailable
from converge.fleet.stop import StopToken
from converge.model.change import HostResult, Problem
from converge.model.recorded import Drift, Intention, Outlook
from converge.schedule.clock import Clock
from converge.schedule.drift import RoundDecision, Times, decide, drifting, repaired, seen
from converge.schedule.outlook import Foresight
from converge.schedule.policy import GroupPolicy, Policy
from converge.store.names import new_run_id
from converge.store.store import Store

Permitted = Mapping[str, frozenset[str]]
LOOK = timedelta(seconds=5)  # between two looks at the policy file while nothing is due
RETRY = timedelta(minutes=1)  # after which a round is tried again that could not be made; doubled each time
SET_BACK = timedelta(minutes=1)  # a clock that goes back further was set, and everything is planned anew


@dataclass(frozen=True, slots=True)
class GroupState:
    """How the hosts of a group were found, and when they may be changed."""

    results: tuple[HostResult, ...]
    times: Times = field(default_factory=Times)


class GroupRunner(Protocol):
    """Checks groups of hosts and changes them. Both may raise ConvergeError where nothing could be begun."""

    def check(self, name: str, policy: GroupPolicy, *, stop: StopToken) -> GroupState:
        """Every host of a group as it is now; changed means would change."""

    def repair(
        self, name: str, policy: GroupPolicy, planned: Sequence[HostResult], *, permitted: Permitted, stop: StopToken
    ) -> Sequence[HostResult]:
        """Change these hosts, at each only these addresses."""


@dataclass(slots=True)
class Round:
    """What one round came to. `error` says why it could not be made to its end, `elsewhere` that another process makes it."""

    group: str
    began: datetime
    looked: tuple[HostResult, ...] = ()
    repaired: tuple[HostResult, ...] = ()
    decision: RoundDecision = field(default_factory=RoundDecision)
    quarantined: tuple[Drift, ...] = ()
    newly_quarantined: tuple[Drift, ...] = ()
    intentions: tuple[Intention, ...] = ()
    error: Problem | None = None
    elsewhere: Problem | None = None


class Source(Protocol):
    """Where the policy comes from."""

    @property
    def policy(self) -> Policy:
        """The policy in force."""

    @property
    def revision(self) -> str:
        """What tells it from other versions."""

    @property
    def problem(self) -> ConvergeError | None:
        """Why a newer version is not in force."""

    def look(self) -> bool:
        """Whether there is something new: another policy in force, or a reason why there is none."""


class Watcher(Protocol):
    """Hears what the daemon does, and tells people."""

    def policed(self) -> None:
        """The policy was read anew, or could not be."""

    def planned(self, due: Mapping[str, datetime]) -> None:
        """When the next round of each group is due."""

    def began(self, group: str) -> None:
        """A round begins."""

    def ended(self, made: Round) -> None:
        """It ended."""


@dataclass(slots=True)
class Enforcer:
    """Makes rounds until it is told to stop. `owner` names this process to whoever reads the store."""

    source: Source
    runner: GroupRunner
    store: Store
    clock: Clock
    watcher: Watcher
    owner: str = ""
    chance: random.Random = field(default_factory=random.Random)
    look_every: timedelta = LOOK
    _due: dict[str, datetime] = field(default_factory=dict)
    _planned_by: dict[str, GroupPolicy] = field(default_factory=dict)
    _failed: dict[str, int] = field(default_factory=dict)

    def run(self, stop: StopToken) -> None:
        """Until `stop`. A round that was missed is made up once. Raises JournalUnavailable before the first round only."""
        self._take_policy()
        seen_at = self.clock.now()
        while not stop.is_set():
            now = self.clock.now()
            if self.source.look() or now < seen_at - SET_BACK:
                with suppress(JournalUnavailable):  # then what is planned already stays planned
                    self._take_policy(anew=now < seen_at - SET_BACK)
                self.watcher.policed()
            seen_at = now
            name = min(self._due, key=lambda each: (self._due[each], each), default=None)
            due = self._due[name] if name is not None else None
            if name is None or due is None or due > now:
                if not self.clock.wait_until(min(due or now + self.look_every, now + self.look_every), stop):
                    return
                continue
            self._go(name, stop)

    def _go(self, name: str, stop: StopToken) -> None:
        """The round that is due, unless another process has made it."""
        with suppress(JournalUnavailable):  # then the round says so
            begun, now = self.store.enforcement.begun(name), self.clock.now()
            following = self._policy(name).due_after(begun) if begun is not None and begun <= now else now
            if following is None or following > now:
                self._plan(name, begun)
                return
        self.watcher.began(name)
        made = self.round(name, stop=stop)
        self._failed[name] = self._failed.get(name, 0) + 1 if made.error is not None else 0
        self._plan(name, made.began, error=made.error)
        self.watcher.ended(made)

    def once(self, name: str, *, stop: StopToken) -> Round:
        """One round of one group, now, and none planned after it."""
        self.watcher.began(name)
        made = self.round(name, stop=stop)
        self._announce(name, error=made.error)
        self.watcher.ended(made)
        return made

    def round(self, name: str, *, stop: StopToken) -> Round:
        """One round of one group, now. What keeps it from being made is told, and the next one is tried all the same."""
        made = Round(name, self.clock.now())
        try:
            with self.store.leases.acquire(f"the enforcement of {name}", run=new_run_id()):
                self._make(made, stop)
        except Held as error:
            made.elsewhere = Problem.of(error)
        except ConvergeError as error:
            made.error = Problem.of(error)
        return made

    def _make(self, made: Round, stop: StopToken) -> None:
        name, policy = made.group, self._policy(made.group)
        before = {(each.host, each.address): each for each in self.store.enforcement.drift(name)}
        looked = self.runner.check(name, policy, stop=stop)
        made.looked = looked.results
        known = seen(before, looked.results, policy=policy, now=self.clock.now())
        self.store.enforcement.keep(name, list(known.values()))
        if stop.is_set():  # a round that did not get to all hosts is made up by the next process
            return
        self.store.enforcement.begin(name, made.began)
        made.decision = decide(known, drifting(looked.results), policy=policy, now=self.clock.now(), times=looked.times)
        if made.decision.permitted:
            planned = [result for result in looked.results if result.host in made.decision.permitted]
            done = self.runner.repair(name, policy, planned, permitted=made.decision.permitted, stop=stop)
            made.repaired = tuple(done)
            known = repaired(known, made.repaired, policy=policy, now=self.clock.now())
            self.store.enforcement.keep(name, list(known.values()))
        made.quarantined = tuple(each for each in known.values() if each.quarantined is not None)
        made.newly_quarantined = tuple(
            each for each in made.quarantined if each.quarantined is not None and each.quarantined >= made.began
        )
        foresight = Foresight(name, policy, looked.times, self.clock.now())
        made.intentions = tuple(foresight.intentions(known, made.looked, made.repaired, made.decision))
        self.store.intentions.replace(name, made.intentions)

    def _policy(self, name: str) -> GroupPolicy:
        return self.source.policy.groups[name]

    def _take_policy(self, *, anew: bool = False) -> None:
        """Plan the groups of the policy in force; those that are planned by the same words stay so, unless `anew`."""
        groups = self.source.policy.groups
        for name in self._planned_by.keys() - groups.keys():
            self.store.intentions.forget(name)
            del self._planned_by[name]
            self._due.pop(name, None)
        for name, policy in groups.items():
            if anew or self._planned_by.get(name) != policy:
                self._plan(name, self.store.enforcement.begun(name))

    def _plan(self, name: str, begun: datetime | None, *, error: Problem | None = None) -> None:
        """When the next round is due: now if it never was made or was missed, else after its cadence and some splay."""
        now, policy = self.clock.now(), self._policy(name)
        self._planned_by[name] = policy
        due = policy.due_after(min(begun, now)) if begun is not None else now
        if due is not None and due > now:
            due += timedelta(seconds=self.chance.uniform(0, policy.splay.total_seconds()))
        if error is not None:
            soon = now + RETRY * 2 ** min(self._failed[name] - 1, 20)
            due = min(due or soon, soon)
        if due is None:  # a cron line without any further date
            self._due.pop(name, None)
        else:
            self._due[name] = max(due, now)
        self.watcher.planned(dict(self._due))
        self._announce(name, error=error)

    def _announce(self, name: str, *, error: Problem | None) -> None:
        due, words = self._due.get(name), error.what if error else ""
        mode, revision = self._policy(name).mode, self.source.revision
        outlook = Outlook(name, mode, revision, self.owner, self.clock.now(), due, words)
        with suppress(JournalUnavailable):  # it is told to readers only; rounds say that the store cannot be used
            self.store.intentions.announce(outlook)
