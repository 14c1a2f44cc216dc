"""What real hosts sent is understood, and what this end writes is what real hosts and clients wrote."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import pytest
import yaml
from lxml import etree
from tests.recordings import WIRE, needs_recordings

from converge.wsman import cim, envelopes, messages
from converge.wsman.cim import Instance, Properties, Value
from converge.wsman.envelopes import RequestHeader
from converge.wsman.faults import Fault, RefusedRequest
from converge.wsman.messages import Request
from converge.wsman.operations import Got, Identify, Page


@dataclass(frozen=True)
class Exchange:
    """A recorded request and what the host answered; empty if it answered without a message."""

    title: str
    request: bytes
    answer: bytes


def exchanges() -> list[Exchange]:
    """Every recorded pair of request and answer."""
    found = []
    for path in sorted(WIRE.glob("pypsrp/*.yml")):
        for number, message in enumerate(yaml.safe_load(path.read_text(encoding="utf-8"))["messages"]):
            answer = message["response"] or ""
            found.append(Exchange(f"{path.stem}-{number}", message["request"].encode(), answer.encode()))
    return found


def answers() -> list[tuple[str, bytes]]:
    """Every recorded answer, alone or of a pair."""
    files = [path for path in sorted(WIRE.rglob("*.xml")) if not path.name.startswith(("Put", "send_0"))]
    alone = [(str(path.relative_to(WIRE)), path.read_bytes()) for path in files]
    return alone + [(exchange.title, exchange.answer) for exchange in exchanges() if exchange.answer]


pytestmark = needs_recordings

# Not WMI instances but documents of their own, whose declarations this end never writes; and an echoed environment.
NOT_WRITTEN = ("test_wsman_update_envelope", "test_winrs_environment-0")
# Asked for with options of a shell that this end never asks for.
NOT_ASKED = ("test_psrp", "test_winrs_environment-0", "test_winrs_extra_opts-0", "test_winrs_fail_poll_process-1")


@pytest.mark.parametrize(("title", "data"), answers(), ids=lambda value: value if isinstance(value, str) else "")
def test_every_recorded_answer_is_understood(title: str, data: bytes) -> None:
    assert messages.parse_answer(data).header.message_id or "send_1" in title


@pytest.mark.parametrize("exchange", [pytest.param(pair, id=pair.title) for pair in exchanges()])
def test_an_answer_is_written_byte_for_byte_as_the_host_wrote_it(exchange: Exchange) -> None:
    if not exchange.answer or exchange.title.startswith(NOT_WRITTEN):
        pytest.skip("no answer that this end would write")
    answer = messages.parse_answer(exchange.answer)
    if isinstance(answer.body, Got):
        pytest.skip("an instance outside WMI")
    try:
        request = messages.parse_request(exchange.request)
    except RefusedRequest as refused:
        written = messages.build_fault(
            answer.body if isinstance(answer.body, Fault) else refused.fault,
            message_id=answer.header.message_id,
            relates_to=answer.header.relates_to,
            activity_id=answer.header.activity_id,
        )
    else:
        related = Request(request.operation, header=_related(request, answer.header.relates_to))
        written = messages.build_answer(
            answer.body, request=related, message_id=answer.header.message_id, activity_id=answer.header.activity_id
        )
    assert written.decode() == exchange.answer.decode().strip()


def _related(request: Request, message_id: str) -> RequestHeader:
    return RequestHeader(to=request.header.to, message_id=message_id)


@pytest.mark.parametrize("name", sorted(path.name for path in WIRE.glob("txwinrm/Win32_*.xml")))
def test_a_page_of_instances_is_written_byte_for_byte_as_the_host_wrote_it(name: str) -> None:
    recorded = (WIRE / "txwinrm" / name).read_bytes()
    page = messages.parse_answer(recorded).body
    assert isinstance(page, Page)
    assert page.items
    written = replace(page, items=tuple(_with_times(item) for item in page.items)).body()
    assert written in recorded.decode("utf-8-sig")


def _with_times(item: Instance) -> Instance:
    """The instance with its times as values: a recording does not tell them from text once they are read."""
    properties: dict[str, Value] = {}
    for name, value in item.properties.items():
        moment = item.properties.datetime(name) if re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", str(value)) else None
        properties[name] = moment or value
    return replace(item, properties=Properties(properties))


@pytest.mark.parametrize("exchange", [pytest.param(pair, id=pair.title) for pair in exchanges()])
def test_a_request_equals_the_recorded_one_of_the_same_operation(exchange: Exchange) -> None:
    if exchange.title.startswith(NOT_ASKED):
        pytest.skip("a request with options that this end never sends")
    request = messages.parse_request(exchange.request)
    assert not isinstance(request.operation, Identify)
    written = messages.build_request(request.operation, header=request.header)
    assert _canonical(written) == _canonical(exchange.request)


def _canonical(data: bytes) -> tuple[object, object]:
    """Header in any order, body in its own; names by namespace."""
    header, body = etree.fromstring(data)
    return sorted(map(repr, map(_tree, header))), _tree(body)


def _tree(node: etree._Element) -> tuple[object, ...]:
    attributes = {name: text.lower() for name, text in node.attrib.items() if text != "False"}
    return (node.tag, sorted(attributes.items()), (node.text or "").strip(), [_tree(child) for child in node])


def test_recorded_requests_of_windows_own_client_are_understood() -> None:
    header, body = envelopes.open_envelope((WIRE / "omi" / "Put1.xml").read_bytes())
    _, target, _ = envelopes.parse_request_header(header)
    properties = cim.parse_instance(body[0]).properties
    assert properties.text("ProductName") == "OMI"
    assert properties.array("ConfigNameSpaces") == ("root#omi", "root#check", "interop", "root#cimv2")
    assert ("__cimnamespace", "root/omi") in target.selectors
    assert [option.kind for option in target.options][:2] == ["xs:string", "xs:int"]
