"""What the process ends with, and which code wins when several hold."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

from converge.errors import ConvergeError, StoreLost
from converge.model.change import HostResult, Status

WINDOW_CODES = frozenset({"outside-window", "window-too-short", "window-ended"})
"""Codes of errors that say: not now. Their hosts are held, and the run ends as one that was stopped."""


class ExitCode(IntEnum):
    """The codes of the README's table."""

    IN_ORDER = 0
    USAGE = 1
    DRIFT = 2
    FAILED = 3
    UNREACHABLE = 4
    STALE = 5
    STOPPED = 6
    HELD = 7
    BUG = 70
    INTERRUPTED = 130


PRECEDENCE = (
    ExitCode.BUG,
    ExitCode.INTERRUPTED,
    ExitCode.USAGE,
    ExitCode.HELD,
    ExitCode.STOPPED,
    ExitCode.STALE,
    ExitCode.FAILED,
    ExitCode.UNREACHABLE,
    ExitCode.DRIFT,
    ExitCode.IN_ORDER,
)

_OF_STATUS = {
    Status.FAILED: ExitCode.FAILED,
    Status.UNDECIDED: ExitCode.FAILED,
    Status.UNKNOWN: ExitCode.FAILED,
    Status.UNREACHABLE: ExitCode.UNREACHABLE,
    Status.STALE: ExitCode.STALE,
    Status.HELD: ExitCode.HELD,
}


def worst(codes: Iterable[ExitCode]) -> ExitCode:
    """The code that wins among those that hold; 0 if none does."""
    return min(codes, key=PRECEDENCE.index, default=ExitCode.IN_ORDER)


def code_of_refusal(error: ConvergeError) -> ExitCode:
    """What an error before any host was touched asks for."""
    return ExitCode.FAILED if isinstance(error, StoreLost) else ExitCode.USAGE


def code_of(result: HostResult, *, checking: bool) -> ExitCode:
    """What one host's result asks for. A change that was only looked at, and what waits, is drift; one that was made is in order."""
    if result.error is not None and result.error.code == "internal":
        return ExitCode.BUG
    if result.error is not None and result.error.code in WINDOW_CODES:
        return ExitCode.STOPPED
    if result.status is Status.WAITING:
        return ExitCode.DRIFT
    if result.status is Status.CHANGED:
        return ExitCode.DRIFT if checking else ExitCode.IN_ORDER
    return _OF_STATUS.get(result.status, ExitCode.IN_ORDER)
