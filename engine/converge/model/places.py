"""Places that an earlier search of a host's registry found, so that a later one asks for these only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from converge.model.query import RegistrySearch
from converge.model.registry import RegistryPath


@dataclass(frozen=True, slots=True)
class Place:
    """A value of a registry key, by its name."""

    key: RegistryPath
    name: str


@dataclass(frozen=True, slots=True)
class KnownPlaces:
    """What the last search in full found, the keys it could not read, and when it was (aware)."""

    places: tuple[Place, ...]
    unreadable: tuple[RegistryPath, ...]
    last_full: datetime


class Places(Protocol):
    """Remembers what searches found, host by host."""

    def known(self, host: str, search: RegistrySearch) -> KnownPlaces | None:
        """What an earlier search in full found; None if there was none. Raises JournalUnavailable."""

    def remember(self, host: str, search: RegistrySearch, *, found: KnownPlaces) -> None:
        """Keep what a search in full found, in place of what was known. Raises JournalUnavailable."""
