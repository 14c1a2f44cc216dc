"""From chains that anybody could compute to those that take the store's key: a step of the schema, and nothing else uses it."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping

from sqlalchemy import Connection, text

from converge.store.chain import Chain, Gap, Head

PAGE = 500  # rows at once
_PAGE = text(
    "SELECT number, body, hash FROM journal WHERE host = :host AND number > :after ORDER BY number LIMIT :page"
)
_CHANGE = text("UPDATE journal SET hash = :hash WHERE host = :host AND number = :number")


def key_the_chains(connection: Connection) -> None:
    """Chain every row anew under the key. From the first that did not fit on rows stay as they are: they will not fit either."""
    for table in ("journal_heads", "journal_gaps"):
        connection.execute(text(f"ALTER TABLE {table} ADD COLUMN seal TEXT NOT NULL DEFAULT ''"))
    chain = Chain.of(_signing_key(connection))
    heads = connection.execute(text("SELECT host, number, hash, settled, settled_hash FROM journal_heads")).all()
    for row in heads:
        _rechain(connection, Head(*row), chain=chain)


def _signing_key(connection: Connection) -> bytes:
    """The key, made if no plan needed it so far."""
    new = {"value": secrets.token_hex(32)}
    connection.execute(
        text("INSERT INTO settings (name, value) VALUES ('signing key', :value) ON CONFLICT (name) DO NOTHING"), new
    )
    value = connection.execute(text("SELECT value FROM settings WHERE name = 'signing key'")).scalar_one()
    return bytes.fromhex(value)


def _rechain(connection: Connection, head: Head, *, chain: Chain) -> None:
    """What does not fit is told by whoever reads it: the head is sealed as it is then, and rows behind it stay as they are."""
    gaps = _gaps(connection, head.host)
    number, old, new = 0, "", ""
    settled_hash = head.settled_hash
    fits = True
    while fits:
        rows = connection.execute(_PAGE, {"host": head.host, "after": number, "page": PAGE}).all()
        changes = []
        for row in rows:
            number, old, new = _over(gaps, number, old, new) if row.number != number + 1 else (number, old, new)
            if row.number != number + 1 or hashlib.sha256(f"{old}\n{row.body}".encode()).hexdigest() != row.hash:
                fits = False
                break
            number, old, new = row.number, row.hash, chain.hash(new, row.body)
            changes.append({"hash": new, "host": head.host, "number": number})
            settled_hash = new if number == head.settled else settled_hash
        if changes:
            connection.execute(_CHANGE, changes)
        if len(rows) < PAGE:
            break
    number, old, new = _over(gaps, number, old, new)
    whole = fits and (number, old) == (head.number, head.hash)
    rechained = Head(head.host, head.number, new if whole else head.hash, head.settled, settled_hash)
    connection.execute(
        text(
            "UPDATE journal_heads SET hash = :hash, settled_hash = :settled_hash, seal = :seal WHERE host = :host"
        ),
        {
            "host": head.host, "hash": rechained.hash, "settled_hash": settled_hash,
            "seal": chain.head_seal(rechained),
        },
    )  # fmt: skip
    for gap in gaps.values():
        connection.execute(
            text("UPDATE journal_gaps SET seal = :seal WHERE host = :host AND first = :first"),
            {"seal": chain.gap_seal(gap), "host": gap.host, "first": gap.first},
        )


def _gaps(connection: Connection, host: str) -> dict[int, Gap]:
    wanted = text("SELECT host, first, last, hash FROM journal_gaps WHERE host = :host")
    return {row.first: Gap(*row) for row in connection.execute(wanted, {"host": host})}


def _over(gaps: Mapping[int, Gap], number: int, old: str, new: str) -> tuple[int, str, str]:
    """Where the chain goes on behind the rows that retention removed: their last hash is kept as it is."""
    while number + 1 in gaps:
        gap = gaps[number + 1]
        number, old, new = gap.last, gap.hash, gap.hash
    return number, old, new
