"""Enforcement by a clock that tests turn: grace, budgets, quarantine, windows, missed rounds, and a month of all of it."""

from __future__ import annotations

import itertools
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from converge.errors import ConvergeError, HostUnreachable, JournalUnavailable, UsageError
from converge.fleet.stop import StopToken
from converge.model.change import Change, HostResult, Problem, Status
from converge.model.recorded import Drift
from converge.schedule.drift import Left, Times, decide, drifting, seen
from converge.schedule.enforcer import Enforcer, GroupState, Permitted, Round
from converge.schedule.outlook import windows_without_rounds
from converge.schedule.policy import GroupPolicy, Policy
from converge.schedule.windows import read_windows
from converge.store.store import Store, Where

START = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


@dataclass
class TurnedClock:
    """Time passes only by waiting, and stops at `end`."""

    moment: datetime
    end: datetime

    def now(self) -> datetime:
        return self.moment

    def wait_until(self, moment: datetime, stop: StopToken) -> bool:
        if moment >= self.end:
            self.moment = max(self.moment, self.end)
            stop.ask()
            return False
        self.moment = max(self.moment, moment)
        return True


@dataclass
class World:
    """Hosts with resources that are in order or not, and hands that look and repair. Every repair is noted."""

    clock: TurnedClock
    drift: dict[str, set[str]]
    addresses: tuple[str, ...] = ("service:A", "service:B")
    gone: set[str] = field(default_factory=set)
    repairs: list[tuple[datetime, str, str]] = field(default_factory=list)
    looks: int = 0
    stubborn: set[str] = field(default_factory=set)  # addresses that cannot be repaired

    def check(self, name: str, policy: GroupPolicy, *, stop: StopToken) -> GroupState:
        self.looks += 1
        return GroupState(
            tuple(self._look(host) for host in self.drift), Times(dict.fromkeys(self.drift, policy.window))
        )

    def _look(self, host: str) -> HostResult:
        if host in self.gone:
            return HostResult(host, Status.UNREACHABLE, error=Problem.of(HostUnreachable("no answer")))
        drift = self.drift[host]
        changes = tuple(
            Change(each, {"kind": "service"}, each, "play", Status.CHANGED if each in drift else Status.OK)
            for each in self.addresses
        )
        return HostResult(host, Status.CHANGED if drift else Status.OK, changes)

    def repair(
        self, name: str, policy: GroupPolicy, planned: Sequence[HostResult], *, permitted: Permitted, stop: StopToken
    ) -> Sequence[HostResult]:
        return [self._repair(result.host, permitted[result.host]) for result in planned]

    def _repair(self, host: str, addresses: frozenset[str]) -> HostResult:
        changes = []
        for each in sorted(addresses):
            assert each in self.drift[host], "nothing is changed that is in order"
            self.repairs.append((self.clock.moment, host, each))
            status = Status.FAILED if each in self.stubborn else Status.CHANGED
            if status is Status.CHANGED:
                self.drift[host].discard(each)
            changes.append(Change(each, {"kind": "service"}, each, "play", status))
        return HostResult(host, Status.CHANGED, tuple(changes))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(Where(tmp_path)) as store:
        yield store


def group(**more: object) -> GroupPolicy:
    return GroupPolicy.model_validate({"mode": "enforce", "cadence": "30m", "splay": 0, "grace": "1h", **more})


@dataclass
class Written:
    """A policy that is in force until a test writes another one."""

    policy: Policy
    revision: str = "1"
    problem: ConvergeError | None = None
    new: bool = False

    def write(self, **groups: GroupPolicy) -> None:
        self.policy, self.revision, self.new = Policy(version=1, groups=groups), f"{self.revision}+", True

    def look(self) -> bool:
        new, self.new = self.new, False
        return new


@dataclass
class Rounds(list[Round]):
    """Every round; `after` is what happens in the world then."""

    after: Callable[[Round], None] = lambda _made: None
    due: Mapping[str, datetime] = field(default_factory=dict)

    def policed(self) -> None: ...

    def planned(self, due: Mapping[str, datetime]) -> None:
        self.due = due

    def began(self, group: str) -> None: ...

    def ended(self, made: Round) -> None:
        self.append(made)
        self.after(made)


def enforcer(world: World, store: Store, policy: GroupPolicy) -> tuple[Enforcer, Rounds]:
    rounds = Rounds()
    written = Written(Policy(version=1, groups={"web": policy}))
    made = Enforcer(written, world, store, world.clock, rounds, chance=random.Random(1))
    made.look_every = timedelta(hours=1)
    return made, rounds


def world_of(hosts: int, *, hours: float, drift: set[str] | None = None) -> World:
    clock = TurnedClock(START, START + hours * HOUR)
    return World(clock, {f"web{number:02}": set(drift or ()) for number in range(hosts)})


def test_monitoring_repairs_nothing(store: Store) -> None:
    world = world_of(2, hours=48, drift={"service:A"})
    made, rounds = enforcer(world, store, group(mode="monitor"))
    made.run(StopToken())
    assert world.looks == len(rounds) == 96
    assert world.repairs == []
    assert rounds[-1].decision.counts() == {Left.MONITORED: 2}


def test_new_drift_is_shown_for_its_grace_before_it_is_repaired(store: Store) -> None:
    world = world_of(1, hours=3, drift={"service:A"})
    made, rounds = enforcer(world, store, group())
    made.run(StopToken())
    assert rounds[0].decision.left == {("web00", "service:A"): Left.GRACE}
    assert world.repairs == [(START + HOUR, "web00", "service:A")]


def test_what_is_changed_back_again_and_again_is_quarantined_and_released_by_a_person(store: Store) -> None:
    world = world_of(1, hours=24 * 3)
    made, rounds = enforcer(world, store, group(quarantine_after=3, grace=0))
    stop = StopToken()

    rounds.after = lambda _made: world.drift["web00"].add("service:A")
    made.run(stop)
    assert len(world.repairs) == 3
    assert [len(each.newly_quarantined) for each in rounds].count(1) == 1
    assert rounds[-1].quarantined[0].address == "service:A"
    assert rounds[-1].decision.left == {("web00", "service:A"): Left.QUARANTINED}
    assert store.enforcement.release("web00", "service:B") == 0
    assert store.enforcement.release("web00", "service:A") == 1
    made.round("web", stop=StopToken())
    assert len(world.repairs) == 4


def test_what_cannot_be_repaired_is_not_tried_for_ever(store: Store) -> None:
    world = world_of(1, hours=24 * 3, drift={"service:A"})
    world.stubborn = {"service:A"}
    made, _ = enforcer(world, store, group(quarantine_after=4))
    made.run(StopToken())
    assert len(world.repairs) == 4


def test_budgets_bound_hosts_of_a_round_and_changes_of_a_host(store: Store) -> None:
    world = world_of(5, hours=1, drift={"service:A"})
    world.drift["web00"] = {"service:A", "service:B"}
    made, rounds = enforcer(world, store, group(grace=0, budgets={"hosts": 2, "changes_per_host": 1}))
    made.run(StopToken())
    assert Counter(moment for moment, _, _ in world.repairs) == {START: 2, START + HOUR / 2: 2}
    assert rounds[-1].decision.counts() == {Left.CHANGES: 2}
    assert world.drift["web00"] == {"service:A", "service:B"}


def test_outside_the_policys_window_nothing_is_repaired(store: Store) -> None:
    world = world_of(1, hours=24, drift={"service:A"})
    window = {"from": "10:00", "to": "11:00", "timezone": "UTC"}
    made, _ = enforcer(world, store, group(window=window))
    made.run(StopToken())
    assert [moment for moment, _, _ in world.repairs] == [START + 10 * HOUR]


def test_missed_rounds_are_made_up_once(store: Store) -> None:
    world = world_of(1, hours=1)
    enforcer(world, store, group())[0].run(StopToken())
    assert world.looks == 2
    world.clock = TurnedClock(START + 24 * HOUR + timedelta(minutes=7), START + 25 * HOUR)
    made, rounds = enforcer(world, store, group())
    made.clock = world.clock
    made.run(StopToken())
    assert [each.began - START for each in rounds] == [24 * HOUR + timedelta(minutes=7), 24.5 * HOUR]


def test_a_restart_forgets_neither_grace_nor_what_was_looked_at(store: Store) -> None:
    world = world_of(1, hours=0.75, drift={"service:A"})
    enforcer(world, store, group())[0].run(StopToken())
    world.clock = TurnedClock(START + 0.75 * HOUR, START + 1.2 * HOUR)
    made, rounds = enforcer(world, store, group())
    made.run(StopToken())
    assert [each.began for each in rounds] == [START + HOUR]
    assert len(world.repairs) == 1


def test_rounds_are_spread_by_their_splay_and_never_early(store: Store) -> None:
    world = world_of(1, hours=100)
    made, rounds = enforcer(world, store, group(splay="10m"))
    made.run(StopToken())
    late = [(each.began - START) % timedelta(minutes=30) for each in rounds[1:]]
    assert max(late) <= timedelta(minutes=10)
    assert len(set(late)) > 50


def test_cron_follows_the_clock_of_its_zone() -> None:
    policy = group(cadence="30 2 * * *", timezone="Europe/Berlin")
    assert policy.due_after(datetime(2026, 3, 27, 12, tzinfo=UTC)) == datetime(2026, 3, 28, 1, 30, tzinfo=UTC)
    autumn = policy.due_after(datetime(2026, 10, 24, 12, tzinfo=UTC))
    assert autumn == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert autumn is not None
    following = policy.due_after(autumn)
    assert following is not None
    assert following - autumn > HOUR, "the hour that comes twice has one round"


def test_a_round_that_cannot_be_made_is_told_and_the_next_is_tried(store: Store) -> None:
    world = world_of(1, hours=1.2)
    made, rounds = enforcer(world, store, group())
    fine = world.check

    def broken(name: str, policy: GroupPolicy, *, stop: StopToken) -> GroupState:
        if not rounds:
            raise UsageError("the inventory is being written")
        return fine(name, policy, stop=stop)

    world.check = broken  # type: ignore[method-assign]  # files that cannot be read for a while
    made.run(StopToken())
    assert [each.error is not None for each in rounds] == [True, False, False, False]
    assert [each.began - START for each in rounds[:3]] == [0 * HOUR, HOUR / 60, HOUR / 2], "tried again in a minute"


def test_a_stop_between_looking_and_repairing_repairs_nothing(store: Store) -> None:
    world = world_of(3, hours=5, drift={"service:A"})
    made, _ = enforcer(world, store, group(grace=0))
    stop = StopToken()
    fine = world.check

    def check(name: str, policy: GroupPolicy, *, stop: StopToken) -> GroupState:
        found = fine(name, policy, stop=stop)
        stop.ask()
        return found

    world.check = check  # type: ignore[method-assign]  # SIGTERM at the worst moment
    made.run(stop)
    assert world.repairs == []


def test_an_unreachable_host_keeps_what_is_known_of_it() -> None:
    known = {("web01", "service:A"): Drift("web01", "service:A", since=START)}
    gone = HostResult("web01", Status.UNREACHABLE, error=Problem("unreachable", "no answer"))
    assert seen(known, [gone], policy=group(), now=START + HOUR) == known
    assert decide(known, drifting([gone]), policy=group(), now=START + 5 * HOUR).permitted == {}


def test_a_month_of_drift_flapping_and_disappearing_hosts(store: Store) -> None:
    """40 hosts over 30 days, summer time begins on the way. All that anybody relies on is looked at after each round."""
    world = world_of(40, hours=24 * 30)
    chance = random.Random(245208)
    window = {"days": "mon-sat", "from": "20:00", "to": "06:00", "timezone": "Europe/Berlin"}
    policy = group(cadence="2h", splay="10m", window=window, budgets={"hosts": 5}, forget_after="1d")
    made, rounds = enforcer(world, store, policy)
    first_seen: dict[tuple[str, str], datetime] = {}
    flapping = ("web07", "service:B")

    def after(made_round: Round) -> None:
        assert made_round.error is None
        assert len(made_round.repaired) <= 5
        for result in made_round.repaired:
            for change in result.changes:
                key = (result.host, change.address)
                assert world.clock.moment - first_seen.pop(key) >= policy.grace
                assert policy.window.open_until(world.clock.moment) is not None
        for host, drift in world.drift.items():  # what happens to the fleet until the next round
            if chance.random() < 0.005:
                drift.add(chance.choice(world.addresses))
            (world.gone.add if chance.random() < 0.02 else world.gone.discard)(host)
        world.drift[flapping[0]].add(flapping[1])
        for host in world.drift.keys() - world.gone:
            for address in world.drift[host]:
                first_seen.setdefault((host, address), world.clock.moment)

    rounds.after = after
    began = time.process_time()
    made.run(StopToken())
    assert time.process_time() - began < 60
    assert 355 <= len(rounds) <= 361
    assert len(world.repairs) > 50
    assert sum((host, address) == flapping for _, host, address in world.repairs) == 3
    assert {(each.host, each.address) for each in rounds[-1].quarantined} == {flapping}


def test_two_processes_on_one_store_make_each_round_once(store: Store) -> None:
    """Both are turned by one clock; whoever comes first makes the round, the other plans the next."""
    world = world_of(1, hours=24)
    first, rounds = enforcer(world, store, group())
    second, others = enforcer(world, store, group())

    def turn(moment: datetime, stop: StopToken) -> bool:
        """While one waits, the other does what is due."""
        if moment >= world.clock.end:
            stop.ask()
            return False
        world.clock.moment = max(world.clock.moment, moment)
        second._go("web", stop)
        return True

    second._plan("web", None)
    first.clock = Waiting(world.clock, turn)
    first.look_every = timedelta(minutes=7)
    first.run(StopToken())
    assert len(others) > 10
    began = sorted(each.began for each in (*rounds, *others))
    assert len(began) == len(set(began)) == world.looks == 48


@dataclass
class Waiting:
    """A clock that does something else meanwhile."""

    clock: TurnedClock
    wait_until: Callable[[datetime, StopToken], bool]

    def now(self) -> datetime:
        return self.clock.now()


def test_a_round_that_another_process_is_making_is_left_to_it(store: Store, tmp_path: Path) -> None:
    world = world_of(1, hours=1, drift={"service:A"})
    made, _ = enforcer(world, store, group(grace=0))
    with Store.open(Where(tmp_path)) as other, other.leases.acquire("the enforcement of web", run="another"):
        kept = made.round("web", stop=StopToken())
    assert kept.elsewhere is not None
    assert "held by" in kept.elsewhere.what
    assert (kept.error, world.looks, world.repairs) == (None, 0, [])
    assert made.round("web", stop=StopToken()).elsewhere is None


def test_a_store_that_is_away_for_a_while_costs_rounds_and_nothing_else(store: Store) -> None:
    """The store fails from the second hour to the sixth: rounds are tried ever more seldom, and no host is touched."""
    world = world_of(1, hours=12)
    made, rounds = enforcer(world, store, group(grace=0, cadence="1h"))
    made.store = Away(store, lambda: 2 * HOUR <= world.clock.moment - START < 6 * HOUR)  # type: ignore[assignment]  # __getattr__ has every part
    rounds.after = lambda _made: world.drift["web00"].add("service:A")
    made.run(StopToken())
    failed = [each for each in rounds if each.error is not None]
    assert 4 <= len(failed) <= 20
    assert all(each.error is not None and each.error.code == "journal-unavailable" for each in failed)
    assert not [moment for moment, _, _ in world.repairs if 2 * HOUR <= moment - START < 6 * HOUR]
    assert [each for each in rounds if each.began - START >= 6 * HOUR and each.error is None]


@dataclass
class Away:
    """A store that cannot be reached while `away` says so."""

    store: Store
    away: Callable[[], bool]

    def __getattr__(self, name: str) -> object:
        if self.away():
            raise JournalUnavailable("the store cannot be used: it is away")
        return getattr(self.store, name)


def test_a_policy_that_changes_is_in_force_from_the_next_round_on(store: Store) -> None:
    world = world_of(1, hours=10, drift={"service:A"})
    made, rounds = enforcer(world, store, group(mode="monitor", cadence="1h"))
    written = made.source
    assert isinstance(written, Written)

    def after(_made: Round) -> None:
        if len(rounds) == 3:
            written.write(web=group(mode="enforce", cadence="30m", grace="2h"), mail=group(mode="monitor"))
        if len(rounds) == 12:
            written.write(mail=group(mode="monitor"))

    rounds.after = after
    made.look_every = timedelta(seconds=30)
    made.run(StopToken())
    assert [moment - START for moment, _, _ in world.repairs] == [2.5 * HOUR], "drift is as old as it was first seen"
    assert {each.group for each in rounds[3:12]} == {"web", "mail"}
    assert {each.group for each in rounds[12:]} == {"mail"}
    assert [each.group for each in store.intentions.outlooks()] == ["mail"]


def test_a_clock_that_is_set_back_stops_nothing(store: Store) -> None:
    world = world_of(1, hours=3)
    made, rounds = enforcer(world, store, group())
    made.look_every = timedelta(minutes=1)

    def after(_made: Round) -> None:
        if len(rounds) == 4:
            world.clock.moment -= 24 * HOUR

    rounds.after = after
    made.run(StopToken())
    later = [each.began for each in rounds[4:]]
    assert later[0] == START - 22 * HOUR
    assert all(second - first == HOUR / 2 for first, second in itertools.pairwise(later))


def test_what_is_meant_next_is_told_with_the_round_that_will_do_it(store: Store) -> None:
    world = world_of(4, hours=0.1, drift={"service:A"})
    window = {"from": "10:00", "to": "11:00", "timezone": "UTC"}
    made, _ = enforcer(world, store, group(grace="90m", window=window, cadence="20m"))
    world.gone = {"web03"}
    made.run(StopToken())
    told = {each.host: each for each in store.intentions.of("web")}
    assert told["web00"].reason == "grace"
    assert told["web00"].due == START + 10 * HOUR
    assert "in its grace period until 2026-03-01 01:30 UTC" in told["web00"].words
    assert (told["web03"].reason, told["web03"].address) == ("not-looked-at", "")
    assert "no answer" in told["web03"].words
    (outlook,) = store.intentions.outlooks()
    assert (outlook.mode, outlook.due, outlook.error) == ("enforce", START + HOUR / 3, "")
    world.clock = TurnedClock(START + 11 * HOUR, START + 11.1 * HOUR)
    made.clock = world.clock
    made.round("web", stop=StopToken())
    assert {(each.reason, each.due) for each in store.intentions.of(host="web00")} == {
        ("outside-window", START + 34 * HOUR)
    }


def test_a_window_that_no_round_meets_is_told(store: Store) -> None:
    window = {"from": "10:05", "to": "10:10", "timezone": "UTC"}
    policy = group(cadence="20m", window=window, grace=0)
    assert windows_without_rounds({"web": policy, "mail": group()}, now=START) == ("web",)
    world = world_of(1, hours=0.1, drift={"service:A"})
    enforcer(world, store, policy)[0].run(StopToken())
    (told,) = store.intentions.of("web")
    assert told.due is None
    assert "no round of its cadence lies within its window" in told.words


def test_hosts_outside_their_windows_do_not_use_up_the_budget(store: Store) -> None:
    """Nine hosts whose own window is closed have drifted for longest; the tenth is repaired all the same."""
    world = world_of(10, hours=2, drift={"service:A"})
    closed = {f"web{number:02}": read_windows("never") for number in range(9)}
    fine = world.check

    def check(name: str, policy: GroupPolicy, *, stop: StopToken) -> GroupState:
        return replace(fine(name, policy, stop=stop), times=Times(closed))

    world.check = check  # type: ignore[method-assign]  # as the inventory would say
    made, rounds = enforcer(world, store, group(grace=0, budgets={"hosts": 3}))
    made.run(StopToken())
    assert [host for _, host, _ in world.repairs] == ["web09"]
    assert rounds[0].decision.counts() == {Left.WINDOW: 9}


def test_no_host_is_begun_that_would_probably_outlast_the_window(store: Store) -> None:
    known = {("web01", "service:A"): Drift("web01", "service:A", since=START)}
    windows = {"web01": read_windows({"from": "10:00", "to": "11:00", "timezone": "UTC"})}
    for minutes, left in ((29, {}), (31, {("web01", "service:A"): Left.TOO_SHORT})):
        decision = decide(
            known, {"web01": ["service:A"]}, policy=group(grace=0), now=START + 10.5 * HOUR,
            times=Times(windows, {"web01": minutes * 60.0}),
        )  # fmt: skip
        assert decision.left == left


def test_a_round_broken_off_while_it_looked_is_made_up_by_the_next_process(store: Store) -> None:
    world = world_of(3, hours=5)
    made, _ = enforcer(world, store, group(cadence="6h"))
    fine, stop = world.check, StopToken()

    def check(name: str, policy: GroupPolicy, *, stop: StopToken) -> GroupState:
        stop.ask()
        return fine(name, policy, stop=stop)

    world.check = check  # type: ignore[method-assign]  # SIGTERM while hosts are looked at
    made.run(stop)
    assert store.enforcement.begun("web") is None
    world.check = fine  # type: ignore[method-assign]  # the next process
    after, rounds = enforcer(world, store, group(cadence="6h"))
    after.run(StopToken())
    assert [each.began for each in rounds] == [START]


def test_what_is_no_longer_declared_is_forgotten_unless_it_is_in_quarantine() -> None:
    known = {
        ("web01", "service:Gone"): Drift("web01", "service:Gone", since=START),
        ("web01", "service:Held"): Drift("web01", "service:Held", since=START, reverted=3, quarantined=START),
        ("web02", "service:Gone"): Drift("web02", "service:Gone", since=START),
    }
    found = HostResult("web01", Status.OK, (Change("service:A", {"kind": "service"}, "A", "play", Status.OK),))
    away = HostResult("web02", Status.UNREACHABLE, error=Problem("unreachable", "no answer"))
    after = seen(known, [found, away], policy=group(), now=START)
    assert set(after) == {("web01", "service:Held"), ("web02", "service:Gone")}
