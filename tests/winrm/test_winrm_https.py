"""Over https the certificate is checked, and what TLS protects is not sealed again."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from converge.errors import HostUnreachable
from converge.lab.endpoint.host import EndpointPolicy, SimulatedHost
from converge.lab.endpoint.mishaps import Mishap, MishapKind
from converge.lab.endpoint.server import LabServer
from converge.lab.specs import Profile
from converge.lab.world import LabAccount, World
from converge.model.names import fold
from converge.model.query import OperatingSystem
from converge.model.secret import Secret
from converge.winrm import probes
from converge.winrm.connection import Connection, Login, MessageSealing
from converge.winrm.observer import WinRMObserver

USER, PASSWORD = "Administrator", "Correct horse 1!"


def certificate(folder: Path, *, address: str, common_name: str = "lab") -> Path:
    """A certificate signed by itself, with its key: for an address, or for none, with just a common name."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    )
    if address:
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
        builder = builder.add_extension(names, critical=False)
    signed = builder.sign(key, hashes.SHA256())
    path = folder / f"{address or common_name}.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(signed.public_bytes(serialization.Encoding.PEM) + private)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the certificates lie."""
    return tmp_path_factory.mktemp("tls")


@pytest.fixture(scope="module")
def host() -> SimulatedHost:
    """A host that demands encryption."""
    profile = {"caption": "Windows", "version": "6.3.9600", "architecture": "x64", "host_name": "LAB1"}
    world = World(Profile.model_validate(profile), started=datetime(2020, 1, 1, tzinfo=UTC))
    world.accounts[fold(USER)] = LabAccount(name=USER, password=PASSWORD)
    return SimulatedHost("lab1", world, policy=EndpointPolicy(negotiate=True, basic=True))


@pytest.fixture(scope="module")
def served(folder: Path, host: SimulatedHost) -> Iterator[dict[str, str]]:
    """The host's addresses: with a certificate for its own address, and with one for another."""
    with LabServer() as server:
        urls = {}
        for address in ("127.0.0.1", "127.0.0.2"):
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(certificate(folder, address=address))
            (endpoint,) = server.start([host], tls=tls)
            urls[address] = endpoint.url
        yield urls


def version(url: str, **settings: object) -> str:
    """What the host says of its Windows."""
    connection = Connection("lab1", url, username=USER, password=Secret(PASSWORD), **settings)  # type: ignore[arg-type]  # the settings a test names
    observer = WinRMObserver(connection)
    try:
        facts = observer.ask([OperatingSystem()]).value(OperatingSystem())
        assert facts is not None
        return facts.version
    finally:
        observer.close()


@pytest.mark.parametrize("login", [Login.NEGOTIATE, Login.BASIC])
def test_a_certificate_of_a_trusted_authority_is_accepted(served: dict[str, str], folder: Path, login: Login) -> None:
    trusted = str(folder / "127.0.0.1.pem")
    assert version(served["127.0.0.1"], login=login, ca_trust_path=trusted) == "6.3.9600"


def test_messages_can_be_sealed_within_tls(served: dict[str, str], folder: Path, host: SimulatedHost) -> None:
    trusted = str(folder / "127.0.0.1.pem")
    assert version(served["127.0.0.1"], sealing=MessageSealing.ALWAYS, ca_trust_path=trusted) == "6.3.9600"
    host.mishaps.add(Mishap(MishapKind.UNSEALED, times=2))
    with pytest.raises(HostUnreachable, match="in the clear"):
        version(served["127.0.0.1"], sealing=MessageSealing.ALWAYS, ca_trust_path=trusted)


@pytest.mark.parametrize("login", [Login.NEGOTIATE, Login.BASIC])
def test_a_certificate_is_judged_by_its_alternative_names_alone(host: SimulatedHost, folder: Path, login: Login) -> None:
    """A common name is a text that whoever asks for a certificate may often choose."""
    path = certificate(folder, address="", common_name="localhost")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(path)
    with LabServer() as server:
        (endpoint,) = server.start([host], tls=tls)
        url = endpoint.url.replace("127.0.0.1", "localhost")
        assert version(url, login=login, validate_certificate=False) == "6.3.9600"
        with pytest.raises(HostUnreachable) as refused:
            version(url, login=login, ca_trust_path=str(path))
        assert refused.value.code == "certificate"
        connection = Connection("lab1", url, username=USER, password=Secret(PASSWORD), ca_trust_path=str(path))
        with pytest.raises(HostUnreachable) as probed:
            probes.shake_hands(connection)
        assert probed.value.code == "certificate"


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.2"])
def test_a_certificate_that_is_not_trusted_or_not_the_hosts_is_refused(
    served: dict[str, str], folder: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    trusted = str(folder / "127.0.0.2.pem")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(folder / "127.0.0.1.pem"))
    monkeypatch.setenv("CURL_CA_BUNDLE", str(folder / "127.0.0.1.pem"))
    for settings in ({"ca_trust_path": trusted}, {}):
        with pytest.raises(HostUnreachable) as refused:
            version(served[address], **settings)
        assert refused.value.code == "certificate"
        if address == "127.0.0.2" and settings:
            assert "another name" in refused.value.what
        else:
            assert "ansible_winrm_ca_trust_path" in refused.value.try_


def test_not_checking_the_certificate_must_be_set_explicitly(served: dict[str, str]) -> None:
    assert version(served["127.0.0.2"], validate_certificate=False) == "6.3.9600"


def test_http_where_https_listens_is_told(served: dict[str, str]) -> None:
    with pytest.raises(HostUnreachable):
        version(served["127.0.0.1"].replace("https:", "http:"))


def test_a_file_of_authorities_that_is_not_there_is_told(served: dict[str, str]) -> None:
    with pytest.raises(HostUnreachable, match=r"nowhere\.pem"):
        version(served["127.0.0.1"], ca_trust_path="/nowhere.pem")
