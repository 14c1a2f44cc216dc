"""The stages before a login, one by one, to tell at which of them a host cannot be reached. Sends no name and no password."""

from __future__ import annotations

import http.client
import socket
import ssl
from datetime import UTC, datetime
from urllib.parse import urlsplit

from converge.errors import HostUnreachable
from converge.winrm import refusals
from converge.winrm.connection import Connection
from converge.winrm.http_line import new_tls

SECONDS = 10.0
_LONGEST_NAME = 200
_LONGEST_OFFER = 2000  # characters of the schemes a host offers


def resolve(connection: Connection) -> str:
    """The addresses behind the host's name. Raises HostUnreachable."""
    try:
        found = socket.getaddrinfo(connection.address, _port(connection), type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise HostUnreachable(
            f"the name {connection.address} is not known", why=str(error), try_="check ansible_host and your DNS"
        ) from error
    return ", ".join(dict.fromkeys(str(item[4][0]) for item in found))


def knock(connection: Connection) -> str:
    """Whether something listens. Raises HostUnreachable."""
    port = _port(connection)
    try:
        with socket.create_connection((connection.address, port), timeout=SECONDS):
            return f"port {port} is open"
    except TimeoutError as error:
        raise HostUnreachable(
            f"port {port} does not answer", try_="check the address and the firewalls on the way"
        ) from error
    except OSError as error:
        raise HostUnreachable(
            f"port {port} is closed",
            why=error.strerror or str(error),
            try_="run `winrm quickconfig` on the host, or check the port (5986 is https, 5985 http)",
        ) from error


def shake_hands(connection: Connection) -> str:
    """Whether TLS comes about, whose certificate it is and until when it is good. Raises HostUnreachable."""
    try:
        with (
            socket.create_connection((connection.address, _port(connection)), timeout=SECONDS) as line,
            _tls(connection).wrap_socket(line, server_hostname=connection.address) as secured,
        ):
            checked = "checked" if connection.validate_certificate else "NOT checked"
            return f"{secured.version()}, {_described(secured.getpeercert(True))}, {checked}"
    except (ssl.SSLError, OSError, ValueError) as error:
        raise refusals.certificate_refused(connection, str(error)) from error


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
        return http.client.HTTPSConnection(connection.address, _port(connection), timeout=SECONDS, context=tls)
    return http.client.HTTPConnection(connection.address, _port(connection), timeout=SECONDS)


def _port(connection: Connection) -> int:
    return urlsplit(connection.endpoint).port or (443 if connection.is_https else 80)


def _tls(connection: Connection) -> ssl.SSLContext:
    context = new_tls(connection.ca_trust_path, validate=connection.validate_certificate)
    if connection.certificate and connection.certificate_key:
        context.load_cert_chain(connection.certificate, connection.certificate_key)
    return context
