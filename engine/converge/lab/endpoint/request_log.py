"""What a simulated host was asked: a bounded list, so that a test can prove what was sent and what was not."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import Final

MAX_RECORDS: Final = 20_000


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One request that was understood.

    `operation` is Get, Enumerate, Pull, Release, Invoke, Identify, Create, Command, Send, Receive, Signal, Delete or
    Unknown; `detail` the WQL text or command line; `keys` the selectors. `reads` is the endpoint's own judgement.
    """

    operation: str
    resource: str = ""
    method: str = ""
    detail: str = ""
    keys: tuple[tuple[str, str], ...] = ()
    account: str = ""
    reads: bool = True


class RequestLog:
    """The latest requests of one host, and how many logins were refused. Safe to read from any thread."""

    def __init__(self) -> None:
        self._records: deque[RequestRecord] = deque(maxlen=MAX_RECORDS)
        self._lock = threading.Lock()
        self._refused_logins = 0

    def add(self, record: RequestRecord) -> None:
        """Note a request."""
        with self._lock:
            self._records.append(record)

    def add_refused_login(self) -> None:
        """Note that a user name and password were given and refused."""
        with self._lock:
            self._refused_logins += 1

    @property
    def records(self) -> tuple[RequestRecord, ...]:
        """The latest requests, oldest first."""
        with self._lock:
            return tuple(self._records)

    @property
    def refused_logins(self) -> int:
        """How often a login was refused."""
        with self._lock:
            return self._refused_logins

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._records.clear()
            self._refused_logins = 0
