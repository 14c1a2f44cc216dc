"""What enforcement remembers between rounds and restarts: when each group was looked at, and the drift known there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import delete, insert, select, text, update

from converge.model.recorded import Drift
from converge.store.database import Database
from converge.store.tables import ENFORCED_DRIFT, ENFORCED_GROUPS, REFUSED_LOGINS

_BEGIN = text(
    "INSERT INTO enforced_groups (name, begun) VALUES (:name, :begun)"
    " ON CONFLICT (name) DO UPDATE SET begun = excluded.begun"
)


class Enforcement:
    """The daemon's ledger. Every method may raise JournalUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begun(self, group: str) -> datetime | None:
        """When the last round of a group began that looked at all its hosts."""
        wanted = select(ENFORCED_GROUPS.c.begun).where(ENFORCED_GROUPS.c.name == group)
        with self._database.reading() as connection:
            return moment_of(connection.execute(wanted).scalar())

    def begin(self, group: str, moment: datetime) -> None:
        """A round that began at this moment has looked at all hosts."""
        with self._database.writing() as connection:
            connection.execute(_BEGIN, {"name": group, "begun": moment.isoformat()})

    def drift(self, group: str) -> tuple[Drift, ...]:
        """The drift known in a group, by host and address."""
        table = ENFORCED_DRIFT
        wanted = select(table).where(table.c.name == group).order_by(table.c.host, table.c.address)
        with self._database.reading() as connection:
            rows = connection.execute(wanted).all()
        return tuple(
            Drift(
                row.host, row.address, moment_of(row.since), moment_of(row.repaired), row.reverted, moment_of(row.quarantined)
            )
            for row in rows
        )

    def keep(self, group: str, drift: Sequence[Drift]) -> None:
        """The drift known from now on."""
        known = {(each.host, each.address): each for each in self.drift(group)}
        wanted = {(each.host, each.address): each for each in drift}
        gone = known.keys() - wanted.keys()
        new = [each for key, each in wanted.items() if known.get(key) != each]
        if not gone and not new:
            return
        table = ENFORCED_DRIFT
        with self._database.writing() as connection:
            for host, address in (*gone, *((each.host, each.address) for each in new)):
                key = (table.c.name == group) & (table.c.host == host) & (table.c.address == address)
                connection.execute(delete(table).where(key))
            if new:
                connection.execute(insert(table), [_row(group, each) for each in new])

    def release(self, host: str, address: str | None = None) -> int:
        """End the quarantine of a host's resources, or of one; how many."""
        table = ENFORCED_DRIFT
        which = (table.c.host == host) & table.c.quarantined.is_not(None)
        if address is not None:
            which &= table.c.address == address
        with self._database.writing() as connection:
            ended = update(table).where(which).values(quarantined=None, reverted=0)
            return connection.execute(ended).rowcount

    def refused_logins(self) -> dict[tuple[str, str], datetime]:
        """Logins that were refused: by folded account and host, when."""
        with self._database.reading() as connection:
            rows = connection.execute(select(REFUSED_LOGINS)).all()
        return {(row.account, row.host): datetime.fromisoformat(row.refused) for row in rows}

    def keep_refused_logins(self, refused: Mapping[tuple[str, str], datetime]) -> None:
        """All that is refused from now on."""
        rows = [
            {"account": account, "host": host, "refused": moment.isoformat()}
            for (account, host), moment in refused.items()
        ]
        with self._database.writing() as connection:
            connection.execute(delete(REFUSED_LOGINS))
            if rows:
                connection.execute(insert(REFUSED_LOGINS), rows)


def _row(group: str, drift: Drift) -> dict[str, object]:
    return {
        "name": group, "host": drift.host, "address": drift.address, "since": text_of(drift.since),
        "repaired": text_of(drift.repaired), "reverted": drift.reverted, "quarantined": text_of(drift.quarantined),
    }  # fmt: skip


def moment_of(stamp: str | None) -> datetime | None:
    """The moment of a column that may be empty."""
    return datetime.fromisoformat(stamp) if stamp else None


def text_of(moment: datetime | None) -> str | None:
    """What such a column holds of a moment."""
    return moment.isoformat() if moment else None
