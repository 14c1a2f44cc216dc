"""Messages as hosts of each generation write them: their prefixes, order, blanks, nulls and faults, with names of our own.

They hold the parser and the writer against the world where recorded messages are not at hand. What is asserted is what a
caller relies on; a message marked as exact is also written by this end, byte for byte.
"""

from __future__ import annotations

import base64
import random
from datetime import UTC, datetime

import pytest

from converge.errors import RemoteProtocolError
from converge.wsman import faults, messages
from converge.wsman.cim import Instance, Properties
from converge.wsman.envelopes import RequestHeader, ResourceTarget
from converge.wsman.faults import Fault
from converge.wsman.messages import Request
from converge.wsman.namespaces import CMD_SHELL, wmi_uri, wql_uri
from converge.wsman.operations import Enumerate, Identity, Invoke, Page, Pull, ShellOutput
from converge.wsman.shells import Command, CommandStarted, Receive, Received, ShellCreated

SOAP = "http://www.w3.org/2003/05/soap-envelope"
ADDRESSING = "http://schemas.xmlsoap.org/ws/2004/08/addressing"
DMTF = "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd"
SHELL = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell"
WMI = "http://schemas.microsoft.com/wbem/wsman/1/wmi"
XSI = "http://www.w3.org/2001/XMLSchema-instance"
CIM = "http://schemas.dmtf.org/wbem/wscim/1/common"
FAULT = "http://schemas.microsoft.com/wbem/wsman/1/wsmanfault"
SPACES = {
    "s": SOAP, "a": ADDRESSING, "x": "http://schemas.xmlsoap.org/ws/2004/09/transfer",
    "e": "http://schemas.xmlsoap.org/ws/2004/08/eventing", "n": "http://schemas.xmlsoap.org/ws/2004/09/enumeration",
    "w": DMTF, "rsp": SHELL, "p": "http://schemas.microsoft.com/wbem/wsman/1/wsman.xsd",
}  # fmt: skip
OURS, THEIRS = "uuid:0B5A7C11-0000-4000-8000-00000000000A", "uuid:0B5A7C11-0000-4000-8000-00000000000B"
COMMAND = "C0FFEE00-1111-4222-8333-444455556666"


def told(action: str, body: str, *prefixes: str, before: str = "") -> str:
    """An answer on one line, as Windows writes it: declarations in their order, four elements of addressing."""
    spaces = "".join(f' xmlns:{prefix}="{SPACES[prefix]}"' for prefix in prefixes)
    return (
        f'<s:Envelope xml:lang="en-US"{spaces}><s:Header><a:Action>{action}</a:Action>'
        f"<a:MessageID>{THEIRS}</a:MessageID><a:To>{ADDRESSING}/role/anonymous</a:To>{before}"
        f"<a:RelatesTo>{OURS}</a:RelatesTo></s:Header><s:Body>{body}</s:Body></s:Envelope>"
    )


def instance(name: str, properties: str, space: str = "root/cimv2") -> str:
    return (
        f'<p:{name} xmlns:xsi="{XSI}" xmlns:p="{WMI}/{space}/{name}" xmlns:cim="{CIM}" xsi:type="p:{name}_Type">'
        f"{properties}</p:{name}>"
    )


SPOOLER = instance(
    "Win32_Service",
    "<p:AcceptStop>true</p:AcceptStop><p:Caption>Acme &amp; Søn</p:Caption><p:ExitCode>1067</p:ExitCode>"
    '<p:InstallDate xsi:nil="true"/><p:Name>AcmeSvc</p:Name><p:PathName>&quot;C:\\Program Files\\Acme\\a.exe&quot; -k x</p:PathName>'
    "<p:Started>false</p:Started>",
)
PAGE = told(
    "http://schemas.xmlsoap.org/ws/2004/09/enumeration/EnumerateResponse",
    "<n:EnumerateResponse><n:EnumerationContext>uuid:0B5A7C11-0000-4000-8000-00000000000C</n:EnumerationContext>"
    f"<w:Items>{SPOOLER}</w:Items></n:EnumerateResponse>",
    "s", "a", "n", "w",
)  # fmt: skip
LAST_PAGE = told(
    "http://schemas.xmlsoap.org/ws/2004/09/enumeration/PullResponse",
    f"<n:PullResponse><n:Items>{SPOOLER}{SPOOLER.replace('AcmeSvc', 'AcmeSvc2')}</n:Items><n:EndOfSequence/></n:PullResponse>",
    "s", "a", "n", "w",
)  # fmt: skip
STARTED = told(
    f"{SHELL}/CommandResponse",
    f"<rsp:CommandResponse><rsp:CommandId>{COMMAND}</rsp:CommandId></rsp:CommandResponse>",
    "s", "a", "x", "w", "rsp", "p",
)  # fmt: skip


def stream(name: str, data: bytes, *, end: bool = False) -> str:
    text = base64.b64encode(data).decode()
    return f'<rsp:Stream Name="{name}" CommandId="{COMMAND}"{" End=" + chr(34) + "true" + chr(34) if end else ""}>{text}</rsp:Stream>'


def received(streams: str, state: str, exit_code: str = "") -> str:
    return told(
        f"{SHELL}/ReceiveResponse",
        f'<rsp:ReceiveResponse>{streams}<rsp:CommandState CommandId="{COMMAND}" '
        f'State="{SHELL}/CommandState/{state}">{exit_code}</rsp:CommandState></rsp:ReceiveResponse>',
        "s", "a", "w", "rsp", "p",
    )  # fmt: skip


RUNNING = received(
    stream("stdout", b"first \x80\xff\r\n") + stream("stdout", b"second") + stream("stderr", b"odd"), "Running"
)
DONE = received(
    stream("stdout", b"", end=True) + stream("stderr", b"", end=True),
    "Done",
    "<rsp:ExitCode>-1073741819</rsp:ExitCode>",
)


def fault(
    subcode: str, reason: str, detail: str, *, sender: str = "s:Sender", action: str = f"{ADDRESSING}/fault"
) -> str:
    return told(
        action,
        f"<s:Fault><s:Code><s:Value>{sender}</s:Value><s:Subcode><s:Value>{subcode}</s:Value></s:Subcode></s:Code>"
        f'<s:Reason><s:Text xml:lang="en-US">{reason}</s:Text></s:Reason><s:Detail>{detail}</s:Detail></s:Fault>',
        "s", "a", "x", "e", "n", "w", "p",
    )  # fmt: skip


def plain_fault(code: int, text: str) -> str:
    return f'<f:WSManFault xmlns:f="{FAULT}" Code="{code}" Machine="box.example"><f:Message>{text}</f:Message></f:WSManFault>'


EXACT = [PAGE, LAST_PAGE, STARTED, RUNNING, DONE]


def body_of(text: str) -> messages.AnyAnswer:
    return messages.parse_answer(text.encode()).body


@pytest.mark.parametrize("text", EXACT)
def test_what_hosts_write_this_end_writes_too(text: str) -> None:
    read = messages.parse_answer(text.encode())
    header = RequestHeader(to="http://box.example:5985/wsman", message_id=OURS)
    target = ResourceTarget(wql_uri("root/cimv2"))
    shell = ResourceTarget(CMD_SHELL, (("ShellId", "S"),))
    operation: messages.AnyRequest = (
        Command(shell, "ver") if "rsp" in text else Enumerate(target, expression="SELECT * FROM x")
    )
    if "ReceiveResponse" in text:
        operation = Receive(shell, COMMAND)
    if "PullResponse" in text:
        operation = Pull(target, context="x")
    written = messages.build_answer(read.body, request=Request(operation, header), message_id=read.header.message_id)
    assert written.decode() == text


def test_a_page_has_its_instances_their_nulls_and_the_way_on() -> None:
    page = body_of(PAGE)
    assert isinstance(page, Page)
    assert (page.first, page.context) == (True, "uuid:0B5A7C11-0000-4000-8000-00000000000C")
    (service,) = page.items
    assert service.class_name == "Win32_Service"
    assert service.properties.text("caption") == "Acme & Søn"
    assert service.properties.text("PathName") == '"C:\\Program Files\\Acme\\a.exe" -k x'
    assert service.properties.integer("ExitCode") == 1067
    assert service.properties["InstallDate"] is None
    last = body_of(LAST_PAGE)
    assert isinstance(last, Page)
    assert (last.context, [item.properties.text("Name") for item in last.items]) == ("", ["AcmeSvc", "AcmeSvc2"])


def test_a_projection_is_a_fragment_without_a_class() -> None:
    fragment = f'<w:XmlFragment xmlns:xsi="{XSI}"><Name>AcmeSvc</Name><State xsi:nil="true"/></w:XmlFragment>'
    page = body_of(PAGE.replace(SPOOLER, fragment))
    assert isinstance(page, Page)
    assert page.items == (Instance(Properties({"Name": "AcmeSvc", "State": None})),)


def test_a_moment_stands_in_an_element_of_its_own() -> None:
    booted = instance(
        "Win32_OperatingSystem",
        f'<p:Boot><cim:Datetime xmlns:cim="{CIM}">2026-03-01T04:05:06.5+01:00</cim:Datetime></p:Boot>',
    )
    page = body_of(PAGE.replace(SPOOLER, booted))
    assert isinstance(page, Page)
    assert page.items[0].properties.datetime("Boot") == datetime(2026, 3, 1, 3, 5, 6, 500000, tzinfo=UTC)


@pytest.mark.parametrize("space", ["root/default", "ROOT/DEFAULT"])
def test_a_method_gives_repeated_elements_and_its_return_value_last(space: str) -> None:
    names = "".join(f"<p:sNames>{name}</p:sNames>" for name in ("Acme", "Contoso {1}", "Größe &lt;1&gt;"))
    uri = f"{WMI}/{space}/StdRegProv"
    text = told(
        f"{uri}/EnumKeyResponse",
        f'<p:EnumKey_OUTPUT xmlns:xsi="{XSI}" xmlns:p="{uri}" xmlns:cim="{CIM}">{names}'
        "<p:ReturnValue>0</p:ReturnValue></p:EnumKey_OUTPUT>",
        "s", "a", "x", "w", "p",
    )  # fmt: skip
    output = body_of(text)
    assert isinstance(output, ShellOutput)
    assert output.method == "EnumKey"
    assert output.properties.array("SNAMES") == ("Acme", "Contoso {1}", "Größe <1>")
    assert output.properties.integer("ReturnValue") == 0


def test_a_shell_of_the_first_generation_and_of_later_ones() -> None:
    def created(shell: str, more: str = "") -> str:
        return told(
            "http://schemas.xmlsoap.org/ws/2004/09/transfer/CreateResponse",
            f"<x:ResourceCreated><a:Address>{ADDRESSING}/role/anonymous</a:Address><a:ReferenceParameters>"
            f'<w:ResourceURI>{CMD_SHELL}</w:ResourceURI><w:SelectorSet><w:Selector Name="ShellId">{shell}</w:Selector>'
            f"</w:SelectorSet></a:ReferenceParameters></x:ResourceCreated>{more}",
            "s", "a", "x", "w", "rsp", "p",
        )  # fmt: skip

    first = body_of(created("uuid:0B5A7C11-0000-4000-8000-00000000000D"))
    details = (
        f'<rsp:Shell xmlns:rsp="{SHELL}"><rsp:ShellId>0B5A7C11</rsp:ShellId><rsp:Owner>ACME\\jo</rsp:Owner></rsp:Shell>'
    )
    later = body_of(created("0B5A7C11", details))
    assert isinstance(first, ShellCreated)
    assert isinstance(later, ShellCreated)
    assert first.shell_id == "uuid:0B5A7C11-0000-4000-8000-00000000000D"
    assert (later.shell_id, later.details["Owner"]) == ("0B5A7C11", "ACME\\jo")


def test_output_comes_in_parts_with_state_and_exit_code() -> None:
    started, running, done = body_of(STARTED), body_of(RUNNING), body_of(DONE)
    assert isinstance(started, CommandStarted)
    assert started.command_id == COMMAND
    assert isinstance(running, Received)
    assert [(part.name, part.data) for part in running.streams] == [
        ("stdout", b"first \x80\xff\r\n"), ("stdout", b"second"), ("stderr", b"odd"),
    ]  # fmt: skip
    assert (running.state, running.exit_code) == ("Running", None)
    assert isinstance(done, Received)
    assert [(part.name, part.data, part.end) for part in done.streams] == [("stdout", b"", True), ("stderr", b"", True)]
    assert done.state == "Done"
    assert done.exit_code in (-1073741819, 3221225477)


def test_a_provider_tells_more_within_a_fault() -> None:
    inner = (
        f'<f:ProviderFault provider="WMI Provider" path="C:\\Windows\\system32\\WsmWmiPl.dll">{plain_fault(2150858752, "gone")}'
        f'<f:ExtendedError><p:__ExtendedStatus xmlns:xsi="{XSI}" xmlns:p="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/__ExtendedStatus"'
        f' xmlns:cim="{CIM}" xsi:type="p:__ExtendedStatus_Type"><p:Description xsi:nil="true" xsi:type="cim:cimString"/>'
        '<p:Operation xsi:type="cim:cimString">GetObject</p:Operation></p:__ExtendedStatus></f:ExtendedError></f:ProviderFault>'
    )
    told_fault = body_of(fault("a:DestinationUnreachable", "not there", plain_fault(2150858752, inner)))
    assert isinstance(told_fault, Fault)
    assert (told_fault.code, told_fault.subcode) == (faults.RESOURCE_NOT_FOUND, "a:DestinationUnreachable")
    assert told_fault.provider is not None
    assert told_fault.provider.message == "gone"
    assert told_fault.provider.extended_status is not None
    assert told_fault.provider.extended_status.properties.text("Operation") == "GetObject"


def test_an_error_of_wmi_stands_beside_or_alone() -> None:
    space = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/MSFT_WmiError"
    error = (
        f'<p:MSFT_WmiError b:IsCIM_Error="true" xmlns:b="http://schemas.dmtf.org/wbem/wsman/1/cimbinding.xsd" xmlns:cim="{CIM}" '
        f'xmlns:p="{space}" xsi:type="p:MSFT_WmiError_Type" xmlns:xsi="{XSI}">'
        '<p:CIMStatusCode xsi:type="cim:cimUnsignedInt">27</p:CIMStatusCode>'
        '<p:ErrorSource xsi:nil="true" xsi:type="cim:cimString"/><p:Message xsi:type="cim:cimString">too many shells</p:Message>'
        '<p:MessageID xsi:type="cim:cimString">HRESULT 0x803381a5</p:MessageID>'
        '<p:error_Code xsi:type="cim:cimUnsignedInt">2150859173</p:error_Code></p:MSFT_WmiError>'
    )
    quota = body_of(
        fault("w:QuotaLimit", "too many shells", error, action="http://schemas.dmtf.org/wbem/wsman/1/wsman/fault")
    )
    assert isinstance(quota, Fault)
    assert (quota.code, quota.cim_status, quota.over_quota) == (faults.QUOTA_SHELLS, 27, True)


def test_blanks_of_a_host_that_indents_change_nothing() -> None:
    busy = fault("w:InternalError", "too many operations", plain_fault(2150859174, "too many"), sender="s:Receiver")
    for text in (busy, PAGE, STARTED, DONE):
        indented = text.replace("><", ">\n\t  <").replace('"', "'") if text is busy else text.replace("><", ">\n\t  <")
        assert type(body_of(indented)) is type(body_of(text))
    read = body_of(busy.replace("<s:Value>w:InternalError</s:Value>", "<s:Value>\n  w:InternalError\n</s:Value>"))
    assert isinstance(read, Fault)
    assert (read.code, read.subcode, read.over_quota) == (faults.QUOTA_OPERATIONS, "w:InternalError", True)


def test_what_was_not_understood_stands_in_the_header() -> None:
    reason = '<s:Reason><s:Text xml:lang="">no</s:Text></s:Reason>'
    body = f"<s:Fault><s:Code><s:Value>s:MustUnderstand</s:Value></s:Code>{reason}</s:Fault>"
    header = f'<s:NotUnderstood qname="wsman:Odd" xmlns:wsman="{DMTF}"/>'
    read = body_of(told(f"{ADDRESSING}/fault", body, "s", "a", "w", before=header))
    assert isinstance(read, Fault)
    assert (read.value, read.not_understood) == ("s:MustUnderstand", "wsman:Odd")


def test_other_prefixes_mean_the_same() -> None:
    odd = PAGE
    for prefix, other in (("s", "SOAP-ENV"), ("n", "wsen"), ("a", "wsa"), ("p", "acme_1")):
        odd = odd.replace(f"<{prefix}:", f"<{other}:").replace(f"</{prefix}:", f"</{other}:")
        odd = odd.replace(f"xmlns:{prefix}=", f"xmlns:{other}=").replace(f'"{prefix}:', f'"{other}:')
    assert body_of(odd) == body_of(PAGE)


def test_who_a_host_is_without_a_login() -> None:
    space = "http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd"
    text = (
        f'<s:Envelope xml:lang="en-US" xmlns:s="{SOAP}"><s:Header/><s:Body><wsmid:IdentifyResponse xmlns:wsmid="{space}">'
        f"<wsmid:ProtocolVersion>{DMTF}</wsmid:ProtocolVersion><wsmid:ProductVendor>Microsoft Corporation</wsmid:ProductVendor>"
        "<wsmid:ProductVersion>OS: 0.0.0 SP: 0.0 Stack: 2.0</wsmid:ProductVersion></wsmid:IdentifyResponse></s:Body></s:Envelope>"
    )
    identified = body_of(text)
    assert isinstance(identified, Identity)
    assert identified.product_version.endswith("Stack: 2.0")


def test_a_request_of_another_client_is_read() -> None:
    uri = wmi_uri("root/cimv2", "Win32_Service")
    text = (
        f'<env:Envelope xmlns:env="{SOAP}" xmlns:wsa="{ADDRESSING}" xmlns:wsman="{DMTF}"><env:Header>'
        f'<wsa:To env:mustUnderstand="true">http://box.example:5985/wsman</wsa:To><wsman:ResourceURI>{uri}</wsman:ResourceURI>'
        f"<wsa:ReplyTo><wsa:Address>{ADDRESSING}/role/anonymous</wsa:Address></wsa:ReplyTo><wsa:Action>{uri}/StartService</wsa:Action>"
        f"<wsa:MessageID>{OURS}</wsa:MessageID>"
        '<wsman:SelectorSet><wsman:Selector Name="Name">AcmeSvc</wsman:Selector></wsman:SelectorSet>'
        "<wsman:OperationTimeout>PT60S</wsman:OperationTimeout></env:Header><env:Body>"
        f'<StartService_INPUT xmlns="{uri}"/></env:Body></env:Envelope>'
    )
    request = messages.parse_request(text.encode())
    assert isinstance(request.operation, Invoke)
    assert request.operation.method == "StartService"
    assert request.operation.target.selectors == (("Name", "AcmeSvc"),)


def test_mangled_messages_are_read_or_refused_and_nothing_else() -> None:
    source = random.Random(7)
    for _ in range(1500):
        data = bytearray(source.choice(EXACT).encode())
        for _ in range(source.randint(1, 4)):
            at = source.randrange(len(data))
            match source.randrange(4):
                case 0:
                    del data[at:]
                    data += b" "
                case 1:
                    data[at] = source.randrange(256)
                case 2:
                    data[at:at] = data[: source.randrange(1, 200)]
                case _:
                    data[at:at] = source.choice([b"<", b"&x;", b"]]>", b"<a>", b'xsi:nil="true"', b"<!DOCTYPE x>"])
        for parse in (messages.parse_answer, messages.parse_request):
            try:
                parse(bytes(data))
            except RemoteProtocolError:
                continue
