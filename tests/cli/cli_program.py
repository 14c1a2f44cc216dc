"""The program run in a folder of its own, as users run it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from tests.cli.forked import Forked

REPOSITORY = Path(__file__).parents[2]
FORKED = Forked()
BOUND = 300  # seconds for any one run of the program, on a machine that does much else

INVENTORY = """\
all:
  vars: {ansible_connection: lab}
  hosts:
    mail[01:02]: {converge_lab_image: exchange55-registry-stopped}
    mail03: {converge_lab_image: exchange55}
"""
PLAYBOOK = """\
- name: Remote Registry runs
  hosts: all
  order: 10
  resources:
    - name: Remote Registry starts by itself and runs
      service: {name: RemoteRegistry, running: true, start_mode: automatic}
      tags: [registry]
"""


@dataclass(frozen=True, slots=True)
class Ended:
    """What a run of the program left behind."""

    code: int
    out: str
    err: str

    def document(self) -> dict[str, Any]:
        read: dict[str, Any] = json.loads(self.out)
        return read


@dataclass(slots=True)
class Program:
    """Runs `converge` in a folder, without anything of the tester's own environment that steers it."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def argv(self, words: Sequence[str]) -> list[str]:
        return [sys.executable, "-m", "converge.cli.main", *words]

    def env(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("CONVERGE_", "NO_COLOR"))}
        return kept | self.environment | dict(more or {})

    def __call__(self, *words: str, env: Mapping[str, str] | None = None, stdin: str = "") -> Ended:
        return Ended(*FORKED.run(words, cwd=self.folder, env=self.env(env), stdin=stdin, timeout=BOUND))

    def started(self, *words: str, stdout: IO[str] | int = subprocess.PIPE) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.argv(words), cwd=self.folder, env=self.env(), text=True,
            stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE,
        )  # fmt: skip

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path


def until(holds: Callable[[], bool], *, seconds: float = BOUND) -> None:
    """Wait until something holds. Fails where it does not in time."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.02)


def interrupt(process: subprocess.Popen[str], *, times: int = 1, number: int = signal.SIGINT) -> Ended:
    """Signal a running program and wait for its end."""
    for _ in range(times):
        process.send_signal(number)
        time.sleep(0.1)
    out, err = process.communicate(timeout=BOUND)
    return Ended(process.returncode, out, err)
