"""Inside a worker of dask: what the control node calls there, by dask's own `Client.run`.

These are no tasks: dask moves tasks from worker to worker and repeats them, and a change is not to be repeated. They never
raise, and what they are given shows nothing of its content: dask logs the arguments of what fails.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from converge import __version__
from converge.fleet.messages import Message, OpenRunner, Parcel, pack, unpack
from converge.fleet.worker import Worker

SILENCE = 30.0  # seconds without a word from the control node after which nothing further is begun
WATCH = 1.0
MOST_AT_ONCE = 500  # messages of one answer


@dataclass(slots=True)
class _Session:
    """One run's line to this worker. What was told is kept until the control node says that it has arrived."""

    loop: asyncio.AbstractEventLoop
    told: list[Parcel] = field(default_factory=list)
    sent: int = 0
    taken: int = 0
    something: asyncio.Event = field(default_factory=asyncio.Event)
    leaving: asyncio.Event = field(default_factory=asyncio.Event)
    heard: float = field(default_factory=time.monotonic)
    lock: threading.Lock = field(default_factory=threading.Lock)
    worker: Worker | None = None

    def tell(self, message: Message) -> None:
        """Of any thread: keep a message for the control node."""
        packed = pack(message)
        with self.lock:
            self.sent += 1
            self.told.append(Parcel(self.sent, packed))
        self.loop.call_soon_threadsafe(self.something.set)


_sessions: dict[str, _Session] = {}
_watchers: set[asyncio.Task[None]] = set()


async def hello(session: str, runner: str) -> dict[str, Any]:
    """Open a line; what runs here. `runner` names the function that opens it, as module:name."""
    logging.getLogger("distributed.worker").addFilter(_quiet)
    opened = _sessions[session] = _Session(asyncio.get_running_loop())
    opened.worker = Worker(_named(runner), opened.tell)
    watcher = asyncio.create_task(_watch(session, opened))
    _watchers.add(watcher)
    watcher.add_done_callback(_watchers.discard)
    return {"version": __version__}


async def deliver(session: str, parcels: list[Parcel]) -> bool:
    """Take messages; one that came before is not taken again. False where nobody knows of the run."""
    found = _sessions.get(session)
    if found is None or found.worker is None:
        return False
    found.heard = time.monotonic()
    for parcel in parcels:
        if parcel.number > found.taken:
            found.taken = parcel.number
            found.worker.take(unpack(parcel.content))
    return True


async def collect(session: str, arrived: int, seconds: float) -> list[Parcel] | None:
    """What there is to tell beyond the messages up to number `arrived`, waiting at most so long for something."""
    found = _sessions.get(session)
    if found is None:
        return None
    found.heard = time.monotonic()
    with found.lock:
        found.told = [parcel for parcel in found.told if parcel.number > arrived]
        if not found.told:
            found.something.clear()
    if not found.told:
        try:
            await asyncio.wait_for(found.something.wait(), seconds)
        except TimeoutError:
            return []
    return found.told[:MOST_AT_ONCE]


async def dismiss(session: str) -> None:
    """The run needs this worker no more."""
    if (found := _sessions.get(session)) is not None:
        found.something.set()
        found.leaving.set()


async def _watch(session: str, found: _Session) -> None:
    """End a session that nobody asks after: hosts under way come to their next boundary, no further one is begun."""
    assert found.worker is not None
    while not found.leaving.is_set() and time.monotonic() - found.heard < SILENCE:
        with suppress(TimeoutError):
            await asyncio.wait_for(found.leaving.wait(), WATCH)
    found.worker.stop.ask()
    while not found.worker.is_idle:
        await asyncio.sleep(WATCH)
    _sessions.pop(session, None)
    await asyncio.to_thread(found.worker.drain)


def _named(runner: str) -> OpenRunner:
    module, _, name = runner.partition(":")
    found: OpenRunner = getattr(importlib.import_module(module), name)
    return found


def _quiet(record: logging.LogRecord) -> bool:
    """Dask logs a line whenever something is called: several each second, for each run."""
    return not (record.msg == "Run out-of-band function %r" and record.args in _OWN)


_OWN = tuple((function.__name__,) for function in (hello, deliver, collect, dismiss))
