"""What http.sys and WinRM do with HTTP before they look at a message."""

from __future__ import annotations

import base64
import http.client
import socket
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from converge.lab.endpoint.host import EndpointPolicy, SimulatedHost
from converge.lab.endpoint.server import LabServer
from converge.lab.world import World
from converge.wsman import messages
from converge.wsman.operations import Identity

if TYPE_CHECKING:
    from tests.endpoint.conftest import Asker


OPENSSL = [
    "openssl",
    "req",
    "-x509",
    "-newkey",
    "rsa:2048",
    "-nodes",
    "-days",
    "2",
    "-subj",
    "/CN=127.0.0.1",
    "-addext",
    "subjectAltName=IP:127.0.0.1",
]


def request(asker: Asker, method: str, path: str, **headers: str) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", asker.endpoint.port, timeout=120)
    connection.request(method, path, headers=headers)
    response = connection.getresponse()
    response.read()
    return response


def test_only_post_to_wsman(asker: Asker) -> None:
    refused = request(asker, "GET", "/wsman")
    assert (refused.status, refused.getheader("Allow"), refused.reason) == (405, "POST", "")
    for path in ("/", "/wsman2", "/wsman/x", "/powershell"):
        assert request(asker, "POST", path).status == 404
    assert request(asker, "POST", "/WSMAN").status == 401


def test_a_401_as_windows_words_it(raw_socket: socket.socket) -> None:
    raw_socket.sendall(b"POST /wsman HTTP/1.1\r\nHost: lab1\r\nContent-Length: 0\r\n\r\n")
    head = raw_socket.recv(65536).partition(b"\r\n\r\n")[0].split(b"\r\n")
    assert head[0] == b"HTTP/1.1 401 "
    assert b"WWW-Authenticate: Negotiate" in head
    assert b'WWW-Authenticate: Basic realm="WSMAN"' in head
    assert b"Server: Microsoft-HTTPAPI/2.0" in head
    assert b"Content-Length: 0" in head


def test_the_connection_stays_open_for_the_next_request(raw_socket: socket.socket) -> None:
    for _ in range(3):
        raw_socket.sendall(b"POST /wsman HTTP/1.1\r\nHost: lab1\r\nContent-Length: 0\r\n\r\n")
        assert raw_socket.recv(65536).startswith(b"HTTP/1.1 401 ")


def test_another_content_type_is_unsupported(asker: Asker) -> None:
    response, body = asker.post(b"<x/>", Content_Type="application/json")
    assert (response.status, body) == (415, b"")


def test_a_message_that_is_too_large(asker: Asker) -> None:
    response, body = asker.post(b" " * 200_000)
    assert (response.status, body) == (413, b"")


def test_an_empty_message_of_somebody_known(asker: Asker) -> None:
    response, body = asker.post(b"")
    assert (response.status, body) == (200, b"")


def test_a_plain_message_where_only_sealed_ones_are_allowed(
    server: LabServer, worlds: Callable[..., World], tmp_path: Path
) -> None:
    """Over HTTP: status 500 without a body. Over HTTPS the same message is answered."""
    host = SimulatedHost("lab1", worlds(), policy=EndpointPolicy(basic=True))
    (endpoint,) = server.start([host])
    connection = http.client.HTTPConnection("127.0.0.1", endpoint.port, timeout=120)
    connection.request("POST", "/wsman", b"<x/>")
    refused = connection.getresponse()
    assert refused.headers.get_all("WWW-Authenticate") == ["Negotiate"]

    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*certificate(tmp_path))
    (secure,) = server.start([host], tls=tls)
    assert secure.url.startswith("https://127.0.0.1:")
    trusting = ssl.create_default_context(cafile=tmp_path / "cert.pem")
    encrypted = http.client.HTTPSConnection("127.0.0.1", secure.port, timeout=10, context=trusting)
    encrypted.request(
        "POST",
        "/wsman",
        messages.build_identify(),
        {"Content-Type": "application/soap+xml;charset=UTF-8", "Authorization": basic(host)},
    )
    answer = messages.parse_answer(encrypted.getresponse().read())
    assert isinstance(answer.body, Identity)


def basic(host: SimulatedHost) -> str:
    account = next(iter(host.world.accounts.values()))
    return "Basic " + base64.b64encode(f"{account.name}:{account.password}".encode()).decode()


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that signs itself."""
    certificate, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        [*OPENSSL, "-keyout", str(key), "-out", str(certificate)],
        check=True,
        capture_output=True,
        timeout=60,
    )
    return certificate, key


@pytest.mark.parametrize(("version", "stack", "told"), [("5.2.3790", "2.0", "2.0"), ("6.3.9600", "3.0", "3.0")])
def test_identify_without_a_login(
    serve: Callable[..., Asker], worlds: Callable[..., World], version: str, stack: str, told: str
) -> None:
    asker = serve(worlds(version=version, stack=stack))
    connection = http.client.HTTPConnection("127.0.0.1", asker.endpoint.port, timeout=120)
    headers = {"Content-Type": "application/soap+xml;charset=UTF-8", "WSMANIDENTITY": "unauthenticated"}
    connection.request("POST", "/wsman", messages.build_identify(), headers)
    anonymous = messages.parse_answer(connection.getresponse().read()).body
    assert isinstance(anonymous, Identity)
    assert anonymous.product_version == f"OS: 0.0.0 SP: 0.0 Stack: {told}"
    assert anonymous.security_profiles == ()
    _, body = asker.post(messages.build_identify())
    known = messages.parse_answer(body).body
    assert isinstance(known, Identity)
    assert known.product_version == f"OS: {version} SP: 2.0 Stack: {told}"
    connection.request("POST", "/wsman", b"<other/>", headers)
    assert connection.getresponse().status == 401


def test_two_hundred_hosts_from_one_server(server: LabServer, worlds: Callable[..., World]) -> None:
    world = worlds()
    endpoints = server.start([SimulatedHost(f"lab{number}", world) for number in range(200)])
    assert len({endpoint.port for endpoint in endpoints}) == 200
    for endpoint in endpoints[::50]:
        with socket.create_connection(("127.0.0.1", endpoint.port), timeout=120):
            pass


def test_a_stopped_server_listens_no_more(worlds: Callable[..., World]) -> None:
    server = LabServer()
    (endpoint,) = server.start([SimulatedHost("lab1", worlds())])
    server.stop()
    server.stop()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", endpoint.port), timeout=120)


def test_a_port_that_is_wanted(server: LabServer, worlds: Callable[..., World]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (endpoint,) = server.start([SimulatedHost("lab1", worlds())], ports=[port])
    assert endpoint.port == port
    with pytest.raises(OSError, match=str(port)):
        server.start([SimulatedHost("lab2", worlds())], ports=[port])
