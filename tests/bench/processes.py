"""Processes measured: what a whole tree of them used, and the ones that answer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).parents[2]
SAMPLE_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Used:
    """What a process and its children used: seconds, and megabytes (peak, pages shared between them counted once)."""

    wall: float
    cpu: float
    memory: float
    first: float
    code: int
    output: str


class Answerers:
    """The processes that answer, and one tongue for all."""

    def __init__(self, number: int, *, image: str) -> None:
        self._processes = [
            subprocess.Popen(
                [sys.executable, "-m", "tests.bench.answering", image],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(number)
        ]
        self.ports = [port for process in self._processes for port in self._line(process)["ports"]]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes:
            process.communicate(timeout=30)

    def tell(self, order: str) -> list[dict[str, Any]]:
        """What each answers to an order."""
        for process in self._processes:
            assert process.stdin
            process.stdin.write(order + "\n")
            process.stdin.flush()
        return [self._line(process) for process in self._processes]

    @staticmethod
    def _line(process: subprocess.Popen[str]) -> dict[str, Any]:
        assert process.stdout
        found: dict[str, Any] = json.loads(process.stdout.readline())
        return found


def measured(
    command: Sequence[str], *, folder: Path, environment: Mapping[str, str] | None = None, memory: bool = False
) -> Used:
    """Run a command to its end. Memory is sampled only if asked for: sampling takes time from what is measured."""
    with tempfile.TemporaryFile() as output:
        began = time.monotonic()
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
        sampler = _Sampler(process.pid, output.fileno(), began, memory=memory)
        sampler.start()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        sampler.ended.set()
        sampler.join()
        output.seek(0)
        told = output.read().decode("utf-8", "replace")
    return Used(
        wall, usage.ru_utime + usage.ru_stime, sampler.peak / 1024, sampler.first or wall, process.returncode, told
    )


class _Sampler(threading.Thread):
    def __init__(self, pid: int, output: int, began: float, *, memory: bool) -> None:
        super().__init__(daemon=True)
        self._pid, self._output, self._began, self._memory = pid, output, began, memory
        self.peak = 0
        self.first = 0.0
        self.ended = threading.Event()

    def run(self) -> None:
        while not self.ended.wait(SAMPLE_SECONDS):
            if not self.first and os.fstat(self._output).st_size:
                self.first = time.monotonic() - self._began
            if self._memory:
                self.peak = max(self.peak, sum(memory_of(pid) for pid in tree_of(self._pid)))


def tree_of(pid: int) -> list[int]:
    found, waiting = [], [pid]
    while waiting:
        found.append(waiting.pop())
        try:
            for task in os.listdir(f"/proc/{found[-1]}/task"):
                children = Path(f"/proc/{found[-1]}/task/{task}/children").read_text("ascii")
                waiting += [int(child) for child in children.split()]
        except OSError:
            continue
    return found


def memory_of(pid: int) -> int:
    """Kilobytes, pages that several processes share divided among them."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
