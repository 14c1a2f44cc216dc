"""One case on one machine: check it, apply it, read the world and the journal behind it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol

from converge.apply.host import apply, check
from converge.apply.options import ApplyOptions
from converge.apply.undoing import undo
from converge.lab.endpoint.host import EndpointPolicy, SimulatedHost
from converge.lab.endpoint.request_log import RequestRecord
from converge.lab.endpoint.server import LabServer
from converge.lab.world import World
from converge.model.action import AnyAction, Performed
from converge.model.answer import Answers
from converge.model.backup import BackupSettings
from converge.model.change import Change, HostResult
from converge.model.journal import History, Journal, JournalEvent, RegistrySnapshot, event_as_json
from converge.model.machine import Machine, Observer
from converge.model.play import Play
from converge.model.query import AnyQuery
from converge.model.secret import Secret
from converge.store.fold import OpenEnds
from converge.store.store import Store, Where
from converge.testing.conformance.case import ACCOUNT, Case
from converge.testing.world_machine import WorldMachine
from converge.windows import reg_file
from converge.winrm.connection import Connection, Login, MessageSealing
from converge.winrm.machine import WinRMMachine
from converge.winrm.observer import WinRMObserver

HOST = "case"
SECONDS_OF_AN_ACTION = 1.0
OPEN = EndpointPolicy(basic=True, allow_unencrypted=True)
MachineName = Literal["memory", "basic", "ntlm"]
Wrap = Callable[[Machine], Machine]
WrapJournal = Callable[[Journal], Journal]


class CaseReach(Protocol):
    """A way to a world."""

    def observer(self) -> Any:
        """A context with an Observer."""

    def machine(self) -> Any:
        """A context with a Machine."""

    @property
    def requests(self) -> tuple[RequestRecord, ...]:
        """What was asked over the wire since the start; nothing where there is no wire."""


@dataclass
class TakingTime:
    """A machine of which every action takes a moment by the host's clock."""

    machine: WorldMachine

    @property
    def host(self) -> str:
        """The host's name."""
        return self.machine.host

    @property
    def round_trips(self) -> int:
        """As the machine counts."""
        return self.machine.round_trips

    def ask(self, queries: Collection[AnyQuery]) -> Answers:
        """As the machine answers."""
        return self.machine.ask(queries)

    def perform(self, action: AnyAction) -> Performed:
        """Do it, and let the moment pass."""
        try:
            return self.machine.perform(action)
        finally:
            self.machine.world.clock.advance(SECONDS_OF_AN_ACTION)


@dataclass
class InMemoryJournal:
    """The events of all runs on one host, kept in memory."""

    run: str
    events: list[tuple[str, dict[str, Any]]]

    def write(self, *events: JournalEvent) -> None:
        """Keep them, as plain data."""
        self.events += [(self.run, json.loads(json.dumps(event_as_json(event)))) for event in events]

    def back_up(self, snapshot: RegistrySnapshot) -> str:
        """Rendered, and forgotten."""
        reg_file.render(snapshot)
        return "nowhere.reg"

    def history(self) -> History:
        """What earlier runs left open."""
        return open_ends([(run, event) for run, event in self.events if run != self.run])


def open_ends(events: Sequence[tuple[str, dict[str, Any]]]) -> History:
    """What is open after these events."""
    ends = OpenEnds()
    for run, event in events:
        ends.take(run, event)
    return ends.history()


@dataclass
class InMemory:
    """The world itself, as its account meets it."""

    world: World

    @contextmanager
    def observer(self) -> Iterator[Observer]:
        """A machine of which only the asking is used."""
        yield WorldMachine(self.world, self.world.account(ACCOUNT), host=HOST)

    @contextmanager
    def machine(self) -> Iterator[Machine]:
        """A machine."""
        yield TakingTime(WorldMachine(self.world, self.world.account(ACCOUNT), host=HOST))

    @property
    def requests(self) -> tuple[RequestRecord, ...]:
        """None."""
        return ()


@dataclass
class OverWinRM:
    """The same world behind an endpoint on loopback."""

    host: SimulatedHost
    connection: Connection

    @classmethod
    def to(cls, world: World, *, server: LabServer, login: MachineName) -> OverWinRM:
        """Serve a world and connect to it with Basic, or with NTLM and sealed messages."""
        host = SimulatedHost(HOST, world, policy=OPEN, on_change=lambda: world.clock.advance(SECONDS_OF_AN_ACTION))
        (endpoint,) = server.start([host])
        account = world.account(ACCOUNT)
        assert account is not None
        basic = login == "basic"
        connection = Connection(
            HOST,
            endpoint.url,
            username=account.name,
            password=Secret(account.password),
            login=Login.BASIC if basic else Login.NEGOTIATE,
            sealing=MessageSealing.NEVER if basic else MessageSealing.AUTO,
        )
        return cls(host, connection)

    @contextmanager
    def observer(self) -> Iterator[Observer]:
        """An observer, closed at the end."""
        observer = WinRMObserver(self.connection)
        try:
            yield observer
        finally:
            observer.close()

    @contextmanager
    def machine(self) -> Iterator[Machine]:
        """A machine, closed at the end."""
        machine = WinRMMachine(self.connection)
        try:
            yield machine
        finally:
            machine.close()

    @property
    def requests(self) -> tuple[RequestRecord, ...]:
        """The endpoint's log."""
        return self.host.log.records


@dataclass
class Bench:
    """A case made ready. Time is the world's: waiting moves its clock, and nothing else does."""

    case: Case
    world: World
    reach: CaseReach
    folder: Path
    plays: tuple[Play, ...]
    stored: bool = True
    backup_folder: str = ""  # the folder set aside for what is kept
    runs: list[str] = field(default_factory=list)
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def options(self, **given: Any) -> ApplyOptions:
        """Everything allowed unless told otherwise."""
        allowed: dict[str, Any] = {"accept_no_way_back": True, "allow_reboot": True, **given}
        return ApplyOptions(
            sleep=self.world.clock.advance,
            monotonic=lambda: self.world.now().timestamp(),
            now=self.world.now,
            backup=BackupSettings(self.backup_folder),
            **allowed,
        )

    def next_run(self) -> str:
        """A new run's id, later than those before it."""
        self.runs.append(f"2026-11-20T2201{len(self.runs):02}Z-0000")
        return self.runs[-1]

    def check(self, *, run: str = "", **given: Any) -> HostResult:
        """What apply would do."""
        with self.reach.observer() as observer:
            return check(
                self.plays,
                observer=observer,
                variables={},
                history=self.history(),
                run=run or self.next_run(),
                options=self.options(**given),
            )

    def apply(
        self, *, wrap: Wrap = lambda machine: machine, journal: WrapJournal = lambda journal: journal, **given: Any
    ) -> HostResult:
        """Bring about what the case declares."""
        with self._opened(self.next_run()) as kept, self.reach.machine() as machine:
            return apply(
                self.plays,
                machine=wrap(machine),
                variables={},
                journal=journal(kept),
                options=self.options(**given),
            )

    @contextmanager
    def _opened(self, run: str) -> Iterator[Journal]:
        """The journal of a run: in the store, or where a case runs a hundred times and that is not the point, in memory."""
        if not self.stored:
            yield InMemoryJournal(run, self.events)
            return
        with self.store.leases.acquire(HOST, run=run) as lease:
            yield self.store.journal(lease, render=reg_file.render)

    def undo(self, run: str) -> HostResult:
        """Take a run back: those of its changes that have a way back."""
        recorded, later = self.store.runs.changes(run, HOST), self.store.runs.later_changes(run, HOST)
        since = self.store.runs.later_runs(run, HOST)
        with self._opened(self.next_run()) as journal, self.reach.machine() as machine:
            return undo(
                recorded,
                later=later,
                since=since,
                machine=machine,
                journal=journal,
                options=self.options(),
            )

    @cached_property
    def store(self) -> Store:
        """What is remembered of the runs so far."""
        return Store.open(Where(self.folder))

    def history(self) -> History:
        """What the runs so far left open."""
        return self.store.history(HOST) if self.stored else open_ends(self.events)

    def close(self) -> None:
        """Let go of the store."""
        if self.stored:
            self.store.close()

    def journal(self, run: str = "") -> list[dict[str, Any]]:
        """The events of a run's journal, of the last by default, as the file itself holds them."""
        if not self.stored:
            return [event for told, event in self.events if told == (run or self.runs[-1])]
        with closing(sqlite3.connect(self.folder / "converge.db")) as file:
            rows = file.execute(
                "SELECT body FROM journal WHERE run = ? ORDER BY number", (run or self.runs[-1],)
            ).fetchall()
        return [json.loads(body)["event"] for (body,) in rows]

    def done(self, run: str = "") -> list[Mapping[str, Any]]:
        """The actions that a run sent, as journaled."""
        return [line["action"] for line in self.journal(run) if line["event"] == "ActionIntended"]

    def state(self) -> Any:
        """Everything there is in the world, save time itself."""
        told = self.world.to_json()
        del told["clock"]
        return told


class MakeBench(Protocol):
    """Makes a case ready on a machine, with a journal in memory or in a store."""

    def __call__(self, case: Case, machine: MachineName = "memory", *, stored: bool = False) -> Bench:
        """A new world each time."""


def shown(change: Change) -> dict[str, Any]:
    """What of a change must be the same in check and apply."""
    return {
        "address": change.address,
        "key": dict(change.key),
        "before": change.before,
        "after": change.after,
        "actions": [dict(action) for action in change.actions],
        "steps": [shown(step) for step in change.steps],
    }
