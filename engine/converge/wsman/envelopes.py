"""SOAP envelopes and their headers, of requests and of answers, both ways."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Final

from converge.errors import RemoteProtocolError
from converge.wsman import cim, faults, xml
from converge.wsman.cim import Selector
from converge.wsman.faults import Fault, RefusedRequest
from converge.wsman.namespaces import ADDRESSING, ANONYMOUS, FAULT_DETAIL, MS_WSMAN, SOAP, WSMAN, XML
from converge.wsman.xml import Element, Markup, element

DEFAULT_MAX_ENVELOPE_SIZE: Final = 153600
SMALLEST_MAX_ENVELOPE_SIZE: Final = 8192
MAX_MESSAGE_ID: Final = 2048

_ADDRESSING_HEADERS: Final = frozenset({"To", "ReplyTo", "FaultTo", "Action", "MessageID", "RelatesTo", "From"})
_WSMAN_HEADERS: Final = frozenset(
    {
        "ResourceURI",
        "SelectorSet",
        "OptionSet",
        "OperationTimeout",
        "MaxEnvelopeSize",
        "Locale",
        "FragmentTransfer",
        "RequestEPR",
        "RequestTotalItemsCountEstimate",
    }
)
_MS_HEADERS: Final = frozenset({"DataLocale", "SessionId", "OperationID", "SequenceId", "ActivityId", "FreePacket"})


@dataclass(frozen=True, slots=True)
class Option:
    """One named option of a request; `kind` is its XML type (`xs:int`), which hosts before 2012 do not read."""

    name: str
    value: str
    kind: str = ""
    must_comply: bool = False


@dataclass(frozen=True, slots=True)
class ResourceTarget:
    """What a request is about: the resource, the keys of the instance, and options for whoever serves it."""

    resource_uri: str
    selectors: tuple[tuple[str, Selector], ...] = ()
    options: tuple[Option, ...] = ()


@dataclass(frozen=True, slots=True)
class RequestHeader:
    """What every request says besides its target and action. None: the sender left it to the host's default.

    `to` is the endpoint's address, which hosts do not compare. `max_envelope_size` is in bytes.
    """

    to: str
    message_id: str
    max_envelope_size: int | None = DEFAULT_MAX_ENVELOPE_SIZE
    operation_timeout: timedelta | None = timedelta(seconds=60)
    locale: str = "en-US"
    session_id: str = ""
    fragment: str = ""


@dataclass(frozen=True, slots=True)
class ResponseHeader:
    """What every answer says of itself. An MSFT_WmiError relates to nothing."""

    action: str
    message_id: str
    relates_to: str = ""
    activity_id: str = ""
    to: str = ANONYMOUS


def new_message_id() -> str:
    """A message's name, in the form hosts use themselves."""
    return f"uuid:{uuid.uuid4()}".upper().replace("UUID:", "uuid:")


def _must(value: bool = True) -> dict[str, str]:
    return {"s:mustUnderstand": "true" if value else "false"}


def request_bytes(
    action: str, target: ResourceTarget, *, header: RequestHeader, body: Markup, prefixes: Iterable[str] = ()
) -> bytes:
    """A whole request. Raises LocalProtocolError for text that XML cannot carry."""
    parts = [
        element("a:To", header.to),
        _about(action, target.resource_uri, header.max_envelope_size),
        element("a:MessageID", header.message_id),
        _wishes(header.locale, header.session_id, header.operation_timeout),
    ]
    if target.selectors:
        parts.append(cim.selector_set(target.selectors))
    if target.options:
        parts.append(_option_set(target.options))
    return _envelope(["s", "a", "w", "p", *prefixes], header=xml.join(parts), body=body)


@lru_cache(maxsize=256)  # the same for every host
def _about(action: str, resource_uri: str, size: int | None) -> Markup:
    reply_to = element("a:Address", ANONYMOUS, attributes=_must())
    parts = [
        element("w:ResourceURI", resource_uri, attributes=_must()),
        element("a:ReplyTo", reply_to),
        element("a:Action", action, attributes=_must()),
    ]
    if size is not None:
        parts.append(element("w:MaxEnvelopeSize", str(size), attributes=_must()))
    return xml.join(parts)


@lru_cache(maxsize=256)  # as above
def _wishes(locale: str, session_id: str, timeout: timedelta | None) -> Markup:
    optional = {"xml:lang": locale} | _must(False)
    parts = [element("w:Locale", attributes=optional), element("p:DataLocale", attributes=optional)]
    if session_id:
        parts.append(element("p:SessionId", session_id, attributes=_must(False)))
    if timeout is not None:
        parts.append(element("w:OperationTimeout", _seconds(timeout)))
    return xml.join(parts)


def _seconds(length: timedelta) -> str:
    return f"PT{length.total_seconds():.3f}".rstrip("0").rstrip(".") + "S"


def _option_set(options: tuple[Option, ...]) -> Markup:
    attributes = _must()
    if any(option.kind for option in options):
        attributes["xmlns:xs"] = "http://www.w3.org/2001/XMLSchema"
    return element("w:OptionSet", xml.join(_option(option) for option in options), attributes=attributes)


def _option(option: Option) -> Markup:
    attributes = {"Name": option.name}
    if option.must_comply:
        attributes["MustComply"] = "true"
    if option.kind:
        attributes["Type"] = option.kind
    return element("w:Option", option.value, attributes=attributes)


def response_bytes(
    header: ResponseHeader, *, body: Markup, prefixes: Iterable[str], extra: Iterable[Markup] = ()
) -> bytes:
    """A whole answer, declaring what a host declares for its kind. `extra` are further headers."""
    activity = [element("p:ActivityId", header.activity_id)] if header.activity_id else []
    relates = [element("a:RelatesTo", header.relates_to)] if header.relates_to else []
    parts = [element("a:Action", header.action), element("a:MessageID", header.message_id), *activity]
    parts += [element("a:To", header.to), *relates, *extra]
    return _envelope(prefixes, header=xml.join(parts), body=body, language="en-US")


def _envelope(prefixes: Iterable[str], *, header: Markup, body: Markup, language: str = "") -> bytes:
    attributes = {"xml:lang": language} if language else {}
    attributes |= xml.declarations(prefixes)
    content = (element("s:Header", header), element("s:Body", body))
    return element("s:Envelope", *content, attributes=attributes).encode()


def open_envelope(data: bytes, *, limit: int = xml.MAX_BYTES) -> tuple[Element, Element]:
    """The header and body elements of a message. Raises RemoteProtocolError when it is no SOAP 1.2 envelope."""
    root = xml.parse(data, limit=limit)
    header, body = xml.child(root, SOAP, "Header"), xml.child(root, SOAP, "Body")
    if root.tag != f"{{{SOAP}}}Envelope" or header is None or body is None:
        raise RemoteProtocolError("a message that is no SOAP envelope")
    return header, body


def parse_response_header(header: Element) -> ResponseHeader:
    """The header of an answer; what is missing is empty."""
    return ResponseHeader(
        action=_addressed(header, "Action"),
        message_id=_addressed(header, "MessageID"),
        relates_to=_addressed(header, "RelatesTo"),
        activity_id=xml.value(xml.child(header, MS_WSMAN, "ActivityId")),
        to=_addressed(header, "To"),
    )


def _addressed(header: Element, name: str) -> str:
    return xml.value(xml.child(header, ADDRESSING, name))


def parse_request_header(header: Element) -> tuple[str, ResourceTarget, RequestHeader]:
    """Action, target and the rest of a request's header. Raises RefusedRequest as hosts do ([MS-WSMV] 3.1.4.1)."""
    message_id = _addressed(header, "MessageID")
    refusal = _refusal(header, message_id)
    if refusal:
        raise RefusedRequest(refusal, message_id=message_id)
    size = xml.child(header, WSMAN, "MaxEnvelopeSize")
    timeout = xml.value(xml.child(header, WSMAN, "OperationTimeout"))
    locale = xml.child(header, WSMAN, "Locale")
    target = ResourceTarget(
        resource_uri=xml.value(xml.child(header, WSMAN, "ResourceURI")),
        selectors=cim.parse_selectors(xml.child(header, WSMAN, "SelectorSet")),
        options=_parse_options(xml.child(header, WSMAN, "OptionSet")),
    )
    request = RequestHeader(
        to=_addressed(header, "To"),
        message_id=message_id,
        max_envelope_size=xml.integer(xml.value(size)),
        operation_timeout=cim.parsed_duration(timeout),
        locale=(locale.get(f"{{{XML}}}lang") or "") if locale is not None else "",
        session_id=xml.value(xml.child(header, MS_WSMAN, "SessionId")),
        fragment=xml.value(xml.child(header, WSMAN, "FragmentTransfer")),
    )
    return _addressed(header, "Action"), target, request


def _parse_options(node: Element | None) -> tuple[Option, ...]:
    if node is None:
        return ()
    return tuple(
        Option(
            name=item.get("Name") or "",
            value=item.text or "",
            kind=item.get("Type") or "",
            must_comply=item.get("MustComply") in ("true", "1"),
        )
        for item in node.iterchildren(f"{{{WSMAN}}}Option")
    )


def _refusal(header: Element, message_id: str) -> Fault | None:
    """Why a host would refuse a request for its header alone."""
    reply_to = xml.child(header, ADDRESSING, "ReplyTo", "Address")
    fault_to = xml.child(header, ADDRESSING, "FaultTo", "Address")
    if not message_id or len(message_id) > MAX_MESSAGE_ID:
        return _header_fault("a:InvalidMessageInformationHeader")
    if reply_to is None:
        return _header_fault("a:MessageInformationHeaderRequired")
    if any(node is not None and xml.value(node) != ANONYMOUS for node in (reply_to, fault_to)):
        return _unsupported("AddressingMode", code=None)
    for name, uri in (("Locale", WSMAN), ("DataLocale", MS_WSMAN)):
        if _must_understand(xml.child(header, uri, name)):
            return _unsupported("Locale", code=faults.UNSUPPORTED_LOCALE)
    return _bad_value(header) or _unknown_header(header)


def _header_fault(subcode: str) -> Fault:
    reason = "The WS-Management service cannot process the request because it contains an invalid or missing header. "
    return Fault("s:Sender", subcode, code=faults.INVALID_HEADER, reason=reason)


def _unsupported(detail: str, *, code: int | None) -> Fault:
    reason = "The WS-Management service does not support the specified feature. "
    return Fault("s:Sender", "w:UnsupportedFeature", code=code, reason=reason, detail=f"{FAULT_DETAIL}/{detail}")


def _bad_value(header: Element) -> Fault | None:
    size = xml.child(header, WSMAN, "MaxEnvelopeSize")
    timeout = xml.child(header, WSMAN, "OperationTimeout")
    fragment = xml.child(header, WSMAN, "FragmentTransfer")
    if size is not None and (xml.integer(xml.value(size)) or 0) < SMALLEST_MAX_ENVELOPE_SIZE:
        reason = "The MaxEnvelopeSize of the request is smaller than the service supports. "
        detail = f"{FAULT_DETAIL}/MinimumEnvelopeLimit"
        return Fault("s:Sender", "w:EncodingLimit", code=faults.MAX_ENVELOPE_TOO_SMALL, reason=reason, detail=detail)
    if timeout is not None and cim.parsed_duration(xml.value(timeout)) is None:
        return _header_fault("a:InvalidMessageInformationHeader")
    if fragment is not None and not _must_understand(fragment):
        return _header_fault("a:InvalidMessageInformationHeader")
    return None


def _must_understand(node: Element | None) -> bool:
    return node is not None and node.get(f"{{{SOAP}}}mustUnderstand") in ("true", "1")


def _unknown_header(header: Element) -> Fault | None:
    known = {ADDRESSING: _ADDRESSING_HEADERS, WSMAN: _WSMAN_HEADERS, MS_WSMAN: _MS_HEADERS}
    for node in header:
        if _must_understand(node) and xml.local_name(node) not in known.get(xml.namespace(node), ()):
            reason = "The WS-Management service cannot process a SOAP header in the request that is marked as mustUnderstand. "
            name = f"{node.prefix}:{xml.local_name(node)}" if node.prefix else xml.local_name(node)
            return Fault("s:MustUnderstand", "", code=faults.NOT_UNDERSTOOD, reason=reason, not_understood=name)
    return None
