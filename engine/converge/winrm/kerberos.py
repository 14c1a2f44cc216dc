"""Kerberos: the tickets of accounts, kept in memory, and the login at a host with one of them; by pyspnego over GSSAPI.

pywinrm's own Kerberos takes tickets only from the one cache of the whole process and hides why it got none. So the login
is done here, in the place where pywinrm puts its own (`session.auth`), with the names under which its sealing asks for keys.
"""

from __future__ import annotations

import base64
import binascii
import importlib
import importlib.util
import ipaddress
import re
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import spnego
from requests import PreparedRequest, Response
from requests.auth import AuthBase
from spnego.channel_bindings import GssChannelBindings
from spnego.exceptions import SpnegoError

from converge.errors import RemoteProtocolError
from converge.model.secret import Secret
from converge.winrm.connection import Connection
from converge.winrm.line import Line

T = TypeVar("T")

SERVICE: Final = "HTTP"
"""Every member of a domain has HTTP/name among its names, as an alias of HOST/name; WSMAN/name is set where WinRM runs."""
MOST_LEGS: Final = 4
RENEW_BEFORE: Final = 300.0
TICKET_SECONDS: Final = 20.0

# RFC 4120 7.5.9, and what MIT's library adds from 128 on (krb5_err.et).
CLIENT_UNKNOWN, SERVER_UNKNOWN, REVOKED, PASSWORD_EXPIRED = 6, 7, 18, 23
PREAUTHENTICATION_FAILED, BAD_INTEGRITY, TICKET_EXPIRED, CLOCK_SKEW, MODIFIED, OTHER_KEY = 24, 31, 32, 37, 41, 44
NO_SUCH_CREDENTIAL, REALM_UNKNOWN, KDC_UNREACHABLE, NO_CACHE, REALM_UNRESOLVED = 141, 154, 156, 195, 220
OF_THE_ACCOUNT: Final = frozenset({CLIENT_UNKNOWN, REVOKED, PASSWORD_EXPIRED, PREAUTHENTICATION_FAILED, BAD_INTEGRITY})
_ERROR_TABLE: Final = 2529638912  # where krb5_err.et begins, as an unsigned number
_OFFERS: Final = re.compile(r"(?:^|,)\s*(negotiate|kerberos)(?:\s+([A-Za-z0-9+/=]+))?\s*(?=,|$)", re.IGNORECASE)


class TicketRefused(Exception):
    """No ticket for this account or this host, or none that the host takes: `number` is Kerberos's own, -1 if it has none."""

    def __init__(self, text: str, *, number: int = -1) -> None:
        super().__init__(text)
        self.number = number

    @property
    def is_of_account(self) -> bool:
        """Whether the account itself was refused, which counts towards locking it."""
        return self.number in OF_THE_ACCOUNT


def is_installed() -> bool:
    """Whether the libraries of the extra `kerberos` are there."""
    return all(importlib.util.find_spec(name) is not None for name in ("gssapi", "krb5"))


def suits(connection: Connection) -> bool:
    """Whether Negotiate should try Kerberos here: the libraries, a host by its name, and a realm or a ticket to start from."""
    if "\\" in connection.username or not is_installed():
        return False
    try:
        ipaddress.ip_address(connection.address)
    except ValueError:
        return "@" in connection.username or not connection.password
    return False


@dataclass(slots=True)
class _Held:
    """A ticket of one account, in a cache in memory."""

    cache: str = ""
    ends: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)


class _Tickets:
    """Tickets got with passwords, shared by all hosts of a run: each account asks its realm once, and again before they end."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, Secret], _Held] = {}
        self._lock = threading.Lock()

    def cache(self, principal: str, password: Secret) -> str:
        """The name of the cache. Raises TicketRefused."""
        with self._lock:
            held = self._held.setdefault((principal, password), _Held())
        with held.lock:
            if held.ends - RENEW_BEFORE < time.monotonic():
                cache = f"MEMORY:converge-{secrets.token_hex(8)}"
                held.ends = time.monotonic() + _fetched(principal, password.reveal(), cache)
                held.cache = cache
            return held.cache


_tickets = _Tickets()


def _fetched(principal: str, password: str, cache: str) -> float:
    """Ask the realm for a ticket and keep it in a cache; returns for how many seconds it is good."""
    gssapi = importlib.import_module("gssapi")
    mechanism = gssapi.MechType.kerberos
    name = gssapi.Name(principal, name_type=gssapi.NameType.user)
    try:
        got = gssapi.raw.acquire_cred_with_password(name, password.encode(), mechs=[mechanism], usage="initiate")
        gssapi.raw.store_cred_into(
            {b"ccache": cache.encode()}, got.creds, usage="initiate", mech=mechanism, overwrite=True, set_default=False
        )
    except gssapi.exceptions.GSSError as error:
        raise _refused(error) from error
    return float(gssapi.Credentials(base=got.creds).lifetime or 0)


def _refused(error: Exception) -> TicketRefused:
    told = getattr(error, "base_error", None) or error
    number = (int(getattr(told, "min_code", 0)) & 0xFFFFFFFF) - _ERROR_TABLE
    # The minor status says what happened; the major one mostly that it did not work.
    text = re.split(r"Minor \(\d+\): ", str(error).partition(", Context:")[0])[-1]
    return TicketRefused(" ".join(text.split())[:300], number=number if 0 <= number < 256 else -1)


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
        context = self._context = _within(TICKET_SECONDS, self._new_context)
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
            cache = _tickets.cache(connection.username, connection.password)
            credentials = spnego.KerberosCCache(cache)
        requested = spnego.ContextReq.default
        if connection.kerberos_delegation:
            requested |= spnego.ContextReq.delegate
        try:
            return spnego.client(
                credentials,
                hostname=connection.address,
                service=SERVICE,
                protocol="kerberos",
                channel_bindings=channel_bindings(self._line.certificate),
                context_req=requested,
                options=spnego.NegotiateOptions.use_gssapi,
            )
        except SpnegoError as error:
            raise _refused(error) from error

    def _step(self, context: spnego.ContextProxy, token: bytes | None) -> bytes | None:
        def stepped() -> bytes | None:
            try:
                return context.step(token)
            except SpnegoError as error:
                raise _refused(error) from error

        return _within(TICKET_SECONDS, stepped)

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
            raise RemoteProtocolError("a login token that is no base64") from error
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


def channel_bindings(certificate: bytes | None) -> GssChannelBindings | None:
    """The channel bindings of a TLS connection (tls-server-end-point, RFC 5929 4.1)."""
    if certificate is None:
        return None
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes

    try:
        signed_with = x509.load_der_x509_certificate(certificate).signature_hash_algorithm
    except (UnsupportedAlgorithm, ValueError):
        return None
    if signed_with is None or signed_with.name in ("md5", "sha1"):
        signed_with = hashes.SHA256()
    digest = hashes.Hash(signed_with)
    digest.update(certificate)
    return GssChannelBindings(application_data=b"tls-server-end-point:" + digest.finalize())


def _within(seconds: float, asked: Callable[[], T]) -> T:
    """What a call returns that may have to ask a realm's servers. They have no deadline of their own; this is one.

    Raises TicketRefused when it is over; the thread is left to end by itself.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(asked())
        except BaseException as error:  # noqa: BLE001  # handed on to the thread that waits
            errors.append(error)

    thread = threading.Thread(target=run, name="kerberos", daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not results:
        raise TicketRefused(f"the realm's servers gave no ticket within {seconds:g} s", number=KDC_UNREACHABLE)
    return results[0]
