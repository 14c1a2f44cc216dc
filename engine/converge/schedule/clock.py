"""The clock that the daemon goes by."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Protocol

from converge.fleet.stop import StopToken

LONGEST_WAIT = (
    30.0  # seconds, after which the wall clock is looked at again: it may have been set, or the machine slept
)


class Clock(Protocol):
    """Tells the time and lets it pass."""

    def now(self) -> datetime:
        """The present moment, aware."""

    def wait_until(self, moment: datetime, stop: StopToken) -> bool:
        """Wait for a moment; whether it was reached before the end was asked for."""


class WallClock:
    """The clock of this machine."""

    def now(self) -> datetime:
        """The present moment in UTC."""
        return datetime.now(UTC)

    def wait_until(self, moment: datetime, stop: StopToken) -> bool:
        """Wait for a moment; whether it was reached before the end was asked for."""
        while (left := (moment - self.now()) / timedelta(seconds=1)) > 0:
            if stop.wait(min(left, LONGEST_WAIT)):
                return False
        return not stop.is_set()
