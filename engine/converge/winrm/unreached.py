"""Why no line to a host came about, in words: its name, its port, TLS; with the version of TLS or the port that would do.

To say so, a host that failed may be knocked at once more; no name and no password is sent.
"""

from __future__ import annotations

import re
import socket
import ssl
from typing import Final

from converge.errors import HostUnreachable
from converge.winrm.connection import TLS_VERSIONS, Connection
from converge.winrm.http_line import new_tls

NOTHING_LISTENS: Final = "nothing-listens"
"""The code where no port answers: only then may the host be a Windows that never had WinRM."""
HTTP_PORT: Final = 5985
HTTPS_PORT: Final = 5986
_HINT_SECONDS: Final = 3.0


def not_reached(connection: Connection, error: Exception) -> HostUnreachable:
    """No connection came about."""
    endpoint = connection.endpoint
    causes = _chain(error)
    if any(isinstance(cause, (socket.gaierror, UnicodeError)) for cause in causes):
        return HostUnreachable(
            f"the name {connection.address} is not known", why=reason_of(error), try_="check ansible_host and your DNS"
        )
    late = any(isinstance(cause, TimeoutError) for cause in causes)
    if connection.port == HTTPS_PORT and _is_open(connection.address, HTTP_PORT):
        return HostUnreachable(
            f"port {HTTPS_PORT} of {connection.address} {'does not answer' if late else 'is closed'}, and port "
            f"{HTTP_PORT} answers",
            why="" if late else reason_of(error),
            try_=f"set ansible_port: {HTTP_PORT}, and no ansible_winrm_scheme: https (http with sealed messages, as Windows "
            "comes), or give the host an HTTPS listener",
        )
    if late:
        return HostUnreachable(
            f"{endpoint} does not answer",
            try_="check the address and the firewalls on the way",
            code=NOTHING_LISTENS,
        )
    return HostUnreachable(
        f"nothing listens at {endpoint}",
        why=reason_of(error),
        try_="run `winrm quickconfig` on the host, or check the port (5986 is https, 5985 http)",
        code=NOTHING_LISTENS,
    )


def tls_refused(connection: Connection, error: Exception) -> HostUnreachable:
    """The port is open, and TLS did not come about: by the words of OpenSSL, whose fault that is and what to do about it."""
    endpoint, reason = connection.endpoint, reason_of(error)
    causes = _chain(error)
    if any(isinstance(cause, TimeoutError) for cause in causes):
        return HostUnreachable(
            f"{endpoint} takes connections and is silent within the TLS handshake",
            why=reason,
            try_="look whether the host is overloaded, and check the port: 5986 is https, 5985 http",
            code="tls",
        )
    if any(words in reason.lower() for words in _OLDER):
        return _older_tls(connection, reason, spoken=_spoken(connection))
    certificate = next((told for part, told in _CERTIFICATE_TROUBLE.items() if part in reason.lower()), None)
    if certificate is not None and connection.validate_certificate:
        what, remedy = certificate
        remedy += "; ansible_winrm_server_cert_validation: ignore trusts whoever answers"
        return HostUnreachable(f"{endpoint} {what}", why=reason, try_=remedy, code="certificate")
    what, remedy = next((told for part, told in _TLS_TROUBLE.items() if part in reason.lower()), _NO_AGREEMENT)
    broken_off = any(isinstance(cause, (ConnectionError, ssl.SSLEOFError)) for cause in causes)
    if broken_off or remedy == _NO_AGREEMENT[1]:
        # Some hosts say so of a version that they do not speak.
        spoken = _spoken(connection)
        if spoken and spoken < connection.tls_minimum:
            return _older_tls(connection, reason, spoken=spoken)
    if broken_off:
        what, remedy = _BROKEN_OFF
    return HostUnreachable(f"{endpoint} {what}", why=reason, try_=remedy, code="tls")


def _older_tls(connection: Connection, reason: str, *, spoken: str) -> HostUnreachable:
    """The host speaks only versions that are not to be spoken with it."""
    least = connection.tls_minimum
    what = f"speaks only TLS {spoken}" if spoken else f"speaks no TLS {least} or later"
    remedy = f"let Windows speak TLS {max(least, '1.2')} (SCHANNEL\\Protocols in its registry)"
    if least != TLS_VERSIONS[0]:
        remedy += f"; converge_tls_minimum: '{spoken or TLS_VERSIONS[0]}' speaks with it as it is, which is less safe"
    return HostUnreachable(
        f"{connection.endpoint} {what}, and converge_tls_minimum is {least}", why=reason, try_=remedy, code="tls"
    )


def _spoken(connection: Connection) -> str:
    """The newest version of TLS that the host speaks; empty where that cannot be found out."""
    tls = new_tls(None, validate=False, minimum=TLS_VERSIONS[0])
    try:
        with (
            socket.create_connection((connection.address, connection.port), timeout=_HINT_SECONDS) as line,
            tls.wrap_socket(line, server_hostname=connection.address) as secured,
        ):
            version = (secured.version() or "").removeprefix("TLSv")
    except (OSError, ValueError):
        return ""
    return "1.0" if version == "1" else version


def _is_open(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), timeout=_HINT_SECONDS).close()
    except (OSError, ValueError):
        return False
    return True


_OLDER: Final = ("protocol version", "unsupported protocol")
_OTHER_NAME: Final = (
    "has a certificate for another name",
    "set ansible_host to a name that the certificate has, or give the listener one for this name",
)
_CERTIFICATE_TROUBLE: Final = {
    "has expired": ("has a certificate that has expired", "renew the certificate of the HTTPS listener"),
    "not yet valid": ("has a certificate that is not valid yet", "check this machine's clock and the host's"),
    "hostname mismatch": _OTHER_NAME,
    "ip address mismatch": _OTHER_NAME,
    "revoked": ("has a certificate that was revoked", "renew the certificate of the HTTPS listener"),
    "certificate verify failed": (
        "has a certificate that is not trusted",
        "name the file of its authority in ansible_winrm_ca_trust_path",
    ),
}
_NO_TLS: Final = (
    "speaks no TLS there",
    "where an HTTP listener answers there, as at 5985, set ansible_winrm_scheme: http (its messages are sealed), else set "
    "ansible_port to that of the HTTPS listener, 5986 by default",
)
_TOO_WEAK: Final = ("has a certificate or keys that are too weak", "give the HTTPS listener a newer certificate")
_BROKEN_OFF: Final = (
    "breaks off the TLS handshake",
    "look at Schannel in the host's System log: the certificate of its HTTPS listener may be gone or without its key; and "
    "check the port: 5986 is https, 5985 http",
)
_NO_AGREEMENT: Final = ("does not agree on TLS", "look at Schannel in the host's System log")
_TLS_TROUBLE: Final = {
    "wrong version number": _NO_TLS,
    "record layer failure": _NO_TLS,
    "http request": _NO_TLS,
    "too weak": _TOO_WEAK,
    "too small": _TOO_WEAK,
    "certificate required": (
        "demands a certificate from whoever connects",
        "set ansible_winrm_transport: certificate, with ansible_winrm_cert_pem and ansible_winrm_cert_key_pem",
    ),
}


def _chain(error: BaseException) -> list[BaseException]:
    """The errors behind an error, those its arguments hold included; a few levels suffice."""
    found: list[BaseException] = []
    level: list[BaseException] = [error]
    for _ in range(6):
        found += level
        inner = [item for cause in level for item in (*cause.args, getattr(cause, "reason", None), cause.__cause__)]
        level = [item for item in inner if isinstance(item, BaseException) and item not in found]
    return found


def reason_of(error: Exception) -> str:
    """What the innermost error says, without addresses of objects in memory."""
    causes = _chain(error)
    telling = [
        cause for cause in causes if isinstance(cause, (OSError, ssl.SSLError)) and cause.args and cause.strerror
    ]
    text = str(telling[-1].strerror) if telling and isinstance(telling[-1], OSError) else str(causes[-1] or error)
    return re.sub(r"<[^>]*object at 0x[0-9a-f]+>(?:[:,] )?", "", text)[:300]
