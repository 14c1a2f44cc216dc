"""Bytes of an enemy are refused, quickly, and with one kind of error."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converge.errors import RemoteProtocolError
from converge.wsman import messages, xml
from converge.wsman.envelopes import RequestHeader, ResourceTarget
from converge.wsman.faults import Fault, RefusedRequest
from converge.wsman.operations import Get, Identify, Identity

LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
ENVELOPE = '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Header/><s:Body>{}</s:Body></s:Envelope>'


@pytest.mark.parametrize(
    "text",
    [
        f'<!DOCTYPE x [<!ENTITY l0 "ha">{LAUGHS}]><x>&l11;</x>',
        '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><x>&f;</x>',
        '<?xml version="1.0"?>\n<!-- harmless --><!DOCTYPE x SYSTEM "http://127.0.0.1:9/x.dtd"><x/>',
        "<?a <!DOCTYPE?><!--<x/>-->\r\n<!DOCTYPE x><x/>",
        "<!doctype html><html></html>",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_document_type_is_refused_outright(text: str, encoding: str) -> None:
    with pytest.raises(RemoteProtocolError, match="document type"):
        xml.parse(text.encode(encoding))


def test_the_words_of_a_document_type_are_harmless_as_text() -> None:
    assert xml.parse(b"<x>&lt;!DOCTYPE x></x>").text == "<!DOCTYPE x>"
    assert xml.parse(b"<!-- <!DOCTYPE x> --><x><![CDATA[<!DOCTYPE x>]]></x>").text == "<!DOCTYPE x>"


def test_utf_16_is_read() -> None:
    assert xml.parse('<?xml version="1.0" encoding="utf-16"?><x>ä😀</x>'.encode("utf-16")).text == "ä😀"


@pytest.mark.parametrize(
    "data", [b"", b" ", b"\xff", b"\xff\xfe<", b"<", b"<a>", b"<a/><b/>", b"<a>&b;</a>", b"<a>\x00</a>", b"{}"]
)
def test_what_is_no_xml_is_refused(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        xml.parse(data)


def test_depth_and_size_are_bounded() -> None:
    assert xml.parse(b"<a>" * 64 + b"</a>" * 64) is not None
    for depth in (65, 200, 5000):
        with pytest.raises(RemoteProtocolError):
            xml.parse(b"<a>" * depth + b"</a>" * depth)
    with pytest.raises(RemoteProtocolError, match="more than the 10"):
        xml.parse(b"<a>12345</a>", limit=10)
    started = time.process_time()
    with pytest.raises(RemoteProtocolError):
        messages.parse_answer(ENVELOPE.format("<a>" + "<b/>" * 500_000 + "</a>").encode())
    assert time.process_time() - started < 10


@pytest.mark.parametrize("body", ["", "<a/>", "text", "<s:Envelope/>", '<a xmlns="urn:x"><b/></a>'])
def test_an_envelope_with_an_unknown_body_is_refused(body: str) -> None:
    with pytest.raises(RemoteProtocolError):
        messages.parse_answer(ENVELOPE.format(body).encode())


def test_a_fault_with_nothing_in_it_is_still_a_fault() -> None:
    answer = messages.parse_answer(ENVELOPE.format("<s:Fault/>").encode())
    assert answer.body == Fault("", "")
    assert not answer.body.access_denied


@settings(max_examples=200)
@given(data=st.binary(max_size=200))
def test_arbitrary_bytes_are_refused_and_nothing_else(data: bytes) -> None:
    for parse in (messages.parse_answer, messages.parse_request):
        with pytest.raises(RemoteProtocolError):
            parse(data)


def request_with(replaced: str, by: str) -> bytes:
    """A Get with one thing in its header changed."""
    header = RequestHeader(to="http://host/wsman", message_id="uuid:1")
    text = messages.build_request(Get(ResourceTarget("urn:x")), header=header).decode()
    assert replaced in text
    return text.replace(replaced, by).encode()


@pytest.mark.parametrize(
    ("replaced", "by", "subcode"),
    [
        ("<a:MessageID>uuid:1<", "<a:MessageID><", "a:InvalidMessageInformationHeader"),
        ("uuid:1", "x" * 2049, "a:InvalidMessageInformationHeader"),
        ("a:ReplyTo", "a:From", "a:MessageInformationHeaderRequired"),
        ("/role/anonymous<", "/role/none<", "w:UnsupportedFeature"),
        ('xml:lang="en-US" s:mustUnderstand="false"', 's:mustUnderstand="true"', "w:UnsupportedFeature"),
        (">153600<", ">8191<", "w:EncodingLimit"),
        ("PT60S", "PT-1S", "a:InvalidMessageInformationHeader"),
        ("transfer/Get", "transfer/Steal", "a:ActionNotSupported"),
        ("<a:To>", '<x xmlns="urn:y" s:mustUnderstand="true"/><a:To>', ""),
    ],
)
def test_a_bad_header_is_refused_with_the_fault_a_host_sends(replaced: str, by: str, subcode: str) -> None:
    with pytest.raises(RefusedRequest) as refused:
        messages.parse_request(request_with(replaced, by))
    fault = refused.value.fault
    assert fault.subcode == subcode
    data = messages.build_fault(fault, message_id="uuid:2", relates_to=refused.value.message_id)
    answer = messages.parse_answer(data)
    assert isinstance(answer.body, Fault)
    assert (answer.body.subcode, answer.body.code, answer.body.not_understood) == (
        subcode,
        fault.code,
        fault.not_understood,
    )
    assert answer.header.action == fault.action


def test_headers_that_are_left_out_leave_it_to_the_host() -> None:
    request = messages.parse_request(
        request_with('<w:MaxEnvelopeSize s:mustUnderstand="true">153600</w:MaxEnvelopeSize>', "")
    )
    assert request.header.max_envelope_size is None
    assert (
        messages.parse_request(
            request_with("<w:OperationTimeout>PT60S</w:OperationTimeout>", "")
        ).header.operation_timeout
        is None
    )


def test_identify_needs_no_header_and_tells_the_versions() -> None:
    request = messages.parse_request(messages.build_identify())
    assert isinstance(request.operation, Identify)
    identity = Identity("OS: 6.3.9600 SP: 0.0 Stack: 3.0", security_profiles=("http/basic",))
    answer = messages.parse_answer(messages.build_answer(identity, request=request, message_id=""))
    assert answer.body == identity
