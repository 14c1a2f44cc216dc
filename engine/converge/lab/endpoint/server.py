"""Serves simulated hosts over HTTP on loopback, one port each, all from one thread with an event loop of its own.

What http.sys and WinRM do with HTTP: POST /wsman only, reasons left empty, one login per connection, idle ones closed.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from converge.errors import RemoteProtocolError
from converge.lab.endpoint.auth import Challenged, Gate, Granted, LoginRejected, ServerLogin
from converge.lab.endpoint.host import SimulatedHost
from converge.lab.endpoint.operations import CutLine, OperationReply, Operations
from converge.lab.world import LabAccount
from converge.wsman import seal

ADDRESS: Final = "127.0.0.1"
SOAP_TYPE: Final = "application/soap+xml;charset=UTF-8"
IDLE_SECONDS: Final = 120.0
START_SECONDS: Final = 60.0

_SERVER: Final = {"Server": "Microsoft-HTTPAPI/2.0"}
_ANONYMOUS: Final = "unauthenticated"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a served host is reached."""

    name: str
    port: int
    secure: bool

    @property
    def url(self) -> str:
        """The address of its WS-Management service."""
        return f"{'https' if self.secure else 'http'}://{ADDRESS}:{self.port}/wsman"


class LabServer:
    """Serves hosts from `start` until `stop`; also a context manager that stops at its end."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="lab endpoints", daemon=True)
        self._stores = tempfile.TemporaryDirectory(prefix="converge-lab-")
        self._listeners: list[_Listener] = []
        self._sockets: list[asyncio.Server] = []
        self._stopped = False

    def __enter__(self) -> LabServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(
        self,
        hosts: Sequence[SimulatedHost],
        *,
        tls: ssl.SSLContext | None = None,
        certificate: bytes | None = None,
        ports: Sequence[int] = (),
    ) -> tuple[Endpoint, ...]:
        """Begin to serve these hosts too, on the ports named or on free ones; returns once all listen.

        `certificate` (DER) is the one of `tls`, for hosts that demand logins to be bound to it. Raises OSError where a port is taken.
        """
        if self._stopped:
            raise RuntimeError("a stopped server does not start again")
        if not self._thread.is_alive():
            self._thread.start()
        wanted = [*ports, *([0] * (len(hosts) - len(ports)))]
        coming = asyncio.run_coroutine_threadsafe(
            self._listen(hosts, tls=tls, certificate=certificate, ports=wanted), self._loop
        )
        return coming.result(timeout=START_SECONDS)

    def stop(self) -> None:
        """Close every port and connection. May be called twice."""
        if self._stopped:
            return
        self._stopped = True
        if self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(timeout=START_SECONDS)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(timeout=START_SECONDS)
        else:
            self._loop.close()
        self._stores.cleanup()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.close()

    async def _listen(
        self, hosts: Sequence[SimulatedHost], *, tls: ssl.SSLContext | None, certificate: bytes | None, ports: Sequence[int]
    ) -> tuple[Endpoint, ...]:
        endpoints = []
        for host, port in zip(hosts, ports, strict=True):
            gate = Gate(host, Path(self._stores.name))
            listener = _Listener(host, gate, secure=tls is not None, certificate=certificate)
            socket = await self._loop.create_server(listener, ADDRESS, port, ssl=tls, backlog=64)
            self._listeners.append(listener)
            self._sockets.append(socket)
            endpoints.append(Endpoint(host.name, socket.sockets[0].getsockname()[1], tls is not None))
        return tuple(endpoints)

    async def _close(self) -> None:
        for socket in self._sockets:
            socket.close()
        for listener in self._listeners:
            listener.pre_shutdown()
        await asyncio.gather(*(listener.shutdown(timeout=0.2) for listener in self._listeners))


class _Listener(web.Server):
    """The HTTP service of one host: knows the login of every connection."""

    def __init__(self, host: SimulatedHost, gate: Gate, *, secure: bool, certificate: bytes | None = None) -> None:
        super().__init__(
            self._served, access_log=None, keepalive_timeout=IDLE_SECONDS, handler_cancellation=True, lingering_time=1.0
        )
        self._gate = gate
        self._secure = secure
        self._certificate = certificate if host.policy.binds_channel else None
        self._operations = Operations(host)
        self._host = host
        self._logins: dict[RequestHandler, ServerLogin] = {}

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        shown = transport.get_extra_info("ssl_object")
        client = shown.getpeercert(True) if shown else None
        self._logins[handler] = ServerLogin(self._gate, secure=self._secure, certificate=self._certificate, client=client)

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        super().connection_lost(handler, exc)
        self._logins.pop(handler, None)

    async def _served(self, request: web.BaseRequest) -> web.StreamResponse:
        login = self._logins.get(request.protocol) or ServerLogin(self._gate, secure=self._secure)
        if request.path.rstrip("/").lower() != "/wsman":
            return _empty(404)
        if request.method != "POST":
            return _empty(405, {"Allow": "POST"})
        if request.headers.get("WSMANIDENTITY", "").lower() == _ANONYMOUS:
            return await self._identified(request)
        verdict = login.check(request.headers.get("Authorization"))
        if not isinstance(verdict, Granted):
            return await self._unauthorized(request, verdict, scheme=login.scheme)
        answer = await self._authenticated(request, login, verdict.account)
        if verdict.token:
            answer.headers["WWW-Authenticate"] = f"{login.scheme} {base64.b64encode(verdict.token).decode()}"
        return answer

    async def _unauthorized(
        self, request: web.BaseRequest, verdict: Challenged | LoginRejected, *, scheme: str = ""
    ) -> web.Response:
        await self._body(request)
        answer = _empty(401)
        if verdict.token is not None:
            answer.headers["WWW-Authenticate"] = f"{scheme} {base64.b64encode(verdict.token).decode()}"
            return answer
        for scheme in self._gate.schemes(secure=self._secure):
            answer.headers.add("WWW-Authenticate", scheme)
        return answer

    async def _body(self, request: web.BaseRequest) -> bytes | None:
        """The body, or None if it is larger than the service takes."""
        limit = self._operations.max_request
        if (request.content_length or 0) > limit:
            return None
        body = bytearray()
        async for piece in request.content.iter_chunked(65_536):
            body += piece
            if len(body) > limit:
                return None
        return bytes(body)

    async def _identified(self, request: web.BaseRequest) -> web.Response:
        body = await self._body(request)
        if body is None:
            return _empty(413)
        reply = self._operations.identify_anonymously(body)
        return _soap(reply.body, status=reply.status) if reply else await self._unauthorized(request, LoginRejected())

    async def _authenticated(self, request: web.BaseRequest, login: ServerLogin, account: LabAccount) -> web.StreamResponse:
        body = await self._body(request)
        if body is None:
            return _empty(413)
        if not body:
            return _empty(200)
        sent_as = request.headers.get("Content-Type", "")
        if seal.is_sealed(sent_as):
            try:
                plain = seal.unseal(body, unwrap=login.unwrap, limit=self._operations.max_request)
            except RemoteProtocolError:
                login.forget()
                return _empty(400)
            return await self._answered(request, plain, login, account, sealed=True)
        if request.content_type not in ("application/soap+xml", "text/xml"):
            return _empty(415)
        if not self._secure and not self._host.policy.allow_unencrypted:
            return _empty(500)
        return await self._answered(request, body, login, account, sealed=False)

    async def _answered(
        self, request: web.BaseRequest, body: bytes, login: ServerLogin, account: LabAccount, *, sealed: bool
    ) -> web.StreamResponse:
        reply = await self._operations.answer(body, account=account, client=request.remote or ADDRESS)
        if reply.status == 401:
            login.forget()
            return await self._unauthorized(request, LoginRejected())
        if reply.cut is CutLine.BEFORE:
            return await _disconnected(request)
        if reply.page:
            return web.Response(
                status=reply.status, body=reply.body, content_type="text/html", headers=_SERVER, reason=""
            )
        answer = _soap(reply.body, status=reply.status)
        if sealed and not reply.unsealed:
            wrapped = seal.seal(reply.body, wrap=login.wrap, protocol=login.sealed_as)
            if reply.tampered:
                wrapped = wrapped.replace(
                    b"octet-stream\r\n\x10\0\0\0\x01\0\0\0", b"octet-stream\r\n\x10\0\0\0\x01\0\0\1"
                )
            answer.body = wrapped
            answer.headers["Content-Type"] = seal.content_type(login.sealed_as)
        return await _delivered(request, answer, reply)


def _empty(status: int, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(status=status, reason="", headers=_SERVER | (headers or {}))


def _soap(body: bytes, *, status: int) -> web.Response:
    return web.Response(status=status, reason="", body=body, headers=_SERVER | {"Content-Type": SOAP_TYPE})


async def _delivered(request: web.BaseRequest, answer: web.Response, reply: OperationReply) -> web.StreamResponse:
    """The answer as it is, or what becomes of it on a bad line."""
    if reply.cut is None and not reply.trickle:
        return answer
    body = answer.body
    assert isinstance(body, bytes)
    slow = web.StreamResponse(status=answer.status, reason="", headers=answer.headers)
    slow.content_length = len(body)
    await slow.prepare(request)
    if reply.cut is CutLine.INSIDE:
        await slow.write(body[: len(body) // 2])
        return await _disconnected(request)
    for position in range(len(body)):
        await slow.write(body[position : position + 1])
        await asyncio.sleep(reply.trickle)
    return slow


async def _disconnected(request: web.BaseRequest) -> web.StreamResponse:
    """Cut the connection: the client sees it end, whatever is returned here is never sent."""
    if request.transport is not None:
        request.transport.close()
    await asyncio.sleep(0)
    return _empty(500)
