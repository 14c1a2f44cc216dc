"""Basic and NTLM over a connection of our own, with pyspnego alone: the two logins that most hosts are asked with.

NTLM begins with the first of two empty messages; no request is sent before the account is known to be good.
"""

from __future__ import annotations

import base64
import re
import ssl
import struct
import time
from typing import Final

import spnego
from spnego.exceptions import SpnegoError

from converge.errors import RemoteProtocolError
from converge.winrm import kerberos, refusals, unreached
from converge.winrm.connection import Connection, Login
from converge.winrm.http_line import CONNECT_SECONDS, SAYS_NOTHING, HttpAnswer, HttpLine, TlsFailed
from converge.winrm.nt_hash import nt_hash
from converge.wsman import seal

LOGINS: Final = frozenset({Login.BASIC, Login.NEGOTIATE})
_STEPS: Final = 3
_CHALLENGE_MARK: Final = b"NTLMSSP\0\x02\0\0\0"
_SEALING_NEEDS: Final = {
    0x10: "signing",
    0x20: "sealing",
    0x80000: "extended session security",
    0x20000000: "128-bit keys",
}
"""Flags of a challenge without which sealed messages can be read or changed on the way ([MS-NLMP] 2.2.2.5)."""
_BAD_SEAL = (SpnegoError, ValueError, LookupError, AttributeError, TypeError, struct.error)
_CHALLENGE: Final = re.compile(r"\b(?:Negotiate|NTLM) +([A-Za-z0-9+/]+=*)", re.IGNORECASE)
_HASHES: Final = re.compile(r"[0-9A-Fa-f]{32}:[0-9A-Fa-f]{32}")
_SOAP: Final = "Content-Type: application/soap+xml;charset=UTF-8\r\n"
_SEALED: Final = f"Content-Type: {seal.content_type()}\r\n"


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
        return self.login is Login.NEGOTIATE and self._connection.seals

    def log_in(self, *, seconds: float) -> HttpAnswer:
        """The whole handshake with empty messages; its last answer, a 401 where the account is refused.

        Raises Cut, HostUnreachable, RemoteProtocolError.
        """
        ends = time.monotonic() + seconds
        line = self._opened_line(seconds)
        context = self._new_context(line)
        try:
            token = _step(context, None)
            for _ in range(_STEPS):
                headers = f"Authorization: Negotiate {base64.b64encode(token or b'').decode()}\r\n"
                answer = line.post(b"", headers=headers, seconds=max(ends - time.monotonic(), 0.001))
                challenge = _CHALLENGE.search(answer.headers.get("www-authenticate", ""))
                if answer.status != 401 or context.complete or challenge is None:
                    break
                said = base64.b64decode(challenge[1])
                if self.seals:
                    _check_strength(said)
                token = _step(context, said)
        except _BAD_SEAL as error:
            raise RemoteProtocolError(str(error)[:300]) from error
        if answer.status in SAYS_NOTHING and not context.complete:
            raise RemoteProtocolError(f"HTTP status {answer.status} in the middle of the handshake")
        self._context = context
        return answer

    def post(self, envelope: bytes, *, seconds: float) -> HttpAnswer:
        """One request and its answer, still sealed. Raises Cut, HostUnreachable, RemoteProtocolError."""
        line = self._opened_line(seconds)
        if self.seals and self._context is not None:
            sealed = seal.seal(envelope, wrap=_wrapping(self._context))
            return line.post(sealed, headers=_SEALED, seconds=seconds)
        return line.post(envelope, headers=self._always + _SOAP, seconds=seconds)

    def opened(self, answer: HttpAnswer) -> bytes:
        """The message in a sealed answer. Raises RemoteProtocolError."""
        assert self._context is not None
        try:
            return seal.unseal(answer.body, unwrap=_unwrapping(self._context), limit=self._connection.max_answer)
        except _BAD_SEAL as error:
            raise RemoteProtocolError("a sealed answer that does not open", why=str(error)[:200]) from error

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
        # Python's own NTLM, whatever else is installed; the name of the host is only said, as SPN.
        return spnego.client(
            _credential(self._connection),
            hostname=self._connection.address,
            service="http",
            channel_bindings=kerberos.channel_bindings(line.certificate),
            protocol="ntlm",
            options=spnego.NegotiateOptions.use_ntlm,
        )


def _credential(connection: Connection) -> spnego.NTLMHash:
    """The account by its hash: of a password pyspnego reckons the old LAN Manager's too, which takes long and nobody asks for."""
    password = connection.password.reveal()
    # A password may be given as its hashes, as Ansible's users know.
    known = password.partition(":")[2] if _HASHES.fullmatch(password) else nt_hash(password).hex()
    return spnego.NTLMHash(connection.username, nt_hash=known)


def _step(context: spnego.ContextProxy, token: bytes | None) -> bytes | None:
    """The next token. What pyspnego makes of a host's token is no bug of ours. Raises RemoteProtocolError."""
    try:
        return context.step(token)
    except Exception as error:
        raise RemoteProtocolError(f"a login token that cannot be read: {error}"[:300]) from error


def _check_strength(challenge: bytes) -> None:
    """Raises RemoteProtocolError for a challenge that takes from NTLM what sealed messages rest on."""
    start = challenge.find(_CHALLENGE_MARK)
    if start < 0 or len(challenge) < start + 24:
        raise RemoteProtocolError("a login token that is no challenge of NTLM")
    (flags,) = struct.unpack_from("<I", challenge, start + 20)
    missing = [name for flag, name in _SEALING_NEEDS.items() if not flags & flag]
    if missing:
        raise RemoteProtocolError(
            f"it would seal messages with a weakened NTLM, without {', '.join(missing)}: use https, or look who changes "
            "logins on the way"
        )


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
            raise RemoteProtocolError("a sealed answer that does not open", why=str(error)[:200]) from error

    return unwrap
