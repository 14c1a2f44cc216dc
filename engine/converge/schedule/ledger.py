"""The daemon's ledger, kept in the store."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import datetime

from converge.model.recorded import Drift, Intention, Outlook
from converge.store.names import new_run_id
from converge.store.store import Store


class StoreLedger:
    """What the enforcer and those who watch it find in the store. Every method may raise JournalUnavailable."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def claim(self, group: str) -> AbstractContextManager[object]:
        """A lease, as on a host: it ends by itself when this process dies. Raises Held."""
        return self._store.leases.acquire(f"the enforcement of {group}", run=new_run_id())

    def begun(self, group: str) -> datetime | None:
        """When the last round of a group began that looked at all its hosts."""
        return self._store.enforcement.begun(group)

    def begin(self, group: str, moment: datetime) -> None:
        """A round that began at this moment has looked at all hosts."""
        self._store.enforcement.begin(group, moment)

    def drift(self, group: str) -> Sequence[Drift]:
        """The drift known in a group."""
        return self._store.enforcement.drift(group)

    def keep(self, group: str, drift: Sequence[Drift]) -> None:
        """The drift known from now on."""
        self._store.enforcement.keep(group, drift)

    def announce(self, outlook: Outlook) -> None:
        """How a group stands and when its next round is due."""
        self._store.intentions.announce(outlook)

    def replace(self, group: str, intentions: Sequence[Intention]) -> None:
        """What is meant to become of what the last round left."""
        self._store.intentions.replace(group, intentions)

    def forget(self, group: str) -> None:
        """The group has left the policy."""
        self._store.intentions.forget(group)
