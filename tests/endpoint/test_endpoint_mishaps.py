"""Things that go wrong on purpose, as a client at the other end meets them."""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from winrm.exceptions import WinRMTransportError
from winrm.transport import Transport

from converge.errors import RemoteProtocolError
from converge.lab.endpoint.host import EndpointPolicy
from converge.lab.endpoint.mishaps import Mishap, MishapKind, Mishaps
from converge.lab.endpoint.request_log import RequestRecord
from converge.wsman import messages, namespaces
from converge.wsman.envelopes import ResourceTarget
from converge.wsman.faults import Fault
from converge.wsman.messages import AnyAnswer
from converge.wsman.operations import Enumerate, Invoke

if TYPE_CHECKING:
    from tests.endpoint.conftest import Asker

FaultOf = Callable[[AnyAnswer], Fault]
QUERY = Enumerate(ResourceTarget(namespaces.wql_uri("root/cimv2")), expression="SELECT Name FROM Win32_ComputerSystem")
CREATE_KEY = Invoke(
    ResourceTarget(namespaces.wmi_uri("root/default", "StdRegProv")), "CreateKey", {"sSubKeyName": r"SOFTWARE\Made"}
)


def made(asker: Asker) -> bool:
    return asker.registry("EnumKey", r"SOFTWARE\Made").integer("ReturnValue") == 0


def strike(asker: Asker, kind: MishapKind, *, amount: float = 0.0, times: int | None = 1) -> None:
    asker.host.mishaps.add(Mishap(kind, amount=amount, times=times))


def ask_badly(asker: Asker) -> tuple[http.client.HTTPResponse, bytes]:
    return asker.post(messages.build_request(QUERY, header=asker.header()))


def well(asker: Asker) -> bool:
    return [row.text("Name") for row in asker.rows(QUERY.expression)] == ["LAB1"]


@pytest.mark.parametrize(("kind", "done"), [(MishapKind.DROP_BEFORE, False), (MishapKind.DROP_AFTER, True)])
def test_a_connection_cut_before_or_after_the_deed(asker: Asker, kind: MishapKind, done: bool) -> None:
    strike(asker, kind)
    with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
        asker.ask(CREATE_KEY)
    asker.connection.close()
    assert made(asker) is done


def test_a_connection_cut_inside_the_answer(asker: Asker) -> None:
    strike(asker, MishapKind.CUT_SHORT)
    with pytest.raises(http.client.IncompleteRead):
        asker.ask(CREATE_KEY)
    asker.connection.close()
    assert made(asker)


def test_silence_until_the_client_gives_up(asker: Asker) -> None:
    strike(asker, MishapKind.SILENCE)
    asker.connection.timeout = 0.5
    with pytest.raises(socket.timeout):
        asker.ask(CREATE_KEY)
    asker.connection.close()
    asker.connection.timeout = 20
    assert not made(asker)


def test_a_delay(asker: Asker) -> None:
    strike(asker, MishapKind.DELAY, amount=0.3)
    begun = time.monotonic()
    assert well(asker)
    assert time.monotonic() - begun >= 0.3


@pytest.mark.parametrize(
    "kind",
    [MishapKind.TRUNCATED_XML, MishapKind.NOT_XML, MishapKind.DOCUMENT_TYPE, MishapKind.ENTITY_BOMB],
)
def test_answers_that_no_client_should_read(asker: Asker, kind: MishapKind) -> None:
    strike(asker, kind)
    response, body = ask_badly(asker)
    assert response.status == 200
    assert len(body) < 100_000
    with pytest.raises(RemoteProtocolError):
        messages.parse_answer(body)
    assert well(asker)


def test_the_bomb_is_one(asker: Asker) -> None:
    strike(asker, MishapKind.ENTITY_BOMB)
    _, body = ask_badly(asker)
    assert body.count(b"<!ENTITY") == 10
    assert b"&l9;</s:Body>" in body


def test_the_answer_to_another_request(asker: Asker) -> None:
    strike(asker, MishapKind.WRONG_RELATES_TO)
    _, body = ask_badly(asker)
    assert messages.parse_answer(body).header.relates_to == "uuid:00000000-DEAD-BEEF-0000-000000000000"


def test_an_answer_beyond_all_bounds(asker: Asker) -> None:
    strike(asker, MishapKind.OVERSIZE, amount=5_000_000)
    _, body = ask_badly(asker)
    assert len(body) == 5_000_000


def test_an_answer_one_byte_at_a_time(asker: Asker) -> None:
    strike(asker, MishapKind.TRICKLE, amount=0.05)
    asker.connection.request(
        "POST",
        "/wsman",
        messages.build_request(QUERY, header=asker.header()),
        {"Content-Type": "application/soap+xml;charset=UTF-8", "Authorization": asker.basic()},
    )
    response = asker.connection.getresponse()
    assert int(response.headers["Content-Length"]) > 500
    begun = time.monotonic()
    assert response.read(5) == b"<s:En"
    assert time.monotonic() - begun >= 0.15
    asker.connection.close()
    assert well(asker)


def test_a_page_of_html(asker: Asker) -> None:
    strike(asker, MishapKind.HTTP_ERROR, amount=503)
    response, body = ask_badly(asker)
    assert (response.status, response.headers["Content-Type"].partition(";")[0]) == (503, "text/html")
    assert b"<h1>" in body


def test_faults_on_request_and_in_german(asker: Asker, faulted: FaultOf) -> None:
    strike(asker, MishapKind.FAULT)
    fault = faulted(asker.ask(QUERY))
    assert (fault.code, fault.over_quota) == (2150859174, True)
    strike(asker, MishapKind.LOCALISED)
    german = asker.query_fault("SELECT * FROM Win32_Nope")
    assert german.code == 2150858778
    assert "verweigert" in german.text
    assert "class" not in german.text


def transport(asker: Asker) -> Transport:
    return Transport(
        asker.endpoint.url,
        username=asker.user,
        password=asker.password,
        auth_method="ntlm",
        message_encryption="always",
        server_cert_validation="validate",
        read_timeout_sec=10,
    )


def test_a_login_forgotten_in_the_middle(serve: Callable[..., Asker]) -> None:
    asker = serve(policy=EndpointPolicy())
    carrier = transport(asker)
    question = messages.build_request(QUERY, header=asker.header())
    carrier.send_message(question)
    strike(asker, MishapKind.UNAUTHORIZED)
    # pywinrm logs in anew and sends the old body, sealed with the keys that were forgotten.
    with pytest.raises(WinRMTransportError, match="400"):
        carrier.send_message(question)
    assert transport(asker).send_message(question)


def test_a_plain_answer_to_a_sealed_request(serve: Callable[..., Asker]) -> None:
    asker = serve(policy=EndpointPolicy())
    carrier = transport(asker)
    strike(asker, MishapKind.UNSEALED)
    # pywinrm takes it for good even where it was told to seal always.
    answer = carrier.send_message(messages.build_request(QUERY, header=asker.header()))
    assert b"LAB1" in (answer if isinstance(answer, bytes) else answer.encode())


def test_a_sealed_answer_that_was_tampered_with(serve: Callable[..., Asker]) -> None:
    asker = serve(policy=EndpointPolicy())
    carrier = transport(asker)
    strike(asker, MishapKind.BAD_SEAL)
    with pytest.raises(Exception, match=r"(?i)signature|mic|tampered|invalid"):
        carrier.send_message(messages.build_request(QUERY, header=asker.header()))


def test_mishaps_choose_whom_they_hit_and_how_often() -> None:
    mishaps = Mishaps()
    mishaps.add(Mishap(MishapKind.DELAY, operation="Invoke", method="StartService", skip=1, times=2))
    mishaps.add(Mishap(MishapKind.SILENCE, operation="Pull"))
    start = RequestRecord("Invoke", method="StartService")
    struck = [len(mishaps.strike(start)) for _ in range(5)]
    assert struck == [0, 1, 1, 0, 0]
    assert mishaps.strike(RequestRecord("Invoke", method="StopService")) == ()
    assert [len(mishaps.strike(RequestRecord("Pull"))) for _ in range(3)] == [1, 1, 1]
    mishaps.clear()
    assert mishaps.strike(RequestRecord("Pull")) == ()
