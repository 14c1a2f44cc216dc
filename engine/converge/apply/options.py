"""What a person allowed, and the means of waiting."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

from converge.model.backup import BackupRecord, BackupSettings
from converge.plan.decision import DIGEST_KEY

POLL = 0.5  # seconds between the first two looks at something that is changing
LONGEST_POLL = 10.0  # and between later ones, so that half an hour is not thousands of requests


@dataclass(frozen=True, slots=True)
class ApplyOptions:
    """What was explicitly allowed for this run.

    `settle` holds what a person said of commands whose outcome nobody knows, by host. `sleep` and `monotonic` (both in
    seconds) are the clock, `now` the moment by this side's calendar; `stop` says whether the run is to end at the next
    boundary between two actions. `keeps_secrets` says whether the journal keeps sensitive values, encrypted: else changes
    of them have no way back. By `digest_key` sensitive values are told apart where they are shown. `leaves` says why a
    change of this address is not to be begun now, in words, and nothing where it may be: what it leaves is skipped, and the
    rest goes on. `backup` is where this host keeps what is replaced or removed, and `backups` tells what the journal
    knows of what is kept there.
    """

    accept_no_way_back: bool = False
    allow_reboot: bool = False
    settle: Mapping[str, Literal["done", "not-done"]] = field(default_factory=dict)
    sleep: Callable[[float], None] = time.sleep
    monotonic: Callable[[], float] = time.monotonic
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    stop: Callable[[], bool] = lambda: False
    keeps_secrets: bool = False
    digest_key: bytes = field(default=DIGEST_KEY, repr=False)
    leaves: Callable[[str], str] = lambda _address: ""
    backup: BackupSettings = field(default_factory=BackupSettings)
    backups: Callable[[], Iterable[BackupRecord]] = tuple

    def looks(self, within: timedelta) -> Iterator[None]:
        """Once at once, then again after pauses that grow, the last time when `within` is over. Raises StoppedError."""
        deadline = self.monotonic() + within.total_seconds()
        pause = POLL
        while True:
            yield
            left = deadline - self.monotonic()
            if left <= 0:
                return
            if self.stop():
                raise StoppedError
            self.sleep(max(min(pause, left), 0.001))
            pause = min(pause * 1.5, LONGEST_POLL)


class StoppedError(Exception):
    """The run was told to stop, and this is a boundary at which nothing is half-done."""
