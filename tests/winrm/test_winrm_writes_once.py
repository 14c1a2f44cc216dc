"""A write that left is never sent again, whatever somebody on the way answers: only looking again decides."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Iterator

import pytest

from converge.errors import HostUnreachable, Interrupted
from converge.lab.endpoint.host import EndpointPolicy, SimulatedHost
from converge.lab.endpoint.server import LabServer
from converge.lab.image import load_image
from converge.lab.world import LabAccount
from converge.model.action import StartService
from converge.model.names import fold
from converge.model.query import OperatingSystem
from converge.model.secret import Secret
from converge.winrm.connection import Connection, Login, MessageSealing
from converge.winrm.machine import WinRMMachine

pytestmark = pytest.mark.timeout(120)

USER, PASSWORD = "checker", "Correct horse 1!"
ANSWERS = {
    "401": b"HTTP/1.1 401 \r\nWWW-Authenticate: Negotiate\r\nWWW-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n",
    "400": b"HTTP/1.1 400 \r\nContent-Length: 0\r\n\r\n",
    "407": b"HTTP/1.1 407 \r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n",
    "redirect": b"HTTP/1.1 307 \r\nLocation: /wsman\r\nContent-Length: 0\r\n\r\n",
    "403": b"HTTP/1.1 403 \r\nContent-Length: 0\r\n\r\n",
    "404": b"HTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n",
    "500": b"HTTP/1.1 500 \r\nContent-Length: 0\r\n\r\n",
    "503": b"HTTP/1.1 503 \r\nContent-Length: 0\r\n\r\n",
    "in the clear": b"HTTP/1.1 200 \r\nContent-Type: application/soap+xml\r\nContent-Length: 2\r\n\r\n<x",
    "nothing": b"",
}


class Intermediary:
    """Passes everything on to a host; once it is told to, it answers the next message in the host's place."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.answer: bytes | None = None
        self.passed = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                line, _ = self._listener.accept()
                threading.Thread(target=self._talk, args=(line,), daemon=True).start()

    def _talk(self, line: socket.socket) -> None:
        with contextlib.suppress(OSError), line, socket.create_connection(("127.0.0.1", self._port)) as host:
            while message := _whole(line):
                body = len(message.partition(b"\r\n\r\n")[2])
                host.sendall(message)
                answered = _whole(host)
                self.passed += bool(body)
                if self.answer is not None and body:
                    answered, self.answer = self.answer, None
                    if not answered:
                        return
                line.sendall(answered)

    def close(self) -> None:
        self._listener.close()


def _whole(line: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = line.recv(65_536)
        if not piece:
            return b""
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    found = re.search(rb"(?i)content-length: *(\d+)", head)
    while found and len(body) < int(found[1]):
        body += line.recv(65_536)
    return head + b"\r\n\r\n" + body


@pytest.fixture
def between() -> Iterator[tuple[SimulatedHost, Intermediary]]:
    world = load_image("exchange2003", host_name="LAB1")
    world.accounts[fold(USER)] = LabAccount(name=USER, password=PASSWORD)
    host = SimulatedHost("lab1", world, policy=EndpointPolicy(allow_unencrypted=True, basic=True))
    with LabServer() as server:
        (endpoint,) = server.start([host])
        middle = Intermediary(endpoint.port)
        yield host, middle
        middle.close()


@pytest.mark.parametrize("asked_before", [True, False])
@pytest.mark.parametrize("login", [Login.NEGOTIATE, Login.BASIC])
@pytest.mark.parametrize("answer", list(ANSWERS))
def test_a_write_is_sent_once_whatever_is_answered(
    between: tuple[SimulatedHost, Intermediary], answer: str, login: Login, *, asked_before: bool
) -> None:
    host, middle = between
    sealing = MessageSealing.NEVER if login is Login.BASIC else MessageSealing.AUTO
    machine = WinRMMachine(
        Connection(
            "lab1", f"http://127.0.0.1:{middle.port}/wsman", username=USER, password=Secret(PASSWORD), login=login,
            sealing=sealing,
        )
    )  # fmt: skip
    if asked_before:
        machine.ask([OperatingSystem()])
    host.log.clear()
    middle.answer = ANSWERS[answer]
    with pytest.raises(Interrupted):
        machine.perform(StartService("W3SVC"))
    with contextlib.suppress(HostUnreachable):
        machine.ask([OperatingSystem()])
    machine.close()
    assert [record.method for record in host.log.records if not record.reads] == ["StartService"]
