"""How changes go out over many hosts: in which batches, after which canaries, and how much may go wrong."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

_SHARE = re.compile(r"(\d{1,7})(%?)")


@dataclass(frozen=True, slots=True)
class Share:
    """So many hosts, or so many of a hundred."""

    amount: int
    percent: bool = False

    @classmethod
    def parse(cls, raw: object) -> Share:
        """A whole number, or a text such as `10` or `25%`. Raises ValueError with words for people."""
        found = _SHARE.fullmatch(str(raw).strip()) if isinstance(raw, int | str) and not isinstance(raw, bool) else None
        if found is None:
            raise ValueError(f"{raw!r} is not a number of hosts such as 10 or 25%")
        share = cls(int(found[1]), bool(found[2]))
        if share.percent and share.amount > 100:
            raise ValueError(f"{raw} is more than all hosts")
        return share

    def at_least_one_of(self, hosts: int) -> int:
        """So many of these hosts, rounded down, and at least one."""
        return max(1, self.of(hosts))

    def of(self, hosts: int) -> int:
        """So many of these hosts, rounded down."""
        return int(Fraction(self.amount * hosts, 100)) if self.percent else self.amount

    def __str__(self) -> str:
        return f"{self.amount}{'%' if self.percent else ''}"


@dataclass(frozen=True, slots=True)
class Rollout:
    """How one play, or one run, wants its changes to go out. Of a list of batches the last size holds to the end.

    `max_failures`: as soon as more hosts have failed, could not be reached or are in doubt, no further one is begun.
    `canary` is a pattern of hosts that go first and, `soak` seconds later, must still be as declared.
    """

    batch: tuple[Share, ...] = ()
    max_failures: Share | None = None
    canary: str = ""
    soak: float = 0.0


def parse_batches(raw: object) -> tuple[Share, ...]:
    """One size, or a list of sizes. Raises ValueError with words for people."""
    sizes = tuple(Share.parse(item) for item in (raw if isinstance(raw, list | tuple) else [raw]))
    if any(size.amount == 0 for size in sizes):
        raise ValueError("a batch of no hosts would never end")
    return sizes
