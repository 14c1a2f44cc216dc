"""What enforcement means to do next, as its last rounds left it: written by the daemon, read by whoever shows it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from sqlalchemy import delete, insert, select, text, update

from converge.model.recorded import Intention, Outlook
from converge.store.database import Database
from converge.store.enforcement import moment_of, text_of
from converge.store.tables import ENFORCED_INTENTIONS, ENFORCED_OUTLOOK

_ANNOUNCE = text(
    "INSERT INTO enforced_outlook (name, mode, revision, owner, written, due, error)"
    " VALUES (:name, :mode, :revision, :owner, :written, :due, :error) ON CONFLICT (name) DO UPDATE SET"
    " mode = excluded.mode, revision = excluded.revision, owner = excluded.owner, written = excluded.written,"
    " due = excluded.due, error = excluded.error"
)


class Intentions:
    """Outlooks of groups, and intentions for what is left in them. Every method may raise JournalUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def outlooks(self) -> tuple[Outlook, ...]:
        """Every group that is enforced or was, by name."""
        table = ENFORCED_OUTLOOK
        with self._database.reading() as connection:
            rows = connection.execute(select(table).order_by(table.c.name)).all()
        return tuple(
            Outlook(
                row.name, row.mode, row.revision, row.owner, datetime.fromisoformat(row.written), moment_of(row.due),
                row.error,
            )
            for row in rows
        )  # fmt: skip

    def of(self, group: str | None = None, *, host: str | None = None) -> Iterator[Intention]:
        """What is left and why, of all groups or one, of all hosts or one, by group, host and address."""
        table = ENFORCED_INTENTIONS
        wanted = select(table).order_by(table.c.name, table.c.host, table.c.address)
        if group is not None:
            wanted = wanted.where(table.c.name == group)
        if host is not None:
            wanted = wanted.where(table.c.host == host)
        with self._database.reading() as connection:
            rows = connection.execute(wanted).all()
        for row in rows:
            yield Intention(row.name, row.host, row.address, row.reason, moment_of(row.due), row.words)

    def announce(self, outlook: Outlook) -> None:
        """How a group stands and when its next round is due."""
        row = {
            "name": outlook.group, "mode": outlook.mode, "revision": outlook.revision, "owner": outlook.owner,
            "written": outlook.written.isoformat(), "due": text_of(outlook.due), "error": outlook.error,
        }  # fmt: skip
        with self._database.writing() as connection:
            connection.execute(_ANNOUNCE, row)

    def replace(self, group: str, intentions: Sequence[Intention]) -> None:
        """What the round that just ended left in a group, in place of what the one before left."""
        table = ENFORCED_INTENTIONS
        rows = [
            {
                "name": group, "host": each.host, "address": each.address, "reason": each.reason,
                "due": text_of(each.due), "words": each.words,
            }
            for each in intentions
        ]  # fmt: skip
        with self._database.writing() as connection:
            connection.execute(delete(table).where(table.c.name == group))
            if rows:
                connection.execute(insert(table), rows)

    def retire(self, owner: str) -> None:
        """This process enforces no longer. What it meant to do stays to be read."""
        table = ENFORCED_OUTLOOK
        with self._database.writing() as connection:
            connection.execute(update(table).where(table.c.owner == owner).values(owner=""))

    def forget(self, group: str) -> None:
        """A group is no longer in the policy."""
        with self._database.writing() as connection:
            for table in (ENFORCED_OUTLOOK, ENFORCED_INTENTIONS):
                connection.execute(delete(table).where(table.c.name == group))
