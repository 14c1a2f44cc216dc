"""WinRS shells of one host: what is open for whom, the commands in them, and their output until it is fetched.

Commands run at once; `seconds` of a finished command is how long its output is held back, as if it took that long.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from converge.model.names import same

MAX_OUTPUT_PIECE: Final = 16 * 1024
"""Bytes of one stream in one answer."""

TERMINATED_EXIT: Final = 1
INTERRUPTED_EXIT: Final = -1073741510  # STATUS_CONTROL_C_EXIT


@dataclass(frozen=True, slots=True)
class CommandOutcome:
    """What a command line brought: its output, its exit code, and how many seconds it took."""

    stdout: bytes
    stderr: bytes = b""
    exit_code: int = 0
    seconds: float = 0.0


@dataclass(slots=True)
class RunningCommand:
    """A command until its end was told and confirmed by a signal."""

    outcome: CommandOutcome
    ready_at: float
    told: dict[str, int] = field(default_factory=dict)
    over: bool = False

    def output(self, name: str, most: int) -> bytes:
        """The next bytes of a stream, which count as told."""
        held = self.outcome.stdout if name == "stdout" else self.outcome.stderr
        start = self.told.get(name, 0)
        piece = held[start : start + most]
        self.told[name] = start + len(piece)
        return piece

    @property
    def drained(self) -> bool:
        """Whether all output was told."""
        return self.told.get("stdout", 0) >= len(self.outcome.stdout) and self.told.get("stderr", 0) >= len(
            self.outcome.stderr
        )

    def end(self, exit_code: int) -> None:
        """It is stopped: what it has not written yet is lost."""
        self.outcome = CommandOutcome(b"", b"", exit_code)
        self.told.clear()
        self.ready_at = 0.0


@dataclass(slots=True)
class SimulatedShell:
    """An open shell. The variables a client gives it are not simulated: commands see the machine's own."""

    account: str
    code_page: int
    directory: str
    commands: dict[str, RunningCommand] = field(default_factory=dict)


class Shells:
    """All shells of one host."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._open: dict[str, SimulatedShell] = {}
        self._clock = clock

    def now(self) -> float:
        """Seconds on the clock by which commands are ready."""
        return self._clock()

    def count(self, account: str) -> int:
        """How many an account has open."""
        return sum(1 for shell in self._open.values() if same(shell.account, account))

    def open(self, shell: SimulatedShell) -> str:
        """Keep a new shell; returns its id."""
        identity = str(uuid.uuid4()).upper()
        self._open[identity] = shell
        return identity

    def find(self, identity: str, *, account: str) -> SimulatedShell | None:
        """A shell of this account; ids are read in any case."""
        shell = self._open.get(identity.upper())
        return shell if shell is not None and same(shell.account, account) else None

    def close(self, identity: str) -> None:
        """Forget a shell and its commands."""
        self._open.pop(identity.upper(), None)

    def start(self, shell: SimulatedShell, outcome: CommandOutcome) -> str:
        """Keep what a command brought; returns the command's id."""
        identity = str(uuid.uuid4()).upper()
        shell.commands[identity] = RunningCommand(outcome, self._clock() + outcome.seconds)
        return identity
