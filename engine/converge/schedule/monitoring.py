"""Metrics and health over HTTP, by its names, for who knows the token if there is one; so many connections at once."""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from converge.model.listening import ListeningPlace, ServedNames
from converge.schedule.metrics import Telemetry

MOST_CONNECTIONS = 32
MOST_OF_ONE_PEER = 16
SPEAK_WITHIN = 10.0  # seconds for a whole request


@contextmanager
def served(telemetry: Telemetry, place: ListeningPlace) -> Iterator[str]:
    """Serve `/metrics` and `/healthz` within this block; the address, its port chosen by the system for 0. Raises UsageError."""
    bound = place.bound()
    place = replace(place, port=bound.getsockname()[1])
    server = _Server(telemetry, place, bound)
    thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()
    try:
        yield place.address
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, telemetry: Telemetry, place: ListeningPlace, bound: socket.socket) -> None:
        self.telemetry = telemetry
        self.names = ServedNames(place.names)
        self._token = place.token
        self._tls = place.tls
        self._peers: Counter[str] = Counter()
        self._counting = threading.Lock()
        super().__init__((place.host, place.port), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = bound

    def lets_in(self, authorization: str) -> bool:
        """Whether the right token was said, if one is needed; in a time that does not tell how much of it is right."""
        if self._token is None:
            return True
        scheme, _, said = authorization.partition(" ")
        right = hmac.compare_digest(_digest(said.strip()), _digest(self._token.reveal()))
        return scheme.lower() == "bearer" and right

    def verify_request(
        self, request: object, client_address: tuple[str, int]
    ) -> bool:  # the name that socketserver calls
        """Whether there is room for one more, and for one more of this peer."""
        peer = client_address[0]
        with self._counting:
            if self._peers.total() >= MOST_CONNECTIONS or self._peers[peer] >= MOST_OF_ONE_PEER:
                return False
            self._peers[peer] += 1
            return True

    def process_request_thread(self, request: socket.socket, client_address: tuple[str, int]) -> None:  # type: ignore[override]  # narrower than a UDP server's
        """One connection, in a thread of its own; whoever dawdles is hung up on."""
        try:
            with suppress(OSError):  # who asked is gone already
                self._speak(request, client_address)
        finally:
            with self._counting:
                self._peers -= Counter([client_address[0]])

    def _speak(self, request: socket.socket, client_address: tuple[str, int]) -> None:
        if self._tls is not None:
            request = self._tls.wrap_socket(request, server_side=True, do_handshake_on_connect=False)
        clock = threading.Timer(SPEAK_WITHIN, _hang_up, (request,))
        clock.daemon = True
        clock.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            clock.cancel()

    def handle_error(self, request: object, client_address: object) -> None:  # the name that socketserver calls
        """Whoever hangs up early is nobody's concern."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version, sys_version = "converge", ""

    def do_GET(self) -> None:  # the name that http.server calls
        telemetry = self.server.telemetry
        if not self.server.names.answers_to(self.headers.get("Host", "")):
            self._answer(421, "text/plain", b"not known by that name\n")
        elif not self.server.lets_in(self.headers.get("Authorization", "")):
            self._answer(401, "text/plain", b"say the token: Authorization: Bearer TOKEN\n")
        elif self.path == "/metrics":
            self._answer(200, CONTENT_TYPE_PLAIN_0_0_4, telemetry.metrics())
        elif self.path == "/healthz":
            well = telemetry.is_well()
            self._answer(200 if well else 503, "application/json", json.dumps({"healthy": well}).encode())
        else:
            self._answer(404, "text/plain", b"/metrics or /healthz\n")

    def _answer(self, code: int, kind: str, body: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if code == 401:
            self.send_header("WWW-Authenticate", "Bearer")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # the name that http.server uses
        """Nobody reads who asked."""


def _hang_up(line: socket.socket) -> None:
    try:
        socket.socket.shutdown(line, socket.SHUT_RDWR)  # that of TLS would have whoever reads go on without it
    except OSError:
        return  # it is over already


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
