"""Which process serves the lab's hosts, and where: `up.json` in the lab's folder, true while that process holds its lock."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from converge.errors import UsageError
from converge.model.change import Json
from converge.model.opening import make_state_folder, read_bounded, require_state_folder
from converge.model.secret import Secret

STOP_SECONDS = 10.0
_LARGEST = 64 * 1024 * 1024  # bytes of the record of thousands of hosts


@dataclass(frozen=True, slots=True)
class Served:
    """Where a simulated host listens, and who may log in."""

    endpoint: str
    username: str
    password: Secret
    image: str

    def as_json(self) -> dict[str, str]:
        """The form of `lab up --format json`. The passwords open nothing but simulations."""
        return {
            "endpoint": self.endpoint,
            "username": self.username,
            "password": self.password.reveal(),
            "image": self.image,
        }


class LabRecord:
    """The record of the process that serves this folder's hosts."""

    def __init__(self, folder: Path) -> None:
        """Raises UsageError for a folder that another account may change."""
        require_state_folder(folder.parent)
        require_state_folder(folder)
        self._folder = folder
        self._path = folder / "up.json"
        self._lock: int | None = None

    def claim(self) -> None:
        """Become that process. Raises UsageError where another one is."""
        make_state_folder(self._folder)
        descriptor = os.open(self._folder / "up.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise UsageError("the lab is up already in this folder", try_="converge lab down") from None
        self._lock = descriptor
        self._path.unlink(missing_ok=True)

    def write(self, hosts: Mapping[str, Served]) -> None:
        """Tell others where the hosts listen."""
        content = {"pid": os.getpid(), "hosts": {name: served.as_json() for name, served in hosts.items()}}
        beside = self._path.with_suffix(".new")
        with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            json.dump(content, file)
        beside.replace(self._path)

    def release(self) -> None:
        """Stop being that process."""
        self._path.unlink(missing_ok=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def served(self, host: str) -> Served | None:
        """Where a host listens now, if some process serves it."""
        entry = (self._read() or {}).get("hosts", {}).get(host)
        if entry is None:
            return None
        return Served(entry["endpoint"], entry["username"], Secret(entry["password"]), entry["image"])

    def is_up(self) -> bool:
        """Whether some process serves hosts of this folder."""
        return self._read() is not None

    def stop(self) -> bool:
        """End that process and wait for it; False if there is none. Raises UsageError if it does not end."""
        record = self._read()
        if record is None:
            return False
        os.kill(int(record["pid"]), signal.SIGTERM)
        ends = time.monotonic() + STOP_SECONDS
        while self._read() is not None:
            if time.monotonic() > ends:
                raise UsageError(f"the lab (process {record['pid']}) does not end", try_=f"kill {record['pid']}")
            time.sleep(0.05)
        return True

    def _read(self) -> dict[str, Json] | None:
        """The record, if the process that wrote it lives: then its lock cannot be had."""
        try:
            descriptor = os.open(self._folder / "up.lock", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return None
        except BlockingIOError:
            try:
                record: dict[str, Json] = json.loads(read_bounded(self._path, most=_LARGEST))
            except (FileNotFoundError, ValueError):
                return None  # it has only just begun
            return record
        finally:
            os.close(descriptor)
