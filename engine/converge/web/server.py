"""The server around the site: its socket, its bounds, its end."""

from __future__ import annotations

import asyncio
import logging
import secrets
import signal
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from aiohttp import web

from converge.model.listening import ListeningPlace, ServedNames
from converge.model.secret import Secret
from converge.store.store import Where
from converge.web.access import Access
from converge.web.reading import Reading
from converge.web.site import Site

MOST_CONNECTIONS = 200
MOST_OF_ONE_PEER = 100  # everybody may be one peer, a proxy
SPEAK_WITHIN = 15.0  # seconds for the first request of a connection
KEPT_ALIVE = 30.0  # seconds a connection may be idle
PAUSE = 0.1  # seconds after a connection could not be taken
ENDING = 1.0  # seconds for answers under way when the end was asked for
_SILENT = logging.getLogger("converge.web.silent")
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False  # aiohttp would log requests that it cannot read, whatever stands in them


@dataclass(frozen=True, slots=True)
class ServerMessages:
    """Who hears from the server: `listening` of its address once it listens, `warn` of what goes wrong."""

    listening: Callable[[str], None]
    warn: Callable[[str], None]


def serve(where: Where, place: ListeningPlace, telling: ServerMessages) -> None:
    """Serve until SIGTERM or SIGINT. Raises UsageError where it cannot listen, or where this is not a store."""
    reading = Reading(where)
    try:
        reading.check()
        with place.bound() as bound:
            asyncio.run(_serve(reading, replace(place, port=bound.getsockname()[1]), bound, telling=telling))
    finally:
        reading.close()


async def _serve(reading: Reading, place: ListeningPlace, bound: socket.socket, *, telling: ServerMessages) -> None:
    loop, end = asyncio.get_running_loop(), asyncio.Event()
    loop.set_exception_handler(lambda _loop, context: telling.warn(_in_words(context)))
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end.set)
    # Without a token of the user's one is made for as long as this runs; the address that is told holds it.
    token, is_made = (place.token, False) if place.token else (Secret(secrets.token_urlsafe(32)), True)
    site = Site(reading, Access(token, in_address=is_made), ServedNames(place.names), warn=telling.warn)
    application = site.application()
    silent: set[object] = set()

    async def spoke(request: web.Request, _response: web.StreamResponse) -> None:
        silent.discard(request.protocol)

    application.on_response_prepare.append(spoke)
    runner = web.AppRunner(
        application, access_log=None, logger=_SILENT, keepalive_timeout=KEPT_ALIVE, shutdown_timeout=ENDING,
        handle_signals=False,
    )  # fmt: skip
    try:
        await runner.setup()
        assert runner.server is not None
        gate = _Gate(runner.server, silent, place.tls)
        listener = asyncio.create_task(gate.let_in(bound))
        telling.listening(f"{place.address}/" + (f"?token={token.reveal()}" if is_made else ""))
        await end.wait()
        listener.cancel()
    finally:
        await runner.cleanup()


class _Gate:
    """Lets so many connections in, of one peer fewer than that, and hangs up on those that say nothing."""

    def __init__(self, server: web.Server, silent: set[object], tls: ssl.SSLContext | None) -> None:
        self._server = server
        self._silent = silent
        self._tls = tls
        self._greeting: dict[asyncio.Task[None], str] = {}

    async def let_in(self, bound: socket.socket) -> None:
        """Take connections until this is cancelled."""
        loop = asyncio.get_running_loop()
        bound.setblocking(False)
        while True:
            try:
                line, address = await loop.sock_accept(bound)
            except OSError:  # no more files may be open, or who asked is gone already
                await asyncio.sleep(PAUSE)
                continue
            if not self._has_room(str(address[0])):
                line.close()
                continue
            greeted = loop.create_task(self._greet(line))
            self._greeting[greeted] = str(address[0])
            greeted.add_done_callback(self._greeting.pop)

    def _has_room(self, peer: str) -> bool:
        peers = [*self._greeting.values(), *(_peer_of(handler) for handler in self._server.connections)]
        return len(peers) < MOST_CONNECTIONS and peers.count(peer) < MOST_OF_ONE_PEER

    async def _greet(self, line: socket.socket) -> None:
        patience = SPEAK_WITHIN if self._tls else None
        with suppress(OSError):  # of TLS too
            await asyncio.get_running_loop().connect_accepted_socket(
                self._handler, line, ssl=self._tls, ssl_handshake_timeout=patience
            )

    def _handler(self) -> asyncio.BaseProtocol:
        handler = self._server()
        self._silent.add(handler)

        def hang_up() -> None:
            if handler in self._silent:
                self._silent.discard(handler)
                handler.force_close()

        asyncio.get_running_loop().call_later(SPEAK_WITHIN, hang_up)
        return handler


def _peer_of(handler: web.RequestHandler) -> str:
    address = handler.transport.get_extra_info("peername") if handler.transport is not None else None
    return str(address[0]) if address else ""


def _in_words(context: dict[str, object]) -> str:
    """What went wrong with a connection, without anything that was sent over it."""
    error = context.get("exception")
    return f"a connection was given up: {type(error).__name__ if error is not None else context.get('message', '')}"
