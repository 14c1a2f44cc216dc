"""Faults: what a host answers when it will not, as values and as XML. Decide by code and subcode, texts are localised."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from converge.errors import RemoteProtocolError
from converge.wsman import cim, xml
from converge.wsman.namespaces import (
    ADDRESSING_FAULT_ACTION,
    ENUMERATION_FAULT_ACTION,
    MS_FAULT,
    PREFIXES,
    SOAP,
    WSMAN,
    WSMAN_FAULT_ACTION,
)
from converge.wsman.xml import Element, Markup, element

# Codes of ERROR_WSMAN_* (wsmerror.h) and Win32 that decide what to do next.
ACCESS_DENIED: Final = 5
INVALID_PARAMETER: Final = 87
FILE_NOT_FOUND: Final = 2147942402
ACCESS_DENIED_IN_PLUGIN: Final = 2147942405
RESOURCE_NOT_FOUND: Final = 2150858752
INVALID_HEADER: Final = 2150858767
NOT_UNDERSTOOD: Final = 2150858768
INVALID_FILTER: Final = 2150858778
INVALID_ENUMERATION_CONTEXT: Final = 2150858779
TIMED_OUT: Final = 2150858793
INVALID_RESOURCE_URI: Final = 2150858811
SCHEMA_VALIDATION: Final = 2150858817
ENVELOPE_TOO_SMALL: Final = 2150858824
ENVELOPE_TOO_SMALL_FOR_ITEM: Final = 2150858825
TOO_FEW_SELECTORS: Final = 2150858842
UNEXPECTED_SELECTORS: Final = 2150858843
MAX_ENVELOPE_TOO_SMALL: Final = 2150858878
UNSUPPORTED_LOCALE: Final = 2150858887
KEYS_REQUIRED: Final = 2150859002
WQL_WANTS_STAR: Final = 2150859003
WMI_ERROR: Final = 2150859010
WMI_NAMESPACE_ACCESS_DENIED: Final = 2150859012
WMI_PROVIDER_ACCESS_DENIED: Final = 2150859013
WMI_CONNECT_ACCESS_DENIED: Final = 2150859014
QUOTA_SHELLS: Final = 2150859173
QUOTA_OPERATIONS: Final = 2150859174
QUOTA_USER: Final = 2150859175
QUOTA_SYSTEM: Final = 2150859176
PULL_CHANGED: Final = 2150859181
QUOTA_PLUGIN: Final = range(2150859236, 2150859243)

ACCESS_DENIED_CODES: Final = frozenset(
    {
        ACCESS_DENIED,
        ACCESS_DENIED_IN_PLUGIN,
        WMI_NAMESPACE_ACCESS_DENIED,
        WMI_PROVIDER_ACCESS_DENIED,
        WMI_CONNECT_ACCESS_DENIED,
    }
)
QUOTA_CODES: Final = frozenset({QUOTA_SHELLS, QUOTA_OPERATIONS, QUOTA_USER, QUOTA_SYSTEM, *QUOTA_PLUGIN})

# CIMStatusCode of an MSFT_WmiError.
CIM_ACCESS_DENIED: Final = 2
CIM_INVALID_NAMESPACE: Final = 3
CIM_INVALID_CLASS: Final = 5
CIM_NOT_FOUND: Final = 6
CIM_SERVER_LIMITS_EXCEEDED: Final = 27

_PREFIX_BY_NAMESPACE: Final = {uri: prefix for prefix, uri in PREFIXES.items()}


@dataclass(frozen=True, slots=True)
class ProviderFault:
    """What the provider behind the service said: its own code and text, and WMI's extended status if it sent one.

    Providers of shells say a text without a code (None).
    """

    provider: str
    path: str
    code: int | None
    message: str
    machine: str = ""
    extended_status: cim.Instance | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """A SOAP fault. `value` and `subcode` are qualified names under the usual prefixes (`s:Sender`, `w:TimedOut`)."""

    value: str
    subcode: str
    code: int | None = None
    reason: str = ""
    message: str = ""
    detail: str = ""
    machine: str = ""
    provider: ProviderFault | None = None
    wmi_error: cim.Instance | None = None
    not_understood: str = ""

    @property
    def action(self) -> str:
        """The addressing action under which hosts send it."""
        if self.subcode.startswith("a:") or self.value == "s:MustUnderstand":
            return ADDRESSING_FAULT_ACTION
        return ENUMERATION_FAULT_ACTION if self.subcode.startswith("n:") else WSMAN_FAULT_ACTION

    @property
    def text(self) -> str:
        """The most telling of its texts: the provider's, else the service's own."""
        texts = [self.provider.message if self.provider else "", self.message, self.reason]
        return next((" ".join(text.split()) for text in texts if text.strip()), self.subcode or self.value)

    @property
    def cim_status(self) -> int | None:
        """The CIMStatusCode of an MSFT_WmiError."""
        return self.wmi_error.properties.integer("CIMStatusCode") if self.wmi_error else None

    @property
    def access_denied(self) -> bool:
        """Whether the account lacks a right, rather than the request a sense."""
        codes = {self.code, self.provider.code if self.provider else None}
        return (
            bool(codes & ACCESS_DENIED_CODES)
            or self.subcode == "w:AccessDenied"
            or self.cim_status == CIM_ACCESS_DENIED
        )

    @property
    def over_quota(self) -> bool:
        """Whether the host asks for patience: too many operations, shells or too much load."""
        return (
            self.code in QUOTA_CODES or self.subcode == "w:QuotaLimit" or self.cim_status == CIM_SERVER_LIMITS_EXCEEDED
        )


class RefusedRequest(RemoteProtocolError):
    """A request that a host answers with a fault before it looks at its sense; `message_id` is what to relate it to."""

    def __init__(self, fault: Fault, *, message_id: str = "") -> None:
        super().__init__(f"a request refused with {fault.subcode or fault.value}", why=fault.text)
        self.fault = fault
        self.message_id = message_id


def fault_body(fault: Fault) -> Markup:
    """The s:Fault element as hosts write it ([MS-WSMV] 2.2.4.43)."""
    subcode = [element("s:Subcode", element("s:Value", fault.subcode))] if fault.subcode else []
    code = element("s:Code", element("s:Value", fault.value), *subcode)
    reason = element("s:Reason", element("s:Text", xml.shown(fault.reason), attributes={"xml:lang": "en-US"}))
    details = [element("w:FaultDetail", fault.detail)] if fault.detail else []
    if fault.wmi_error:
        details.append(_wmi_error_element(fault.wmi_error))
    elif fault.code is not None:
        details.append(_wsman_fault(fault))
    return element("s:Fault", code, reason, *([element("s:Detail", *details)] if details else []))


def _wsman_fault(fault: Fault) -> Markup:
    content = _provider_element(fault.provider) if fault.provider else xml.shown(fault.message or fault.reason)
    attributes = _code_attributes(code=fault.code or 0, machine=fault.machine)
    return element("f:WSManFault", element("f:Message", content), attributes=attributes)


def _provider_element(provider: ProviderFault) -> Markup:
    attributes = {"provider": provider.provider, "path": provider.path}
    if provider.code is None:
        return element("f:ProviderFault", xml.shown(provider.message), attributes=attributes)
    message = element("f:Message", xml.shown(provider.message))
    own = element("f:WSManFault", message, attributes=_code_attributes(code=provider.code, machine=provider.machine))
    extended = provider.extended_status
    more = [element("f:ExtendedError", cim.instance_element(cim.shown_instance(extended)))] if extended else []
    return element("f:ProviderFault", own, *more, attributes=attributes)


def _code_attributes(*, code: int, machine: str) -> dict[str, str]:
    return {"xmlns:f": MS_FAULT, "Code": str(code), "Machine": machine}


def _wmi_error_element(error: cim.Instance) -> Markup:
    text = cim.instance_element(cim.shown_instance(error))
    marked = f'b:IsCIM_Error="true" xmlns:b="{PREFIXES["b"]}" xmlns:xsi='
    return Markup(text.replace("xmlns:xsi=", marked, 1))


def parse_fault(node: Element) -> Fault:
    """The fault an s:Fault element holds, however much of it is missing."""
    code = xml.child(node, SOAP, "Code")
    value = xml.child(code, SOAP, "Value")
    subcode = xml.child(code, SOAP, "Subcode", "Value")
    detail = xml.child(node, SOAP, "Detail")
    wsman_fault = xml.child(detail, MS_FAULT, "WSManFault")
    message = xml.child(wsman_fault, MS_FAULT, "Message")
    wmi_error = _wmi_error(detail)
    return Fault(
        value=_qualified(value),
        subcode=_qualified(subcode),
        code=_fault_code(wsman_fault) if wmi_error is None else wmi_error.properties.integer("error_Code"),
        reason=_text(xml.child(node, SOAP, "Reason", "Text")),
        message=_text(message) if wmi_error is None else wmi_error.properties.text("Message") or "",
        detail=xml.value(xml.child(detail, WSMAN, "FaultDetail")),
        machine=(wsman_fault.get("Machine") or "") if wsman_fault is not None else "",
        provider=_provider_fault(xml.child(message, MS_FAULT, "ProviderFault")),
        wmi_error=wmi_error,
    )


def _text(node: Element | None) -> str:
    return (node.text or "") if node is not None else ""


def _qualified(node: Element | None) -> str:
    """A qualified name in text, under the usual prefix of its namespace; as it stands where the prefix is unknown."""
    text = xml.value(node)
    prefix, colon, name = text.partition(":")
    if node is None or not colon:
        return text
    usual = _PREFIX_BY_NAMESPACE.get(node.nsmap.get(prefix, ""))
    return f"{usual}:{name}" if usual else text


def _fault_code(node: Element | None) -> int | None:
    return xml.integer(node.get("Code") or "") if node is not None else None


def _provider_fault(node: Element | None) -> ProviderFault | None:
    if node is None:
        return None
    own = xml.child(node, MS_FAULT, "WSManFault")
    extended = xml.child(node, MS_FAULT, "ExtendedError")
    return ProviderFault(
        provider=node.get("provider") or "",
        path=node.get("path") or "",
        code=_fault_code(own),
        message=_text(node if own is None else xml.child(own, MS_FAULT, "Message")),
        machine=(own.get("Machine") or "") if own is not None else "",
        extended_status=cim.parse_instance(extended[0]) if extended is not None and len(extended) else None,
    )


def _wmi_error(detail: Element | None) -> cim.Instance | None:
    """The MSFT_WmiError of newer hosts. Its namespace is that of the namespace asked: only the local name is sure."""
    for node in detail if detail is not None else ():
        if xml.local_name(node) == "MSFT_WmiError":
            return cim.parse_instance(node)
    return None
