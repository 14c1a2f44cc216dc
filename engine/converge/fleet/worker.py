"""A worker's side: hosts are visited as they are sent, a thread each, and what became of them is told as they end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from converge.errors import ConvergeError
from converge.fleet.messages import Begin, Begun, Go, HostEnded, LoggedIn, Message, OpenRunner, StageRunner, Stop
from converge.fleet.parallel import attempted, in_a_thread
from converge.fleet.stop import StopToken
from converge.model.change import Problem

LOOK = 0.02  # seconds between two looks at whether everybody has come home


class Worker:
    """The work of one run in this process. `tell` is called from many threads, and never raises."""

    def __init__(self, open_runner: OpenRunner, tell: Callable[[Message], None]) -> None:
        self._open_runner = open_runner
        self._tell = tell
        self._runner: StageRunner | None = None
        self._under_way = 0
        self._lock = threading.Lock()
        self.stop = StopToken()

    def take(self, message: Message) -> None:
        """Do what a message of the control node says; returns at once."""
        match message:
            case Begin():
                in_a_thread("order", lambda: self._begin(message))
            case Go():
                with self._lock:
                    self._under_way += 1
                in_a_thread(f"host {message.host}", lambda: self._go(message))
            case Stop():
                self.stop.ask()

    def drain(self, *, seconds: float | None = None) -> None:
        """Wait for the hosts under way, at most so long, and close the runner."""
        deadline = None if seconds is None else time.monotonic() + seconds
        while self._under_way and (deadline is None or time.monotonic() < deadline):
            time.sleep(LOOK)
        if self._runner is not None and not self._under_way:
            self._runner.close()

    @property
    def is_idle(self) -> bool:
        """Whether no host is under way."""
        return not self._under_way

    def _begin(self, message: Begin) -> None:
        problem: Problem | None = None
        try:
            if self._runner is not None:
                self._runner.close()
            self._runner = self._open_runner(message.payload)
        except ConvergeError as error:
            problem = Problem.of(error)
        except BaseException as error:  # noqa: BLE001  # whoever waits for the answer must get one
            problem = Problem("internal", f"a bug in converge: {type(error).__name__}")
        self._tell(Begun(message.stage, problem))

    def _go(self, message: Go) -> None:
        runner = self._runner
        assert runner is not None

        def logged_in(accepted: bool | None) -> None:
            self._tell(LoggedIn(message.stage, message.host, accepted))

        result = attempted(message.host, lambda: runner.run(message, self.stop, logged_in=logged_in), on_bug=runner.bug)
        with self._lock:
            self._under_way -= 1
        self._tell(HostEnded(message.stage, result))
