"""Hosts whose answers cost next to nothing: the lab answers each question once, and from then on it is repeated.

One process, one event loop, a few ports on loopback; every connection is a host of its own. Logins are real (Basic, or
NTLM with sealed messages). Told over standard input: `latency SECONDS`, `stats`, `reset`, `questions`; it answers in JSON.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import resource
import signal
import sys
import tempfile
from collections.abc import Callable, Coroutine
from dataclasses import asdict, dataclass
from pathlib import Path

import spnego

from converge.lab.endpoint.host import SimulatedHost
from converge.lab.endpoint.operations import Operations
from converge.lab.image import load_image
from converge.lab.world import LabAccount
from converge.wsman import seal

USER, PASSWORD = "bench", "Correct horse 1!"
ADDRESS = "127.0.0.1"
PORTS = 8
_MESSAGE_ID = re.compile(rb"uuid:[0-9A-Fa-f-]{36}")
_HOST_PORT = re.compile(rb"http://127\.0\.0\.1:\d+/")
_MARK = re.compile(rb"echo ([0-9a-f]{16})")
_STREAM = re.compile(rb"(<rsp:Stream [^>]*>)([^<]+)")
_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_LOGIN = re.compile(rb"(?i)\r\nauthorization: *(\w+) +([^\r]+)")
_TYPE = re.compile(rb"(?i)\r\ncontent-type: *([^\r]+)")
_SOAP = "application/soap+xml;charset=UTF-8"


@dataclass(slots=True)
class Stats:
    """What was served since the last reset. Requests of a login count as requests and as logins."""

    requests: int = 0
    questions: int = 0
    received: int = 0
    sent: int = 0
    connections: int = 0


class Answering:
    """Answers kept by what was asked, the names of messages left out."""

    def __init__(self, image: str) -> None:
        world = load_image(image)
        self.account = LabAccount(name=USER, password=PASSWORD)
        self._operations = Operations(SimulatedHost("bench", world))
        self._kept: dict[bytes, tuple[int, bytes, bytes]] = {}
        self._lock = asyncio.Lock()
        self.asked: list[bytes] = []
        self.stats = Stats()
        self.latency = 0.0
        self._mark = b"0" * 16

    async def answer(self, message: bytes, *, mark: bytes) -> tuple[int, bytes]:
        """Status and body. `mark` is the one that this client has its commands print."""
        message = message.replace(mark, self._mark) if mark else message
        found = _MESSAGE_ID.search(message)
        own = found.group() if found else b""
        question = _HOST_PORT.sub(b"http://host/", message.replace(own, b"") if own else message)
        if question not in self._kept:
            async with self._lock:
                if question not in self._kept:
                    reply = await self._operations.answer(message, account=self.account, client=ADDRESS)
                    self._kept[question] = (reply.status, own, reply.body)
                    self.asked.append(message)
        status, first, body = self._kept[question]
        if mark and b"<rsp:Stream " in body:
            body = _STREAM.sub(lambda stream: stream[1] + self._printed(stream[2], mark), body)
        return status, body.replace(first, own) if own else body

    def _printed(self, output: bytes, mark: bytes) -> bytes:
        return base64.b64encode(base64.b64decode(output).replace(self._mark, mark))


class Connection(asyncio.Protocol):
    """One host's HTTP: one request after another, and the login that came over this connection."""

    def __init__(self, answering: Answering) -> None:
        self._answering = answering
        self._arrived = bytearray()
        self._context: spnego.ContextProxy | None = None
        self._known = False
        self._mark = b""
        self._task: asyncio.Task[None] | None = None
        self._first = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._answering.stats.connections += 1

    def connection_lost(self, exc: Exception | None) -> None:
        if self._task:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        self._answering.stats.received += len(data)
        self._arrived += data
        end = self._arrived.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self._arrived[:end])
        length = _LENGTH.search(head)
        whole = end + 4 + (int(length[1]) if length else 0)
        if len(self._arrived) < whole:
            return
        body = bytes(self._arrived[end + 4 : whole])
        del self._arrived[:whole]
        self._task = asyncio.ensure_future(self._serve(head, body))

    async def _serve(self, head: bytes, body: bytes) -> None:
        stats = self._answering.stats
        stats.requests += 1
        if self._answering.latency:
            # A new connection costs its client one round trip more.
            await asyncio.sleep(self._answering.latency * (2 if self._first else 1))
        self._first = False
        login = _LOGIN.search(head)
        token = self._checked(login) if login else b""
        if not self._known:
            offer = (
                f"Negotiate {base64.b64encode(token).decode()}"
                if token
                else 'Negotiate\r\nWWW-Authenticate: Basic realm="WSMAN"'
            )
            self._send(401, f"WWW-Authenticate: {offer}\r\n", b"")
            return
        granted = f"WWW-Authenticate: Negotiate {base64.b64encode(token).decode()}\r\n" if token else ""
        if not body:
            self._send(200, granted, b"")
            return
        stats.questions += 1
        kind = _TYPE.search(head)
        context = self._context
        if kind and seal.is_sealed(kind[1].decode("latin-1")) and context is not None:
            plain = seal.unseal(body, unwrap=context.unwrap_winrm, limit=1_000_000)
            status, answer = await self._answer(plain)

            def wrap(plain: bytes) -> tuple[bytes, bytes]:
                wrapped = context.wrap_winrm(plain)
                return wrapped.header, wrapped.data

            self._send(status, f"Content-Type: {seal.content_type()}\r\n", seal.seal(answer, wrap=wrap))
            return
        status, answer = await self._answer(body)
        self._send(status, f"{granted}Content-Type: {_SOAP}\r\n", answer)

    async def _answer(self, message: bytes) -> tuple[int, bytes]:
        if mark := _MARK.search(message):
            self._mark = mark[1]
        return await self._answering.answer(message, mark=self._mark)

    def _checked(self, login: re.Match[bytes]) -> bytes:
        """The next token of a handshake."""
        token = base64.b64decode(login[2])
        if login[1].lower() == b"basic":
            self._known = token.decode() == f"{USER}:{PASSWORD}"
            return b""
        if self._context is None:
            options = spnego.NegotiateOptions.use_negotiate | spnego.NegotiateOptions.use_ntlm
            self._context = spnego.server(hostname="localhost", service="http", protocol="negotiate", options=options)
        answer = self._context.step(token) or b""
        self._known = self._context.complete
        return answer

    def _send(self, status: int, headers: str, body: bytes) -> None:
        message = (
            f"HTTP/1.1 {status} \r\nServer: Microsoft-HTTPAPI/2.0\r\n{headers}Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        self._answering.stats.sent += len(message)
        self._transport.write(message)


async def _orders(answering: Answering) -> None:
    """What the parent process says, until it says nothing more."""
    reader = asyncio.StreamReader(limit=1 << 24)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := (await reader.readline()).decode().split():
        if line[0] == "latency":
            answering.latency = float(line[1])
        elif line[0] == "reset":
            answering.stats = Stats()
        usage = resource.getrusage(resource.RUSAGE_SELF)
        told = asdict(answering.stats) | {"cpu": usage.ru_utime + usage.ru_stime}
        if line[0] == "questions":
            told = {"questions": [base64.b64encode(message).decode() for message in answering.asked]}
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()


async def main(image: str) -> None:
    """Listen, say where, and serve until standard input ends."""
    answering = Answering(image)
    loop = asyncio.get_running_loop()
    made: Callable[[], Connection] = lambda: Connection(answering)  # noqa: E731  # a type for mypy
    servers = [await loop.create_server(made, ADDRESS, 0, backlog=2048) for _ in range(PORTS)]
    sys.stdout.write(json.dumps({"ports": [server.sockets[0].getsockname()[1] for server in servers]}) + "\n")
    sys.stdout.flush()
    orders: Coroutine[None, None, None] = _orders(answering)
    await orders
    for server in servers:
        server.close()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with tempfile.TemporaryDirectory(prefix="converge-bench-") as folder:
        store = Path(folder) / "accounts"
        store.write_text(f":{USER}:{PASSWORD}\n", encoding="utf-8")
        os.environ["NTLM_USER_FILE"] = str(store)
        asyncio.run(main(sys.argv[1]))
