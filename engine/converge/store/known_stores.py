"""Which stores were used with a state folder, so that one that is empty or another one now is not taken for a new one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from converge.errors import StoreLost
from converge.model.opening import read_bounded
from converge.store import durable
from converge.store.database import unavailable

FILE_NAME = "stores.json"
_LARGEST = 1024 * 1024  # bytes


class KnownStores:
    """The names of stores (never a password) with what tells the key of each apart, in a file of the state folder."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE_NAME

    def key_name(self, store: str) -> str | None:
        """What told the key of a store when it was last used here; None if it never was. Raises JournalUnavailable."""
        return self._read().get(store)

    def remember(self, store: str, key_name: str) -> None:
        """Remember that it is used here. Raises JournalUnavailable."""
        known = {**self._read(), store: key_name}
        try:
            durable.make_folder(self._path.parent)
            durable.replace_whole(self._path, lambda file: json.dump(known, file, indent=1))
        except OSError as error:
            raise unavailable(str(self._path), error.strerror or str(error)) from error

    def _read(self) -> Mapping[str, str]:
        try:
            known = json.loads(read_bounded(self._path, most=_LARGEST))
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise unavailable(str(self._path), error.strerror or str(error)) from error
        except (ValueError, RecursionError):
            known = None
        if not isinstance(known, dict) or not all(isinstance(value, str) for value in known.values()):
            raise StoreLost(
                f"{self._path} cannot be read: it names the stores that were used here",
                try_="remove it if you know that no store was lost",
            )
        return known


def empty(store: str) -> StoreLost:
    """Why nothing is changed with a store that was used here and holds nothing now."""
    return _lost(f"the store {store} was used here before, and is empty or gone now")


def another(store: str) -> StoreLost:
    """Why nothing is changed with a store that stands where one was that was used here."""
    return _lost(f"the store {store} is not the one that was used here before under this name")


def _lost(what: str) -> StoreLost:
    return StoreLost(
        what,
        why="What earlier runs changed, and what they left open on the hosts, is not known without it.",
        try_="put back a copy of it; or, where that is lost for good, --new-store to begin a new one",
    )
