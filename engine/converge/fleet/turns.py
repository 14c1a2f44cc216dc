"""Whose turn it is: hosts in their order, those that have to wait set aside so that they keep nobody else waiting."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from itertools import chain
from typing import Generic, TypeVar

G = TypeVar("G", bound=Hashable)


class Turns(Generic[G]):
    """Hosts are taken from `hosts` only as they are begun. Those of a group without room wait together, in their order."""

    def __init__(self, hosts: Iterable[str], *, group_of: Callable[[str], G], has_room: Callable[[G], bool]) -> None:
        self._hosts: Iterator[str] = iter(hosts)
        self._group_of = group_of
        self._has_room = has_room
        self._held_back: dict[G, deque[str]] = {}

    def next(self) -> str | None:
        """The next host that may begin; None where none may now."""
        for group, hosts in self._held_back.items():
            if self._has_room(group):
                host = hosts.popleft()
                if not hosts:
                    del self._held_back[group]
                return host
        for host in self._hosts:
            group = self._group_of(host)
            if group not in self._held_back and self._has_room(group):
                return host
            self._held_back.setdefault(group, deque()).append(host)
        return None

    def back(self, host: str) -> None:
        """It is this host's turn once more, before the others of its group."""
        self._held_back.setdefault(self._group_of(host), deque()).appendleft(host)

    def rest(self) -> Iterator[str]:
        """Every host that was never begun. Nothing may be taken afterwards."""
        return chain(*self._held_back.values(), self._hosts)
