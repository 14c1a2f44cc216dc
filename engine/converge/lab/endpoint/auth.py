"""Logins over HTTP, one per TCP connection: Basic, and Negotiate with NTLM or SPNEGO around it; and the seal that follows.

The acceptor is pyspnego's. It reads the passwords it checks against from a file named by an environment variable
(NTLM_USER_FILE); that variable is set only while a token is looked at, under a lock.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import spnego
from spnego.exceptions import SpnegoError

from converge.errors import RemoteProtocolError
from converge.lab.endpoint.host import Host
from converge.lab.world import Account
from converge.model.names import fold

MAX_TOKEN: Final = 64 * 1024

_STORE: Final = "NTLM_USER_FILE"
_UNFIT: Final = frozenset(":\r\n\0")
_store_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Granted:
    """The client is this account; `token` is the last one of the handshake, for it to check."""

    account: Account
    token: bytes | None = None


@dataclass(frozen=True, slots=True)
class Challenged:
    """The handshake goes on with this token."""

    token: bytes


@dataclass(frozen=True, slots=True)
class Refused:
    """The client is nobody we know; `tried` is whether it gave a name and password at all."""

    tried: bool = False


Verdict = Granted | Challenged | Refused


class Gate:
    """Who is let in at one host. Holds the store of passwords that the NTLM acceptor reads, in a folder only we can read.

    Raises ValueError for an account whose name or password the store cannot hold.
    """

    def __init__(self, host: Host, folder: Path) -> None:
        self.host = host
        self._failures: dict[str, int] = {}
        self._store = folder / f"{len(list(folder.iterdir()))}.accounts"
        with open(self._store, "x", opener=_private) as file:
            file.writelines(_store_lines(host))

    @contextmanager
    def store(self) -> Iterator[None]:
        """The time in which the acceptor may look passwords up."""
        with _store_lock:
            before = os.environ.get(_STORE)
            os.environ[_STORE] = str(self._store)
            try:
                yield
            finally:
                os.environ.pop(_STORE)
                if before is not None:
                    os.environ[_STORE] = before

    def schemes(self, *, secure: bool) -> list[str]:
        """What a 401 offers, one per WWW-Authenticate line."""
        offered = ["Negotiate"] if self.host.policy.negotiate else []
        return [*offered, 'Basic realm="WSMAN"'] if self.takes_basic(secure=secure) else offered

    def takes_basic(self, *, secure: bool) -> bool:
        """Whether Basic is on; over plain HTTP only where unencrypted messages are allowed at all."""
        policy = self.host.policy
        return policy.basic and (secure or policy.allow_unencrypted)

    def admit(self, name: str) -> Account | None:
        """The account of a login whose password was right, unless it is locked. Its earlier failures are forgotten."""
        account = self.host.world.account(name)
        if account is None or self._locked(account.name):
            return None
        self._failures.pop(fold(account.name), None)
        return account

    def refuse(self, name: str) -> Refused:
        """Count a refused login."""
        self.host.log.add_refused_login()
        account = self.host.world.account(name)
        if account is not None:
            self._failures[fold(account.name)] = self._failures.get(fold(account.name), 0) + 1
        return Refused(tried=True)

    def _locked(self, name: str) -> bool:
        limit = self.host.policy.lock_out_after
        return limit is not None and self._failures.get(fold(name), 0) >= limit


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _store_lines(host: Host) -> Iterator[str]:
    """Each account under every name of the domain a client may give: none, a dot, the host, its domain."""
    profile = host.world.profile
    for account in host.world.accounts.values():
        own, _, bare = account.name.rpartition("\\")
        if not bare or _UNFIT & set(account.name + account.password):
            raise ValueError(
                "an account's name and password may hold no colon, line end or NUL, and the name not be empty"
            )
        for domain in sorted({"", ".", profile.host_name, host.name, profile.domain, own}):
            yield f"{domain}:{bare}:{account.password}\n"
        for domain in sorted({profile.host_name, host.name, profile.domain, own} - {""}):
            yield f":{bare}@{domain}:{account.password}\n"


class Login:
    """The login of one TCP connection, and the keys that came with it."""

    def __init__(self, gate: Gate, *, secure: bool) -> None:
        self._gate = gate
        self._secure = secure
        self._context: spnego.ContextProxy | None = None
        self._account: Account | None = None

    @property
    def seals(self) -> bool:
        """Whether messages on this connection can be sealed."""
        return self._account is not None and self._context is not None

    def forget(self) -> None:
        """As on a new connection."""
        self._context = self._account = None

    def check(self, authorization: str | None) -> Verdict:
        """What an Authorization header (or none, after a login) is worth."""
        if authorization is None:
            return Granted(self._account) if self._account else Refused()
        scheme, _, rest = authorization.partition(" ")
        token = _decoded(rest.strip())
        if token is None:
            return Refused()
        if scheme.lower() == "basic" and self._gate.takes_basic(secure=self._secure):
            return self._basic(token)
        if scheme.lower() == "negotiate" and self._gate.host.policy.negotiate:
            return self._negotiate(token)
        return Refused()

    def _basic(self, token: bytes) -> Verdict:
        name, _, password = token.decode("utf-8", "replace").partition(":")
        account = self._gate.host.world.account(name)
        given = password.encode()
        expected = account.password.encode() if account else b""
        if account is None or not hmac.compare_digest(given, expected):
            return self._gate.refuse(name)
        admitted = self._gate.admit(name)
        return Granted(admitted) if admitted else self._gate.refuse(name)

    def _negotiate(self, token: bytes) -> Verdict:
        if self._account is not None or self._context is None or _begins(token):
            self.forget()
            with self._gate.store():
                self._context = _acceptor()
        context = self._context
        assert context is not None
        try:
            with self._gate.store():
                answer = context.step(token)
        # pyspnego lets what its parsers of hostile tokens stumble over through as it is.
        except (SpnegoError, ValueError, LookupError, TypeError, ArithmeticError, OSError, struct.error):
            self.forget()
            name = _ntlm_user(token)
            return self._gate.refuse(name) if name else Refused()
        if not context.complete:
            return Challenged(answer or b"")
        name = context.client_principal or ""
        self._account = self._gate.admit(name)
        if self._account is None:
            self.forget()
            return self._gate.refuse(name)
        return Granted(self._account, answer)

    def unwrap(self, signature: bytes, sealed: bytes) -> bytes:
        """Opens what the client sealed. Raises RemoteProtocolError for what another context sealed."""
        if self._context is None:
            raise RemoteProtocolError("a sealed message on a connection without a login")
        try:
            return self._context.unwrap_winrm(signature, sealed)
        except (SpnegoError, ValueError, IndexError) as error:
            raise RemoteProtocolError("a message that was not sealed on this connection") from error

    def wrap(self, plain: bytes) -> tuple[bytes, bytes]:
        """Seals an answer."""
        assert self._context is not None
        wrapped = self._context.wrap_winrm(plain)
        return wrapped.header, wrapped.data


def _acceptor() -> spnego.ContextProxy:
    # Python's own NTLM and SPNEGO, whatever GSSAPI is installed: only they take passwords from a file of ours.
    options = spnego.NegotiateOptions.use_negotiate | spnego.NegotiateOptions.use_ntlm
    return spnego.server(hostname="localhost", service="http", protocol="negotiate", options=options)


def _begins(token: bytes) -> bool:
    """Whether a token opens a handshake: an NTLM message of type 1, or an initial SPNEGO token."""
    if token.startswith(b"NTLMSSP\0"):
        return token[8:9] == b"\x01"
    return token[:1] == b"\x60"


def _ntlm_user(token: bytes) -> str:
    """The user name in an NTLM message of type 3, wrapped or not; empty if there is none ([MS-NLMP] 2.2.1.3)."""
    start = token.find(b"NTLMSSP\0\x03\0\0\0")
    message = token[start:]
    if start < 0 or len(message) < 64:
        return ""
    length, _, offset = struct.unpack_from("<HHI", message, 36)
    (flags,) = struct.unpack_from("<I", message, 60)
    return message[offset : offset + length].decode("utf-16-le" if flags & 1 else "cp437", "replace")


def _decoded(text: str) -> bytes | None:
    if len(text) > MAX_TOKEN:
        return None
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
