"""WS-Management messages as a Windows host reads and writes them: requests in, answers and faults out."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from xml.etree import ElementTree
from xml.sax.saxutils import escape, quoteattr

SOAP = "http://www.w3.org/2003/05/soap-envelope"
ADDRESSING = "http://schemas.xmlsoap.org/ws/2004/08/addressing"
WSMAN = "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd"
MICROSOFT = "http://schemas.microsoft.com/wbem/wsman/1/wsman.xsd"
ENUMERATION = "http://schemas.xmlsoap.org/ws/2004/09/enumeration"
TRANSFER = "http://schemas.xmlsoap.org/ws/2004/09/transfer"
SHELL = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell"
IDENTITY = "http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd"
WMI = "http://schemas.microsoft.com/wbem/wsman/1/wmi/"
WQL = "http://schemas.microsoft.com/wbem/wsman/1/WQL"
ANONYMOUS = f"{ADDRESSING}/role/anonymous"
FAULT_DETAIL = "http://schemas.dmtf.org/wbem/wsman/1/wsman/faultDetail"
XSI = "http://www.w3.org/2001/XMLSchema-instance"
CIM = "http://schemas.dmtf.org/wbem/wscim/1/common"
XML = "http://www.w3.org/XML/1998/namespace"
_PREFIXES = {
    "s": SOAP,
    "a": ADDRESSING,
    "x": TRANSFER,
    "e": "http://schemas.xmlsoap.org/ws/2004/08/eventing",
    "n": ENUMERATION,
    "w": WSMAN,
    "rsp": SHELL,
    "p": MICROSOFT,
}
_KNOWN_HEADERS = {
    ADDRESSING: {"To", "ReplyTo", "FaultTo", "Action", "MessageID", "From", "RelatesTo"},
    WSMAN: {"ResourceURI", "SelectorSet", "OptionSet", "OperationTimeout", "MaxEnvelopeSize", "Locale"},
    MICROSOFT: {"DataLocale", "SessionId", "ActivityId"},
}
MAX_ENVELOPE = 512_000

Element = ElementTree.Element


@dataclass(frozen=True)
class Reference:
    """A pointer to an instance: its class and its one key."""

    class_name: str
    key: str
    value: str


CimValue = None | bool | int | str | datetime | Reference | Sequence[int] | Sequence[str]
Row = Mapping[str, CimValue]


class Fault(Exception):
    """What a host answers instead: its SOAP code and subcode, the number Windows knows it by, and words."""

    def __init__(
        self,
        subcode: str,
        number: int,
        words: str,
        *,
        code: str = "s:Sender",
        detail: str = "",
        asked: tuple[str, str] | None = None,
        not_understood: str = "",
    ) -> None:
        super().__init__(f"{subcode or code} {number}: {words}")
        self.code, self.subcode, self.number, self.words = code, subcode, number, words
        self.detail, self.asked, self.not_understood = detail, asked, not_understood


class MissingInstance(Fault):
    """A method of an instance that is not there: newer hosts answer it in the form of MSFT_WmiError."""

    def __init__(self) -> None:
        super().__init__("w:InternalError", 2150858752, "Not found ", code="s:Receiver")


@dataclass(frozen=True)
class Request:
    """A request whose header a host accepts."""

    action: str
    uri: str
    message_id: str
    to: str
    body: Element | None
    selectors: Mapping[str, str | Element]
    options: Mapping[str, str]
    seconds: float
    envelope_size: int


def local(element: Element) -> str:
    """An element's name without its namespace."""
    return element.tag.rpartition("}")[2]


def child(element: Element | None, uri: str, name: str) -> Element | None:
    """A child by its full name."""
    return None if element is None else element.find(f"{{{uri}}}{name}")


def text(element: Element | None) -> str:
    """An element's text; a missing one's is empty."""
    return "" if element is None else element.text or ""


def parse(data: bytes) -> tuple[Element, Element | None]:
    """The header and the first element of the body. Raises ValueError for what is no envelope."""
    if b"<!DOCTYPE" in data:
        raise ValueError("a document type")
    root = ElementTree.fromstring(data)
    header, body = child(root, SOAP, "Header"), child(root, SOAP, "Body")
    if root.tag != f"{{{SOAP}}}Envelope" or header is None or body is None:
        raise ValueError("no envelope")
    return header, next(iter(body), None)


def request(header: Element, body: Element | None) -> Request:
    """A request, checked as [MS-WSMV] 3.1.4.1 has it. Raises Fault."""
    message_id = text(child(header, ADDRESSING, "MessageID"))
    _check(header, message_id)
    selectors = child(header, WSMAN, "SelectorSet")
    options = child(header, WSMAN, "OptionSet")
    size = text(child(header, WSMAN, "MaxEnvelopeSize"))
    return Request(
        action=text(child(header, ADDRESSING, "Action")),
        uri=text(child(header, WSMAN, "ResourceURI")),
        message_id=message_id,
        to=text(child(header, ADDRESSING, "To")),
        body=body,
        selectors={
            item.get("Name", "").lower(): next(iter(item), None) if len(item) else item.text or ""  # type: ignore[misc]  # an item with children has a first
            for item in (() if selectors is None else selectors)
        },
        options={item.get("Name", ""): item.text or "" for item in (() if options is None else options)},
        seconds=_seconds(text(child(header, WSMAN, "OperationTimeout"))),
        envelope_size=min(int(size or MAX_ENVELOPE), MAX_ENVELOPE),
    )


def _check(header: Element, message_id: str) -> None:
    invalid = "The WS-Management service cannot process the request because it contains an invalid or missing header. "
    if not message_id or len(message_id) > 2048:
        raise Fault("a:InvalidMessageInformationHeader", 2150858767, invalid)
    reply_to = child(child(header, ADDRESSING, "ReplyTo"), ADDRESSING, "Address")
    if reply_to is None:
        raise Fault("a:MessageInformationHeaderRequired", 2150858767, invalid)
    if text(reply_to) != ANONYMOUS:
        unsupported = "The WS-Management service does not support the requested address mode. "
        raise Fault("w:UnsupportedFeature", 2150858765, unsupported, detail=f"{FAULT_DETAIL}/AddressingMode")
    size = text(child(header, WSMAN, "MaxEnvelopeSize"))
    if size and (not size.isdigit() or int(size) < 8192):
        raise Fault("w:EncodingLimit", 2150858878, "The MaxEnvelopeSize is too small. ")
    for item in header:
        namespace = item.tag[1:].partition("}")[0]
        must = item.get(f"{{{SOAP}}}mustUnderstand") in ("true", "1")
        if must and local(item) not in _KNOWN_HEADERS.get(namespace, ()):
            raise Fault(
                "", 2150858768, "A header is not understood. ", code="s:MustUnderstand", not_understood=local(item)
            )


def _seconds(duration: str) -> float:
    """An OperationTimeout; a host's own longest time where there is none. Raises Fault."""
    if not duration:
        return 60.0
    if not duration.startswith("PT") or not duration.endswith("S"):
        raise Fault("a:InvalidMessageInformationHeader", 2150858767, "The duration is not valid. ")
    return min(max(float(duration[2:-1]), 0.5), 60.0)


def envelope(action: str, body: str, *, relates_to: str, prefixes: str, extra: str = "") -> bytes:
    """An answer; `prefixes` are those a host of Windows declares for its kind, in its order."""
    declared = "".join(f' xmlns:{prefix}="{_PREFIXES[prefix]}"' for prefix in prefixes.split())
    relates = f"<a:RelatesTo>{escape(relates_to)}</a:RelatesTo>" if relates_to else ""
    header = (
        f"<a:Action>{action}</a:Action><a:MessageID>uuid:{str(uuid.uuid4()).upper()}</a:MessageID>"
        f"<a:To>{ANONYMOUS}</a:To>{relates}{extra}"
    )
    return (
        f'<s:Envelope xml:lang="en-US"{declared}><s:Header>{header}</s:Header><s:Body>{body}</s:Body></s:Envelope>'
    ).encode("utf-8", "replace")


def fault_envelope(fault: Fault, *, relates_to: str, machine: str) -> bytes:
    """A fault in the form that real hosts send."""
    subcode = f"<s:Subcode><s:Value>{fault.subcode}</s:Value></s:Subcode>" if fault.subcode else ""
    detail = f"<w:FaultDetail>{fault.detail}</w:FaultDetail>" if fault.detail else ""
    words = escape(fault.words)
    if isinstance(fault, MissingInstance):
        inner, relates_to = _wmi_error(words), ""
    else:
        message = _provider_fault(fault, machine) if fault.asked else words
        inner = (
            '<f:WSManFault xmlns:f="http://schemas.microsoft.com/wbem/wsman/1/wsmanfault"'
            f' Code="{fault.number}" Machine={quoteattr(machine)}><f:Message>{message}</f:Message></f:WSManFault>'
        )
    body = (
        f"<s:Fault><s:Code><s:Value>{fault.code}</s:Value>{subcode}</s:Code>"
        f'<s:Reason><s:Text xml:lang="en-US">{words}</s:Text></s:Reason><s:Detail>{detail}{inner}</s:Detail></s:Fault>'
    )
    extra = f'<s:NotUnderstood qname="{fault.not_understood}"/>' if fault.not_understood else ""
    space = {"a": ADDRESSING, "n": ENUMERATION}.get(fault.subcode.partition(":")[0], "")
    space = ADDRESSING if fault.code == "s:MustUnderstand" else space or "http://schemas.dmtf.org/wbem/wsman/1/wsman"
    return envelope(f"{space}/fault", body, relates_to=relates_to, prefixes="s a x e n w p", extra=extra)


def _provider_fault(fault: Fault, machine: str) -> str:
    operation, parameter = fault.asked or ("", "")
    return (
        '<f:ProviderFault provider="WMI Provider" path="%systemroot%\\system32\\WsmWmiPl.dll">'
        f'<f:WSManFault xmlns:f="http://schemas.microsoft.com/wbem/wsman/1/wsmanfault" Code="{fault.number}"'
        f" Machine={quoteattr(machine)}><f:Message>{escape(fault.words)}</f:Message></f:WSManFault>"
        f'<f:ExtendedError><p:__ExtendedStatus xmlns:xsi="{XSI}" xmlns:p="{WMI}root/cimv2/__ExtendedStatus"'
        f' xmlns:cim="{CIM}" xsi:type="p:__ExtendedStatus_Type"><p:Description xsi:nil="true"/>'
        f"<p:Operation>{operation}</p:Operation><p:ParameterInfo>{escape(parameter)}</p:ParameterInfo>"
        '<p:ProviderName>WinMgmt</p:ProviderName><p:StatusCode xsi:nil="true"/></p:__ExtendedStatus></f:ExtendedError>'
        "</f:ProviderFault>"
    )


def _wmi_error(words: str) -> str:
    space = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/MSFT_WmiError"
    return (
        f'<p:MSFT_WmiError b:IsCIM_Error="true" xmlns:p="{space}" xmlns:xsi="{XSI}" xmlns:cim="{CIM}"'
        ' xmlns:b="http://schemas.dmtf.org/wbem/wsman/1/cimbinding.xsd" xsi:type="p:MSFT_WmiError_Type">'
        '<p:CIMStatusCode xsi:type="cim:cimUnsignedInt">6</p:CIMStatusCode>'
        f'<p:Message xsi:type="cim:cimString">{words}</p:Message>'
        '<p:MessageID xsi:type="cim:cimString">HRESULT 0x80041002</p:MessageID>'
        '<p:error_Category xsi:type="cim:cimUnsignedInt">6</p:error_Category>'
        '<p:error_Code xsi:type="cim:cimUnsignedInt">2147749890</p:error_Code>'
        '<p:error_Type xsi:type="cim:cimString">HRESULT</p:error_Type></p:MSFT_WmiError>'
    )


def whole(class_name: str, namespace: str, row: Row) -> str:
    """An instance as Get and `SELECT *` show it: every property, in the order of the alphabet."""
    return (
        f'<p:{class_name} xmlns:xsi="{XSI}" xmlns:p="{WMI}{namespace}/{class_name}" xmlns:cim="{CIM}"'
        f' xsi:type="p:{class_name}_Type">{_properties(sorted(row.items(), key=_by_name), prefix="p:")}</p:{class_name}>'
    )


def projection(row: Row) -> str:
    """The columns of a row, as `SELECT a,b` shows them: without namespaces."""
    inside = _properties(sorted(row.items(), key=_by_name), prefix="")
    return f'<w:XmlFragment xmlns:xsi="{XSI}" xmlns:w="{WSMAN}">{inside}</w:XmlFragment>'


def output(uri: str, method: str, row: Row) -> str:
    """What a method returned, in the order of declaration."""
    inside = _properties(row.items(), prefix="p:")
    return f'<p:{method}_OUTPUT xmlns:xsi="{XSI}" xmlns:p="{uri}" xmlns:cim="{CIM}">{inside}</p:{method}_OUTPUT>'


def _by_name(item: tuple[str, CimValue]) -> str:
    return item[0].lower()


def _properties(items: Iterable[tuple[str, CimValue]], *, prefix: str) -> str:
    return "".join(_property(name, value, prefix) for name, value in items)


def _property(name: str, value: CimValue, prefix: str) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        # A null array and an empty one are both left out.
        return "".join(_property(name, item, prefix) for item in value)
    if value is None:
        return f'<{prefix}{name} xsi:nil="true"/>'
    return f"<{prefix}{name}>{_shown(value, prefix)}</{prefix}{name}>"


def _shown(value: bool | int | str | datetime | Reference, prefix: str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        tag = "cim:Datetime" if prefix else "Datetime"
        moment = value.astimezone(UTC)
        fraction = f".{moment.microsecond:06d}".rstrip("0").rstrip(".")
        return f"<{tag}>{moment:%Y-%m-%dT%H:%M:%S}{fraction}Z</{tag}>"
    if isinstance(value, Reference):
        return (
            f'<a:Address xmlns:a="{ADDRESSING}">{ANONYMOUS}</a:Address>'
            f'<a:ReferenceParameters xmlns:a="{ADDRESSING}"><w:ResourceURI xmlns:w="{WSMAN}">'
            f'{WMI}root/cimv2/{value.class_name}</w:ResourceURI><w:SelectorSet xmlns:w="{WSMAN}">'
            f'<w:Selector Name="{value.key}">{escape(value.value)}</w:Selector></w:SelectorSet></a:ReferenceParameters>'
        )
    return _clean(str(value))


def _clean(characters: str) -> str:
    """Text as hosts send it: control characters become question marks ([MS-WSMV] 3.1.4.1.25)."""
    shown = "".join("?" if ord(item) < 32 and item not in "\t\n\r" else item for item in characters)
    return escape(shown, {'"': "&quot;", "'": "&apos;", "\r": "&#13;"})
