"""The wish that a run end: shared by everybody who works on it."""

from __future__ import annotations

import threading


class StopToken:
    """Set once, never unset. Work looks at it before each action; a second wish means that nobody waits for work any more."""

    def __init__(self) -> None:
        self._asked = threading.Event()
        self._at_once = threading.Event()

    def ask(self) -> None:
        """Ask for the end at the next boundary between actions; asked again, at once."""
        if self._asked.is_set():
            self._at_once.set()
        self._asked.set()

    def is_set(self) -> bool:
        """Whether the end was asked for."""
        return self._asked.is_set()

    @property
    def at_once(self) -> bool:
        """Whether it was asked for twice."""
        return self._at_once.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait at most so long for the end to be asked for; whether it was."""
        return self._asked.wait(seconds)
