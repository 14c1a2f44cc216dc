"""The places that registry searches found, per host and search."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime

from sqlalchemy import select, text

from converge.errors import JournalUnavailable
from converge.model.names import fold
from converge.model.places import KnownPlaces, Place
from converge.model.query import RegistrySearch
from converge.model.registry import Hive, RegistryPath
from converge.store.chain import canonical
from converge.store.database import Database
from converge.store.tables import PLACES

_REMEMBER = text(
    "INSERT INTO places (host, search, found, last_full) VALUES (:host, :search, :found, :last_full)"
    " ON CONFLICT (host, search) DO UPDATE SET found = excluded.found, last_full = excluded.last_full"
)


class StoredPlaces:
    """`model.places.Places` in the store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def known(self, host: str, search: RegistrySearch) -> KnownPlaces | None:
        """What the last search in full found; None if there was none. Raises JournalUnavailable."""
        wanted = select(PLACES.c.found, PLACES.c.last_full)
        wanted = wanted.where((PLACES.c.host == host) & (PLACES.c.search == search_digest(search)))
        with self._database.reading() as connection:
            row = connection.execute(wanted).first()
        return None if row is None else _read(row.found, row.last_full, host)

    def remember(self, host: str, search: RegistrySearch, *, found: KnownPlaces) -> None:
        """Keep what a search in full found. Raises JournalUnavailable."""
        content = {
            "places": [[*_pair(place.key), place.name] for place in found.places],
            "unreadable": [_pair(key) for key in found.unreadable],
        }
        values = {"host": host, "search": search_digest(search), "found": canonical(content)}
        with self._database.writing() as connection:
            connection.execute(_REMEMBER, values | {"last_full": found.last_full.isoformat()})


def search_digest(search: RegistrySearch) -> str:
    """What tells two searches apart: their roots and files, in any case and order."""
    told = [sorted(fold(str(root)) for root in search.roots), sorted(fold(name) for name in search.files)]
    return hashlib.sha256(canonical({"search": told}).encode("ascii")).hexdigest()


def _pair(key: RegistryPath) -> list[str]:
    return [key.hive.name, key.subkey]


def _read(found: str, last_full: str, host: str) -> KnownPlaces:
    try:
        content = json.loads(found)
        places = tuple(Place(RegistryPath(Hive[hive], subkey), name) for hive, subkey, name in content["places"])
        unreadable = tuple(RegistryPath(Hive[hive], subkey) for hive, subkey in content["unreadable"])
        return KnownPlaces(places, unreadable, datetime.fromisoformat(last_full))
    except (ValueError, KeyError, TypeError) as error:
        raise JournalUnavailable(f"the known places of {host} cannot be read", code="store-damaged") from error
