"""How much of what hosts said is held in memory at one time: a little for every question, more only from what all share."""

from __future__ import annotations

import threading
from typing import Final

ALWAYS: Final = 4 * 1024 * 1024
"""Bytes that one question may hold whatever the other hosts do."""
SHARED: Final = 96 * 1024 * 1024
"""Bytes beyond that, for the questions to all hosts together."""
_OF_AN_ELEMENT: Final = 100
"""Bytes that an element or an end of one costs beside its text, once it was read."""

_lock = threading.Lock()
_shared = 0


class HeldBytes:
    """What is held of the answers to one question."""

    def __init__(self) -> None:
        self._bytes = 0
        self._borrowed = 0

    def take(self, answer: bytes) -> bool:
        """Count an answer, before it is read. False where it is too much."""
        global _shared
        self._bytes += len(answer) + _OF_AN_ELEMENT * answer.count(b"<")
        wanted = max(self._bytes - ALWAYS, 0) - self._borrowed
        if wanted <= 0:
            return True
        with _lock:
            if _shared + wanted > SHARED:
                return False
            _shared += wanted
        self._borrowed += wanted
        return True

    def release(self) -> None:
        """The question is answered."""
        global _shared
        with _lock:
            _shared -= self._borrowed
        self._bytes = self._borrowed = 0
