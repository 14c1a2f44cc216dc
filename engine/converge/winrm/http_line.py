"""One TCP connection and the HTTP/1.1 that WinRM speaks over it: POST, one whole answer, and again.

Opened once and never again; bounded in bytes, and in time by the clock, however slowly bytes arrive.
"""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import certifi

from converge.errors import RemoteProtocolError
from converge.winrm.connection import Connection

CONNECT_SECONDS: Final = 15.0
SAYS_NOTHING: Final = frozenset({200, 400, 411, 415, 500})
"""Statuses of an empty message that only say that it is empty, or in the clear: the login was good."""
MAX_HEAD: Final = 64 * 1024
MAX_FIELDS: Final = 100
WRAPPING: Final = 4
"""How many times the bytes that an answer may have may come for it, with what HTTP wraps it into."""
_PIECE: Final = 64 * 1024
_STATUS: Final = re.compile(rb"HTTP/1\.[01] ([1-5]\d\d)(?: .*)?")
_CHUNK: Final = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;.*)?")


class Cut(Exception):
    """The line broke under a request. `sent`: whether the host may have received it. `why`: what was seen of it."""

    def __init__(self, why: str, *, sent: bool, expired: bool = False) -> None:
        super().__init__(why)
        self.why = why
        self.sent = sent
        self.expired = expired


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """An answer, whole. Names of header fields are in lower case; those that occur more than once are joined by commas."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class TlsFailed(Exception):
    """The port is open, and TLS does not come about. `error` is what was seen of it."""

    def __init__(self, error: OSError | ValueError) -> None:
        super().__init__(str(error))
        self.error = error


class HttpLine:
    """A connection to one host. `sent` tells whether any byte of the present request left."""

    def __init__(self, connection: Connection, *, seconds: float) -> None:
        """Connect. Raises OSError (ssl.SSLError, one of those, for authorities that are none), TlsFailed."""
        parts = urlsplit(connection.endpoint)
        context = tls_of(connection) if connection.is_https else None
        self.sent = False
        self._ends = time.monotonic() + seconds
        self._arrived = bytearray()
        self._came = 0
        self._last = False
        self._limit = connection.max_answer
        self._socket = socket.create_connection((connection.address, connection.port), timeout=seconds)
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if context is not None:
                self._socket.settimeout(max(self._ends - time.monotonic(), 0.001))
                self._socket = shake_hands(self._socket, context, name=connection.address)
        except BaseException:
            self._socket.close()
            raise
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        self._start = f"POST {target or '/'} HTTP/1.1\r\nHost: {parts.netloc}\r\nUser-Agent: converge\r\n"

    @property
    def certificate(self) -> bytes | None:
        """The host's certificate as DER, if the connection is TLS."""
        return self._socket.getpeercert(True) if isinstance(self._socket, ssl.SSLSocket) else None

    def post(self, body: bytes, *, headers: str, seconds: float) -> HttpAnswer:
        """Send a request, and read its answer, within so many seconds. `headers` are whole lines.

        Raises Cut where the line breaks or no HTTP comes; RemoteProtocolError for an answer that is too large or encoded.
        """
        self.sent = False
        self._came = 0
        self._ends = time.monotonic() + seconds
        if self._last or self._is_gone():
            raise Cut("the host closed the connection", sent=False)
        head = f"{self._start}Accept-Encoding: identity\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
        try:
            self._socket.settimeout(max(seconds, 0.001))
            self.sent = True
            self._socket.sendall(head.encode("latin-1") + body)
            return self._answer()
        except TimeoutError as error:
            raise Cut(f"no whole answer came within {seconds:.3g} s", sent=True, expired=True) from error
        except OSError as error:
            raise Cut(error.strerror or str(error), sent=True) from error

    def close(self) -> None:
        """Close the connection for good."""
        with contextlib.suppress(OSError):
            self._socket.close()

    def _is_gone(self) -> bool:
        """Whether the host closed the connection, or says something without being asked."""
        self._socket.setblocking(False)
        try:
            self._socket.recv(1)
        except (BlockingIOError, ssl.SSLWantReadError):
            return False
        except OSError:
            return True
        return True

    def _answer(self) -> HttpAnswer:
        for _ in range(MAX_FIELDS):
            status, headers = self._head()
            if status >= 200:
                break
        else:
            raise Cut("no answer but interim ones", sent=True)
        if headers.get("content-encoding", "identity").lower() != "identity":
            raise RemoteProtocolError("an answer in an encoding that was not asked for")
        self._last = "close" in headers.get("connection", "").lower()
        if "transfer-encoding" in headers:
            return HttpAnswer(status, headers, self._chunked(headers["transfer-encoding"]))
        length = headers.get("content-length")
        if length is None:
            return HttpAnswer(status, headers, b"" if status == 204 else self._rest())
        if not length.isascii() or not length.isdecimal():
            raise Cut("an answer of no known length", sent=True)
        self._check_size(int(length[:12]))
        return HttpAnswer(status, headers, self._take(int(length[:12])))

    def _head(self) -> tuple[int, dict[str, str]]:
        first = self._until(b"\r\n", MAX_HEAD)
        found = _STATUS.fullmatch(first)
        if found is None:
            raise Cut(f"no HTTP answer: {first[:80]!r}", sent=True)
        headers: dict[str, str] = {}
        left = MAX_HEAD
        for _number in range(MAX_FIELDS):
            line = self._until(b"\r\n", left)
            left -= len(line)
            if not line:
                return int(found[1]), headers
            name, _, value = line.decode("latin-1").partition(":")
            name, value = name.strip().lower(), value.strip()
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        raise Cut("no HTTP answer: its head does not end", sent=True)

    def _chunked(self, encoding: str) -> bytes:
        if encoding.lower() != "chunked":
            raise Cut("an answer in an unknown transfer encoding", sent=True)
        body = bytearray()
        while True:
            size = _CHUNK.fullmatch(self._until(b"\r\n", 1024))
            if size is None:
                raise Cut("a chunk of no known length", sent=True)
            length = int(size[1], 16)
            self._check_size(len(body) + length)
            if not length:
                break
            body += self._take(length)
            if self._take(2) != b"\r\n":
                raise Cut("a chunk that does not end", sent=True)
        for _ in range(MAX_FIELDS):
            if not self._until(b"\r\n", MAX_HEAD):
                return bytes(body)
        raise Cut("an answer that does not end", sent=True)

    def _rest(self) -> bytes:
        self._last = True
        while self._more():
            self._check_size(len(self._arrived))
        return self._take(len(self._arrived))

    def _check_size(self, size: int) -> None:
        if size > self._limit:
            raise too_long(self._limit)

    def _until(self, mark: bytes, most: int) -> bytes:
        begin = 0
        while (end := self._arrived.find(mark, begin)) < 0:
            if len(self._arrived) > most:
                raise Cut("no HTTP answer: its head does not end", sent=True)
            begin = max(len(self._arrived) - len(mark), 0)
            self._must_have_more()
        taken = self._take(end)
        del self._arrived[: len(mark)]
        return taken

    def _take(self, size: int) -> bytes:
        while len(self._arrived) < size:
            self._must_have_more()
        taken = bytes(self._arrived[:size])
        del self._arrived[:size]
        return taken

    def _must_have_more(self) -> None:
        if not self._more():
            raise Cut("the host closed the connection within its answer", sent=True)

    def _more(self) -> bool:
        left = self._ends - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._socket.settimeout(left)
        piece = self._socket.recv(_PIECE)
        self._arrived += piece
        self._came += len(piece)
        if self._came > most_bytes(self._limit):
            raise too_long(self._limit)
        return bool(piece)


def most_bytes(limit: int) -> int:
    """How many bytes may come for one answer of at most `limit`, its head and whatever else HTTP has included."""
    return WRAPPING * limit + 2 * MAX_HEAD


def too_long(limit: int) -> RemoteProtocolError:
    """More came than is listened to."""
    return RemoteProtocolError(f"an answer of more than the {limit} bytes that are accepted")


def shake_hands(line: socket.socket, tls: ssl.SSLContext, *, name: str) -> ssl.SSLSocket:
    """TLS over a connection, within the time that it is given. Raises TlsFailed."""
    try:
        return tls.wrap_socket(line, server_hostname=name)
    except (OSError, ValueError) as error:
        raise TlsFailed(error) from error


def new_tls(authorities: str | None, *, validate: bool, minimum: str) -> ssl.SSLContext:
    """How TLS is spoken. Raises OSError for authorities that cannot be read. Nothing comes from the environment."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    speak_at_least(context, minimum)
    context.hostname_checks_common_name = False  # RFC 9110 4.3.4: a certificate without alternative names is for nobody
    if not validate:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    trusted = authorities or certifi.where()
    if Path(trusted).is_dir():
        context.load_verify_locations(capath=trusted)
    else:
        context.load_verify_locations(cafile=trusted)
    return context


def speak_at_least(context: ssl.SSLContext, minimum: str) -> None:
    """Let it speak this version of TLS and later ones."""
    context.minimum_version = _MINIMA[minimum]
    if minimum < "1.2":
        # At its usual level OpenSSL has no signature that these versions know.
        context.set_ciphers("DEFAULT:@SECLEVEL=0")


_MINIMA: Final = {
    "1.0": ssl.TLSVersion.TLSv1,
    "1.1": ssl.TLSVersion.TLSv1_1,
    "1.2": ssl.TLSVersion.TLSv1_2,
    "1.3": ssl.TLSVersion.TLSv1_3,
}
_tls: Final = lru_cache(maxsize=64)(new_tls)


def tls_of(connection: Connection) -> ssl.SSLContext:
    """How TLS is spoken with a host, for many lines at once; as `new_tls`."""
    return _tls(connection.ca_trust_path, validate=connection.validate_certificate, minimum=connection.tls_minimum)
