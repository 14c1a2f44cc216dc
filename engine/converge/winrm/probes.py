"""The stages before a login, one by one, to tell at which of them a host cannot be reached. Sends no name and no password."""

from __future__ import annotations

import http.client
import socket
import ssl
from datetime import UTC, datetime
from urllib.parse import urlsplit

from converge.errors import HostUnreachable
from converge.winrm import http_line, refusals, unreached
from converge.winrm.connection import Connection

SECONDS = 10.0
_LONGEST_NAME = 200
_LONGEST_OFFER = 2000  # characters of the schemes a host offers


def resolve(connection: Connection) -> str:
    """The addresses behind the host's name. Raises HostUnreachable."""
    try:
        found = socket.getaddrinfo(connection.address, connection.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise unreached.not_reached(connection, error) from error
    return ", ".join(dict.fromkeys(str(item[4][0]) for item in found))


def knock(connection: Connection) -> str:
    """Whether something listens. Raises HostUnreachable."""
    with _connected(connection):
        return f"port {connection.port} is open"


def shake_hands(connection: Connection) -> str:
    """Whether TLS comes about, whose certificate it is and until when it is good. Raises HostUnreachable."""
    tls = _tls(connection)
    try:
        with _connected(connection) as line, http_line.shake_hands(line, tls, name=connection.address) as secured:
            checked = "checked" if connection.validate_certificate else "NOT checked"
            return f"{secured.version()}, {_described(secured.getpeercert(True))}, {checked}"
    except http_line.TlsFailed as failed:
        raise unreached.tls_refused(connection, failed.error) from failed


def _connected(connection: Connection) -> socket.socket:
    try:
        return socket.create_connection((connection.address, connection.port), timeout=SECONDS)
    except (OSError, UnicodeError) as error:
        raise unreached.not_reached(connection, error) from error


def _described(certificate: bytes | None) -> str:
    """The subject of a certificate, who signed it, and until when it is valid."""
    from cryptography import x509

    try:
        read = x509.load_der_x509_certificate(certificate or b"")
    except ValueError:
        return "a certificate that cannot be read"
    days = (read.not_valid_after_utc - datetime.now(UTC)).days
    subject, issuer = (name.rfc4514_string()[:_LONGEST_NAME] for name in (read.subject, read.issuer))
    return f"certificate of {subject or 'nobody'} by {issuer}, good until {read.not_valid_after_utc:%Y-%m-%d} ({days} days)"


def greet(connection: Connection) -> str:
    """What answers at the path without a login, and which logins it offers. Raises HostUnreachable."""
    line = _line(connection)
    try:
        headers = {"Content-Type": "application/soap+xml;charset=UTF-8", "Content-Length": "0"}
        line.request("POST", urlsplit(connection.endpoint).path or "/", headers=headers)
        response = line.getresponse()
        offered = ", ".join(response.headers.get_all("WWW-Authenticate", []))[:_LONGEST_OFFER]
    except (http.client.HTTPException, OSError) as error:
        raise HostUnreachable(
            "what listens there speaks no HTTP",
            why=str(error)[:300] or type(error).__name__,
            try_="check the port, and whether it is https (5986) or http (5985)",
        ) from error
    finally:
        line.close()
    if response.status != http.client.UNAUTHORIZED:
        refusals.check_status(connection, response.status, sealed=False, empty=False)
        return f"HTTP {response.status}, no login asked for"
    return f"HTTP 401 as it should be; offers {offered or 'no login'}"


def _line(connection: Connection) -> http.client.HTTPConnection:
    if connection.is_https:
        tls = _tls(connection)
        return http.client.HTTPSConnection(connection.address, connection.port, timeout=SECONDS, context=tls)
    return http.client.HTTPConnection(connection.address, connection.port, timeout=SECONDS)


def _tls(connection: Connection) -> ssl.SSLContext:
    try:
        context = http_line.new_tls(
            connection.ca_trust_path, validate=connection.validate_certificate, minimum=connection.tls_minimum
        )
    except OSError as error:
        raise refusals.unreadable_authorities(connection, error) from error
    if connection.certificate and connection.certificate_key:
        try:
            context.load_cert_chain(connection.certificate, connection.certificate_key)
        except OSError as error:
            why = f"{connection.certificate} and its key cannot be read: {error.strerror or error}"
            raise refusals.transport_unavailable(connection, why) from error
    return context
