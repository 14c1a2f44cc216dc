"""Open enumerations: what is left of each, under a name that changes with every page, until read, released or forgotten."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from converge.wsman import cim
from converge.wsman.cim import Instance

WIDEST_PAGE: Final = 153_600
"""Bytes of UTF-16 that pages fill at most, however large an envelope is asked for (measured on 2008 R2 and 2012)."""
ENVELOPE_OVERHEAD: Final = 1_200


class TooLarge(Exception):
    """One item does not fit the envelope."""


@dataclass(slots=True)
class Enumeration:
    """What is left of one enumeration, and the limits its Pulls must repeat; `max_elements` None until the first names it."""

    account: str
    items: list[Instance]
    max_envelope: int
    max_elements: int | None
    used: float


class Enumerations:
    """All open enumerations of one host."""

    def __init__(self, *, expiry: timedelta, clock: Callable[[], float] = time.monotonic) -> None:
        self._open: dict[str, Enumeration] = {}
        self._expiry = expiry.total_seconds()
        self._clock = clock

    def count(self, account: str) -> int:
        """How many an account has open."""
        self._expire()
        return sum(1 for item in self._open.values() if item.account == account)

    def begin(self, enumeration: Enumeration) -> str:
        """Keep what is left; returns the context that names it."""
        context = f"uuid:{uuid.uuid4()}".upper().replace("UUID:", "uuid:")
        enumeration.used = self._clock()
        self._open[context] = enumeration
        return context

    def take(self, context: str, *, account: str) -> Enumeration | None:
        """The enumeration a context names, which is over with that; None if there is none of this account."""
        self._expire()
        found = self._open.get(context)
        if found is None or found.account != account:
            return None
        return self._open.pop(context)

    def _expire(self) -> None:
        oldest = self._clock() - self._expiry
        self._open = {context: item for context, item in self._open.items() if item.used >= oldest}


def page(items: list[Instance], *, limit: int, most: int) -> list[Instance]:
    """The first of these items that fit `limit` characters, at most `most`; they are taken from the list.

    Raises TooLarge when not even the first fits.
    """
    room = limit - ENVELOPE_OVERHEAD
    taken = 0
    for item in items[:most]:
        room -= len(cim.instance_element(cim.shown_instance(item)))
        if room < 0:
            break
        taken += 1
    if items and not taken and most > 0:
        raise TooLarge
    fitting = items[:taken]
    del items[:taken]
    return fitting
