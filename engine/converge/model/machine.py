"""The live things one can talk to."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from converge.model.action import AnyAction, Performed
from converge.model.answer import Answers
from converge.model.query import AnyQuery


class Observer(Protocol):
    """Can be asked about a host and can do nothing to it. Check mode holds only this."""

    @property
    def host(self) -> str:
        """The host's name in the inventory."""

    @property
    def round_trips(self) -> int:
        """How many requests were sent after authentication."""

    def ask(self, queries: Collection[AnyQuery]) -> Answers:
        """Answer every query in few round trips. One that fails is `Refused`; only a dead host raises HostUnreachable."""


class Machine(Observer, Protocol):
    """An observer that can also act."""

    def perform(self, action: AnyAction) -> Performed:
        """Do one thing. Raises ActionRefused when the host said no, Interrupted when nobody knows."""


class Fronting:
    """An observer that stands before another one, of the same host and with its count of requests."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer

    @property
    def host(self) -> str:
        """The host's name in the inventory."""
        return self._observer.host

    @property
    def round_trips(self) -> int:
        """How many requests were sent after authentication."""
        return self._observer.round_trips
