"""What a run knows of an account, and how many may try it: until it was let in somewhere, at most two refusals."""

from __future__ import annotations

from dataclasses import dataclass, field

MOST_REFUSALS = 2


@dataclass(slots=True)
class Account:
    """Not for several threads at once. Moments are in seconds of one clock; `slow` is how long a login counts.

    A login that takes longer than `slow` holds nobody back any more: its host is silent rather than about to refuse.
    """

    slow: float
    proven: bool = False
    refused: int = 0
    _under_way: list[float] = field(default_factory=list)

    @property
    def is_lost(self) -> bool:
        """Whether one more refusal could lock it."""
        return not self.proven and self.refused >= MOST_REFUSALS

    def until_room(self, now: float) -> float:
        """Seconds until another login may begin if none ends before; 0 or less for now."""
        if self.proven or self.is_lost:
            return 0.0
        room = MOST_REFUSALS - self.refused
        youngest = sorted(self._under_way)[-room:]
        return youngest[0] + self.slow - now if len(youngest) == room else 0.0

    def begin(self, now: float) -> None:
        """A login begins."""
        self._under_way.append(now)

    def end(self, began: float, *, accepted: bool | None) -> None:
        """It is over; None where the host said nothing of the account."""
        self._under_way.remove(began)
        self.refused += accepted is False
        self.proven = self.proven or accepted is True
