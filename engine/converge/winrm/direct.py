"""Basic, NTLM and CredSSP over a connection of our own, with pyspnego alone.

A handshake begins with the first of some empty messages; no request is sent before the account is known to be good.
"""

from __future__ import annotations

import base64
import binascii
import re
import ssl
import time
from typing import Final

import spnego
from spnego.exceptions import NativeError, SpnegoError

from converge.errors import RemoteProtocolError
from converge.winrm import kerberos, refusals, strength, unreached
from converge.winrm.connection import Connection, Login
from converge.winrm.http_line import CONNECT_SECONDS, SAYS_NOTHING, HttpAnswer, HttpLine, TlsFailed
from converge.winrm.nt_hash import nt_hash
from converge.wsman import seal

LOGINS: Final = frozenset({Login.BASIC, Login.NEGOTIATE, Login.CREDSSP})
_LEGS: Final = {Login.NEGOTIATE: 3, Login.CREDSSP: 10}
"""How many messages a handshake takes at most."""
_SCHEMES: Final = {Login.NEGOTIATE: "Negotiate", Login.CREDSSP: "CredSSP"}
_TOKENS: Final = {
    Login.NEGOTIATE: re.compile(r"\b(?:Negotiate|NTLM) +([A-Za-z0-9+/]+=*)", re.IGNORECASE),
    Login.CREDSSP: re.compile(r"\bCredSSP +([A-Za-z0-9+/]+=*)", re.IGNORECASE),
}
_HASHES: Final = re.compile(r"[0-9A-Fa-f]{32}:[0-9A-Fa-f]{32}")
_SOAP: Final = "Content-Type: application/soap+xml;charset=UTF-8\r\n"
_SEALED_AS: Final = {Login.NEGOTIATE: seal.SPNEGO, Login.CREDSSP: seal.CREDSSP}


class _AccountRefused(Exception):
    """A host says within a handshake that the account is not let in."""


class DirectTransport:
    """One connection to a host, and the account that was let in over it."""

    def __init__(self, connection: Connection, login: Login) -> None:
        self._connection = connection
        self.login = login
        self._line: HttpLine | None = None
        self._context: spnego.ContextProxy | None = None
        self._always = _basic(connection) if login is Login.BASIC else ""

    @property
    def seals(self) -> bool:
        """Whether messages are encrypted beneath HTTP."""
        return self.login is not Login.BASIC and self._connection.seals

    def log_in(self, *, seconds: float) -> HttpAnswer:
        """The whole handshake with empty messages; its last answer, a 401 where the account is refused.

        Raises Cut, HostUnreachable, RemoteProtocolError.
        """
        ends = time.monotonic() + seconds
        line = self._opened_line(seconds)
        context = self._new_context(line)
        scheme = _SCHEMES[self.login]
        token = context.step(None)
        for _ in range(_LEGS[self.login]):
            headers = f"Authorization: {scheme} {base64.b64encode(token or b'').decode()}\r\n"
            answer = line.post(b"", headers=headers, seconds=max(ends - time.monotonic(), 0.001))
            said = _TOKENS[self.login].search(answer.headers.get("www-authenticate", ""))
            if answer.status != 401 or context.complete or said is None:
                break
            try:
                token = self._step(context, _decoded(said[1]))
            except _AccountRefused:
                return HttpAnswer(401, {"www-authenticate": scheme}, b"")
        if answer.status in SAYS_NOTHING and not context.complete:
            raise RemoteProtocolError(f"HTTP status {answer.status} in the middle of the handshake")
        if answer.status == 401 and said is None and self.login is Login.CREDSSP:
            strength.check_tls_within(context, answer.headers.get("www-authenticate", ""), self._connection)
        self._context = context
        return answer

    def post(self, envelope: bytes, *, seconds: float) -> HttpAnswer:
        """One request and its answer, still sealed. Raises Cut, HostUnreachable, RemoteProtocolError."""
        line = self._opened_line(seconds)
        if self.seals and self._context is not None:
            protocol = _SEALED_AS[self.login]
            sealed = seal.seal(envelope, wrap=_wrapping(self._context), protocol=protocol)
            headers = f"Content-Type: {seal.content_type(protocol, size=len(envelope))}\r\n"
            return line.post(sealed, headers=headers, seconds=seconds)
        return line.post(envelope, headers=self._always + _SOAP, seconds=seconds)

    def opened(self, answer: HttpAnswer) -> bytes:
        """The message in a sealed answer. Raises RemoteProtocolError."""
        assert self._context is not None
        return seal.unseal(answer.body, unwrap=_unwrapping(self._context), limit=self._connection.max_answer)

    def close(self) -> None:
        """Close the connection for good."""
        if self._line is not None:
            self._line.close()

    def _opened_line(self, seconds: float) -> HttpLine:
        if self._line is None:
            self._line = self._connected(min(CONNECT_SECONDS, seconds))
        return self._line

    def _connected(self, seconds: float) -> HttpLine:
        try:
            return HttpLine(self._connection, seconds=seconds)
        except TlsFailed as failed:
            raise unreached.tls_refused(self._connection, failed.error) from failed
        except (FileNotFoundError, ssl.SSLError) as error:
            raise refusals.unreadable_authorities(self._connection, error) from error
        except (OSError, UnicodeError) as error:
            raise unreached.not_reached(self._connection, error) from error

    def _new_context(self, line: HttpLine) -> spnego.ContextProxy:
        if self.login is Login.CREDSSP:
            return strength.credssp(self._connection)
        # Python's own NTLM, whatever else is installed; the name of the host is only said, as SPN.
        return spnego.client(
            _credential(self._connection),
            hostname=self._connection.address,
            service="http",
            channel_bindings=kerberos.channel_bindings(line.certificate),
            protocol="ntlm",
            options=spnego.NegotiateOptions.use_ntlm,
        )

    def _step(self, context: spnego.ContextProxy, token: bytes) -> bytes | None:
        """The next token of ours. Raises RemoteProtocolError, _AccountRefused."""
        if self.seals and self.login is Login.NEGOTIATE:
            strength.check_challenge(token)
        try:
            return context.step(token)
        except RemoteProtocolError:
            raise
        except SpnegoError as error:
            if self.login is Login.CREDSSP and isinstance(error.base_error, NativeError):
                raise _AccountRefused from error
            raise RemoteProtocolError(strength.told_of(error, self._connection)) from error
        except Exception as error:
            # Whatever pyspnego's parsers stumble over was in the token: no bug of ours.
            raise RemoteProtocolError(f"a login token that cannot be read: {error}"[:300]) from error


def _decoded(token: str) -> bytes:
    try:
        return base64.b64decode(token)
    except binascii.Error as error:
        raise RemoteProtocolError("a login token that is not base64") from error


def _credential(connection: Connection) -> spnego.NTLMHash:
    """The account by its hash: of a password pyspnego reckons the old LAN Manager's too, which takes long and nobody asks for."""
    password = connection.password.reveal()
    # A password may be given as its hashes, as Ansible's users know.
    known = password.partition(":")[2] if _HASHES.fullmatch(password) else nt_hash(password).hex()
    return spnego.NTLMHash(connection.username, nt_hash=known)


def _basic(connection: Connection) -> str:
    # Windows reads UTF-8.
    said = f"{connection.username}:{connection.password.reveal()}".encode()
    return f"Authorization: Basic {base64.b64encode(said).decode()}\r\n"


def _wrapping(context: spnego.ContextProxy) -> seal.Wrap:
    def wrap(plain: bytes) -> tuple[bytes, bytes]:
        wrapped = context.wrap_winrm(plain)
        return wrapped.header, wrapped.data

    return wrap


def _unwrapping(context: spnego.ContextProxy) -> seal.Unwrap:
    def unwrap(signature: bytes, sealed: bytes) -> bytes:
        try:
            return context.unwrap_winrm(signature, sealed)
        except Exception as error:
            # As in `_step`.
            raise RemoteProtocolError("a sealed answer that does not open", why=str(error)[:200]) from error

    return unwrap
