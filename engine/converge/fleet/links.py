"""A worker as the control node sees it, and what may arrive from it."""

from __future__ import annotations

import queue
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Protocol

from converge.fleet.messages import Message


class Link(Protocol):
    """The line to one worker. What it tells is put into the inbox that it was opened with."""

    @property
    def name(self) -> str:
        """Which worker, in words."""

    @property
    def is_elsewhere(self) -> bool:
        """Whether the worker may be on another machine, with other files and other databases."""

    def serves(self, site: str) -> bool:
        """Whether it goes to hosts of this site; every worker serves hosts without one (an empty text)."""

    def send(self, message: Message) -> None:
        """Hand a message on, once. Does not wait; where it cannot arrive, `Lost` is told."""

    def close(self, *, at_once: bool) -> None:
        """The worker is not needed any more; `at_once`: whatever it does."""


@dataclass(frozen=True, slots=True)
class Lost:
    """A worker is gone, or says nothing any more."""

    why: str


@dataclass(frozen=True, slots=True, eq=False)
class Arrived:
    """Something from a worker."""

    link: Link = field(repr=False)
    what: Message | Lost


Inbox = queue.SimpleQueue[object]
"""Of `Arrived`, and of what the control node's own threads have to tell."""


class Links(Protocol):
    """Opens lines to workers."""

    def open(self, inbox: Inbox, *, sites: Collection[str]) -> list[Link]:
        """Those that are there, each of which has said hello. Raises UsageError where nobody can be reached or trusted."""

    def close(self) -> None:
        """Let go of whatever the lines have in common."""
