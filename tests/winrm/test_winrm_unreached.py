"""What keeps a line from coming about is told apart: alike for every login, in runs and in doctor, as unreachable."""

from __future__ import annotations

import random
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from tests.logins.conftest import PASSWORD, USER, VERSION, Authority, world

from converge.errors import ConvergeError, DeadlineExceeded, HostUnreachable, InputErrors
from converge.inventory.connection import settings_of
from converge.inventory.passwords import PasswordStore
from converge.lab.endpoint.host import EndpointPolicy, SimulatedHost
from converge.lab.endpoint.server import LabServer
from converge.model.position import Position
from converge.model.query import OperatingSystem
from converge.model.secret import Secret
from converge.runs.connections import connection_of
from converge.winrm import probes
from converge.winrm.connection import Connection, Login
from converge.winrm.observer import WinRMObserver
from converge.winrm.unreached import NOTHING_LISTENS

pytestmark = pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
LOGINS = (Login.NEGOTIATE, Login.CERTIFICATE)  # one of each way to carry a login
DOCTOR = "doctor"
AskedBy = Login | str


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The authority that is trusted."""
    return Authority(tmp_path_factory.mktemp("authority"), "Lab authority")


@pytest.fixture(scope="module")
def ours(authority: Authority) -> Path:
    """The certificate of our account."""
    return authority.sign("us", user="auditor@lab")


@pytest.fixture
def to(authority: Authority, ours: Path) -> Callable[..., Connection]:
    """How the host at a port is reached."""

    def connection(
        port: int, by: AskedBy = Login.NEGOTIATE, *, address: str = "127.0.0.1", **more: object
    ) -> Connection:
        login = by if isinstance(by, Login) else Login.NEGOTIATE
        given: dict[str, object] = {"operation_timeout": 2.0, "read_timeout": 4.0, "ca_trust_path": str(authority.path)}
        return Connection(
            "h", f"https://{address}:{port}/wsman", username=USER, password=Secret(PASSWORD), login=login,
            certificate=str(ours), certificate_key=str(ours), **(given | more),  # type: ignore[arg-type]  # what a test sets
        )  # fmt: skip

    return connection


def _gone_to(connection: Connection, by: AskedBy) -> None:
    if by == DOCTOR:
        probes.knock(connection)
        probes.shake_hands(connection)
    else:
        WinRMObserver(connection).ask([OperatingSystem()])


def refused(connection: Connection, by: AskedBy) -> HostUnreachable:
    """Why there is no line."""
    with pytest.raises(HostUnreachable) as raised:
        _gone_to(connection, by)
    return raised.value


@contextmanager
def tls_of(certificate: Path, newest: ssl.TLSVersion) -> Iterator[int]:
    """The port of a host that speaks no newer TLS."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    tls.maximum_version = newest
    tls.set_ciphers("ALL:@SECLEVEL=0")
    tls.load_cert_chain(certificate)
    with LabServer() as server:
        (endpoint,) = server.start([SimulatedHost("h", world({USER: PASSWORD}), policy=EndpointPolicy())], tls=tls)
        yield endpoint.port


@contextmanager
def port_that(serve: Callable[[socket.socket], None], *, address: str = "127.0.0.1", port: int = 0) -> Iterator[int]:
    """A port behind which every connection meets this."""
    with ExitStack() as stack, socket.create_server((address, port)) as listener:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    line = stack.enter_context(listener.accept()[0])
                    with suppress(OSError):
                        serve(line)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        thread.join(timeout=60)


def reset(line: socket.socket) -> None:
    line.recv(16)
    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    line.close()


def hang_up(line: socket.socket) -> None:
    line.recv(65536)
    line.close()


@pytest.mark.parametrize("validate", [True, False])
@pytest.mark.parametrize("by", [*LOGINS, DOCTOR])
@pytest.mark.parametrize(
    ("newest", "least", "spoken"),
    [
        (ssl.TLSVersion.TLSv1, "1.2", "1.0"),
        (ssl.TLSVersion.TLSv1_1, "1.2", "1.1"),
        (ssl.TLSVersion.TLSv1_2, "1.3", "1.2"),
    ],
)
def test_an_older_tls_is_named_with_the_variable(
    to: Callable[..., Connection], authority: Authority, newest: ssl.TLSVersion, least: str, spoken: str, *,
    by: AskedBy, validate: bool,
) -> None:  # fmt: skip
    with tls_of(authority.sign("host", names=("127.0.0.1",)), newest) as port:
        told = refused(to(port, by, tls_minimum=least, validate_certificate=validate), by)
    assert f"speaks only TLS {spoken}, and converge_tls_minimum is {least}" in told.what
    assert f"converge_tls_minimum: '{spoken}'" in told.try_
    assert "certificate" not in str(told)


@pytest.mark.parametrize("least", ["1.0", "1.1"])
def test_a_lower_minimum_reaches_an_older_host(to: Callable[..., Connection], authority: Authority, least: str) -> None:
    with tls_of(authority.sign("host", names=("127.0.0.1",)), ssl.TLSVersion.TLSv1_1) as port:
        observer = WinRMObserver(to(port, tls_minimum=least))
        facts = observer.ask([OperatingSystem()]).value(OperatingSystem())
        assert facts is not None
        assert facts.version == VERSION
        observer.close()
        assert "TLSv1.1" in probes.shake_hands(to(port, tls_minimum=least))
        # Not the account's certificate is looked for here: that TLS comes about, and somebody answers.
        with pytest.raises(ConvergeError) as raised:
            WinRMObserver(to(port, Login.CERTIFICATE, tls_minimum=least)).ask([OperatingSystem()])
        assert "TLS" not in raised.value.what


@pytest.mark.parametrize("validate", [True, False])
@pytest.mark.parametrize("by", [*LOGINS, DOCTOR])
@pytest.mark.parametrize("how", [reset, hang_up])
def test_a_break_within_the_handshake_is_told_as_one(
    to: Callable[..., Connection], how: Callable[[socket.socket], None], *, by: AskedBy, validate: bool
) -> None:
    with port_that(how) as port:
        told = refused(to(port, by, validate_certificate=validate), by)
    assert "breaks off the TLS handshake" in told.what
    assert told.code == "tls"


@pytest.mark.parametrize("by", [*LOGINS, DOCTOR])
def test_silence_within_the_handshake_is_told_as_one(
    to: Callable[..., Connection], by: AskedBy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probes, "SECONDS", 1.0)
    with port_that(lambda _: None) as port:
        told = refused(to(port, by, operation_timeout=0.5, read_timeout=1.0), by)
    assert "silent within the TLS handshake" in told.what


@pytest.mark.parametrize("by", [*LOGINS, DOCTOR])
@pytest.mark.parametrize(
    ("names", "trusted", "words"),
    [(("127.0.0.9",), True, "for another name"), (("127.0.0.1",), False, "that is not trusted")],
)
def test_name_and_trust_are_told_apart_and_not_where_nothing_is_validated(
    to: Callable[..., Connection], authority: Authority, tmp_path: Path, names: tuple[str, ...], words: str, *,
    trusted: bool, by: AskedBy,
) -> None:  # fmt: skip
    signer = authority if trusted else Authority(tmp_path, "Somebody else")
    with tls_of(signer.sign("host", names=names), ssl.TLSVersion.TLSv1_3) as port:
        told = refused(to(port, by), by)
        assert words in told.what
        assert told.code == "certificate"
        probes.shake_hands(to(port, by, validate_certificate=False))


@pytest.mark.parametrize("by", [*LOGINS, DOCTOR])
def test_an_open_http_port_is_told_where_the_https_port_is_closed(to: Callable[..., Connection], by: AskedBy) -> None:
    address = f"127.{random.randrange(1, 255)}.{random.randrange(1, 255)}.{random.randrange(1, 255)}"
    knocked: list[bytes] = []
    with port_that(lambda line: knocked.append(line.recv(100)), address=address, port=5985):
        told = refused(to(5986, by, address=address), by)
        assert "port 5986" in told.what
        assert "set ansible_port: 5985" in told.try_
        assert told.code != NOTHING_LISTENS
        other = refused(to(5987, by, address=address), by)
    assert not any(knocked), "whether it answers is all that is asked"
    assert "nothing listens" in other.what
    assert "ansible_port: 5985" not in other.try_
    none = refused(to(5986, by, address=address), by)
    assert "nothing listens" in none.what
    assert none.code == NOTHING_LISTENS


@pytest.mark.parametrize("by", [*LOGINS, DOCTOR])
def test_a_file_of_authorities_that_holds_none_is_no_distrust_of_the_host(
    to: Callable[..., Connection], authority: Authority, tmp_path: Path, by: AskedBy
) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("nothing")
    with tls_of(authority.sign("host", names=("127.0.0.1",)), ssl.TLSVersion.TLSv1_3) as port:
        told = refused(to(port, by, ca_trust_path=str(empty)), by)
    assert told.code == "transport-unavailable"
    assert not isinstance(told, DeadlineExceeded)


@pytest.mark.parametrize(("given", "read"), [("1.0", "1.0"), (1.1, "1.1"), ("TLSv1.3", "1.3"), (None, "1.2")])
def test_the_inventory_names_the_oldest_tls(given: object, read: str) -> None:
    variables = {"ansible_user": "u", "ansible_password": "p"} | (
        {} if given is None else {"converge_tls_minimum": given}
    )
    settings = settings_of("h", variables, place_of=lambda _: Position("hosts.yml", 1, 1), passwords=PasswordStore())
    assert connection_of(settings).tls_minimum == read


def test_another_tls_is_an_error_of_the_inventory() -> None:
    with pytest.raises(InputErrors, match=r"'1\.2'"):
        settings_of(
            "h", {"ansible_user": "u", "converge_tls_minimum": "2"},
            place_of=lambda _: Position("hosts.yml", 1, 1), passwords=PasswordStore(),
        )  # fmt: skip
