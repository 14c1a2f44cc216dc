"""Envelopes to a host and back: which login, when to log in anew, what a status means.

An answer in the clear is refused where answers are sealed, and a transport is never used again after its line broke.
One carrier serves each login: `direct` Basic, NTLM and CredSSP, `pywinrm_transport` what only pywinrm can do.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Final, Protocol

from converge.errors import HostUnreachable, LoginRefused, RemoteProtocolError
from converge.winrm import direct, kerberos, refusals
from converge.winrm.connection import Connection, Login
from converge.winrm.http_line import SAYS_NOTHING, Cut, HttpAnswer
from converge.wsman import seal

__all__ = ["Cut", "MessageCarrier", "Reply"]


MAX_CONVERSATION: Final = 2 * 1024 * 1024 * 1024
"""Bytes of answers that are taken from one host in all: several times what a search of the largest registry prints."""


class Transport(Protocol):
    """A login, and the one connection it was made over."""

    login: Login

    @property
    def seals(self) -> bool:
        """Whether messages are encrypted beneath HTTP."""

    def log_in(self, *, seconds: float) -> HttpAnswer:
        """The whole handshake with empty messages; its last answer. Raises Cut, HostUnreachable, RemoteProtocolError."""

    def post(self, envelope: bytes, *, seconds: float) -> HttpAnswer:
        """One request and its answer, still sealed. Raises Cut, HostUnreachable, RemoteProtocolError."""

    def opened(self, answer: HttpAnswer) -> bytes:
        """The message in a sealed answer. Raises RemoteProtocolError."""

    def close(self) -> None:
        """Close the connection for good."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back with a message in it: HTTP status 200 or 500, and the message."""

    status: int
    body: bytes


class MessageCarrier:
    """Sends envelopes to one host, one at a time, over one authenticated connection.

    Not for several threads at once: sealing counts its messages. After a refused login it never tries another.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._transport: Transport | None = None
        self._refused: LoginRefused | None = None
        self._no_ticket: kerberos.TicketRefused | None = None
        self._let_in = False
        self._spoken = False
        self._received = 0
        self._ends = time.monotonic() + connection.host_timeout
        self.logins = 0
        self.answered = False

    def send(self, envelope: bytes, *, seconds: float) -> Reply:
        """The host's answer to one envelope, within `seconds` by the wall clock.

        Raises LoginRefused, DeadlineExceeded (before anything was sent) and HostUnreachable where there is no
        conversation; Cut where the connection was lost under this request; RemoteProtocolError for an answer that is none.
        `answered` tells afterwards whether something came back to this very envelope: then it left, whatever was said.
        """
        self.answered = False
        if self.remaining <= 0:
            self.drop()
            raise refusals.host_deadline(self._connection)
        transport = self._transport or self._open(seconds)
        try:
            answer = transport.post(envelope, seconds=self._bounded(seconds))
            self.answered = True
            self._count(answer)
            reply = self._read(transport, answer)
            self._let_in = self._spoken = True
            return reply
        except BaseException:
            self.drop()
            raise

    def drop(self) -> None:
        """Forget the transport: the next request logs in anew on a new connection."""
        transport, self._transport = self._transport, None
        if transport:
            transport.close()

    @property
    def login(self) -> Login | None:
        """How the account has proved itself on the present connection."""
        return self._transport.login if self._transport else None

    @property
    def remaining(self) -> float:
        """Seconds left of what the whole conversation may take."""
        return self._ends - time.monotonic()

    def _count(self, answer: HttpAnswer) -> None:
        """Raises HostUnreachable where the host has said more than one conversation may hold."""
        self._received += len(answer.body)
        if self._received > MAX_CONVERSATION:
            raise refusals.says_too_much(self._connection, MAX_CONVERSATION)

    def _bounded(self, seconds: float) -> float:
        return max(min(seconds, self.remaining), 0.001)

    def _open(self, seconds: float) -> Transport:
        if self._refused:
            raise self._refused
        login = self._connection.login
        if login is Login.NEGOTIATE and not self._no_ticket and kerberos.suits(self._connection):
            try:
                return self._opened_by(Login.KERBEROS, seconds=seconds)
            except kerberos.TicketRefused as refused:
                # A refused account is not tried in a second way: each refusal counts towards locking it.
                if refused.is_of_account or not self._connection.password:
                    raise self._remember(refusals.ticket_refused(self._connection, refused)) from refused
                self._no_ticket = refused
        try:
            return self._opened_by(login, seconds=seconds)
        except kerberos.TicketRefused as refused:
            raise self._remember(refusals.ticket_refused(self._connection, refused)) from refused

    def _opened_by(self, login: Login, *, seconds: float) -> Transport:
        # pyspnego would let it choose older kinds of NTLM.
        os.environ.pop("LM_COMPAT_LEVEL", None)
        transport = _transport(self._connection, login)
        try:
            if login is not Login.BASIC:
                self._log_in(transport, seconds=seconds)
        except BaseException:
            transport.close()
            raise
        self._transport = transport
        return transport

    def _log_in(self, transport: Transport, *, seconds: float) -> None:
        """No request is sent before its account is known to be good."""
        self.logins += 1
        try:
            answer = transport.log_in(seconds=self._bounded(seconds))
            if answer.status not in SAYS_NOTHING | {401}:
                refusals.check_status(self._connection, answer.status, sealed=True, empty=False)
        except Cut as cut:
            if transport.login is Login.CERTIFICATE and not cut.expired:
                # With TLS 1.3 a host looks at the client's certificate only after the client has begun to send.
                raise refusals.own_certificate_refused(self._connection, cut.why) from cut
            raise refusals.cut_in_login(self._connection, cut.why, expired=cut.expired) from cut
        except RemoteProtocolError as error:
            raise refusals.odd_login(self._connection, str(error)) from error
        if answer.status == 401:
            raise self._unwelcome(transport, answer)

    def _unwelcome(self, transport: Transport, answer: HttpAnswer) -> HostUnreachable:
        offered = answer.headers.get("www-authenticate", "")
        return self._remember(
            refusals.login_refused(self._connection, offered=offered, login=transport.login, ticket=self._no_ticket)
        )

    def _remember(self, refused: HostUnreachable) -> HostUnreachable:
        """An account is never tried again after it was refused; what else stands in the way may pass."""
        if isinstance(refused, LoginRefused):
            self._refused = refused
        return refused

    def _read(self, transport: Transport, answer: HttpAnswer) -> Reply:
        if answer.status == 401:
            if transport.login is Login.BASIC and not self._let_in:
                raise self._unwelcome(transport, answer)
            # Once more where the login was good before; a second refusal is one.
            self._let_in = False
            raise Cut("the host no longer knows the login", sent=True)
        if answer.status == 400 and transport.seals:
            raise Cut("the host could not open the sealed message", sent=True)
        # Once the host has answered, it is not the setting that it minds.
        settled = transport.seals or self._spoken
        refusals.check_status(self._connection, answer.status, sealed=settled, empty=not answer.body)
        if not transport.seals:
            return Reply(answer.status, answer.body)
        if not seal.is_sealed(answer.headers.get("content-type", "")):
            raise RemoteProtocolError("an answer in the clear where answers are sealed", why="it may be forged")
        return Reply(answer.status, transport.opened(answer))


def _transport(connection: Connection, login: Login) -> Transport:
    if login in direct.LOGINS:
        return direct.DirectTransport(connection, login)
    from converge.winrm.pywinrm_transport import PywinrmTransport  # its imports take a while, and few need them

    return PywinrmTransport(connection, login)
