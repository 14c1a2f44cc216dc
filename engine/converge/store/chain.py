"""Journal rows as text, chained under the store's key: one that is changed, removed, put in or moved later no longer fits.

Only who has the key can compute a fitting row, head or gap. It lies in the store itself (`settings`), so this holds against
accidents, and against who can write some tables and cannot read that one. It does not hold against who has the whole store,
and it does not show that a store as a whole, or all of one host's rows with their head, was put back to an earlier state.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from converge.model.change import Json
from converge.store.keys import derived_key

NO_ROW = ""
"""What stands for the hash before the first row."""


def canonical(row: Mapping[str, Json]) -> str:
    """The one text of a row, in ASCII."""
    return json.dumps(row, ensure_ascii=True, sort_keys=True, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Row:
    """A row as it is kept: its place in the chain of its host, its run, its text, its hash."""

    host: str
    number: int
    run: str
    body: str
    hash: str


@dataclass(frozen=True, slots=True)
class Head:
    """How far the journal of a host goes, and up to where nothing is left open; `seal` is only right where both are."""

    host: str
    number: int
    hash: str
    settled: int
    settled_hash: str
    seal: str = ""


@dataclass(frozen=True, slots=True)
class Gap:
    """Rows that retention removed, from `first` to `last`; `hash` is that of the last of them."""

    host: str
    first: int
    last: int
    hash: str
    seal: str = ""


@dataclass(frozen=True, slots=True)
class Chain:
    """Computes and compares what only the store's key can compute."""

    key: bytes = field(repr=False)

    @classmethod
    def of(cls, signing_key: bytes) -> Chain:
        """The chain of the store with this key."""
        return cls(derived_key(signing_key, purpose="journal"))

    def hash(self, previous: str, body: str) -> str:
        """That of the row that follows the one whose hash is `previous`."""
        return self._mac("row", [previous, body])

    def head_seal(self, head: Head) -> str:
        """What makes a head believable."""
        return self._mac("head", [head.host, head.number, head.hash, head.settled, head.settled_hash])

    def gap_seal(self, gap: Gap) -> str:
        """What makes a gap believable."""
        return self._mac("gap", [gap.host, gap.first, gap.last, gap.hash])

    def believes(self, kept: Head | Gap) -> bool:
        """Whether a head or a gap was written by who has the key."""
        seal = self.head_seal(kept) if isinstance(kept, Head) else self.gap_seal(kept)
        return hmac.compare_digest(seal, _ascii(kept.seal))

    def read(self, row: Row, previous: str) -> Mapping[str, Json]:
        """A row's content. Raises ValueError with words where it is not what was written after `previous`."""
        try:
            content = json.loads(row.body)
            place = content["host"], content["number"], content["run"]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise ValueError("it is no row of a journal") from None
        if place != (row.host, row.number, row.run):
            host, number, run = place
            raise ValueError(f"it was written as row {number} of {host}, in run {run}, and put here later")
        if not hmac.compare_digest(self.hash(previous, row.body), _ascii(row.hash)):
            raise ValueError("it was changed after it was written, or the row before it was")
        return dict(content)

    def _mac(self, what: str, parts: list[Json]) -> str:
        return hmac.new(self.key, f"{what} {json.dumps(parts)}".encode("ascii"), hashlib.sha256).hexdigest()


def _ascii(text: str) -> str:
    """What can be compared in constant time; a text that holds anything else is no hash at all."""
    return text if text.isascii() else ""
