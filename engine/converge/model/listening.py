"""Where converge listens for browsers and monitors, by which names, and what it needs for that: beyond loopback a token and TLS."""

from __future__ import annotations

import ipaddress
import re
import socket
import ssl
import stat
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from converge.errors import UsageError
from converge.model.opening import read_bounded, read_own, require_ordinary, require_own
from converge.model.secret import Secret

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
SHORTEST_TOKEN = 20  # characters
LONGEST_TOKEN = 1000
LARGEST_FILE = 1024 * 1024  # bytes of a token or certificate file
_MAKE_ONE = "make one: python3 -c 'import secrets; print(secrets.token_urlsafe(32))'"


@dataclass(frozen=True, slots=True)
class ServedNames:
    """The names under which this server may be asked: a page elsewhere that points its own name here is not served.

    A name of a certificate may begin with `*.`, which stands for one label.
    """

    names: Collection[str]

    def answers_to(self, host: str) -> bool:
        """Whether the `Host` of a request is one of them, whatever its port."""
        name = _without_port(host).lower().rstrip(".")
        _, _, parent = name.partition(".")
        return bool(name) and (name in self.names or (bool(parent) and f"*.{parent}" in self.names))


@dataclass(frozen=True, slots=True)
class ListeningPlace:
    """Where to listen, how to be safe there, and by which names it may be asked."""

    host: str
    port: int
    token: Secret | None
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    names: frozenset[str] = frozenset()

    @property
    def address(self) -> str:
        """What is asked, without a path; port 0 stands for the one that was chosen."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}"

    def bound(self) -> socket.socket:
        """A socket that listens there. Raises UsageError."""
        try:
            return socket.create_server((self.host, self.port), family=socket.AF_INET6 if ":" in self.host else socket.AF_INET)
        except OSError as error:
            raise UsageError(
                f"port {self.port} on {self.host} cannot be opened: {error.strerror or error}",
                try_=f"another one: --listen 127.0.0.1:{self.port + 1}, or --listen 127.0.0.1:0 for any that is free",
            ) from error


def place(
    listen: str, *, token: Secret | None, certificate: Path | None, key: Path | None, names: Collection[str] = ()
) -> ListeningPlace:
    """A checked place. Raises UsageError for one that would let anybody look."""
    host, port = _read_listen(listen)
    if token is not None:
        _check_token(token)
    if (certificate is None) != (key is None):
        raise UsageError("--tls-cert and --tls-key belong together", try_="give both, PEM files")
    if not _is_loopback(host):
        _check_beyond_loopback(host, has_token=token is not None, has_tls=certificate is not None)
    known = {host.lower(), *(name.lower() for name in names)}
    if _is_loopback(host):
        known |= LOOPBACK_NAMES
    tls = None
    if certificate is not None and key is not None:
        tls = _context(certificate, key)
        known |= _names_of(certificate)
    return ListeningPlace(host, port, token, tls, frozenset(known))


def read_token(path: Path) -> Secret:
    """The token in a file that others may not read. Raises UsageError."""
    try:
        mode = path.stat().st_mode
        if mode & (stat.S_IROTH | stat.S_IWOTH):
            raise UsageError(f"everybody may read the token file {path}", try_=f"chmod 600 {path}")
        content = read_own(path, most=LARGEST_FILE)
        return Secret(content.decode("utf-8").strip())
    except OSError as error:
        raise UsageError(f"the token file {path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError:
        raise UsageError(f"the token file {path} is not UTF-8", try_=_MAKE_ONE) from None


def _read_listen(listen: str) -> tuple[str, int]:
    match = re.fullmatch(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[^:\[\]/\s]+)):(?P<port>[0-9]{1,5})", listen)
    if match is None or int(match["port"]) > 65535:
        raise UsageError(f"--listen {listen[:100]!r} is not an address to listen on", try_="--listen 127.0.0.1:8620")
    return match["six"] or match["host"], int(match["port"])


def _is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check_token(token: Secret) -> None:
    text = token.reveal()
    if not SHORTEST_TOKEN <= len(text) <= LONGEST_TOKEN or not text.isascii() or not text.isprintable() or " " in text:
        raise UsageError(
            "the token cannot be used",
            why=f"It must have {SHORTEST_TOKEN} to {LONGEST_TOKEN} printable ASCII characters without spaces.",
            try_=_MAKE_ONE,
        )


def _check_beyond_loopback(host: str, *, has_token: bool, has_tls: bool) -> None:
    missing = [
        words
        for words, given in (
            ("a token (--token-file FILE)", has_token),
            ("TLS (--tls-cert FILE and --tls-key FILE)", has_tls),
        )
        if not given
    ]
    if missing:
        raise UsageError(
            f"{host} is not loopback: there it needs {' and '.join(missing)}",
            why="How the fleet is set up and how it fares could be read by anybody on the network without these.",
            try_="listen on 127.0.0.1, or give what is missing",
        )


def _context(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        for path in (certificate, key):
            require_ordinary(path)
            require_own(path)
        # An encrypted key would have OpenSSL ask on the terminal, where a service has nobody to answer.
        context.load_cert_chain(certificate, key, password=lambda: b"")
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or "no key that can be read"
        raise UsageError(
            f"TLS cannot be served with {certificate} and {key}: {reason}",
            try_="give a certificate and its key as PEM files, the key without a passphrase",
        ) from error
    return context


def _names_of(certificate: Path) -> set[str]:
    """The names and addresses a certificate is for."""
    from cryptography import x509

    try:
        found = x509.load_pem_x509_certificate(read_bounded(certificate, most=LARGEST_FILE))
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, x509.ExtensionNotFound):
        return set()
    addresses = {str(address) for address in names.get_values_for_type(x509.IPAddress)}
    return {name.lower() for name in names.get_values_for_type(x509.DNSName)} | addresses


def _without_port(host: str) -> str:
    if host.startswith("["):
        name, closed, _ = host[1:].partition("]")
        return name if closed else ""
    return host.partition(":")[0]
