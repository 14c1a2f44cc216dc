"""The login at a host with a ticket of Kerberos, in the place where pywinrm puts its own (`session.auth`).

pywinrm's own Kerberos takes tickets only from the one cache of the whole process and hides why it got none. So the login
is done here, with the names under which its sealing asks for keys.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any, Final

import spnego
from requests import PreparedRequest, Response
from requests.auth import AuthBase
from spnego.exceptions import SpnegoError

from converge.errors import RemoteProtocolError
from converge.winrm import kerberos
from converge.winrm.connection import Connection
from converge.winrm.line import Line

MOST_LEGS: Final = 4
_OFFERS: Final = re.compile(r"(?:^|,)\s*(negotiate|kerberos)(?:\s+([A-Za-z0-9+/=]+))?\s*(?=,|$)", re.IGNORECASE)


class KerberosAuth(AuthBase):
    """The login of one connection; afterwards it seals, under the names that pywinrm's sealing calls.

    Raises TicketRefused where Kerberos itself says no, RemoteProtocolError where the host does not prove itself.
    """

    def __init__(self, connection: Connection, line: Line) -> None:
        self._connection = connection
        self._line = line
        self._context: spnego.ContextProxy | None = None
        self.scheme = "Negotiate"

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        request.headers["Connection"] = "Keep-Alive"
        request.register_hook("response", self._log_in)  # type: ignore[no-untyped-call]  # of requests
        return request

    def _log_in(self, response: Response, **named: Any) -> Response:
        offered = _offers(response)
        if response.status_code != 401 or self._context is not None or not offered:
            return response
        self.scheme = "Negotiate" if "negotiate" in offered else "Kerberos"
        context = self._context = kerberos.within(kerberos.TICKET_SECONDS, self._new_context)
        token: bytes | None = None
        for _ in range(MOST_LEGS):
            answer = self._step(context, token)
            if answer is None:
                break
            response = _repeated(response, f"{self.scheme} {base64.b64encode(answer).decode()}", named)
            token = _offers(response).get(self.scheme.lower())
            if token is None:
                break
        if token is not None and not context.complete:
            self._step(context, token)
        if response.status_code != 401 and not context.complete:
            raise RemoteProtocolError("a host that did not prove that it is the one whose ticket was used")
        return response

    def _new_context(self) -> spnego.ContextProxy:
        connection = self._connection
        credentials: Any = connection.username or None
        if connection.password:
            cache = kerberos.tickets.cache(connection.username, connection.password)
            credentials = spnego.KerberosCCache(cache)
        requested = spnego.ContextReq.default
        if connection.kerberos_delegation:
            requested |= spnego.ContextReq.delegate
        try:
            return spnego.client(
                credentials,
                hostname=connection.address,
                service=kerberos.SERVICE,
                protocol="kerberos",
                channel_bindings=kerberos.channel_bindings(self._line.certificate),
                context_req=requested,
                options=spnego.NegotiateOptions.use_gssapi,
            )
        except SpnegoError as error:
            raise kerberos.ticket_refusal(error) from error

    def _step(self, context: spnego.ContextProxy, token: bytes | None) -> bytes | None:
        def stepped() -> bytes | None:
            try:
                return context.step(token)
            except SpnegoError as error:
                raise kerberos.ticket_refusal(error) from error

        return kerberos.within(kerberos.TICKET_SECONDS, stepped)

    def wrap_winrm(self, _host: str, message: bytes) -> tuple[bytes, bytes]:
        """The sealed message, and its header."""
        assert self._context is not None
        wrapped = self._context.wrap_winrm(message)
        return wrapped.data, wrapped.header

    def unwrap_winrm(self, _host: str, sealed: bytes, header: bytes) -> bytes:
        """What was sealed. Raises SpnegoError."""
        assert self._context is not None
        return self._context.unwrap_winrm(header, sealed)


def _offers(response: Response) -> dict[str, bytes | None]:
    """The schemes of a WWW-Authenticate that Kerberos can use, each with its token if it came with one."""
    found: dict[str, bytes | None] = {}
    for scheme, token in _OFFERS.findall(response.headers.get("WWW-Authenticate", "")):
        try:
            found[scheme.lower()] = base64.b64decode(token, validate=True) if token else None
        except binascii.Error as error:
            raise RemoteProtocolError("a login token that is not base64") from error
    return found


def _repeated(response: Response, authorization: str, named: dict[str, Any]) -> Response:
    """The answer to the same request with this Authorization, over the same connection."""
    _ = response.content
    response.raw.release_conn()
    request = response.request.copy()
    request.headers["Authorization"] = authorization
    again: Response = response.connection.send(request, **named)
    _ = again.content
    again.raw.release_conn()
    return again
