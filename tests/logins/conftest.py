"""Certificates of an authority of one's own, hosts that listen with them, and what a login there shows."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID, ObjectIdentifier

from converge.lab.endpoint.host import EndpointPolicy, SimulatedHost
from converge.lab.endpoint.server import LabServer
from converge.lab.specs import Profile
from converge.lab.world import LabAccount, World
from converge.model.names import fold
from converge.model.query import OperatingSystem
from converge.model.secret import Secret
from converge.winrm.connection import Connection
from converge.winrm.observer import WinRMObserver

USER, PASSWORD = "Administrator", "Correct horse 1!"
VERSION = "6.3.9600"
_UPN = ObjectIdentifier("1.3.6.1.4.1.311.20.2.3")


class Authority:
    """Signs certificates with whatever they should say."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        built = self._building(self._subject, self._key, days=(-30, 30))
        built = built.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self.path = folder / f"{name}.pem"
        self.path.write_bytes(built.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def sign(self, file: str, *, names: tuple[str, ...] = (), user: str = "", days: tuple[int, int] = (-1, 1)) -> Path:
        """A certificate with its key: for hosts of these names or addresses, or for a user; valid from and to days from now."""
        key = ec.generate_private_key(ec.SECP256R1())
        alternatives: list[x509.GeneralName] = [_general(name) for name in names]
        if user:
            alternatives.append(x509.OtherName(_UPN, b"\x0c" + bytes([len(user)]) + user.encode()))
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, user or names[0])])
        built = self._building(subject, key, days=days)
        built = built.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        signed = built.sign(self._key, hashes.SHA256())
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path = self.folder / f"{file}.pem"
        path.write_bytes(signed.public_bytes(serialization.Encoding.PEM) + private)
        return path

    def _building(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, *, days: tuple[int, int]
    ) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder().subject_name(subject).issuer_name(self._subject).public_key(key.public_key())
        )
        builder = builder.serial_number(x509.random_serial_number())
        return builder.not_valid_before(now + timedelta(days=days[0])).not_valid_after(now + timedelta(days=days[1]))


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The authority that the tests trust."""
    return Authority(tmp_path_factory.mktemp("authority"), "Lab authority")


@pytest.fixture(scope="session")
def of_the_host(authority: Authority) -> Path:
    """A good certificate for hosts on loopback."""
    return authority.sign("host", names=("localhost", "127.0.0.1"))


def listening(path: Path, *, clients: Path | None = None) -> ssl.SSLContext:
    """TLS with this certificate; `clients` is whose certificates are asked for."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(path)
    if clients is not None:
        tls.verify_mode = ssl.CERT_OPTIONAL
        tls.load_verify_locations(clients)
    return tls


@dataclass(frozen=True, slots=True)
class Served:
    """A simulated host that listens."""

    host: SimulatedHost
    url: str


Serve = Callable[..., Served]


def world(accounts: Mapping[str, str]) -> World:
    """A Windows with these accounts and their passwords."""
    profile = {"caption": "Windows", "version": VERSION, "architecture": "x64", "host_name": "LAB1"}
    made = World(Profile.model_validate(profile), started=datetime(2020, 1, 1, tzinfo=UTC))
    for name, password in accounts.items():
        made.accounts[fold(name)] = LabAccount(name=name, password=password)
    return made


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serves one host with this policy, over TLS with `certificate` where one is named, under the name `name`."""
    with LabServer() as server:

        def start(
            policy: EndpointPolicy,
            *,
            certificate: Path | None = None,
            clients: Path | None = None,
            name: str = "127.0.0.1",
            accounts: Mapping[str, str] | None = None,
        ) -> Served:
            host = SimulatedHost("lab1", world({USER: PASSWORD, **(accounts or {})}), policy=policy)
            if certificate is None:
                (endpoint,) = server.start([host])
            else:
                shown = x509.load_pem_x509_certificate(certificate.read_bytes())
                tls = listening(certificate, clients=clients)
                der = shown.public_bytes(serialization.Encoding.DER)
                (endpoint,) = server.start([host], tls=tls, certificate=der)
            return Served(host, endpoint.url.replace("127.0.0.1", name))

        yield start


def version(url: str, *, user: str = USER, password: str = PASSWORD, **settings: object) -> str:
    """What the host says of its Windows, asked over a login of its own."""
    given: dict[str, Any] = {"operation_timeout": 5.0, "read_timeout": 10.0, **settings}
    connection = Connection("lab1", url, username=user, password=Secret(password), **given)
    observer = WinRMObserver(connection)
    try:
        facts = observer.ask([OperatingSystem()]).value(OperatingSystem())
        assert facts is not None
        return facts.version
    finally:
        observer.close()
