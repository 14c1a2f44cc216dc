"""WinRS shells: commands that really run, each by an agent of its own so that the others are not kept waiting."""

from __future__ import annotations

import base64
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.wine import soap
from tests.wine.agent import Agent, Ended, Win32Error
from tests.wine.soap import Fault, Request

CMD = f"{soap.SHELL}/cmd"
MAX_SHELLS, MAX_SECONDS = 30, 300.0
PIECE = 32_000
_STATE = f"{soap.SHELL}/CommandState"


@dataclass
class _Command:
    """One command: how it ended, and what of its output was not received yet."""

    done: threading.Event = field(default_factory=threading.Event)
    ended: Ended | None = None
    failure: int = 0
    sent: int = 0


@dataclass
class _Shell:
    agent: Agent
    commands: dict[str, _Command] = field(default_factory=dict)


class Shells:
    """The shells of one host."""

    def __init__(self, new_agent: Callable[[], Agent]) -> None:
        self._new_agent = new_agent
        self._shells: dict[str, _Shell] = {}

    @property
    def open_shells(self) -> int:
        """How many shells nobody has deleted."""
        return len(self._shells)

    def close(self) -> None:
        """End them all."""
        for shell_id in list(self._shells):
            self._shells.pop(shell_id).agent.close()

    def create(self, request: Request) -> str:
        """Open a shell."""
        if len(self._shells) >= MAX_SHELLS:
            raise Fault("w:QuotaLimit", 2150859173, "This user has too many shells. ")
        shell_id = str(uuid.uuid4()).upper()
        self._shells[shell_id] = _Shell(self._new_agent())
        selected = (
            f"<w:ResourceURI>{CMD}</w:ResourceURI><w:SelectorSet>"
            f'<w:Selector Name="ShellId">{shell_id}</w:Selector></w:SelectorSet>'
        )
        return (
            f"<x:ResourceCreated><a:Address>{request.to}</a:Address>"
            f"<a:ReferenceParameters>{selected}</a:ReferenceParameters></x:ResourceCreated>"
            f'<rsp:Shell xmlns:rsp="{soap.SHELL}"><rsp:ShellId>{shell_id}</rsp:ShellId><rsp:ResourceUri>{CMD}'
            "</rsp:ResourceUri><rsp:Owner>Administrator</rsp:Owner><rsp:ClientIP>127.0.0.1</rsp:ClientIP>"
            "<rsp:IdleTimeOut>PT7200.000S</rsp:IdleTimeOut><rsp:InputStreams>stdin</rsp:InputStreams>"
            "<rsp:OutputStreams>stdout stderr</rsp:OutputStreams><rsp:ShellRunTime>P0DT0H0M0S</rsp:ShellRunTime>"
            "<rsp:ShellInactivity>P0DT0H0M0S</rsp:ShellInactivity></rsp:Shell>"
        )

    def delete(self, request: Request) -> str:
        """Close a shell, and end what runs in it."""
        shell = self._shell(request)
        self._shells.pop(str(request.selectors["shellid"]))
        shell.agent.close()
        return ""

    def _shell(self, request: Request) -> _Shell:
        shell = self._shells.get(str(request.selectors.get("shellid", "")).upper())
        if shell is None:
            words = "The request for the Windows Remote Shell with ShellId failed because the shell was not found. "
            detail = f"{soap.FAULT_DETAIL}/UnexpectedSelectors"
            raise Fault("w:InvalidSelectors", 2150858843, words, detail=detail)
        return shell

    def command(self, request: Request) -> tuple[str, str]:
        """Start a command line: what to answer, and the line."""
        shell = self._shell(request)
        line = command_line(request)
        through_cmd = request.options.get("WINRS_SKIP_CMD_SHELL", "FALSE").upper() != "TRUE"
        command, command_id = _Command(), str(uuid.uuid4()).upper()
        shell.commands[command_id] = command
        started = f"cmd.exe /c {line}" if through_cmd else line
        threading.Thread(target=_run, args=(shell.agent, command, started), daemon=True).start()
        return f"<rsp:CommandResponse><rsp:CommandId>{command_id}</rsp:CommandId></rsp:CommandResponse>", line

    def receive(self, request: Request) -> str:
        """More of a command's output, or its end."""
        shell = self._shell(request)
        wanted = soap.child(request.body, soap.SHELL, "DesiredStream")
        command_id = "" if wanted is None else wanted.get("CommandId", "")
        command = self._command(shell, command_id)
        if not command.done.wait(request.seconds):
            words = "The WS-Management service cannot complete the operation within the time specified in OperationTimeout.  "
            raise Fault("w:TimedOut", 2150858793, words, code="s:Receiver")
        if command.failure:
            words = "The system cannot find the file specified. "
            raise Fault("w:InternalError", 0x80070000 | command.failure, words, code="s:Receiver")
        assert command.ended is not None
        return _received(command_id, command, command.ended)

    def _command(self, shell: _Shell, command_id: str) -> _Command:
        command = shell.commands.get(command_id.upper())
        if command is None:
            words = (
                "The Windows Remote Shell received a request to perform an operation on a command identifier that does "
                "not exist. "
            )
            raise Fault("w:InvalidSelectors", 2150858843, words, detail=f"{soap.FAULT_DETAIL}/UnexpectedSelectors")
        return command

    def signal(self, request: Request) -> str:
        """End a command."""
        shell = self._shell(request)
        command_id = "" if request.body is None else request.body.get("CommandId", "")
        command = self._command(shell, command_id)
        shell.commands.pop(command_id.upper())
        if not command.done.is_set():
            shell.agent.close()
            shell.agent = self._new_agent()
        return "<rsp:SignalResponse/>"


def command_line(request: Request) -> str:
    """The line a Command asks for: the program and its arguments, parted by blanks."""
    line = soap.text(soap.child(request.body, soap.SHELL, "Command"))
    arguments = [] if request.body is None else request.body.findall(f"{{{soap.SHELL}}}Arguments")
    return " ".join([line, *(soap.text(argument) for argument in arguments)])


def _run(agent: Agent, command: _Command, line: str) -> None:
    try:
        command.ended = agent.run(line, seconds=MAX_SECONDS)
    except Win32Error as error:
        command.failure = error.code
    except (RuntimeError, OSError, ValueError):
        command.failure = 1  # its agent was ended
    command.done.set()


def _received(command_id: str, command: _Command, ended: Ended) -> str:
    pieces = [("stdout", ended.stdout[i : i + PIECE]) for i in range(0, len(ended.stdout), PIECE)]
    pieces += [("stderr", ended.stderr[i : i + PIECE]) for i in range(0, len(ended.stderr), PIECE)]
    shown = ""
    for name, data in pieces[command.sent : command.sent + 2]:
        shown += f'<rsp:Stream Name="{name}" CommandId="{command_id}">{base64.b64encode(data).decode()}</rsp:Stream>'
    command.sent += 2
    if command.sent < len(pieces):
        state = f'<rsp:CommandState CommandId="{command_id}" State="{_STATE}/Running"></rsp:CommandState>'
    else:
        for name in ("stdout", "stderr"):
            shown += f'<rsp:Stream Name="{name}" CommandId="{command_id}" End="true"></rsp:Stream>'
        state = (
            f'<rsp:CommandState CommandId="{command_id}" State="{_STATE}/Done">'
            f"<rsp:ExitCode>{ended.exit_code}</rsp:ExitCode></rsp:CommandState>"
        )
    return f"<rsp:ReceiveResponse>{shown}{state}</rsp:ReceiveResponse>"
