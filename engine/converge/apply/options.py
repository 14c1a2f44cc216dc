"""What a person allowed, and the means of waiting."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class ApplyOptions:
    """What was allowed aloud for this run.

    `settle` holds what a person said of commands whose outcome nobody knows, by host. `sleep` and `monotonic` (both in
    seconds) are the clock; `stop` says whether the run is to end at the next boundary between two actions.
    """

    accept_no_way_back: bool = False
    allow_reboot: bool = False
    settle: Mapping[str, Literal["done", "not-done"]] = field(default_factory=dict)
    sleep: Callable[[float], None] = time.sleep
    monotonic: Callable[[], float] = time.monotonic
    stop: Callable[[], bool] = lambda: False


class StoppedError(Exception):
    """The run was told to stop, and this is a boundary at which nothing is half-done."""
