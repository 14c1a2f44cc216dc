"""Commands in a WinRS shell, run to their end within bounds; every command is signalled off and every shell deleted."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from converge.errors import HostUnreachable, RemoteProtocolError
from converge.winrm.carrier import Cut
from converge.winrm.exchange import Exchange, Faulted, OutOfTime, gave_up
from converge.wsman import faults
from converge.wsman.envelopes import Option, ResourceTarget
from converge.wsman.namespaces import CMD_SHELL
from converge.wsman.shells import (
    Command,
    CreateShell,
    DeleteShell,
    Receive,
    Received,
    ShellCreated,
    ShellDeleted,
    Signal,
    Signalled,
)

MAX_OUTPUT: Final = 1024 * 1024
MAX_CUTS: Final = 3
KEPT_OUTPUT: Final = 64 * 1024
"""Bytes kept of the beginning, and as many of the end, of what a command that may go on writing wrote to one stream."""
_CROWDED: Final = 2.0
"""Seconds between two looks at a command while the host is over a quota."""
_UTF_8_WITHOUT_PROFILE: Final = (Option("WINRS_NOPROFILE", "TRUE"), Option("WINRS_CODEPAGE", "65001"))
# Through `cmd /c`: what command lines are quoted for.
_THROUGH_CMD: Final = (Option("WINRS_CONSOLEMODE_STDIN", "TRUE"), Option("WINRS_SKIP_CMD_SHELL", "FALSE"))
_KEEP_ALIVE: Final = (Option("WSMAN_CMDSHELL_OPTION_KEEPALIVE", "TRUE"),)
_GONE = (Cut, Faulted, RemoteProtocolError, HostUnreachable)


@dataclass(frozen=True, slots=True)
class Finished:
    """A command that ended: its exit code, and what it wrote (nothing of what a sink was given)."""

    exit_code: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        """What it wrote to its output, read as UTF-8 as was asked for."""
        return self.stdout.decode("utf-8", "replace")

    @property
    def complaint(self) -> str:
        """What it wrote to its error output, else to its output, on one line."""
        return " ".join((self.stderr or self.stdout).decode("utf-8", "replace").split())[:500]


class _Ends:
    """The beginning and the end of a stream; how much was left out between them is told there."""

    def __init__(self) -> None:
        self._begin = bytearray()
        self._end = bytearray()
        self._total = 0

    def take(self, data: bytes) -> None:
        """More of it."""
        self._total += len(data)
        room = KEPT_OUTPUT - len(self._begin)
        self._begin += data[:room]
        self._end += data[room:]
        if len(self._end) > 2 * KEPT_OUTPUT:
            del self._end[:-KEPT_OUTPUT]

    @property
    def whole(self) -> bytes:
        """What was kept."""
        end = self._end[-KEPT_OUTPUT:]
        left_out = self._total - len(self._begin) - len(end)
        note = f"\n[converge keeps no more of a long output: {left_out} bytes left out here]\n" if left_out else ""
        return bytes(self._begin) + note.encode() + bytes(end)


class Shell:
    """One shell on the host, opened when it is first needed."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._target: ResourceTarget | None = None
        self.takes_one = False
        """Whether it may take one command only: WinRM 1.1, which tells nothing of a shell but its id."""

    @property
    def is_open(self) -> bool:
        """Whether it was opened and not closed since."""
        return self._target is not None

    def open(self, *, patient: bool = True) -> None:
        """Open it. Raises Faulted where none may be opened, impatiently at once over a quota, and as `Exchange.once`."""
        if self._target is None:
            wanted = CreateShell(ResourceTarget(CMD_SHELL, options=_UTF_8_WITHOUT_PROFILE))
            ask = self._exchange.patiently if patient else self._exchange.once
            created = ask(wanted, ShellCreated)
            self._target = ResourceTarget(CMD_SHELL, selectors=(("ShellId", created.shell_id),))
            self.takes_one = not created.details

    def command(self, line: str) -> Command:
        """The request that starts a command line in it."""
        return Command(self._with(_THROUGH_CMD), line)

    def finish(
        self,
        command_id: str,
        *,
        seconds: float,
        limit: int | None = MAX_OUTPUT,
        cuts: int = 0,
        sink: Callable[[bytes], None] | None = None,
    ) -> Finished:
        """Wait for a command's end, at most `seconds`, and take up to `limit` bytes of its output.

        Without a limit it may write what it likes, and the beginning and the end of it are kept.
        Up to `cuts` broken lines are survived: the shell lives on, only some output may be lost with the line.
        Raises Faulted when time or size run out (the command is ended then), and as `Exchange.once`.
        """
        try:
            return self._received(command_id, seconds=seconds, limit=limit, cuts=cuts, sink=sink)
        finally:
            self._end(Signal(self._with(()), command_id), Signalled)

    def _received(
        self, command_id: str, *, seconds: float, limit: int | None, cuts: int, sink: Callable[[bytes], None] | None
    ) -> Finished:
        output: dict[str, list[bytes]] = {"stdout": [], "stderr": []}
        kept = {"stdout": _Ends(), "stderr": _Ends()}
        taken = 0
        for received in self._pieces(command_id, seconds=seconds, cuts=cuts):
            for stream in received.streams:
                taken += len(stream.data)
                if limit is None:
                    if stream.name in kept:
                        kept[stream.name].take(stream.data)
                    continue
                if taken > limit:
                    raise gave_up(f"the command wrote more than converge's own limit of {limit} bytes of output")
                if sink and stream.name == "stdout":
                    sink(stream.data)
                elif stream.name in output:
                    output[stream.name].append(stream.data)
            if received.state == "Done":
                if received.exit_code is None:
                    raise RemoteProtocolError("a command that ended without an exit code")
                whole = {name: b"".join(pieces) or kept[name].whole for name, pieces in output.items()}
                return Finished(received.exit_code, whole["stdout"], whole["stderr"])
        late = gave_up(f"the command did not end within the {seconds:g} s that converge gives it")
        raise OutOfTime(late.fault)

    def _pieces(self, command_id: str, *, seconds: float, cuts: int) -> Iterator[Received]:
        ends = time.monotonic() + seconds
        while (left := ends - time.monotonic()) > 0:
            try:
                # Hosts hold no operation for less than half a second.
                wait = max(min(left, self._exchange.connection.operation_timeout), 0.5)
                yield self._exchange.once(Receive(self._with(_KEEP_ALIVE), command_id), Received, seconds=wait)
            except Faulted as faulted:
                if faulted.fault.over_quota:
                    time.sleep(min(_CROWDED, left))
                elif faulted.fault.code != faults.TIMED_OUT:
                    raise
            except (Cut, RemoteProtocolError):
                cuts -= 1
                if cuts < 0:
                    raise
                self._exchange.carrier.drop()

    def _with(self, options: tuple[Option, ...]) -> ResourceTarget:
        if self._target is None:
            raise RemoteProtocolError("a command in a shell that is closed")
        return ResourceTarget(CMD_SHELL, selectors=self._target.selectors, options=options)

    def close(self) -> None:
        """Delete it, and with it whatever still runs in it."""
        if self._target is not None:
            try:
                self._end(DeleteShell(self._with(())), ShellDeleted)
            finally:
                self._target = None

    def _end(self, operation: Signal | DeleteShell, expected: type[Signalled] | type[ShellDeleted]) -> None:
        """End something that may be ended twice: tried once more on a new line, given up where the host is away."""
        with contextlib.suppress(*_GONE):
            try:
                self._exchange.patiently(operation, expected)
            except Cut as cut:
                if not cut.expired:
                    self._exchange.patiently(operation, expected)
