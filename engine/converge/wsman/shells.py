"""WinRS shells: Create, Command, Send, Receive, Signal, Delete; requests and answers, both ways ([MS-WSMV] 3.1.4.11-15)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar

from converge.errors import RemoteProtocolError
from converge.wsman import cim, namespaces, xml
from converge.wsman.envelopes import ResourceTarget
from converge.wsman.namespaces import SHELL, TRANSFER
from converge.wsman.xml import Element, Markup, element

_STATES = f"{SHELL}/CommandState/"


class SignalCode(StrEnum):
    """How a command is told to end; `terminate` also frees what the host keeps for one that has ended."""

    TERMINATE = f"{SHELL}/signal/terminate"
    CTRL_C = f"{SHELL}/signal/ctrl_c"
    CTRL_BREAK = f"{SHELL}/signal/ctrl_break"


@dataclass(frozen=True, slots=True)
class CreateShell:
    """Open a shell, in which commands run as the account."""

    target: ResourceTarget
    input_streams: str = "stdin"
    output_streams: str = "stdout stderr"
    working_directory: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    idle_timeout: str = ""
    prefixes: ClassVar[tuple[str, ...]] = ("rsp",)
    action: ClassVar[str] = namespaces.CREATE

    def body(self) -> Markup:
        """The inside of s:Body."""
        parts = [element("rsp:InputStreams", self.input_streams), element("rsp:OutputStreams", self.output_streams)]
        if self.environment:
            variables = (
                element("rsp:Variable", value, attributes={"Name": name}) for name, value in self.environment.items()
            )
            parts.insert(0, element("rsp:Environment", xml.join(variables)))
        if self.idle_timeout:
            parts.append(element("rsp:IdleTimeOut", self.idle_timeout))
        if self.working_directory:
            parts.append(element("rsp:WorkingDirectory", self.working_directory))
        return element("rsp:Shell", *parts)


@dataclass(frozen=True, slots=True)
class Command:
    """Start a command in a shell. The host joins command and arguments with blanks and hands them to cmd."""

    target: ResourceTarget
    command: str
    arguments: tuple[str, ...] = ()
    prefixes: ClassVar[tuple[str, ...]] = ("rsp",)
    action: ClassVar[str] = namespaces.SHELL_COMMAND

    def body(self) -> Markup:
        """The inside of s:Body."""
        arguments = (element("rsp:Arguments", argument) for argument in self.arguments)
        return element("rsp:CommandLine", element("rsp:Command", self.command), *arguments)


@dataclass(frozen=True, slots=True)
class Send:
    """Write to a command's input."""

    target: ResourceTarget
    command_id: str
    data: bytes
    end: bool = False
    prefixes: ClassVar[tuple[str, ...]] = ("rsp",)
    action: ClassVar[str] = namespaces.SHELL_SEND

    def body(self) -> Markup:
        """The inside of s:Body."""
        return element("rsp:Send", _stream_element(ShellStream("stdin", self.command_id, self.data, end=self.end)))


@dataclass(frozen=True, slots=True)
class Receive:
    """Wait for a command's output or end; with neither in time the host answers 2150858793 and is asked again."""

    target: ResourceTarget
    command_id: str
    streams: str = "stdout stderr"
    prefixes: ClassVar[tuple[str, ...]] = ("rsp",)
    action: ClassVar[str] = namespaces.SHELL_RECEIVE

    def body(self) -> Markup:
        """The inside of s:Body."""
        wanted = element("rsp:DesiredStream", self.streams, attributes={"CommandId": self.command_id})
        return element("rsp:Receive", wanted)


@dataclass(frozen=True, slots=True)
class Signal:
    """Tell a command to end."""

    target: ResourceTarget
    command_id: str
    code: str = SignalCode.TERMINATE
    prefixes: ClassVar[tuple[str, ...]] = ("rsp",)
    action: ClassVar[str] = namespaces.SHELL_SIGNAL

    def body(self) -> Markup:
        """The inside of s:Body."""
        return element("rsp:Signal", element("rsp:Code", self.code), attributes={"CommandId": self.command_id})


@dataclass(frozen=True, slots=True)
class DeleteShell:
    """Close a shell and end what runs in it."""

    target: ResourceTarget
    prefixes: ClassVar[tuple[str, ...]] = ("rsp",)
    action: ClassVar[str] = namespaces.DELETE

    def body(self) -> Markup:
        """The inside of s:Body."""
        return Markup("")


@dataclass(frozen=True, slots=True)
class ShellStream:
    """A piece of a command's input or output; `end` says that nothing follows."""

    name: str
    command_id: str
    data: bytes = b""
    end: bool = False


@dataclass(frozen=True, slots=True)
class ShellCreated:
    """A shell is open. `details` are what newer hosts tell of it, in their order (ShellId, Owner, ClientIP, ...)."""

    shell_id: str
    resource_uri: str
    address: str
    details: Mapping[str, str] = field(default_factory=dict)
    prefixes: ClassVar[tuple[str, ...]] = ("s", "a", "x", "w", "rsp", "p")

    def body(self) -> Markup:
        """The inside of s:Body."""
        reference = cim.Reference(self.resource_uri, (("ShellId", self.shell_id),), address=self.address)
        created = element("x:ResourceCreated", cim.reference_content(reference))
        if not self.details:
            return created
        details = [element(f"rsp:{name}", xml.shown(text)) for name, text in self.details.items()]
        return xml.join([created, element("rsp:Shell", *details, attributes=xml.declarations(["rsp"]))])


@dataclass(frozen=True, slots=True)
class CommandStarted:
    """A command runs under this id."""

    command_id: str
    prefixes: ClassVar[tuple[str, ...]] = ("s", "a", "x", "w", "rsp", "p")

    def body(self) -> Markup:
        """The inside of s:Body."""
        return element("rsp:CommandResponse", element("rsp:CommandId", self.command_id))


@dataclass(frozen=True, slots=True)
class Received:
    """What a command wrote, and its exit code if it has ended. `state` is `Running` or `Done`."""

    command_id: str
    streams: tuple[ShellStream, ...]
    state: str
    exit_code: int | None = None
    prefixes: ClassVar[tuple[str, ...]] = ("s", "a", "w", "rsp", "p")

    def body(self) -> Markup:
        """The inside of s:Body."""
        parts = [_stream_element(stream) for stream in self.streams]
        if self.state:
            exit_code = element("rsp:ExitCode", str(self.exit_code)) if self.exit_code is not None else ""
            attributes = {"CommandId": self.command_id, "State": _STATES + self.state}
            parts.append(element("rsp:CommandState", exit_code, attributes=attributes))
        return element("rsp:ReceiveResponse", *parts)


@dataclass(frozen=True, slots=True)
class Sent:
    """The input was taken."""

    prefixes: ClassVar[tuple[str, ...]] = ("s", "a", "x", "w", "rsp", "p")

    def body(self) -> Markup:
        """The inside of s:Body."""
        return element("rsp:SendResponse")


@dataclass(frozen=True, slots=True)
class Signalled:
    """The command was told."""

    prefixes: ClassVar[tuple[str, ...]] = ("s", "a", "x", "w", "rsp", "p")

    def body(self) -> Markup:
        """The inside of s:Body."""
        return element("rsp:SignalResponse")


@dataclass(frozen=True, slots=True)
class ShellDeleted:
    """The shell is closed."""

    prefixes: ClassVar[tuple[str, ...]] = ("s", "a", "w", "p")

    def body(self) -> Markup:
        """The inside of s:Body: nothing."""
        return Markup("")


def _stream_element(stream: ShellStream) -> Markup:
    attributes = {"Name": stream.name}
    if stream.command_id:
        attributes["CommandId"] = stream.command_id
    if stream.end:
        attributes["End"] = "true"
    return element("rsp:Stream", base64.b64encode(stream.data).decode(), attributes=attributes)


def _parse_stream(node: Element) -> ShellStream:
    try:
        data = base64.b64decode("".join((node.text or "").split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise RemoteProtocolError("a stream that is not base64") from error
    end = (node.get("End") or "").lower() in ("true", "1")
    return ShellStream(node.get("Name") or "", node.get("CommandId") or "", data, end=end)


def _shell_value(node: Element, name: str) -> str:
    return xml.value(xml.child(node, SHELL, name))


def parse_create(target: ResourceTarget, node: Element) -> CreateShell:
    """The shell a body asks for."""
    environment = xml.child(node, SHELL, "Environment")
    variables = environment if environment is not None else ()
    return CreateShell(
        target,
        input_streams=_shell_value(node, "InputStreams"),
        output_streams=_shell_value(node, "OutputStreams"),
        working_directory=_shell_value(node, "WorkingDirectory"),
        environment={variable.get("Name") or "": variable.text or "" for variable in variables},
        idle_timeout=_shell_value(node, "IdleTimeOut"),
    )


def parse_command(target: ResourceTarget, node: Element) -> Command:
    """The command a body starts."""
    command = xml.child(node, SHELL, "Command")
    arguments = tuple(argument.text or "" for argument in node.iterchildren(f"{{{SHELL}}}Arguments"))
    return Command(target, command=(command.text or "") if command is not None else "", arguments=arguments)


def parse_send(target: ResourceTarget, node: Element) -> Send:
    """The input a body brings."""
    found = xml.child(node, SHELL, "Stream")
    if found is None:
        raise RemoteProtocolError("input without a stream")
    stream = _parse_stream(found)
    return Send(target, command_id=stream.command_id, data=stream.data, end=stream.end)


def parse_receive(target: ResourceTarget, node: Element) -> Receive:
    """The output a body asks for."""
    wanted = xml.child(node, SHELL, "DesiredStream")
    command_id = (wanted.get("CommandId") or "") if wanted is not None else ""
    return Receive(target, command_id=command_id, streams=xml.value(wanted))


def parse_signal(target: ResourceTarget, node: Element) -> Signal:
    """The signal a body gives."""
    return Signal(target, command_id=node.get("CommandId") or "", code=_shell_value(node, "Code"))


def parse_created(nodes: list[Element]) -> ShellCreated:
    """The shell that was opened. Raises RemoteProtocolError when the host does not name it."""
    created, *rest = nodes
    reference = cim.parse_reference(created)
    shell_id = next((value for name, value in reference.selectors if name == "ShellId" and isinstance(value, str)), "")
    if created.tag != f"{{{TRANSFER}}}ResourceCreated" or not shell_id:
        raise RemoteProtocolError("a shell without an id")
    details = {xml.local_name(item): item.text or "" for node in rest for item in node}
    return ShellCreated(shell_id, reference.resource_uri, reference.address, details=details)


def parse_started(node: Element) -> CommandStarted:
    """The command that was started."""
    command_id = _shell_value(node, "CommandId")
    if not command_id:
        raise RemoteProtocolError("a command without an id")
    return CommandStarted(command_id)


def parse_received(node: Element) -> Received:
    """What a command wrote so far."""
    state = xml.child(node, SHELL, "CommandState")
    streams = tuple(_parse_stream(stream) for stream in node.iterchildren(f"{{{SHELL}}}Stream"))
    return Received(
        command_id=(state.get("CommandId") or "") if state is not None else "",
        streams=streams,
        state=(state.get("State") or "").removeprefix(_STATES) if state is not None else "",
        exit_code=xml.integer(xml.value(xml.child(state, SHELL, "ExitCode"))),
    )
