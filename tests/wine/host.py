"""A WinRM host on loopback with a real Win32 registry, service manager and file system behind it.

It shares no line and no belief with the program it is a witness against: it was written from Microsoft's documents and from
recordings of real hosts. What it does not know it refuses. Every request is logged.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from xml.etree import ElementTree

from tests.wine import shells, soap
from tests.wine.agent import Agent
from tests.wine.logins import SEALED, Login
from tests.wine.registry import READING, Expandable
from tests.wine.shells import Shells
from tests.wine.soap import Fault, Request
from tests.wine.wmi import Wmi

MAX_BODY = 512_000
IDLE_SECONDS = 120
_TRANSFER, _ENUMERATION, _SHELL = (f"{uri}/" for uri in (soap.TRANSFER, soap.ENUMERATION, soap.SHELL))
_PREFIXES = {
    "Get": "s a x w p",
    "Invoke": "s a x w p",
    "Enumerate": "s a n w",
    "Pull": "s a n w",
    "Release": "s a n w",
    "Create": "s a x w rsp p",
    "Delete": "s a w p",
    "Command": "s a x w rsp p",
    "Signal": "s a x w rsp p",
    "Send": "s a x w rsp p",
    "Receive": "s a w rsp p",
}


@dataclass(frozen=True)
class Logged:
    """One request: the operation, the class or shell, the method, query or command line, and the registry key."""

    operation: str
    target: str
    text: str = ""
    key: str = ""

    @property
    def reads(self) -> bool:
        """Whether it can have changed nothing."""
        if self.operation in ("Identify", "Get", "Enumerate", "Pull", "Release"):
            return True
        if self.operation == "Invoke":
            return self.target == "StdRegProv" and self.text in READING
        if self.operation == "Command":
            return _reads(self.text)
        return self.target == "shell"


def _reads(line: str) -> bool:
    """Whether a line only reads: commands that do, joined by &. Inside quotes cmd.exe takes its signs for themselves."""
    bare = "".join(line.split('"')[::2])
    if any(sign in bare for sign in "|<>^%"):
        return False
    return all(_command_reads(command) for command in re.split(r'&(?=(?:[^"]*"[^"]*")*[^"]*$)', line))


def _command_reads(command: str) -> bool:
    program, *words = command.lower().replace('"', "").split() or [""]
    program = program.removesuffix(".exe").removesuffix(".com")
    if program in ("echo", "chcp"):
        return len(words) == (program == "echo")
    return (program, words[0] if words else "") in (("reg", "query"), ("certutil", "-hashfile"))


class WineHost:
    """One host. `basic` offers Basic and takes plain messages; without it only NTLM with sealed ones is good enough."""

    def __init__(
        self,
        new_agent: Callable[[], Agent],
        *,
        username: str,
        password: str,
        basic: bool,
        expandable: Expandable = Expandable.RAW,
        shells_allowed: bool = True,
    ) -> None:
        self.username, self.password, self.basic = username, password, basic
        self.agent = new_agent()
        self.wmi = Wmi(self.agent, expandable)
        self.shells = Shells(new_agent)
        self.shells_allowed = shells_allowed
        self.log: list[Logged] = []
        self.connections = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def start(self) -> None:
        """Listen."""
        self._thread.start()

    def close(self) -> None:
        """Stop listening, and end what was started."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)
        self.shells.close()
        self.agent.close()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    def answer(self, data: bytes) -> tuple[int, bytes]:
        """The HTTP status and the answer to one message."""
        try:
            header, body = soap.parse(data)
        except (ValueError, ElementTree.ParseError):
            words = "The SOAP XML in the message does not match the corresponding XML schema definition. "
            return 500, soap.fault_envelope(
                Fault("w:SchemaValidationError", 2150858817, words), relates_to="", machine=""
            )
        if body is not None and soap.local(body) == "Identify":
            self.log.append(Logged("Identify", ""))
            return 200, self._identity()
        message_id = soap.text(soap.child(header, soap.ADDRESSING, "MessageID"))
        try:
            request = soap.request(header, body)
            self.agent.revive()
            operation, inside = self._performed(request)
        except (RuntimeError, OSError) as error:
            # Wine under load; unanswered, converge could only say that the connection was lost, and nobody would know why.
            fault = Fault("w:InternalError", 2150858976, f"This stand-in for Windows failed: {error!r} ", code="s:Receiver")
            return 500, soap.fault_envelope(fault, relates_to=message_id, machine="127.0.0.1")
        except Fault as fault:
            return 500, soap.fault_envelope(fault, relates_to=message_id, machine="127.0.0.1")
        action = f"{request.action}Response"
        return 200, soap.envelope(action, inside, relates_to=message_id, prefixes=_PREFIXES[operation])

    def _identity(self) -> bytes:
        major, minor, build = self.agent.system().version
        body = (
            f'<wsmid:IdentifyResponse xmlns:wsmid="{soap.IDENTITY}"><wsmid:ProtocolVersion>{soap.WSMAN}'
            "</wsmid:ProtocolVersion><wsmid:ProductVendor>Microsoft Corporation</wsmid:ProductVendor>"
            f"<wsmid:ProductVersion>OS: {major}.{minor}.{build} SP: 0.0 Stack: 3.0</wsmid:ProductVersion>"
            "</wsmid:IdentifyResponse>"
        )
        envelope = f'<s:Envelope xml:lang="en-US" xmlns:s="{soap.SOAP}"><s:Header/><s:Body>{body}</s:Body></s:Envelope>'
        return envelope.encode()

    def _performed(self, request: Request) -> tuple[str, str]:
        action = request.action
        operation = action.rpartition("/")[2]
        shell = request.uri.lower() == shells.CMD
        if action.startswith(_SHELL) or (shell and action.startswith(_TRANSFER)):
            return operation, self._on_shell(request, operation)
        class_name = request.uri.rpartition("/")[2]
        served = {
            f"{_TRANSFER}Get": self.wmi.get,
            f"{_ENUMERATION}Enumerate": self.wmi.enumerate,
            f"{_ENUMERATION}Pull": self.wmi.pull,
            f"{_ENUMERATION}Release": self.wmi.release,
        }
        if action in served:
            query = "" if request.body is None else soap.text(soap.child(request.body, soap.WSMAN, "Filter"))
            self.log.append(Logged(operation, class_name, query))
            return operation, served[action](request)
        if action.lower() == f"{request.uri}/{operation}".lower():
            key = next((item.text or "" for item in request.body or () if soap.local(item) == "sSubKeyName"), "")
            self.log.append(Logged("Invoke", class_name, operation, key))
            return "Invoke", self.wmi.invoke(request, operation)
        self.log.append(Logged("unknown", class_name, action))
        raise Fault("a:ActionNotSupported", 2150858754, "The action is not supported by the service. ")

    def _on_shell(self, request: Request, operation: str) -> str:
        line = shells.command_line(request) if operation == "Command" else ""
        self.log.append(Logged(operation, "shell", line))
        if not self.shells_allowed:
            raise Fault("w:AccessDenied", 5, "Access is denied. ")
        if operation == "Command":
            return self.shells.command(request)[0]
        served = {
            "Create": self.shells.create,
            "Delete": self.shells.delete,
            "Receive": self.shells.receive,
            "Signal": self.shells.signal,
        }
        if operation not in served:
            raise Fault("a:ActionNotSupported", 2150858754, "The action is not supported by the service. ")
        return served[operation](request)


def _handler_of(host: WineHost) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """One connection: its login, then messages, sealed or plain."""

        protocol_version = "HTTP/1.1"
        server_version, sys_version = "Microsoft-HTTPAPI/2.0", ""
        timeout = IDLE_SECONDS
        disable_nagle_algorithm = True  # or each body waits 40 ms for the client to acknowledge its header
        # Windows sends no words after a status, and clients must cope.
        responses = dict.fromkeys(BaseHTTPRequestHandler.responses, ("", ""))

        def setup(self) -> None:
            super().setup()
            host.connections += 1
            self.login = Login(host.username, host.password, host.basic)

        def do_GET(self) -> None:  # the base class names it
            self._reply(405, b"", {"Allow": "POST"})

        def do_POST(self) -> None:  # the base class names it
            length = int(self.headers.get("Content-Length") or 0)
            if length > MAX_BODY:
                self.close_connection = True
                self._reply(413, b"")
                return
            body = self.rfile.read(length)
            if self.path.lower() != "/wsman":
                self._reply(404, b"")
            elif self._admitted():
                self._message(body, self.headers.get("Content-Type") or "")

        def _admitted(self) -> bool:
            authorization = self.headers.get("Authorization")
            challenge = self.login.step(authorization) if authorization else None
            if self.login.known:
                return True
            self._reply(401, b"", challenges=[challenge] if challenge else self.login.challenges())
            return False

        def _message(self, body: bytes, kind: str) -> None:
            if not body:
                self._reply(200, b"")
            elif kind.lower().startswith("multipart/encrypted"):
                self._sealed(body)
            elif not kind.lower().startswith("application/soap+xml"):
                self._reply(415, b"")
            elif not host.basic:
                self._reply(500, b"")  # plain messages are not allowed
            else:
                status, answer = host.answer(body)
                self._reply(status, answer, {"Content-Type": "application/soap+xml;charset=UTF-8"})

        def _sealed(self, body: bytes) -> None:
            try:
                plain = self.login.opened(body)
            except ValueError:
                self._reply(400, b"")
                return
            status, answer = host.answer(plain)
            self._reply(status, self.login.sealed(answer), {"Content-Type": SEALED})

        def _reply(
            self, status: int, body: bytes, headers: dict[str, str] | None = None, *, challenges: Sequence[str] = ()
        ) -> None:
            self.send_response(status)
            for each in challenges:
                self.send_header("WWW-Authenticate", each)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: Any) -> None:  # the base class names it
            """Nothing: what was asked is in the host's log."""

    return Handler
