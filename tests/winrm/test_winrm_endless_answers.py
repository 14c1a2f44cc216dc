"""Whatever of HTTP goes on without end is hung up on after a bounded number of bytes, by both who carry it."""

from __future__ import annotations

import socket
import threading
import zlib
from collections.abc import Iterator
from itertools import count

import pytest

from converge.errors import DeadlineExceeded, HostUnreachable
from converge.model.answer import Refused
from converge.model.query import OperatingSystem
from converge.model.secret import Secret
from converge.winrm import kerberos
from converge.winrm.connection import Connection, Login, MessageSealing
from converge.winrm.observer import WinRMObserver

LIMIT = 200_000
MOST = 16 * 1024 * 1024  # bytes that a host gets rid of, what the kernel takes of them included
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/soap+xml;charset=UTF-8\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
LONG = b"x" * 60_000


def endless(kind: str) -> Iterator[bytes]:
    """What such a host says, piece by piece."""
    starts = {
        "one header": OK + b"X: ",
        "headers": OK,
        "long headers": OK,
        "one status": b"HTTP/1.1 200 ",
        "interim answers": b"",
        "other interim answers": b"",
        "one chunk size": CHUNKED,
        "one chunk extension": CHUNKED + b"1;",
        "chunk extensions": CHUNKED,
        "chunks": CHUNKED,
        "one trailer": CHUNKED + b"0\r\nX: ",
        "trailers": CHUNKED + b"0\r\n",
        "body": OK + b"Connection: close\r\n\r\n",
        "gzip": OK + b"Content-Encoding: gzip\r\n\r\n" + zlib.compress(b"x" * 1_000_000, wbits=31),
        "gzip chunks": OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
    }
    goes_on = {
        "headers": b"X-%d: y\r\n",
        "long headers": b"X-%d: " + LONG + b"\r\n",
        "interim answers": b"HTTP/1.1 100 Continue\r\nX: %d\r\n\r\n",
        "other interim answers": b"HTTP/1.1 103 \r\nX: %d\r\n\r\n",
        "one chunk size": b"0" * 60_000,
        "chunk extensions": b"1;a=%d" + b"y" * 900 + b"\r\nx\r\n",
        "chunks": b"ea60\r\n" + LONG + b"\r\n",
        "trailers": b"X-%d: " + LONG + b"\r\n",
        "gzip": zlib.compress(LONG * 1000, wbits=31),
        "gzip chunks": b"ea60\r\n" + LONG + b"\r\n",
    }
    yield starts[kind]
    more = goes_on.get(kind, LONG)
    for number in count():
        yield more % number if b"%d" in more else more


KINDS = [
    "one header", "headers", "long headers", "one status", "interim answers", "other interim answers", "one chunk size",
    "one chunk extension", "chunk extensions", "chunks", "one trailer", "trailers", "body", "gzip", "gzip chunks",
]  # fmt: skip


@pytest.mark.parametrize("login", [Login.BASIC, Login.KERBEROS])
@pytest.mark.parametrize("kind", KINDS)
def test_what_goes_on_without_end_is_hung_up_on(kind: str, login: Login, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kerberos, "is_installed", lambda: True)
    said: list[int] = []

    def talk(line: socket.socket) -> None:
        said.append(0)
        mine = len(said) - 1
        try:
            with line:
                line.recv(65_536)
                for piece in endless(kind):
                    line.sendall(piece)
                    said[mine] += len(piece)
        except OSError:
            return

    def serve() -> None:
        try:
            while True:
                talk(listener.accept()[0])
        except OSError:
            return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        observer = WinRMObserver(
            Connection(
                "h", f"http://127.0.0.1:{listener.getsockname()[1]}/wsman", username="u", password=Secret("p"),
                login=login, sealing=MessageSealing.NEVER, operation_timeout=50, read_timeout=100, max_answer=LIMIT,
            )
        )  # fmt: skip
        told: object
        try:
            told = observer.ask([OperatingSystem()])[OperatingSystem()]
        except HostUnreachable as error:
            told = error
        observer.close()
        listener.shutdown(socket.SHUT_RDWR)
    assert isinstance(told, (HostUnreachable, Refused))
    assert not isinstance(told, DeadlineExceeded)
    assert said
    assert max(said) < MOST
