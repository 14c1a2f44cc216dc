"""Metrics and health over HTTP, on loopback alone and by its names, a bounded number of connections at once."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from converge.errors import UsageError
from converge.model.listening import LOOPBACK_NAMES, ServedNames
from converge.schedule.metrics import Telemetry

LOOPBACK = "127.0.0.1"
MOST_CONNECTIONS = 32
SPEAK_WITHIN = 10.0  # seconds for a whole request


@contextmanager
def served(telemetry: Telemetry, port: int) -> Iterator[int]:
    """Serve `/metrics` and `/healthz` within this block; the port, chosen by the system for 0. Raises UsageError."""
    try:
        server = _Server(telemetry, port)
    except OSError as error:
        raise UsageError(f"port {port} on {LOOPBACK} cannot be opened: {error.strerror or error}") from error
    thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, telemetry: Telemetry, port: int) -> None:
        self.telemetry = telemetry
        self.names = ServedNames(LOOPBACK_NAMES)
        self._room = threading.BoundedSemaphore(MOST_CONNECTIONS)
        super().__init__((LOOPBACK, port), _Handler)

    def verify_request(self, request: object, client_address: object) -> bool:  # the name that socketserver calls
        """Whether there is room for one more."""
        del request, client_address
        return self._room.acquire(blocking=False)

    def process_request_thread(self, request: socket.socket, client_address: object) -> None:  # type: ignore[override]  # narrower than a UDP server's
        """One connection, in a thread of its own; whoever dawdles is hung up on."""
        clock = threading.Timer(SPEAK_WITHIN, _hang_up, (request,))
        clock.daemon = True
        clock.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            clock.cancel()
            self._room.release()

    def handle_error(self, request: object, client_address: object) -> None:  # the name that socketserver calls
        """Whoever hangs up early is nobody's concern."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version, sys_version = "converge", ""

    def do_GET(self) -> None:  # the name that http.server calls
        telemetry = self.server.telemetry
        if not self.server.names.answers_to(self.headers.get("Host", "")):
            self._answer(421, "text/plain", b"not known by that name\n")
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
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # the name that http.server uses
        """Nobody reads who asked."""


def _hang_up(line: socket.socket) -> None:
    try:
        line.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it is over already
