"""Paging, quotas, headers and faults of WS-Management, as a Windows host answers them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from converge.lab.endpoint.host import WINRM_2, WINRM_3
from converge.lab.world import World
from converge.wsman import messages, namespaces
from converge.wsman.envelopes import RequestHeader, ResourceTarget
from converge.wsman.faults import Fault
from converge.wsman.messages import AnyAnswer
from converge.wsman.operations import Enumerate, Get, Invoke, Page, Pull, Release, Released

if TYPE_CHECKING:
    from tests.endpoint.conftest import Asker

CIMV2 = ResourceTarget(namespaces.wql_uri("root/cimv2"))
SERVICES = "SELECT * FROM Win32_Service"
FaultOf = Callable[[AnyAnswer], Fault]


def page_of(answer: AnyAnswer) -> Page:
    assert isinstance(answer, Page), answer
    return answer


def test_windows_2003_answers_everything_at_once(serve: Callable[..., Asker], worlds: Callable[..., World]) -> None:
    asker = serve(worlds(many=40))
    page = page_of(asker.ask(Enumerate(CIMV2, expression=SERVICES)))
    assert (len(page.items), page.context) == (44, "")


def test_later_windows_answers_one_item_then_pages(serve: Callable[..., Asker], worlds: Callable[..., World]) -> None:
    asker = serve(worlds(version="6.2.9200", stack="3.0", many=200))
    page = page_of(asker.ask(Enumerate(CIMV2, expression=SERVICES), envelope=512_000))
    assert len(page.items) == 1
    contexts, items = [page.context], list(page.items)
    while page.context:
        header = asker.header(envelope=512_000)
        _, body = asker.post(messages.build_request(Pull(CIMV2, context=page.context), header=header))
        assert len(body) <= 76_811
        page = page_of(messages.parse_answer(body).body)
        items += page.items
        contexts.append(page.context)
    assert len(items) == 204
    assert len(set(contexts)) == len(contexts) > 3
    assert len({item.properties.text("Name") for item in items}) == 204


def test_one_row_and_none(modern: Asker) -> None:
    one = page_of(modern.ask(Enumerate(CIMV2, expression="SELECT Name FROM Win32_Service WHERE Name='smtpsvc'")))
    assert ([item.properties.text("Name") for item in one.items], one.context) == (["SMTPSVC"], "")
    none = page_of(modern.ask(Enumerate(CIMV2, expression="SELECT Name FROM Win32_Service WHERE Name='nope'")))
    assert (none.items, none.context) == ((), "")


def test_max_elements_and_an_enumeration_that_is_not_optimized(asker: Asker) -> None:
    page = page_of(asker.ask(Enumerate(CIMV2, expression=SERVICES, max_elements=3)))
    assert len(page.items) == 3
    rest = page_of(asker.ask(Pull(CIMV2, context=page.context, max_elements=3)))
    assert (len(rest.items), rest.context) == (1, "")
    begun = page_of(asker.ask(Enumerate(CIMV2, expression=SERVICES, optimized=False)))
    assert begun.items == ()
    assert len(page_of(asker.ask(Pull(CIMV2, context=begun.context))).items) == 4


def test_a_pull_must_repeat_the_limits(asker: Asker, faulted: FaultOf) -> None:
    page = page_of(asker.ask(Enumerate(CIMV2, expression=SERVICES, max_elements=1)))
    other = faulted(asker.ask(Pull(CIMV2, context=page.context, max_elements=2)))
    assert other.code == 2150859181
    page = page_of(asker.ask(Enumerate(CIMV2, expression=SERVICES, max_elements=1)))
    assert faulted(asker.ask(Pull(CIMV2, context=page.context, max_elements=1), envelope=99_999)).code == 2150859181


def test_a_context_is_good_for_one_pull(asker: Asker, faulted: FaultOf) -> None:
    page = page_of(asker.ask(Enumerate(CIMV2, expression=SERVICES, max_elements=1)))
    pull = Pull(CIMV2, context=page.context, max_elements=1)
    assert page_of(asker.ask(pull)).context not in ("", page.context)
    fault = faulted(asker.ask(pull))
    assert (fault.code, fault.value, fault.subcode) == (2150858779, "s:Receiver", "n:InvalidEnumerationContext")


def test_a_forgotten_enumeration_is_dropped(serve: Callable[..., Asker], faulted: FaultOf) -> None:
    asker = serve(stack=replace(WINRM_2, enumeration_timeout=WINRM_2.enumeration_timeout / 300))
    page = page_of(asker.ask(Enumerate(CIMV2, expression=SERVICES)))
    time.sleep(0.4)
    assert faulted(asker.ask(Pull(CIMV2, context=page.context))).code == 2150858779


@pytest.mark.parametrize("modern_host", [False, True])
def test_open_enumerations_count_until_released(
    serve: Callable[..., Asker], worlds: Callable[..., World], faulted: FaultOf, modern_host: bool
) -> None:
    stack = replace(WINRM_3 if modern_host else WINRM_2, max_operations=3)
    asker = serve(worlds(), stack=stack)
    enumerate_ = Enumerate(CIMV2, expression=SERVICES)
    contexts = [page_of(asker.ask(enumerate_)).context for _ in range(3)]
    fault = faulted(asker.ask(enumerate_))
    assert fault.over_quota
    assert fault.code == 2150859174
    if modern_host:
        assert (fault.value, fault.subcode, fault.cim_status) == ("s:Sender", "w:QuotaLimit", 27)
    else:
        assert (fault.value, fault.subcode, fault.wmi_error) == ("s:Receiver", "w:InternalError", None)
        assert "maximum number of 3 concurrent operations" in fault.message
    assert isinstance(asker.ask(Release(CIMV2, context=contexts[0])), Released)
    assert page_of(asker.ask(enumerate_)).items


def test_an_item_too_large_for_the_envelope(asker: Asker, faulted: FaultOf) -> None:
    asker.world.registry.create(asker.world.services["SMTPSVC"].key).set("Description", number=1, data="x" * 9000)
    alone = Enumerate(CIMV2, expression=f"{SERVICES} WHERE Name='SMTPSVC'")
    fault = faulted(asker.ask(alone, envelope=8192))
    assert (fault.subcode, fault.code) == ("w:EncodingLimit", 2150858825)


def test_an_answer_too_large_for_the_envelope(asker: Asker, faulted: FaultOf) -> None:
    asker.registry("SetStringValue", r"SOFTWARE\Vendor", sValueName="Huge", sValue="y" * 20_000)
    target = ResourceTarget(namespaces.wmi_uri("root/default", "StdRegProv"))
    get = Invoke(target, "GetStringValue", {"sSubKeyName": r"SOFTWARE\Vendor", "sValueName": "Huge"})
    assert faulted(asker.ask(get, envelope=9000)).code == 2150858824


@pytest.mark.parametrize("wql", ["SELECT * FROM Win32_Nope", "ASSOCIATORS OF {Win32_Nope.Name='x'}"])
def test_a_query_for_an_unknown_class(asker: Asker, wql: str) -> None:
    fault = asker.query_fault(wql)
    assert (fault.value, fault.subcode, fault.code) == ("s:Sender", "n:CannotProcessFilter", 2150858778)
    assert fault.provider is not None
    assert fault.provider.provider == "WMI Provider"
    assert fault.provider.message.strip() == "The specified class does not exist in the given namespace."
    status = fault.provider.extended_status
    assert status is not None
    assert status.properties.text("Operation") == "ExecQuery"
    assert status.properties.text("ParameterInfo") == wql


@pytest.mark.parametrize(
    "wql",
    [
        "SELECT",
        "SELECT Nope FROM Win32_Service",
        "SELECT * FROM Win32_Service WHERE Nope=1",
        "SELECT * FROM Win32_Service WHERE ProcessId='abc'",
        "SELECT * FROM CIM_DataFile",
        "SELECT * FROM CIM_DataFile WHERE FileSize > 1",
        "SELECT * FROM CIM_DataFile WHERE Drive='c:'",
        "SELECT * FROM CIM_DataFile WHERE Name LIKE 'c:%'",
        "SELECT * FROM CIM_LogicalFile WHERE NOT Name='c:\\\\x'",
        "SELECT OSArchitecture FROM Win32_OperatingSystem",
    ],
)
def test_a_query_that_cannot_be_processed(asker: Asker, wql: str) -> None:
    fault = asker.query_fault(wql)
    assert (fault.value, fault.subcode, fault.code) == ("s:Sender", "n:CannotProcessFilter", 2150858778)


def test_filters_and_resource_uris(asker: Asker, faulted: FaultOf) -> None:
    a_class = ResourceTarget(namespaces.wmi_uri("ROOT/CIMV2", "win32_service"))
    assert len(page_of(asker.ask(Enumerate(a_class))).items) == 4
    assert faulted(asker.ask(Enumerate(a_class, expression=SERVICES))).code == 2150859003
    assert faulted(asker.ask(Enumerate(CIMV2))).code == 2150859003
    assert faulted(asker.ask(Enumerate(CIMV2, expression="//x", dialect="urn:xpath"))).code == 2150858777
    assert faulted(asker.ask(Enumerate(CIMV2, expression=SERVICES, mode="EnumerateEPR"))).code == 2150858886
    assert (
        faulted(asker.ask(Enumerate(ResourceTarget(namespaces.wql_uri("root/nope")), expression=SERVICES))).code == 2150858752
    )
    assert faulted(asker.ask(Get(ResourceTarget("http://example.com/what")))).code == 2150858811


def test_get_one_instance(asker: Asker, faulted: FaultOf) -> None:
    assert asker.instance("win32_service", ("NAME", "smtpsvc")).properties.text("Name") == "SMTPSVC"
    assert asker.instance("Win32_OperatingSystem").properties.text("Version") == "5.2.3790"
    missing = faulted(asker.get("Win32_Service", ("Name", "nope")))
    assert (missing.code, missing.subcode) == (2150858752, "a:DestinationUnreachable")
    assert missing.detail.endswith("/InvalidResourceURI")
    assert missing.provider is not None
    assert missing.provider.extended_status is not None
    assert missing.provider.extended_status.properties.text("ParameterInfo") == 'Win32_Service.Name="nope"'
    assert faulted(asker.get("Win32_Nope", ("Name", "x"))).code == 2150858752
    assert faulted(asker.get("Win32_Service")).code == 2150859002
    assert faulted(asker.get("Win32_Service", ("Nope", "x"))).code == 2150858843
    assert faulted(asker.get("Win32_NTLogEvent", ("Logfile", "System"))).code == 2150858842


def test_a_method_call_on_what_is_not_there(asker: Asker, modern: Asker, faulted: FaultOf) -> None:
    for client, code in ((asker, 2150858752), (modern, 0x80041002)):
        target = ResourceTarget(namespaces.wmi_uri("root/cimv2", "Win32_Service"), (("Name", "nope"),))
        fault = faulted(client.ask(Invoke(target, "StartService")))
        assert fault.code == code
        assert fault.cim_status == (6 if client is modern else None)
        here = replace(target, selectors=(("Name", "SMTPSVC"),))
        assert faulted(client.ask(Invoke(here, "Explode"))).subcode == "a:ActionNotSupported"
        assert faulted(client.ask(Invoke(here, "ChangeStartMode", {"Mode": "Auto"}))).subcode == "w:InvalidParameter"
        registry = ResourceTarget(namespaces.wmi_uri("root/default", "StdRegProv"))
        assert faulted(client.ask(Invoke(registry, "EnumKey", {"hDefKey": "many"}))).subcode == "w:InvalidParameter"
        assert faulted(client.ask(Invoke(registry, "EnumKey", {"HDEFKEY": 1}))).subcode == "w:InvalidParameter"


@pytest.mark.parametrize(
    ("denial", "code"),
    [("winrm", 5), ("namespace:root/cimv2", 2150859012), ("class:Win32_Service", 2150859013)],
)
def test_rights_an_account_lacks_for_reading(
    serve: Callable[..., Asker], worlds: Callable[..., World], denial: str, code: int
) -> None:
    fault = serve(worlds(denies=(denial,))).query_fault(SERVICES)
    assert (fault.code, fault.access_denied) == (code, True)


def test_an_account_that_may_call_no_methods(
    serve: Callable[..., Asker], worlds: Callable[..., World], faulted: FaultOf
) -> None:
    asker = serve(worlds(denies=("invoke",)))
    assert len(asker.rows(SERVICES)) == 4
    target = ResourceTarget(namespaces.wmi_uri("root/default", "StdRegProv"))
    assert faulted(asker.ask(Invoke(target, "EnumKey", {"sSubKeyName": "SOFTWARE"}))).access_denied


ENVELOPE = (
    '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing" '
    'xmlns:w="http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd" xmlns:o="urn:other"><s:Header>{header}</s:Header><s:Body/>'
    "</s:Envelope>"
)
HEADERS = {
    "To": "<a:To>http://lab1:5985/wsman</a:To>",
    "ResourceURI": f"<w:ResourceURI>{namespaces.wmi_uri('root/cimv2', 'Win32_OperatingSystem')}</w:ResourceURI>",
    "ReplyTo": f"<a:ReplyTo><a:Address>{namespaces.ANONYMOUS}</a:Address></a:ReplyTo>",
    "Action": f"<a:Action>{namespaces.GET}</a:Action>",
    "MessageID": "<a:MessageID>uuid:odd but mine</a:MessageID>",
}


def send(asker: Asker, **changes: str) -> messages.Answer:
    header = "".join((HEADERS | changes).values())
    _, body = asker.post(ENVELOPE.format(header=header).encode())
    return messages.parse_answer(body)


def test_a_request_with_just_what_is_needed(asker: Asker) -> None:
    answer = send(asker)
    assert not isinstance(answer.body, Fault)
    assert answer.header.relates_to == "uuid:odd but mine"
    assert answer.header.action == namespaces.GET + "Response"


def test_a_single_property_by_fragment_transfer_is_refused(asker: Asker, faulted: FaultOf) -> None:
    fragment = '<w:FragmentTransfer s:mustUnderstand="true">Version</w:FragmentTransfer>'
    fault = faulted(send(asker, X=fragment).body)
    assert (fault.subcode, fault.code) == ("w:UnsupportedFeature", 2150858818)


@pytest.mark.parametrize(
    ("changes", "value", "subcode", "code"),
    [
        ({"MessageID": ""}, "s:Sender", "a:InvalidMessageInformationHeader", None),
        ({"ReplyTo": ""}, "s:Sender", "a:MessageInformationHeaderRequired", None),
        ({"Action": ""}, "s:Sender", "a:ActionNotSupported", None),
        ({"Action": "<a:Action>urn:what</a:Action>"}, "s:Sender", "a:ActionNotSupported", None),
        ({"ResourceURI": ""}, "s:Sender", "a:DestinationUnreachable", 2150858811),
        (
            {"X": "<w:OperationTimeout>PT-1S</w:OperationTimeout>"},
            "s:Sender",
            "a:InvalidMessageInformationHeader",
            2150858767,
        ),
        ({"X": "<w:MaxEnvelopeSize>10</w:MaxEnvelopeSize>"}, "s:Sender", "w:EncodingLimit", 2150858878),
        ({"X": '<o:Odd s:mustUnderstand="true"/>'}, "s:MustUnderstand", "", 2150858768),
    ],
)
def test_headers_that_are_refused(
    asker: Asker, faulted: FaultOf, changes: dict[str, str], value: str, subcode: str, code: int | None
) -> None:
    fault = faulted(send(asker, **changes).body)
    assert (fault.value, fault.subcode) == (value, subcode)
    if code is not None:
        assert fault.code == code


def test_the_machine_of_a_fault_is_the_host_it_was_sent_to(asker: Asker, faulted: FaultOf) -> None:
    operation = Get(ResourceTarget(namespaces.wmi_uri("root/cimv2", "Win32_Service"), (("Name", "nope"),)))
    header = RequestHeader(to="http://some-name:5985/wsman", message_id="uuid:1")
    _, body = asker.post(messages.build_request(operation, header=header))
    fault = faulted(messages.parse_answer(body).body)
    assert fault.machine == "some-name"
    assert fault.provider is not None
    assert fault.provider.machine == "LAB1"


def test_what_was_asked_is_remembered(asker: Asker) -> None:
    asker.rows("SELECT Name FROM Win32_Service WHERE Name='x'")
    asker.registry("GetStringValue", r"SOFTWARE\Vendor", sValueName="Text")
    asker.registry("SetDWORDValue", r"SOFTWARE\Vendor", sValueName="N", uValue=1)
    asker.invoke("Win32_Service", "StopService", ("Name", "IISADMIN"))
    enumerated, read, written, stopped = asker.host.log.records
    assert (enumerated.operation, enumerated.detail, enumerated.reads) == (
        "Enumerate",
        "SELECT Name FROM Win32_Service WHERE Name='x'",
        True,
    )
    assert (read.operation, read.method, read.reads) == ("Invoke", "GetStringValue", True)
    assert read.resource == namespaces.wmi_uri("root/default", "StdRegProv")
    assert (written.method, written.reads) == ("SetDWORDValue", False)
    assert (stopped.method, stopped.keys, stopped.reads) == ("StopService", (("Name", "IISADMIN"),), False)
    assert {record.account for record in asker.host.log.records} == {asker.user}


def test_a_changed_world_is_reported_to_be_kept(asker: Asker) -> None:
    changes: list[int] = []
    asker.host.on_change = lambda: changes.append(1)
    asker.rows(SERVICES)
    asker.registry("EnumKey", "SOFTWARE")
    assert changes == []
    asker.registry("CreateKey", r"SOFTWARE\New")
    asker.invoke("Win32_Service", "StopService", ("Name", "IISADMIN"))
    assert len(changes) == 2
