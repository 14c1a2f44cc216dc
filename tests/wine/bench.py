"""Services made for a test on a real service manager, looked at, and cleared away."""

from __future__ import annotations

import time

from tests.wine.agent import HKLM, REG_DWORD, Agent, ProcessRow, Value
from tests.wine.prefix import dword
from tests.wine.services import PAUSED, RUNNING, STOPPED

PROGRAM = r"C:\services\service.exe"
SHARED = 0x20  # with a process of its own the manager does not mind which names a program implements
SETTLE_SECONDS = 10.0


class Bench:
    """Makes services and looks at them."""

    def __init__(self, windows: Agent) -> None:
        self.windows = windows
        self._made: list[str] = []

    def add(
        self,
        name: str,
        *,
        program: str = PROGRAM,
        start: int = 3,
        running: bool = False,
        depends_on: tuple[str, ...] = (),
        **told: int,
    ) -> None:
        """A service; `told` are the dwords that say how it fares."""
        self.windows.create_service(name, program, start=start, kind=SHARED, depends_on=depends_on)
        self._made.append(name)
        key = rf"SYSTEM\CurrentControlSet\Services\{name}\Parameters"
        self.windows.make_key(HKLM, key)
        for word, number in told.items():
            self.windows.set_value(HKLM, key, Value(f"Witness{word}", REG_DWORD, dword(number)))
        if running:
            self.windows.start_service(name)
            self.wait(name, RUNNING)

    def state(self, name: str) -> int:
        """What it is doing."""
        return self.windows.service(name).state

    def wait(self, name: str, state: int) -> None:
        """Until it does that."""
        ends = time.monotonic() + SETTLE_SECONDS
        while self.state(name) != state:
            assert time.monotonic() < ends, f"{name} is in state {self.state(name)}, not {state}"
            time.sleep(0.05)

    def process(self, name: str) -> ProcessRow:
        """The process it runs in; numbers alone are soon given to another."""
        number = self.windows.service(name).process
        return next(process for process in self.windows.processes() if process.number == number)

    def clear(self) -> None:
        """Stop and remove them all."""
        while self._made:
            name = self._made.pop()
            if self.state(name) in (RUNNING, PAUSED):
                self.windows.control_service(name, 1)
            ends = time.monotonic() + SETTLE_SECONDS
            while self.state(name) != STOPPED and time.monotonic() < ends:
                time.sleep(0.05)
            self.windows.delete_service(name)
