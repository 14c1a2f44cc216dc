"""The other side of a login's tokens: pyspnego's acceptors for NTLM, Kerberos and CredSSP, and where they take secrets from.

They read them from files that environment variables name: passwords for NTLM (NTLM_USER_FILE), the keys of a host in a
realm for Kerberos (KRB5_KTNAME). Those variables are set only while a token is looked at, under a lock.
"""

from __future__ import annotations

import importlib
import os
import struct
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, cast

import spnego
from spnego.channel_bindings import GssChannelBindings
from spnego.exceptions import SpnegoError

_lock = threading.Lock()
# The OID of Kerberos 5 with which a bare token of it begins (RFC 4121 4.1).
_KERBEROS: Final = bytes.fromhex("06092a864886f712010202")

TOKEN_ERRORS: Final = (SpnegoError, ValueError, LookupError, TypeError, ArithmeticError, OSError, struct.error)
"""What acceptors raise: pyspnego lets what its parsers of hostile tokens stumble over through as it is."""


@contextmanager
def secrets_from(passwords: Path, keytab: Path | None) -> Iterator[None]:
    """The time in which acceptors may look secrets up in these files."""
    names = {"NTLM_USER_FILE": str(passwords)}
    if keytab is not None:
        # Replays are not looked for: that would leave a file outside of the lab.
        names |= {"KRB5_KTNAME": f"FILE:{keytab}", "KRB5RCACHENAME": "none:"}
    with _lock:
        before = {name: os.environ.get(name) for name in names}
        os.environ.update(names)
        try:
            yield
        finally:
            _restore(before)


def _restore(before: Mapping[str, str | None]) -> None:
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def acceptor(token: bytes, *, scheme: str, kerberos: bool, certificate: bytes | None) -> spnego.ContextProxy:
    """What accepts the login that begins with this token. With a certificate the login must be bound to it.

    Raises what `TOKEN_ERRORS` names where there is none.
    """
    if scheme == "credssp":
        return spnego.server(hostname="localhost", service="http", protocol="credssp", options=_own(kerberos))
    if kerberos:
        # Otherwise GSSAPI keeps an error to itself where it has a token that tells the client of it.
        importlib.import_module("gssapi").SecurityContext.__DEFER_STEP_ERRORS__ = False
    protocol = "kerberos" if kerberos and _KERBEROS in token[:24] else "negotiate"
    options = spnego.NegotiateOptions.use_gssapi if protocol == "kerberos" else _own(kerberos)
    # Kerberos takes the name of the host from the keys it finds: a name given here would have to be among them.
    return spnego.server(
        hostname=cast(str, None if kerberos else "localhost"),
        service="http",
        protocol=protocol,
        options=options,
        channel_bindings=_bindings(certificate),
    )


def _own(kerberos: bool) -> spnego.NegotiateOptions:
    # Python's own NTLM and SPNEGO, whatever GSSAPI is installed: only they take passwords from a file of ours.
    options = spnego.NegotiateOptions.use_negotiate
    return options if kerberos else options | spnego.NegotiateOptions.use_ntlm


def _bindings(certificate: bytes | None) -> GssChannelBindings | None:
    """The channel bindings of a TLS connection (tls-server-end-point, RFC 5929 4.1)."""
    if certificate is None:
        return None
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    signed_with = x509.load_der_x509_certificate(certificate).signature_hash_algorithm
    digest = hashes.Hash(signed_with or hashes.SHA256())
    digest.update(certificate)
    return GssChannelBindings(application_data=b"tls-server-end-point:" + digest.finalize())


def last_words(error: Exception) -> bytes | None:
    """The token with which an acceptor said why it refuses, such as a KRB-ERROR."""
    told = getattr(getattr(error, "base_error", None), "token", None)
    return bytes(told) if told else None


def begins(token: bytes) -> bool:
    """Whether a token opens a handshake: an NTLM message of type 1, or an initial token of GSSAPI."""
    if token.startswith(b"NTLMSSP\0"):
        return token[8:9] == b"\x01"
    return token[:1] == b"\x60"
