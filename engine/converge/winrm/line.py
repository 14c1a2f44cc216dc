"""The TCP connection under one transport: opened once, bounded in bytes, and cut by the clock.

Authentication belongs to the connection. So a line that was dropped is never quietly opened again below a login: a
request would go out without one, or sealed with keys nobody knows any more. And a read timeout that starts anew with every
byte is no deadline; here a watchdog shuts the socket down.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from http.client import HTTPResponse
from typing import Any, Final

from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from urllib3 import BaseHTTPResponse, HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

from converge.errors import RemoteProtocolError
from converge.winrm.http_line import most_bytes, too_long

CONNECTIONS_FOR_LOGIN: Final = 3
"""Some hosts close the connection after the first 401; a login may open it anew, nothing else may."""


class LineClosed(Exception):
    """The connection is gone, and this line does not open another."""


class Line:
    """What is known of the connection under one transport.

    `sent` tells whether any byte of the present request left; `certificate` is the host's, of a TLS connection, as DER.
    """

    def __init__(self) -> None:
        self.sent = False
        self.expired = False
        self.certificate: bytes | None = None
        self._settled = False
        self._opened = 0
        self._handles: list[socket.socket] = []
        self._lock = threading.Lock()

    @property
    def is_shaking_hands(self) -> bool:
        """Whether a connection was opened that never became one of TLS."""
        return self._opened > 0 and self.certificate is None and not self.sent

    def settle(self) -> None:
        """The login is done: from now on the connection that bears it is the only one."""
        self._settled = True

    def check_may_open(self) -> None:
        """Called before a connection is opened. Raises LineClosed when it would be one too many."""
        if self._opened and (self._settled or self._opened >= CONNECTIONS_FOR_LOGIN):
            raise LineClosed("the host closed the connection")

    def opened(self, connected: socket.socket) -> None:
        """Called with a socket that was just connected. The duplicate outlives its wrapping in TLS."""
        with self._lock:
            self._opened += 1
            self._handles.append(connected.dup())
            expired = self.expired
        if expired:
            self._shut_down()

    @contextlib.contextmanager
    def watched(self, seconds: float) -> Iterator[None]:
        """Whatever happens on the line inside ends within this time, by being cut off."""
        self.sent = False
        watchdog = threading.Timer(seconds, self._expire)
        watchdog.daemon = True
        watchdog.start()
        try:
            yield
        finally:
            watchdog.cancel()

    def _expire(self) -> None:
        with self._lock:
            self.expired = True
        self._shut_down()

    def _shut_down(self) -> None:
        with self._lock:
            for handle in self._handles:
                with contextlib.suppress(OSError):
                    handle.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection for good."""
        self._shut_down()
        with self._lock:
            for handle in self._handles:
                handle.close()
            self._handles.clear()


class _WatchedSocket:
    """What both kinds of connection tell their line."""

    line: Line
    sock: Any

    def _new_conn(self) -> socket.socket:
        self.line.check_may_open()
        connected: socket.socket = super()._new_conn()  # type: ignore[misc]  # of the connection it is mixed into
        self.line.opened(connected)
        return connected

    def connect(self) -> None:
        super().connect()  # type: ignore[misc]  # as above
        self.line.certificate = self.sock.getpeercert(True) if isinstance(self.sock, ssl.SSLSocket) else None

    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()
        self.line.sent = True
        super().send(data)  # type: ignore[misc]  # as above


class _Arriving:
    """What comes for one answer, byte by byte counted: urllib3 reads lines of any length. Else it is the file itself."""

    def __init__(self, file: Any, limit: int) -> None:
        self._file = file
        self._limit = limit
        self._left = most_bytes(limit)

    def read(self, size: int | None = -1) -> bytes:
        return self._counted(self._file.read(self._bounded(size)))

    def read1(self, size: int = -1) -> bytes:
        return self._counted(self._file.read1(self._bounded(size)))

    def readline(self, size: int | None = -1) -> bytes:
        return self._counted(self._file.readline(self._bounded(size)))

    def readinto(self, buffer: Any) -> int:
        came: int = self._file.readinto(buffer)
        self._count(came)
        return came

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def _bounded(self, size: int | None) -> int:
        return self._left + 1 if size is None or size < 0 else size

    def _counted(self, data: bytes) -> bytes:
        self._count(len(data))
        return data

    def _count(self, came: int) -> None:
        """Raises RemoteProtocolError."""
        self._left -= came
        if self._left < 0:
            raise too_long(self._limit)


class WatchedAdapter(HTTPAdapter):
    """Carries requests over one line, and answers of at most `limit` bytes. Raises RemoteProtocolError for longer ones."""

    def __init__(self, line: Line, *, limit: int, tls: ssl.SSLContext) -> None:
        self._line = line
        self._tls = tls
        self._limit = limit
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=0)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = True, **options: Any) -> None:
        # A second connection is never wanted, whatever is asked for.
        super().init_poolmanager(connections, maxsize, block=True, ssl_context=self._tls, **options)
        limit = self._limit

        class Bounded(HTTPResponse):
            def __init__(self, *arguments: Any, **named: Any) -> None:
                super().__init__(*arguments, **named)
                self.fp: Any = _Arriving(self.fp, limit)

        shared = {"line": self._line, "response_class": Bounded}
        plain = type("WatchedConnection", (_WatchedSocket, HTTPConnection), shared)
        secure = type("WatchedTlsConnection", (_WatchedSocket, HTTPSConnection), shared)
        self.poolmanager.pool_classes_by_scheme = {
            "http": type("WatchedPool", (HTTPConnectionPool,), {"ConnectionCls": plain}),
            "https": type("WatchedTlsPool", (HTTPSConnectionPool,), {"ConnectionCls": secure}),
        }

    def build_response(self, req: PreparedRequest, resp: BaseHTTPResponse) -> Response:
        response = super().build_response(req, resp)
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise RemoteProtocolError("an answer in an encoding that was not asked for")
        read = response.iter_content

        def bounded(*arguments: Any, **named: Any) -> Iterator[bytes]:
            total = 0
            for piece in read(*arguments, **named):
                total += len(piece)
                if total > self._limit:
                    response.close()
                    raise too_long(self._limit)
                yield piece

        # Everybody who reads the answer, the login included, reads through this.
        response.iter_content = bounded  # type: ignore[method-assign]  # requests offers no hook for it
        return response
