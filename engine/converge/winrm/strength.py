"""What a login must be made of before anything rests on it: strong NTLM, also within CredSSP, and TLS of the least version."""

from __future__ import annotations

import re
import struct
from typing import Final

import spnego
import spnego.tls
from spnego.exceptions import SpnegoError

from converge.errors import RemoteProtocolError
from converge.winrm.connection import Connection
from converge.winrm.http_line import speak_at_least

_CHALLENGE: Final = b"NTLMSSP\0\x02\0\0\0"
_FLAGS_AT: Final = 20
_NEEDS: Final = {
    0x10: "signing",
    0x20: "sealing",
    0x80000: "extended session security",
    0x20000000: "128-bit keys",
}
"""Flags of a challenge without which what is sealed can be read or changed on the way ([MS-NLMP] 2.2.2.5)."""
_BOUND_TO_TLS: Final = 5
"""The first version of CredSSP in which nobody between can pass the login on (CVE-2018-0886)."""


def check_challenge(token: bytes) -> None:
    """Raises RemoteProtocolError for a challenge of NTLM that takes from it what sealed messages rest on, and for none."""
    if not token.startswith(_CHALLENGE) or len(token) < _FLAGS_AT + 4:
        raise RemoteProtocolError("a login token that is no challenge of NTLM")
    _check_flags(token)


def _check_flags(challenge: bytes) -> None:
    (flags,) = struct.unpack_from("<I", challenge, _FLAGS_AT)
    missing = [name for flag, name in _NEEDS.items() if not flags & flag]
    if missing:
        raise RemoteProtocolError(
            f"it would seal messages with a weakened NTLM, without {', '.join(missing)}: use https, or look who changes "
            "logins on the way"
        )


def credssp(connection: Connection) -> spnego.ContextProxy:
    """A login by CredSSP. It hands the password over, so what the host is told it by has to be strong over https too.

    Whoever could read its inner NTLM would have the password: TLS within shows a certificate that nobody signed.
    """
    credential = spnego.Password(connection.username, connection.password.reveal())
    inner = spnego.client(
        credential, hostname=connection.address, service="HTTP", options=spnego.NegotiateOptions.use_negotiate
    )
    tls = spnego.tls.default_tls_context("initiate")
    speak_at_least(tls.context, connection.tls_minimum)
    trusted = connection.is_https and connection.validate_certificate
    return spnego.client(
        credential,
        hostname=connection.address,
        service="HTTP",
        protocol="credssp",
        credssp_negotiate_context=_Strong(inner),
        credssp_tls_context=tls,
        credssp_min_protocol=2 if trusted else _BOUND_TO_TLS,
    )


class _Strong:
    """The login within CredSSP, which goes on with no weak challenge. Whatever else is asked of it, it is the login itself."""

    def __init__(self, context: spnego.ContextProxy) -> None:
        self._context = context

    def step(self, token: bytes | None = None) -> bytes | None:
        """As of the login. Raises RemoteProtocolError for a challenge that is too weak."""
        for found in re.finditer(re.escape(_CHALLENGE), token or b""):
            challenge = (token or b"")[found.start() :]
            if len(challenge) >= _FLAGS_AT + 4:
                _check_flags(challenge)
        return self._context.step(token)

    def __getattr__(self, name: str) -> object:
        return getattr(self._context, name)


def check_tls_within(context: spnego.ContextProxy, offered: str, connection: Connection) -> None:
    """Raises RemoteProtocolError where a host that offers CredSSP broke it off before the account was named."""
    if "credssp" in offered.lower() and context.get_extra_info("auth_stage") == "TLS Handshake":
        raise RemoteProtocolError(_no_tls(connection, "the host breaks it off"))


def told_of(error: SpnegoError, connection: Connection) -> str:
    """In words why a handshake was given up, for the reason that pyspnego gives."""
    told = str(error)[:300]
    if "TLS handshake for CredSSP" in told:
        return _no_tls(connection, told)
    if "minimum requirements" in told:
        return (
            f"its CredSSP is older than CVE-2018-0886 was mended, and would let somebody between have the password: bring "
            f"the host up to date, or use https with a certificate that is trusted ({told})"
        )
    return told


def _no_tls(connection: Connection, why: str) -> str:
    return f"TLS within CredSSP does not come about, and converge_tls_minimum is {connection.tls_minimum}: {why}"
