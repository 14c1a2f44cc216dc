"""Whole messages: any request or answer <-> bytes. The front door of this room, for either end of the wire."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from converge.errors import RemoteProtocolError
from converge.wsman import cim, envelopes, faults, namespaces, operations, shells, xml
from converge.wsman.envelopes import RequestHeader, ResourceTarget, ResponseHeader
from converge.wsman.faults import Fault, RefusedRequest
from converge.wsman.namespaces import ENUMERATION, IDENTITY, SHELL, SOAP, TRANSFER
from converge.wsman.operations import (
    Enumerate,
    Get,
    Got,
    Identify,
    Identity,
    Invoke,
    Page,
    Pull,
    Release,
    Released,
    ShellOutput,
)
from converge.wsman.shells import (
    Command,
    CommandStarted,
    CreateShell,
    DeleteShell,
    Receive,
    Received,
    Send,
    Sent,
    ShellCreated,
    ShellDeleted,
    Signal,
    Signalled,
)
from converge.wsman.xml import Element, element

AnyRequest = Get | Enumerate | Pull | Release | Invoke | CreateShell | Command | Send | Receive | Signal | DeleteShell
AnyAnswer = (
    Got
    | Page
    | Released
    | ShellOutput
    | Identity
    | ShellCreated
    | CommandStarted
    | Received
    | Sent
    | Signalled
    | ShellDeleted
    | Fault
)

FAULT_PREFIXES: Final = ("s", "a", "x", "e", "n", "w", "p")


@dataclass(frozen=True, slots=True)
class Request:
    """A request that was read."""

    operation: AnyRequest | Identify
    header: RequestHeader


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that was read."""

    body: AnyAnswer
    header: ResponseHeader


def build_request(operation: AnyRequest, *, header: RequestHeader) -> bytes:
    """A request as bytes. Raises LocalProtocolError for text that XML cannot carry."""
    body = operation.body()
    return envelopes.request_bytes(
        operation.action, operation.target, header=header, body=body, prefixes=operation.prefixes
    )


def build_identify() -> bytes:
    """The request for a host's identity, which has no header."""
    content = element("s:Header"), element("s:Body", Identify().body())
    return element("s:Envelope", *content, attributes=xml.declarations(["s", "wsmid"])).encode()


def parse_request(data: bytes, *, limit: int = xml.MAX_BYTES) -> Request:
    """The request that bytes hold.

    Raises RefusedRequest with the fault a host answers where its header or action is wrong, RemoteProtocolError where
    it is no message at all.
    """
    header_element, body = envelopes.open_envelope(data, limit=limit)
    node = body[0] if len(body) else None
    if node is not None and node.tag == f"{{{IDENTITY}}}Identify":
        return Request(Identify(), RequestHeader(to="", message_id=""))
    action, target, header = envelopes.parse_request_header(header_element)
    operation = _operation(action, target, node)
    if operation is None:
        reason = "The WS-Management service cannot process the request because the action is not supported. "
        raise RefusedRequest(Fault("s:Sender", "a:ActionNotSupported", reason=reason), message_id=header.message_id)
    return Request(operation, header)


_BARE: Final[dict[str, Callable[[ResourceTarget], AnyRequest]]] = {namespaces.GET: Get, namespaces.DELETE: DeleteShell}
_WITH_BODY: Final[dict[str, Callable[[ResourceTarget, Element], AnyRequest]]] = {
    namespaces.ENUMERATE: operations.parse_enumerate,
    namespaces.PULL: operations.parse_pull,
    namespaces.RELEASE: operations.parse_release,
    namespaces.CREATE: shells.parse_create,
    namespaces.SHELL_COMMAND: shells.parse_command,
    namespaces.SHELL_SEND: shells.parse_send,
    namespaces.SHELL_RECEIVE: shells.parse_receive,
    namespaces.SHELL_SIGNAL: shells.parse_signal,
}


def _operation(action: str, target: ResourceTarget, node: Element | None) -> AnyRequest | None:
    if action in _BARE:
        return _BARE[action](target)
    if node is None:
        return None
    if action in _WITH_BODY:
        return _WITH_BODY[action](target, node)
    if action.lower().startswith(target.resource_uri.lower() + "/"):
        return operations.parse_invoke(target, node)
    return None


def build_answer(body: AnyAnswer, *, request: Request, message_id: str, activity_id: str = "") -> bytes:
    """An answer to a request as bytes, with the declarations and header order of recorded hosts."""
    if isinstance(body, Fault):
        return build_fault(body, message_id=message_id, relates_to=request.header.message_id, activity_id=activity_id)
    if isinstance(body, Identity) or isinstance(request.operation, Identify):
        content = element("s:Header"), element("s:Body", body.body())
        return element("s:Envelope", *content, attributes={"xml:lang": "en-US"} | xml.declarations(["s"])).encode()
    header = ResponseHeader(
        action=f"{request.operation.action}Response",
        message_id=message_id,
        relates_to=request.header.message_id,
        activity_id=activity_id,
    )
    return envelopes.response_bytes(header, body=body.body(), prefixes=body.prefixes)


def build_fault(fault: Fault, *, message_id: str, relates_to: str, activity_id: str = "") -> bytes:
    """A fault as bytes; to be sent with HTTP status 500."""
    # Hosts relate an MSFT_WmiError to nothing.
    related = "" if fault.wmi_error else relates_to
    header = ResponseHeader(fault.action, message_id, relates_to=related, activity_id=activity_id)
    extra = [element("s:NotUnderstood", attributes={"qname": fault.not_understood})] if fault.not_understood else []
    return envelopes.response_bytes(header, body=faults.fault_body(fault), prefixes=FAULT_PREFIXES, extra=extra)


def parse_answer(data: bytes, *, limit: int = xml.MAX_BYTES) -> Answer:
    """The answer that bytes hold, a fault included. Raises RemoteProtocolError for anything else."""
    header_element, body = envelopes.open_envelope(data, limit=limit)
    header = envelopes.parse_response_header(header_element)
    found = _answer(header.action, list(body))
    if isinstance(found, Fault):
        unknown = xml.child(header_element, SOAP, "NotUnderstood")
        found = replace(found, not_understood=(unknown.get("qname") or "") if unknown is not None else "")
    return Answer(found, header)


_BY_ELEMENT: Final[dict[str, Callable[[Element], AnyAnswer]]] = {
    f"{{{SOAP}}}Fault": faults.parse_fault,
    f"{{{ENUMERATION}}}EnumerateResponse": operations.parse_page,
    f"{{{ENUMERATION}}}PullResponse": operations.parse_page,
    f"{{{IDENTITY}}}IdentifyResponse": operations.parse_identity,
    f"{{{SHELL}}}CommandResponse": shells.parse_started,
    f"{{{SHELL}}}ReceiveResponse": shells.parse_received,
    f"{{{SHELL}}}SendResponse": lambda _: Sent(),
    f"{{{SHELL}}}SignalResponse": lambda _: Signalled(),
}
_EMPTY: Final[dict[str, AnyAnswer]] = {
    f"{namespaces.RELEASE}Response": Released(),
    f"{namespaces.DELETE}Response": ShellDeleted(),
}


def _answer(action: str, nodes: list[Element]) -> AnyAnswer:
    if not nodes:
        if action in _EMPTY:
            return _EMPTY[action]
        raise RemoteProtocolError("an answer without a body", why=f"its action is {action[:200]!r}")
    node = nodes[0]
    if node.tag in _BY_ELEMENT:
        return _BY_ELEMENT[str(node.tag)](node)
    if node.tag == f"{{{TRANSFER}}}ResourceCreated":
        return shells.parse_created(nodes)
    if action == f"{namespaces.GET}Response":
        return Got(cim.parse_instance(node))
    if xml.local_name(node).endswith("_OUTPUT"):
        return operations.parse_output(node)
    raise RemoteProtocolError(f"an answer of an unknown kind, {xml.local_name(node)[:80]!r}")
