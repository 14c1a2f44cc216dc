"""The line is cut at any byte, of a request or of an answer, sealed or not: reads are answered, writes are never done twice."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from converge.errors import HostUnreachable, Interrupted
from converge.lab.endpoint.host import EndpointPolicy, SimulatedHost
from converge.lab.endpoint.mishaps import Mishap, MishapKind
from converge.lab.endpoint.request_log import RequestRecord
from converge.lab.endpoint.server import LabServer
from converge.lab.image import load_image
from converge.lab.world import LabAccount, World
from converge.model.action import RunCommand, StopService
from converge.model.answer import Found
from converge.model.facts import ServiceState
from converge.model.names import fold
from converge.model.query import Service
from converge.model.secret import Secret
from converge.winrm.connection import Connection, Login, MessageSealing
from converge.winrm.machine import WinRMMachine

USER, PASSWORD = "cutter", "Correct horse 1!"
SERVICE = "W3SVC"
MOST_CUTS = 40  # not every byte, but bytes of every part of a message
OUT, BACK = "to the host", "to the client"


@dataclass
class Cutter:
    """Carries bytes between a client and a host and cuts the connection, once, where `direction` has carried `offset` more."""

    port: int
    direction: str = OUT
    offset: int | None = None
    carried: dict[str, int] = field(default_factory=lambda: {OUT: 0, BACK: 0})
    connections: int = 0
    _listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}/wsman"

    def arm(self, direction: str, offset: int | None) -> None:
        """Begin to count; None never cuts."""
        with self._lock:
            self.carried = {OUT: 0, BACK: 0}
            self.direction, self.offset = direction, offset

    def serve(self) -> None:
        """Take connections until closed."""
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.connections += 1
                host = socket.create_connection(("127.0.0.1", self.port))
                for name, source, sink in ((OUT, client, host), (BACK, host, client)):
                    threading.Thread(target=self._carry, args=(name, source, sink), daemon=True).start()

    def _carry(self, name: str, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                passing, cut = self._allowed(name, data)
                sink.sendall(passing)
                if cut:
                    break
        for line in (source, sink):
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)

    def _allowed(self, name: str, data: bytes) -> tuple[bytes, bool]:
        with self._lock:
            before = self.carried[name]
            self.carried[name] += len(data)
            if self.offset is None or name != self.direction or before + len(data) < self.offset:
                return data, False
            left, self.offset = self.offset - before, None
            return data[:left], True

    def close(self) -> None:
        """Stop listening."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@dataclass(frozen=True, slots=True)
class Line:
    """A host behind a line that can be cut, and how it is reached."""

    host: SimulatedHost
    world: World
    cutter: Cutter
    sealed: bool

    def machine(self) -> WinRMMachine:
        """A new client of it."""
        connection = Connection(
            "lab1",
            self.cutter.url,
            username=USER,
            password=Secret(PASSWORD),
            login=Login.NEGOTIATE if self.sealed else Login.BASIC,
            sealing=MessageSealing.AUTO if self.sealed else MessageSealing.NEVER,
            operation_timeout=4.0,
            read_timeout=8.0,
        )
        return WinRMMachine(connection)

    def writes(self) -> list[RequestRecord]:
        """What arrived at the host and may have changed something."""
        return [record for record in self.host.log.records if not record.reads]

    def running(self) -> bool:
        """Whether the service runs, as the world has it."""
        return self.world.services[fold(SERVICE)].state == ServiceState.RUNNING

    def start(self) -> None:
        """Let the service run again."""
        self.world.services[fold(SERVICE)].state = ServiceState.RUNNING


@pytest.fixture(params=[True, False], ids=["sealed", "plain"])
def line(request: pytest.FixtureRequest) -> Iterator[Line]:
    """A host whose service runs."""
    world = load_image("exchange2003", host_name="LAB1")
    world.accounts[fold(USER)] = LabAccount(name=USER, password=PASSWORD)
    world.started = datetime(2020, 1, 1, tzinfo=UTC)
    policy = EndpointPolicy() if request.param else EndpointPolicy(basic=True, allow_unencrypted=True)
    host = SimulatedHost("lab1", world, policy=policy)
    with LabServer() as server:
        (endpoint,) = server.start([host])
        cutter = Cutter(endpoint.port)
        thread = threading.Thread(target=cutter.serve, daemon=True)
        thread.start()
        yield Line(host, world, cutter, sealed=bool(request.param))
        cutter.close()
        thread.join(timeout=10)


def offsets(
    line: Line, direction: str, act: Callable[[WinRMMachine], object], *, from_login: bool = False
) -> list[int]:
    """The bytes at which to cut: some of each part of what `act` puts on the line in this direction."""
    line.start()
    machine = line.machine()
    if not from_login:
        machine.ask([Service("DNSCACHE")])
    line.cutter.arm(direction, None)
    act(machine)
    total = line.cutter.carried[direction]
    machine.close()
    assert total > 200
    return [*range(1, total, max(total // MOST_CUTS, 1)), total - 1, total]


@pytest.mark.parametrize("direction", [OUT, BACK])
def test_a_read_cut_anywhere_is_answered(line: Line, direction: str) -> None:
    def act(machine: WinRMMachine) -> object:
        return machine.ask([Service(SERVICE)])[Service(SERVICE)]

    for offset in offsets(line, direction, act):
        line.host.log.clear()
        machine = line.machine()
        machine.ask([Service("DNSCACHE")])
        line.cutter.arm(direction, offset)
        answer = act(machine)
        assert isinstance(answer, Found), offset
        assert answer.value.state is ServiceState.RUNNING
        assert line.writes() == []
        machine.close()


@pytest.mark.parametrize("direction", [OUT, BACK])
def test_a_login_cut_anywhere_says_so_and_the_next_one_works(line: Line, direction: str) -> None:
    def act(machine: WinRMMachine) -> object:
        return machine.ask([Service(SERVICE)])[Service(SERVICE)]

    told: list[str] = []
    for offset in offsets(line, direction, act, from_login=True):
        machine = line.machine()
        line.cutter.arm(direction, offset)
        try:
            answer = act(machine)
        except HostUnreachable as unreachable:
            told.append(str(unreachable))
            answer = act(machine)
        assert isinstance(answer, Found), offset
        machine.close()
    assert line.host.log.refused_logins == 0
    assert all("broke off" in text and PASSWORD not in text for text in told)
    assert bool(told) == line.sealed  # without a handshake a request is simply sent again


@pytest.mark.parametrize("direction", [OUT, BACK])
def test_a_write_cut_anywhere_is_done_once_at_most_and_looking_again_tells(line: Line, direction: str) -> None:
    def act(machine: WinRMMachine) -> object:
        return machine.perform(StopService(SERVICE))

    told = set()
    for offset in offsets(line, direction, act):
        line.start()
        machine = line.machine()
        machine.ask([Service("DNSCACHE")])
        line.host.log.clear()
        line.cutter.arm(direction, offset)
        try:
            act(machine)
            outcome = "done"
        except Interrupted:
            outcome = "nobody knows"
        told.add(outcome)
        line.cutter.arm(direction, None)
        facts = machine.ask([Service(SERVICE)]).value(Service(SERVICE))
        assert facts is not None
        assert (facts.state is ServiceState.RUNNING) == line.running(), offset
        calls = [record for record in line.writes() if record.method == "StopService"]
        assert len(calls) <= 1, offset
        assert bool(calls) != line.running(), offset
        assert outcome != "done" or calls, offset
        machine.close()
    assert "nobody knows" in told


@pytest.mark.parametrize("kind", [MishapKind.UNAUTHORIZED, MishapKind.CUT_SHORT, MishapKind.DROP_AFTER])
@pytest.mark.parametrize("number", range(8))
def test_a_command_cut_at_any_request_leaves_no_shell(line: Line, kind: MishapKind, number: int) -> None:
    machine = line.machine()
    machine.ask([Service("DNSCACHE")])
    line.host.log.clear()
    line.host.mishaps.add(Mishap(kind, skip=number, times=1))
    with suppress(Interrupted):
        machine.perform(RunCommand(("mkdir", r"C:\Once"), shell=True, timeout=10))
    machine.close()
    commands = [record for record in line.host.log.records if record.operation == "Command"]
    assert len(commands) <= 1 or kind is MishapKind.UNAUTHORIZED  # which says that nothing was done
    deleted = {record.keys for record in line.host.log.records if record.operation == "Delete"}
    used = {record.keys for record in line.host.log.records if record.operation in ("Command", "Receive", "Signal")}
    assert used <= deleted
