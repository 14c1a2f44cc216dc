"""The shell plug-in of WinRM: opens WinRS shells, runs command lines in them, and hands their output over in pieces."""

from __future__ import annotations

import asyncio
import codecs
from datetime import timedelta
from typing import Final

from converge.lab.endpoint.faulting import SentFault, Speaker
from converge.lab.endpoint.host import SimulatedHost
from converge.lab.endpoint.shells import (
    INTERRUPTED_EXIT,
    MAX_OUTPUT_PIECE,
    TERMINATED_EXIT,
    CommandOutcome,
    RunningCommand,
    Shells,
    SimulatedShell,
)
from converge.lab.shell import run_arguments
from converge.lab.shell.programs import find_program
from converge.lab.shell.session import ShellSession
from converge.lab.world import LabAccount, Right, World
from converge.model.names import fold
from converge.wsman.envelopes import RequestHeader, ResourceTarget
from converge.wsman.messages import AnyAnswer, AnyRequest
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
    ShellStream,
    Signal,
    SignalCode,
    Signalled,
)

LONGEST_WAIT: Final = timedelta(seconds=60)
"""MaxTimeoutms: a longer OperationTimeout acts as this one."""
SHORTEST_WAIT: Final = timedelta(milliseconds=500)

_ALWAYS_CMD: Final = (6, 3)
"""Windows from this release on reads WINRS_SKIP_CMD_SHELL and does not heed it ([MS-WSMV] <117>)."""
_STREAMS: Final = ("stdout", "stderr")
_ENDINGS: Final = {
    SignalCode.TERMINATE: TERMINATED_EXIT,
    SignalCode.CTRL_C: INTERRUPTED_EXIT,
    SignalCode.CTRL_BREAK: INTERRUPTED_EXIT,
}


class ShellService:
    """Serves the shells of one host."""

    def __init__(self, host: SimulatedHost) -> None:
        self._host = host
        self._shells = Shells()

    async def perform(
        self,
        operation: AnyRequest,
        header: RequestHeader,
        *,
        speaker: Speaker,
        account: LabAccount,
        client: str,
        seconds: float = 0.0,
    ) -> AnyAnswer:
        """The answer to an operation on shells; a command started now seems to take `seconds`. Raises Faulted."""
        if not self._host.world.permits(account, Right.SHELLS):
            raise SentFault(speaker.access_denied())
        if isinstance(operation, CreateShell):
            return self._create(operation, header, speaker=speaker, account=account, client=client)
        identity = _shell_id(operation.target)
        shell = self._shells.find(identity, account=account.name)
        if shell is None:
            raise SentFault(speaker.no_shell())
        if isinstance(operation, DeleteShell):
            self._shells.close(identity)
            return ShellDeleted()
        if isinstance(operation, Command):
            return self._start(operation, shell, speaker=speaker, account=account, seconds=seconds)
        if not isinstance(operation, (Receive, Send, Signal)):
            raise SentFault(speaker.action_unsupported())
        command = shell.commands.get(operation.command_id.upper())
        if command is None or (command.over and not isinstance(operation, Signal)):
            raise SentFault(speaker.no_command())
        if isinstance(operation, Receive):
            return await self._receive(operation, command, header, speaker=speaker)
        if isinstance(operation, Send):
            return self._send(operation, command)
        return self._signal(operation, command, shell, speaker=speaker)

    def _create(
        self, operation: CreateShell, header: RequestHeader, *, speaker: Speaker, account: LabAccount, client: str
    ) -> ShellCreated:
        stack = self._host.winrm
        if self._shells.count(account.name) >= stack.max_shells:
            raise SentFault(speaker.over_shells())
        page = _option(operation.target, "WINRS_CODEPAGE") or str(self._host.world.profile.oem_code_page)
        if not _is_code_page(page):
            raise SentFault(speaker.bad_shell_parameter())
        shell = SimulatedShell(account.name, int(page), operation.working_directory)
        identity = self._shells.open(shell)
        uri = operation.target.resource_uri
        shown = f"uuid:{identity}" if stack.version == "1.1" else identity
        details = {
            "ShellId": identity,
            "ResourceUri": uri,
            "Owner": account.name if "\\" in account.name else rf"{self._host.world.profile.host_name}\{account.name}",
            "ClientIP": client,
            "WorkingDirectory": operation.working_directory,
            "IdleTimeOut": stack.shell_idle_timeout,
            "InputStreams": operation.input_streams or "stdin",
            "OutputStreams": operation.output_streams or "stdout stderr",
            "ShellRunTime": "P0DT0H0M0S",
            "ShellInactivity": "P0DT0H0M0S",
        }
        if not operation.working_directory:
            del details["WorkingDirectory"]
        return ShellCreated(shown, uri, header.to, details if stack.tells_of_shells else {})

    def _start(
        self, operation: Command, shell: SimulatedShell, *, speaker: Speaker, account: LabAccount, seconds: float
    ) -> CommandStarted:
        running = sum(1 for command in shell.commands.values() if not command.over)
        if running >= self._host.winrm.max_processes:
            raise SentFault(speaker.over_operations())
        if not operation.command.strip():
            raise SentFault(speaker.bad_shell_parameter())
        world = self._host.world
        skip = _option(operation.target, "WINRS_SKIP_CMD_SHELL").lower() == "true"
        alone = skip and world.profile.release < _ALWAYS_CMD
        with world.lock:
            if alone and not _is_program(world, operation.command, account):
                raise SentFault(speaker.no_program())
            result = run_arguments(
                world,
                operation.command,
                operation.arguments,
                account=account,
                code_page=shell.code_page,
                folder=shell.directory,
                through_cmd=not alone,
            )
            if self._host.on_change is not None:
                self._host.on_change()
        outcome = CommandOutcome(result.stdout, result.stderr, _signed(result.exit_code), seconds)
        return CommandStarted(self._shells.start(shell, outcome))

    async def _receive(
        self, operation: Receive, command: RunningCommand, header: RequestHeader, *, speaker: Speaker
    ) -> Received:
        allowed = max(SHORTEST_WAIT, min(header.operation_timeout or LONGEST_WAIT, LONGEST_WAIT)).total_seconds()
        until = self._shells.now() + allowed
        # A signal may end the command meanwhile, so the wait is taken in small steps.
        while (missing := command.ready_at - self._shells.now()) > 0:
            if self._shells.now() >= until:
                raise SentFault(speaker.timed_out())
            await asyncio.sleep(min(missing, 0.1, max(0.0, until - self._shells.now())))
        wanted = [name for name in _STREAMS if name in operation.streams.split()] or list(_STREAMS)
        identity = operation.command_id
        pieces = [ShellStream(name, identity, data) for name in wanted if (data := command.output(name, MAX_OUTPUT_PIECE))]
        if not command.drained and len(wanted) == len(_STREAMS):
            return Received(identity, tuple(pieces), "Running")
        command.over = True
        ends = [ShellStream(name, identity, end=True) for name in wanted]
        return Received(identity, (*pieces, *ends), "Done", command.outcome.exit_code)

    def _send(self, operation: Send, command: RunningCommand) -> Sent:
        # No program of the simulation reads input: it is taken and lies unread, as with a program that ignores it.
        return Sent()

    def _signal(self, operation: Signal, command: RunningCommand, shell: SimulatedShell, *, speaker: Speaker) -> Signalled:
        ending = _ENDINGS.get(SignalCode(operation.code)) if operation.code in set(SignalCode) else None
        if ending is None:
            raise SentFault(speaker.bad_shell_parameter())
        if command.over:
            if operation.code == SignalCode.TERMINATE:
                del shell.commands[operation.command_id.upper()]
        else:
            command.end(ending)
        return Signalled()


def _shell_id(target: ResourceTarget) -> str:
    found = next((value for name, value in target.selectors if fold(name) == "SHELLID"), "")
    return found.removeprefix("uuid:") if isinstance(found, str) else ""


def _option(target: ResourceTarget, name: str) -> str:
    return next((option.value.strip() for option in target.options if fold(option.name) == name), "")


def _is_program(world: World, name: str, account: LabAccount) -> bool:
    return find_program(ShellSession.begin(world, account=account, code_page=None), name) is not None


def _signed(code: int) -> int:
    """An exit code as the wire spells it: a signed number of 32 bits."""
    return code - 2**32 if code >= 2**31 else code


def _is_code_page(text: str) -> bool:
    if not (text.isascii() and text.isdigit() and len(text) <= 5):
        return False
    try:
        codecs.lookup("utf-8" if text == "65001" else f"cp{int(text)}")
    except LookupError:
        return False
    return True
