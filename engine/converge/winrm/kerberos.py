"""Kerberos: the tickets of accounts, kept in memory, and what else a login with one of them needs; by pyspnego over GSSAPI."""

from __future__ import annotations

import importlib
import importlib.util
import ipaddress
import re
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, TypeVar

from spnego.channel_bindings import GssChannelBindings

from converge.model.secret import Secret
from converge.winrm.connection import Connection

T = TypeVar("T")

SERVICE: Final = "HTTP"
"""Every member of a domain has HTTP/name among its names, as an alias of HOST/name; WSMAN/name is set where WinRM runs."""
RENEW_BEFORE: Final = 300.0
TICKET_SECONDS: Final = 20.0

# RFC 4120 7.5.9, and what MIT's library adds from 128 on (krb5_err.et).
CLIENT_UNKNOWN, SERVER_UNKNOWN, REVOKED, PASSWORD_EXPIRED = 6, 7, 18, 23
PREAUTHENTICATION_FAILED, BAD_INTEGRITY, TICKET_EXPIRED, CLOCK_SKEW, MODIFIED, OTHER_KEY = 24, 31, 32, 37, 41, 44
NO_SUCH_CREDENTIAL, REALM_UNKNOWN, KDC_UNREACHABLE, NO_CACHE, REALM_UNRESOLVED = 141, 154, 156, 195, 220
OF_THE_ACCOUNT: Final = frozenset({CLIENT_UNKNOWN, REVOKED, PASSWORD_EXPIRED, PREAUTHENTICATION_FAILED, BAD_INTEGRITY})
_ERROR_TABLE: Final = 2529638912  # where krb5_err.et begins, as an unsigned number


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


class Tickets:
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


tickets = Tickets()


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
        raise ticket_refusal(error) from error
    return float(gssapi.Credentials(base=got.creds).lifetime or 0)


def ticket_refusal(error: Exception) -> TicketRefused:
    """What GSSAPI says, by Kerberos's own number where it has one."""
    told = getattr(error, "base_error", None) or error
    number = (int(getattr(told, "min_code", 0)) & 0xFFFFFFFF) - _ERROR_TABLE
    # The minor status says what happened; the major one mostly that it did not work.
    text = re.split(r"Minor \(\d+\): ", str(error).partition(", Context:")[0])[-1]
    return TicketRefused(" ".join(text.split())[:300], number=number if 0 <= number < 256 else -1)


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


def within(seconds: float, asked: Callable[[], T]) -> T:
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
