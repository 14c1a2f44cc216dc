"""Ctrl-C and SIGTERM: the first asks for the end, the second does not wait for it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from converge.fleet.stop import StopToken

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_ASKED = b"\nStopping: no further host is begun. Again to stop at once.\n"


@contextmanager
def stopping(token: StopToken, *, words: bytes = _ASKED) -> Iterator[None]:
    """Within this block a signal asks `token` for the end, and says `words`, instead of breaking into whatever runs."""

    def ask(_number: int, _frame: FrameType | None) -> None:
        if not token.is_set():
            os.write(2, words)  # sys.stderr may be in the middle of a write
        token.ask()

    before = {number: signal.signal(number, ask) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def interrupt_on_terminate() -> None:
    """Let SIGTERM end the process as Ctrl-C does wherever no block of `stopping` says otherwise."""
    signal.signal(signal.SIGTERM, _interrupt)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
