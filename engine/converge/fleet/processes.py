"""Workers as processes of this machine, each at the other end of a pipe.

They are forked from a process that has loaded the program once and holds nothing of the run, so that they share its pages.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import threading
from collections.abc import Callable, Collection
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from converge.errors import UsageError
from converge.fleet.links import Arrived, Inbox, Link, Lost
from converge.fleet.messages import Hello, Message, OpenShop, pack, unpack
from converge.fleet.worker import Shift

START_SECONDS = 60.0
END_SECONDS = 1.0


class Processes:
    """Opens lines to `number` processes. `open_shop` is named, not sent: it must be a function of a module."""

    def __init__(self, number: int, *, open_shop: OpenShop) -> None:
        self._number = number
        self._open_shop = open_shop

    def open(self, inbox: Inbox, *, sites: Collection[str]) -> list[Link]:
        """Start them; they serve every site. Raises UsageError where they do not start."""
        del sites
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([self._open_shop.__module__])
        links: list[_PipeLink] = []
        try:
            for number in range(self._number):
                ours, theirs = context.Pipe()
                process = context.Process(target=serve, args=(theirs, self._open_shop), daemon=True)
                process.start()
                theirs.close()
                links.append(_PipeLink(process, ours, number=number + 1, inbox=inbox))
            for link in links:
                link.greeted()
        except (OSError, EOFError) as error:
            for link in links:
                link.close(at_once=True)
            raise UsageError(
                f"a worker process cannot be started: {getattr(error, 'strerror', None) or 'it ended at once'}",
                try_="fewer of them (--executor processes:N), or --executor threads",
            ) from error
        return list(links)

    def close(self) -> None:
        """They have nothing in common."""


class _PipeLink:
    """The line to one process."""

    is_elsewhere = False

    def __init__(self, process: BaseProcess, pipe: Connection, *, number: int, inbox: Inbox) -> None:
        self._process = process
        self._pipe = pipe
        self._inbox = inbox
        self._closing = False
        self.name = f"process {number} (pid {process.pid})"

    def greeted(self) -> None:
        """Wait for its first word, and listen from then on. Raises OSError, EOFError."""
        if not self._pipe.poll(START_SECONDS):
            raise EOFError
        unpack(self._pipe.recv_bytes())
        threading.Thread(target=self._listen, name=f"listens to {self.name}", daemon=True).start()

    def serves(self, site: str) -> bool:
        """A process of this machine goes wherever this machine can."""
        del site
        return True

    def send(self, message: Message) -> None:
        """Hand it on. The other end always reads, so that this does not wait."""
        try:
            self._pipe.send_bytes(pack(message))
        except (OSError, ValueError):
            return  # whoever listens finds out, and tells it

    def close(self, *, at_once: bool) -> None:
        """End the process: by itself if it is idle, or else by force."""
        self._closing = True
        if not at_once:
            self._hang_up()
            self._process.join(END_SECONDS)
        if self._process.exitcode is None:
            self._process.kill()
            self._process.join(END_SECONDS)
        self._hang_up()

    def _hang_up(self) -> None:
        # Another thread reads from the pipe: closing the descriptor under it would not wake it up.
        with suppress(OSError, ValueError), socket.socket(fileno=os.dup(self._pipe.fileno())) as line:
            line.shutdown(socket.SHUT_RDWR)

    def _listen(self) -> None:
        while True:
            try:
                message = unpack(self._pipe.recv_bytes())
            except (OSError, EOFError, TypeError):
                break
            self._inbox.put(Arrived(self, message))
        if not self._closing:
            self._process.join(END_SECONDS)
            self._inbox.put(Arrived(self, Lost(_ended(self._process.exitcode))))


def _ended(code: int | None) -> str:
    if code is None:
        return "It hung up."
    return f"It was ended by signal {-code}." if code < 0 else f"It ended with {code}."


def serve(pipe: Connection, open_shop: OpenShop) -> None:
    """Be a worker until the other end hangs up; then finish what is under way, up to its next boundary, and end."""
    for number in (signal.SIGINT, signal.SIGTERM):
        # Whoever interrupts or ends the whole group reaches the control node too, which says what to do.
        signal.signal(number, signal.SIG_IGN)
    tell = _teller(pipe)
    shift = Shift(open_shop, tell)
    tell(Hello())
    while True:
        try:
            message = unpack(pipe.recv_bytes())
        except (OSError, EOFError):
            break
        shift.take(message)
    shift.stop.ask()
    shift.drain()
    os._exit(0)  # nothing of the process that this one was forked from is to be tidied up here


def _teller(pipe: Connection) -> Callable[[Message], None]:
    lock = threading.Lock()

    def tell(message: Message) -> None:
        packed = pack(message)
        try:
            with lock:
                pipe.send_bytes(packed)
        except (OSError, ValueError):
            return  # nobody listens any more: what was done is in the journals

    return tell
