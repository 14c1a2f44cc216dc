"""A month of enforcement over simulated Windows: everything is converge's own but the wire and the clock.

Hosts drift, one is changed back again and again, some disappear and come back, some are restarted by others, the process
is away for three days, and summer time begins. What is asserted is told by the worlds (every write with its moment) and by
the store.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from converge.errors import HostUnreachable
from converge.fleet.stop import StopToken
from converge.lab import service_manager
from converge.lab.image import load_image
from converge.model.action import AnyAction, Performed, RestartComputer, SetRegistryValue
from converge.model.answer import Answers
from converge.model.journal import History
from converge.model.query import AnyQuery, RegistryValue
from converge.model.registry import Hive, RegistryData, RegistryPath, RegistryType
from converge.runs.enforce import FleetRunner
from converge.runs.options import RunOptions
from converge.schedule.enforcer import Enforcer, Round
from converge.schedule.logins import RefusedLogins
from converge.schedule.policy import Policy
from converge.schedule.windows import read_windows
from converge.store.store import Store, Where
from converge.testing.world_machine import WorldMachine
from converge.winrm.connection import Connection

START = datetime(2037, 3, 10, tzinfo=UTC)  # clocks in Berlin are set on the 29th
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
KEY = RegistryPath(Hive.LOCAL_MACHINE, r"SOFTWARE\Example")
NAMES = ("One", "Two", "Three")
NIGHTS = {"days": "mon-sat", "from": "21:00", "to": "05:00", "timezone": "Europe/Berlin"}
OWN = {"from": "02:00", "to": "04:00", "timezone": "Europe/Berlin"}  # of srv01, besides that of the policy
FLAPPING, REBOOTER = ("srv02", "Two"), "srv03"
PLAYBOOK = """\
- name: Settings
  hosts: all
  resources:
    - registry_value: {key: 'HKLM\\SOFTWARE\\Example', name: One, type: dword, data: 1}
    - registry_value: {key: 'HKLM\\SOFTWARE\\Example', name: Two, type: dword, data: 1}
    - registry_value: {key: 'HKLM\\SOFTWARE\\Example', name: Three, type: dword, data: 1}
      notify: restart it
  handlers:
    - name: restart it
      restart_computer: {}
"""
POLICY = {
    "version": 1,
    "groups": {
        "fleet": {
            "hosts": "all", "mode": "enforce", "cadence": "2h", "splay": "5m", "grace": "3h", "window": [NIGHTS],
            "budgets": {"hosts": 2, "changes_per_host": 2}, "quarantine_after": 3, "forget_after": "2d",
        },
    },
}  # fmt: skip


@dataclass
class Fleet:
    """Worlds in memory, what others do to them, and every write with its moment."""

    moment: datetime
    hosts: dict[str, WorldMachine]
    chance: random.Random
    gone: set[str] = field(default_factory=set)
    drifted: dict[tuple[str, str], datetime] = field(default_factory=dict)  # since when, as it is in truth
    writes: list[tuple[datetime, str, AnyAction, datetime | None]] = field(default_factory=list)
    disturbed: bool = True

    def live(self) -> None:
        """An hour in the life of the fleet."""
        for host, machine in self.hosts.items():
            if self.chance.random() < 0.02 and self.disturbed:
                self.drift(host, self.chance.choice(NAMES))
            if self.chance.random() < (0.2 if host in self.gone else 0.02):
                (self.gone.discard if host in self.gone else self.gone.add)(host)
            if self.chance.random() < 0.005:
                service_manager.boot(machine.world)
        if self.disturbed:
            self.drift(*FLAPPING)
        else:
            self.gone.clear()

    def drift(self, host: str, name: str) -> None:
        """Somebody sets a value to what it is not to be."""
        changed = SetRegistryValue(KEY, name, RegistryData(RegistryType.DWORD, 0))
        self.hosts[host].perform(changed)
        self.drifted.setdefault((host, name), self.moment)

    def act(self, host: str, action: AnyAction) -> Performed:
        since = self.drifted.pop((host, action.name), None) if isinstance(action, SetRegistryValue) else None
        self.writes.append((self.moment, host, action, since))
        return self.hosts[host].perform(action)


@dataclass
class Line:
    """In place of the wire: a host is asked and acted on, unless it is gone."""

    connection: Connection
    fleet: Fleet

    @property
    def host(self) -> str:
        return self.connection.host

    @property
    def round_trips(self) -> int:
        return self.fleet.hosts[self.host].round_trips

    def ask(self, queries: Collection[AnyQuery]) -> Answers:
        if self.host in self.fleet.gone:
            raise HostUnreachable(f"{self.host} does not answer")
        return self.fleet.hosts[self.host].ask(queries)

    def perform(self, action: AnyAction) -> Performed:
        return self.fleet.act(self.host, action)

    def close(self) -> None:
        """There is nothing to close."""


@dataclass
class DrivenClock:
    """Time passes only by waiting, and the fleet lives meanwhile, hour by hour."""

    fleet: Fleet
    end: datetime

    def now(self) -> datetime:
        return self.fleet.moment

    def wait_until(self, moment: datetime, stop: StopToken) -> bool:
        reached = min(moment, self.end)
        while self.fleet.moment < reached:
            hour = self.fleet.moment.replace(minute=30, second=0, microsecond=0)
            hour += timedelta(hours=1) if hour <= self.fleet.moment else timedelta()
            self.fleet.moment = min(reached, hour)
            if self.fleet.moment == hour:
                self.fleet.live()
        if self.fleet.moment >= self.end:
            stop.ask()
        return not stop.is_set()


@dataclass
class Rounds(list[Round]):
    """Every round."""

    def policed(self) -> None: ...

    def planned(self, due: object) -> None: ...

    def began(self, group: str) -> None: ...

    def ended(self, made: Round) -> None:
        self.append(made)


@dataclass
class Written:
    """A policy that never changes."""

    policy: Policy
    revision: str = "1"
    problem: None = None

    def look(self) -> bool:
        return False


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    """Four hosts in order, and a folder that enforcement works in."""
    monkeypatch.chdir(tmp_path)
    hosts = {name: WorldMachine(load_image("exchange55", host_name=name), host=name) for name in
             ("srv01", "srv02", "srv03", "srv04")}  # fmt: skip
    made = Fleet(START, hosts, random.Random(328))
    for machine in hosts.values():
        machine.world.registry.create(KEY)
        for name in NAMES:
            machine.perform(SetRegistryValue(KEY, name, RegistryData(RegistryType.DWORD, 1)))
    (tmp_path / "playbooks").mkdir()
    (tmp_path / "playbooks" / "settings.yml").write_text(PLAYBOOK)
    (tmp_path / "inventory" / "host_vars").mkdir(parents=True)
    names = "".join(f"    {name}: {{ansible_user: someone, ansible_password: something}}\n" for name in hosts)
    (tmp_path / "inventory" / "hosts.yml").write_text(f"all:\n  hosts:\n{names}")
    (tmp_path / "inventory" / "host_vars" / "srv01.yml").write_text(f"converge_change_windows: [{OWN}]\n")
    for place in ("machine.WinRMMachine", "observer.WinRMObserver"):
        monkeypatch.setattr(f"converge.winrm.{place}", lambda connection: Line(connection, made))
    return made


def enforce(fleet: Fleet, store: Store, *, until: datetime, seed: int) -> Rounds:
    """A process that enforces until a moment."""
    clock, rounds = DrivenClock(fleet, until), Rounds()
    runner = FleetRunner(RunOptions(), clock, RefusedLogins(store.enforcement, clock), pytest.fail)
    source = Written(Policy.model_validate(POLICY))
    enforcer = Enforcer(source, runner, store, clock, rounds, chance=random.Random(seed))
    enforcer.look_every = MINUTE
    enforcer.run(StopToken())
    return rounds


def test_a_month(fleet: Fleet, tmp_path: Path) -> None:
    away = (START + 10 * DAY + 20 * MINUTE, START + 13 * DAY + 20 * MINUTE)
    with Store.open(Where(tmp_path / ".converge")) as store:
        first = enforce(fleet, store, until=away[0], seed=1)
        quiet = DrivenClock(fleet, away[1])
        quiet.wait_until(away[1], StopToken())  # nobody enforces, the fleet goes on
        second = enforce(fleet, store, until=START + 20 * DAY, seed=2)
        (address,) = [each.address for each in store.enforcement.drift("fleet")
                   if each.quarantined and each.host == FLAPPING[0] and each.address.endswith(FLAPPING[1])]  # fmt: skip
        assert store.enforcement.release(FLAPPING[0], address) == 1
        released = fleet.moment
        third = enforce(fleet, store, until=START + 26 * DAY, seed=3)
        fleet.disturbed = False  # for the last days nobody disturbs them any more
        fleet.gone.clear()
        last = enforce(fleet, store, until=START + 30 * DAY, seed=4)
        rounds = [*first, *second, *third, *last]

        assert all(made.error is None for made in rounds)
        assert len(fleet.writes) > 30
        every_write_is_allowed(fleet)
        assert not any(isinstance(action, RestartComputer) for _, _, action, _ in fleet.writes)
        flapping = [moment for moment, host, action, _ in fleet.writes
                    if isinstance(action, SetRegistryValue) and (host, action.name) == FLAPPING]  # fmt: skip
        assert sum(moment < released for moment in flapping) == 3, "changed back three times, then left alone"
        assert sum(moment >= released for moment in flapping) == 3, "once more after a person released it"
        rounds_come_as_planned(rounds, away=away)
        for made in rounds:
            assert len([each for each in made.repaired if each.status.value == "changed"]) <= 2
        still = {key for key, since in fleet.drifted.items() if key != FLAPPING and fleet.moment - since > 3 * DAY}
        held = {(each.host, each.address.rpartition("\\")[2]) for each in rounds[-1].quarantined}
        assert {host for host, _ in still} <= {host for host, _ in held} | {each.host for each in rounds[-1].intentions}
        the_journal_tells_every_write(fleet, store)
        worlds_are_as_declared_where_nothing_is_left(fleet, rounds[-1])


def every_write_is_allowed(fleet: Fleet) -> None:
    """Within the policy's window and the host's own, of drift that is older than its grace."""
    nights, own = read_windows([NIGHTS]), read_windows([OWN])
    for moment, host, _, since in fleet.writes:
        assert nights.open_until(moment) is not None, moment
        assert host != "srv01" or own.open_until(moment) is not None, moment
        assert host not in fleet.gone or moment < fleet.moment
        if since is not None:
            assert moment - since >= timedelta(hours=3), (host, since, moment)


def rounds_come_as_planned(rounds: list[Round], *, away: tuple[datetime, datetime]) -> None:
    """Every other hour, at most five minutes and a look late, none while the process was away, and one made up when it came back."""
    made_up = next(made.began for made in rounds if made.began >= away[1])
    assert made_up == away[1]
    assert not [made for made in rounds if away[0] <= made.began < away[1]]
    hours = Counter(made.began.replace(minute=0, second=0, microsecond=0) for made in rounds if made.began != made_up)
    assert set(hours.values()) == {1}
    whole = [moment for moment in (START + timedelta(hours=each) for each in range(0, 24 * 30, 2))
             if not away[0] <= moment < away[1]]  # fmt: skip
    assert set(whole) - set(hours) <= {START + timedelta(hours=each) for each in (0, 480, 624)}
    late = [made.began - made.began.replace(minute=0, second=0, microsecond=0) for made in rounds
            if made.began != made_up]  # fmt: skip
    assert max(late) <= 6 * MINUTE
    assert len(set(late)) > 100, "spread by chance"


def the_journal_tells_every_write(fleet: Fleet, store: Store) -> None:
    told: Counter[str] = Counter()
    for run in store.runs.newest_first():
        assert run.ended is not None
        assert run.mode in ("monitor", "enforce")
        if run.mode == "monitor":
            continue
        for host in store.runs.journaled_hosts(run.run):
            for change in store.runs.changes(run.run, host):
                told[host] += len(change.actions)
                assert all(action.outcome == "done" for action in change.actions)
    assert told == Counter(host for _, host, _, _ in fleet.writes)
    for host, history in store.still_open().items():
        assert [each.handler for each in history.pending] == ["restart it"], host
        assert replace(history, pending=()) == History(), host


def worlds_are_as_declared_where_nothing_is_left(fleet: Fleet, last: Round) -> None:
    left = {(each.host, each.address) for each in last.intentions}
    for host, machine in fleet.hosts.items():
        for name in NAMES:
            query = RegistryValue(KEY, name)
            data = machine.ask([query]).value(query)
            assert data is not None
            drifted = data.data != 1
            assert drifted == any(each == host and name in address for each, address in left), (host, name, left)
