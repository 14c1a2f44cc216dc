"""Logins over HTTP, one per TCP connection: Basic, client certificates, Negotiate, Kerberos, CredSSP; and the seal that follows."""

from __future__ import annotations

import base64
import binascii
import hmac
import os
import struct
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import spnego
from spnego.exceptions import SpnegoError

from converge.errors import RemoteProtocolError
from converge.lab.endpoint import acceptors
from converge.lab.endpoint.host import SimulatedHost
from converge.lab.world import LabAccount
from converge.model.names import fold
from converge.wsman import seal

if TYPE_CHECKING:
    from cryptography import x509

MAX_TOKEN: Final = 64 * 1024

BY_CERTIFICATE: Final = "http://schemas.dmtf.org/wbem/wsman/1/wsman/secprofile/https/mutual"

_UNFIT: Final = frozenset(":\r\n\0")
_UPN: Final = "1.3.6.1.4.1.311.20.2.3"
_SEALED_AS: Final = {"Negotiate": seal.SPNEGO, "Kerberos": seal.KERBEROS, "CredSSP": seal.CREDSSP}
_SCHEMES: Final = {"negotiate": "Negotiate", "kerberos": "Kerberos", "credssp": "CredSSP"}


@dataclass(frozen=True, slots=True)
class Granted:
    """The client is this account; `token` is the last one of the handshake, for it to check."""

    account: LabAccount
    token: bytes | None = None


@dataclass(frozen=True, slots=True)
class Challenged:
    """The handshake goes on with this token."""

    token: bytes


@dataclass(frozen=True, slots=True)
class LoginRejected:
    """The client is nobody we know; `tried` is whether it gave a name and password at all.

    `token` is what a handshake that broke off says about why.
    """

    tried: bool = False
    token: bytes | None = None


Verdict = Granted | Challenged | LoginRejected


class Gate:
    """Who is let in at one host. Holds the store of passwords that the NTLM acceptor reads, in a folder only we can read.

    Raises ValueError for an account whose name or password the store cannot hold.
    """

    def __init__(self, host: SimulatedHost, folder: Path) -> None:
        self.host = host
        self._failures: dict[str, int] = {}
        self._store = folder / f"{len(list(folder.iterdir()))}.accounts"
        with open(self._store, "x", opener=_private) as file:
            file.writelines(_store_lines(host))

    def secrets(self) -> AbstractContextManager[None]:
        """The time in which the acceptor may look passwords and keys up."""
        return acceptors.secrets_from(self._store, self.host.policy.keytab)

    def schemes(self, *, secure: bool) -> list[str]:
        """What a 401 offers, one per WWW-Authenticate line."""
        offered = [name for scheme, name in _SCHEMES.items() if self.takes(scheme)]
        return [*offered, 'Basic realm="WSMAN"'] if self.takes_basic(secure=secure) else offered

    def takes(self, scheme: str) -> bool:
        """Whether a scheme whose tokens an acceptor looks at is on."""
        policy = self.host.policy
        on = {"negotiate": policy.negotiate, "kerberos": policy.keytab is not None, "credssp": policy.credssp}
        return on.get(scheme, False)

    def takes_basic(self, *, secure: bool) -> bool:
        """Whether Basic is on; over plain HTTP only where unencrypted messages are allowed at all."""
        policy = self.host.policy
        return policy.basic and (secure or policy.allow_unencrypted)

    def admit(self, name: str) -> LabAccount | None:
        """The account of a login whose password was right, unless it is locked. Its earlier failures are forgotten."""
        account = self.host.world.account(name)
        if account is None or self._locked(account.name):
            return None
        self._failures.pop(fold(account.name), None)
        return account

    def admit_certificate(self, certificate: bytes | None) -> LabAccount | None:
        """The account a client's certificate is mapped to by the user's name in it."""
        from cryptography import x509

        if certificate is None:
            return None
        name = _user_in(x509.load_der_x509_certificate(certificate))
        mapped = self.host.policy.certificates.get(name)
        return self.admit(mapped) if mapped else None

    def refuse(self, name: str, *, token: bytes | None = None) -> LoginRejected:
        """Count a refused login."""
        self.host.log.add_refused_login()
        account = self.host.world.account(name)
        if account is not None:
            self._failures[fold(account.name)] = self._failures.get(fold(account.name), 0) + 1
        return LoginRejected(tried=True, token=token)

    def _locked(self, name: str) -> bool:
        limit = self.host.policy.lock_out_after
        return limit is not None and self._failures.get(fold(name), 0) >= limit


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _store_lines(host: SimulatedHost) -> Iterator[str]:
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


class ServerLogin:
    """The login of one TCP connection, and the keys that came with it.

    Of a TLS connection `certificate` is the host's, where logins must be bound to it, and `client` what the client showed.
    """

    def __init__(
        self, gate: Gate, *, secure: bool, certificate: bytes | None = None, client: bytes | None = None
    ) -> None:
        self._gate = gate
        self._secure = secure
        self._certificate = certificate
        self._client = client
        self._context: spnego.ContextProxy | None = None
        self._account: LabAccount | None = None
        self.scheme = "Negotiate"

    @property
    def seals(self) -> bool:
        """Whether messages on this connection can be sealed."""
        return self._account is not None and self._context is not None

    @property
    def sealed_as(self) -> str:
        """The protocol that sealed messages name."""
        return _SEALED_AS[self.scheme]

    def forget(self) -> None:
        """As on a new connection."""
        self._context = self._account = None

    def check(self, authorization: str | None) -> Verdict:
        """What an Authorization header (or none, after a login) is worth."""
        if authorization is None:
            return Granted(self._account) if self._account else LoginRejected()
        if authorization == BY_CERTIFICATE and self._secure:
            mapped = self._gate.admit_certificate(self._client)
            return Granted(mapped) if mapped else LoginRejected()
        scheme, _, rest = authorization.partition(" ")
        token = _decoded(rest.strip())
        if token is None:
            return LoginRejected()
        scheme = scheme.lower()
        if scheme == "basic" and self._gate.takes_basic(secure=self._secure):
            return self._basic(token)
        if self._gate.takes(scheme):
            return self._handshake(scheme, token)
        return LoginRejected()

    def _basic(self, token: bytes) -> Verdict:
        name, _, password = token.decode("utf-8", "replace").partition(":")
        account = self._gate.host.world.account(name)
        given = password.encode()
        expected = account.password.encode() if account else b""
        if account is None or not hmac.compare_digest(given, expected):
            return self._gate.refuse(name)
        admitted = self._gate.admit(name)
        return Granted(admitted) if admitted else self._gate.refuse(name)

    def _handshake(self, scheme: str, token: bytes) -> Verdict:
        try:
            with self._gate.secrets():
                context = self._accepting(scheme, token)
                answer = context.step(token)
        except acceptors.TOKEN_ERRORS as error:
            self.forget()
            words = acceptors.last_words(error)
            name = _ntlm_user(token)
            return self._gate.refuse(name, token=words) if name else LoginRejected(token=words)
        if not context.complete:
            return Challenged(answer or b"")
        name = context.client_principal or ""
        self._account = self._gate.admit(name)
        if self._account is None:
            self.forget()
            return self._gate.refuse(name)
        return Granted(self._account, answer)

    def _accepting(self, scheme: str, token: bytes) -> spnego.ContextProxy:
        """The handshake this token belongs to, or a new one."""
        begins = acceptors.begins(token) and scheme != "credssp"
        if self._account is not None or self._context is None or begins or self.scheme != _SCHEMES[scheme]:
            self.forget()
            self.scheme = _SCHEMES[scheme]
            kerberos = self._gate.host.policy.keytab is not None
            self._context = acceptors.acceptor(token, scheme=scheme, kerberos=kerberos, certificate=self._certificate)
        return self._context

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


def _user_in(certificate: x509.Certificate) -> str:
    """The user's principal name in a certificate's alternative names, which Windows calls its subject; empty if none."""
    from cryptography import x509

    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return ""
    found = [name.value for name in names.get_values_for_type(x509.OtherName) if name.type_id.dotted_string == _UPN]
    return found[0][2:].decode("utf-8", "replace") if found else ""


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
