"""Whatever arrives, the endpoint answers or closes the connection, and serves the next client."""

from __future__ import annotations

import http.client
import re
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from converge.wsman import messages, namespaces
from converge.wsman.envelopes import ResourceTarget
from converge.wsman.messages import AnyRequest
from converge.wsman.operations import Enumerate, Invoke, Pull

if TYPE_CHECKING:
    from tests.endpoint.conftest import Asker

QUIET = settings(
    max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
SANE = Enumerate(ResourceTarget(namespaces.wql_uri("root/cimv2")), expression="SELECT Name FROM Win32_ComputerSystem")
MARKUP = ("</s:Header>", "<s:Body/>", "&amp;", "&#0;", "&x;", "]]>", "<!--", "<!DOCTYPE x>", "<?xml?>", "<a:Action/>")
TEXTS = ("xmlns:s=''", "\x00", "'", "uuid:", "root/", "PT1S", "9" * 21, "-1", "*", "SELECT", "ü\u2028\U0001f600", "")
FRAGMENTS = st.sampled_from(MARKUP + TEXTS)


OPERATIONS: tuple[AnyRequest, ...] = (
    SANE,
    Pull(SANE.target, context="uuid:1"),
    Invoke(
        ResourceTarget(namespaces.wmi_uri("root/default", "StdRegProv"), (("a", "b"),)),
        "GetDWORDValue",
        {"hDefKey": 2147483650, "sSubKeyName": "x", "sValueName": "y"},
    ),
)


def alive(asker: Asker) -> None:
    asker.connection.close()
    assert asker.rows(SANE.expression)[0].text("Name") == "LAB1"


def send(asker: Asker, body: bytes) -> None:
    response, answer = asker.post(body)
    assert response.status in (200, 413, 415, 500)
    if response.status == 500:
        messages.parse_answer(answer)


@QUIET
@given(body=st.binary(min_size=1, max_size=400))
def test_any_bytes(asker: Asker, body: bytes) -> None:
    send(asker, body)


@QUIET
@given(data=st.data())
def test_a_good_message_with_a_bad_place(asker: Asker, data: st.DataObject) -> None:
    operation = data.draw(st.sampled_from(OPERATIONS))
    text = messages.build_request(operation, header=asker.header(timeout=1)).decode()
    places = [match.start() for match in re.finditer(r"[<>\"]", text)]
    start = data.draw(st.sampled_from(places))
    length = data.draw(st.integers(0, 60))
    broken = text[:start] + data.draw(FRAGMENTS) + text[start + length :]
    send(asker, broken.encode("utf-8", "surrogatepass"))


@QUIET
@given(
    arguments=st.dictionaries(
        st.sampled_from(["hDefKey", "sSubKeyName", "sValueName", "uValue", "sValue", "x"]),
        st.one_of(st.integers(-5, 2**65), st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=30)),
    ),
    method=st.sampled_from(["EnumKey", "GetStringValue", "SetDWORDValue", "SetBinaryValue", "CheckAccess", "Nope"]),
)
def test_any_arguments(asker: Asker, arguments: dict[str, int | str], method: str) -> None:
    target = ResourceTarget(namespaces.wmi_uri("root/default", "StdRegProv"))
    send(asker, messages.build_request(Invoke(target, method, arguments), header=asker.header(timeout=1)))


@pytest.mark.parametrize(
    "sent",
    [
        b"\x00\x01\x02\x03\r\n\r\n",
        b"POST /wsman HTTP/9.9\r\n\r\n",
        b"POST /wsman HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
        b"POST /wsman HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
        b"POST /wsman HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
        b"POST /wsman HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"",
    ],
)
def test_what_is_no_http(asker: Asker, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", asker.endpoint.port), timeout=120) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        try:
            while piece := connection.recv(65536):
                answer += piece
        except ConnectionResetError:
            pass
    assert not answer or answer.startswith(b"HTTP/1.")
    assert b"Traceback" not in answer
    alive(asker)


def test_clients_that_hang_up_in_the_middle(asker: Asker) -> None:
    for _ in range(50):
        with socket.create_connection(("127.0.0.1", asker.endpoint.port), timeout=120) as connection:
            connection.sendall(b"POST /wsman HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nhalf")
    alive(asker)


def test_many_connections_at_once(serve: Callable[..., Asker]) -> None:
    asker = serve()
    connections = [http.client.HTTPConnection("127.0.0.1", asker.endpoint.port, timeout=120) for _ in range(60)]
    headers = {"Content-Type": "application/soap+xml;charset=UTF-8", "Authorization": asker.basic()}
    for connection in connections:
        connection.request("POST", "/wsman", messages.build_request(SANE, header=asker.header()), headers)
    for connection in connections:
        assert connection.getresponse().status == 200
        connection.close()
