"""Talks to agent.c: typed questions to a real Win32 registry, service manager and file system, and acts upon them."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

HKCR, HKCU, HKLM, HKU = 0x80000000, 0x80000001, 0x80000002, 0x80000003
REG_NONE, REG_SZ, REG_EXPAND_SZ, REG_BINARY, REG_DWORD, REG_MULTI_SZ, REG_QWORD = 0, 1, 2, 3, 4, 7, 11
FILE_NOT_FOUND, PATH_NOT_FOUND, ACCESS_DENIED, SHARING_VIOLATION = 2, 3, 5, 32
DIRECTORY = 0x10
NO_CHANGE = 0xFFFFFFFF
_SECONDS = 60.0
_STARTS = 3


class Win32Error(Exception):
    """A Win32 function failed: its error code."""

    def __init__(self, verb: str, code: int) -> None:
        super().__init__(f"{verb} failed with the Win32 error {code}")
        self.code = code


@dataclass(frozen=True)
class Value:
    """One registry value as it is stored."""

    name: str
    kind: int
    data: bytes

    @property
    def text(self) -> str:
        """A string without the zeros it ends in."""
        return self.data.decode("utf-16-le", "surrogatepass").rstrip("\0")

    @property
    def texts(self) -> list[str]:
        """The texts of a multi-string, as far as the empty one that ends it."""
        taken = []
        for item in self.data.decode("utf-16-le", "surrogatepass").split("\0"):
            if not item:
                break
            taken.append(item)
        return taken

    @property
    def number(self) -> int:
        """A little-endian number."""
        return int.from_bytes(self.data, "little")


@dataclass(frozen=True)
class ServiceRow:
    """What the service manager says of a service: numbers as in winsvc.h."""

    name: str
    display: str
    kind: int
    start: int
    error_control: int
    path: str
    account: str
    dependencies: list[str]
    state: int
    accepted: int
    exit_code: int
    specific_code: int
    process: int


@dataclass(frozen=True)
class FileRow:
    """One file or folder."""

    name: str
    attributes: int
    size: int
    created: datetime
    written: datetime
    accessed: datetime

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return bool(self.attributes & DIRECTORY)


@dataclass(frozen=True)
class ProcessRow:
    """One process."""

    number: int
    parent: int
    image: str
    created: datetime


@dataclass(frozen=True)
class Ended:
    """A command that ended."""

    exit_code: int
    stdout: bytes
    stderr: bytes


@dataclass(frozen=True)
class System:
    """The Windows itself."""

    version: tuple[int, int, int]
    service_pack: int
    product_type: int
    computer: str
    folder: str
    now: datetime
    running_for: timedelta
    architecture: int
    language: int


def sz(text: str) -> bytes:
    """The data of a string value."""
    return (text + "\0").encode("utf-16-le", "surrogatepass")


def multi_sz(texts: Sequence[str]) -> bytes:
    """The data of a multi-string value."""
    return sz("".join(f"{text}\0" for text in texts))


def _hex(text: str | bytes) -> str:
    data = text.encode("utf-16-le", "surrogatepass") if isinstance(text, str) else text
    return data.hex() or "-"


def _bytes(field: str) -> bytes:
    return b"" if field == "-" else bytes.fromhex(field)


def _text(field: str) -> str:
    return _bytes(field).decode("utf-16-le", "surrogatepass")


def _time(field: str) -> datetime:
    return datetime(1601, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(field) // 10)


class Agent:
    """One running agent in one prefix. Questions from several threads are asked one after the other."""

    def __init__(self, program: Path, environment: Mapping[str, str]) -> None:
        self._lock = threading.Lock()
        self._reviving = threading.Lock()
        self._command = ["wine", str(program)]
        self._environment = dict(environment)
        self._process = self._started()

    def _started(self) -> subprocess.Popen[bytes]:
        """A process that answers. Under load Wine sometimes starts none, so it is tried a few times."""
        for _ in range(_STARTS):
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=self._environment,
            )
            try:
                self.ask("system.facts")
            except (RuntimeError, OSError):
                self.close()
                continue
            return self._process
        raise RuntimeError("no agent starts")

    def revive(self) -> None:
        """Start it again if it is gone, as Windows does with a service of its own. What it was doing then was answered as failed."""
        with self._reviving:
            if self._process.poll() is not None:
                self._process = self._started()

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait(_SECONDS)

    def ask(self, verb: str, *fields: str | bytes | int, seconds: float = _SECONDS) -> list[list[str]]:
        """One question; rows of fields. Raises Win32Error."""
        words = [str(field) if isinstance(field, int) else _hex(field) for field in fields]
        code, *rest = self._exchanged(" ".join([verb, *words]), seconds).split(" ")
        if code != "0":
            raise Win32Error(verb, int(code))
        return list(_rows(rest))

    def _exchanged(self, line: str, seconds: float) -> str:
        assert self._process.stdin
        assert self._process.stdout
        with self._lock:
            guard = threading.Timer(seconds, self._process.kill)
            guard.start()
            try:
                self._process.stdin.write(line.encode() + b"\n")
                self._process.stdin.flush()
                answer = self._process.stdout.readline().decode("ascii").rstrip("\n")
            finally:
                guard.cancel()
        if not answer:
            raise RuntimeError(f"the agent is gone, exit code {self._process.poll()}, asked for {line[:60]}")
        return answer

    def keys(self, hive: int, key: str, *, view: int = 64) -> list[str]:
        """The names of the keys directly below."""
        return [_text(name) for (name,) in self.ask("registry.keys", hive, view, key)]

    def values(self, hive: int, key: str, *, view: int = 64) -> list[Value]:
        """Every value directly in a key."""
        rows = self.ask("registry.values", hive, view, key)
        return [Value(_text(name), int(kind), _bytes(data)) for name, kind, data in rows]

    def value(self, hive: int, key: str, name: str, *, view: int = 64) -> Value:
        """One value."""
        ((kind, data),) = self.ask("registry.get", hive, view, key, name)
        return Value(name, int(kind), _bytes(data))

    def set_value(self, hive: int, key: str, value: Value, *, view: int = 64) -> None:
        """Write one value into a key that is there."""
        self.ask("registry.set", hive, view, key, value.name, value.kind, value.data)

    def remove_value(self, hive: int, key: str, name: str, *, view: int = 64) -> None:
        """Remove one value."""
        self.ask("registry.unset", hive, view, key, name)

    def make_key(self, hive: int, key: str, *, view: int = 64) -> None:
        """Make a key and its parents."""
        self.ask("registry.create", hive, view, key)

    def remove_key(self, hive: int, key: str, *, view: int = 64) -> None:
        """Remove a key that has no keys below it."""
        self.ask("registry.delete", hive, view, key)

    def opens(self, hive: int, key: str, access: int, *, view: int = 64) -> int:
        """The error code of opening a key with these rights; 0 where they are granted."""
        try:
            self.ask("registry.access", hive, view, key, access)
        except Win32Error as error:
            return error.code
        return 0

    def service_names(self) -> list[str]:
        """Every service that is no driver."""
        return [_text(name) for (name,) in self.ask("service.names")]

    def service(self, name: str) -> ServiceRow:
        """One service."""
        ((display, kind, start, control, path, account, needed, *status),) = self.ask("service.get", name)
        # Wine's manager keeps them in the registry and does not tell them.
        dependencies = [item for item in _text(needed).split("\0") if item] or self._depends_on(name)
        return ServiceRow(
            name,
            _text(display),
            int(kind),
            int(start),
            int(control),
            _text(path),
            _text(account),
            dependencies,
            *(int(number) for number in status),
        )

    def _depends_on(self, name: str) -> list[str]:
        try:
            return self.value(HKLM, rf"SYSTEM\CurrentControlSet\Services\{name}", "DependOnService").texts
        except Win32Error:
            return []

    def create_service(
        self,
        name: str,
        path: str,
        *,
        start: int = 3,
        kind: int = 0x10,
        depends_on: Sequence[str] = (),
        display: str = "",
    ) -> None:
        """Make a service; `start` 2 is automatic, 3 manual, 4 disabled; `kind` 0x10 has a process of its own, 0x20 shares."""
        needed = "".join(f"{item}\0" for item in depends_on)
        self.ask("service.create", name, display or name, path, kind, start, needed)

    def delete_service(self, name: str) -> None:
        """Remove a service."""
        self.ask("service.delete", name)

    def start_service(self, name: str) -> None:
        """Have the manager start a service."""
        self.ask("service.start", name)

    def control_service(self, name: str, control: int) -> None:
        """Send a control: 1 stop, 2 pause, 3 continue."""
        self.ask("service.control", name, control)

    def configure_service(self, name: str, *, start: int = NO_CHANGE, path: str = "") -> None:
        """Change when a service starts, or its command line."""
        self.ask("service.config", name, start, path)

    def stat(self, path: str) -> FileRow:
        """One file or folder."""
        ((attributes, size, *times),) = self.ask("file.stat", path)
        return FileRow(path.rpartition("\\")[2], int(attributes), int(size), *(_time(field) for field in times))

    def exists(self, path: str) -> bool:
        """Whether a file or folder is there."""
        try:
            self.stat(path)
        except Win32Error as error:
            if error.code in (FILE_NOT_FOUND, PATH_NOT_FOUND):
                return False
            raise
        return True

    def list_folder(self, folder: str) -> list[FileRow]:
        """What lies directly in a folder."""
        rows = self.ask("file.list", folder.rstrip("\\"))
        return [
            FileRow(_text(name), int(attributes), int(size), *(_time(field) for field in times))
            for name, attributes, size, *times in rows
        ]

    def version(self, path: str) -> str | None:
        """A file's version, None where it has no version resource."""
        try:
            (numbers,) = self.ask("file.version", path)
        except Win32Error:
            return None
        return ".".join(numbers)

    def copy_file(self, source: str, target: str) -> None:
        """Copy to a file that is not there yet."""
        self.ask("file.copy", source, target)

    def move(self, source: str, target: str) -> None:
        """Rename to what is not there yet, on the same volume."""
        self.ask("file.move", source, target)

    def delete_file(self, path: str) -> None:
        """Delete a file."""
        self.ask("file.delete", path)

    def make_folder(self, path: str) -> None:
        """Make a folder in one that is there."""
        self.ask("file.mkdir", path)

    def remove_folder(self, path: str) -> None:
        """Remove an empty folder."""
        self.ask("file.rmdir", path)

    def read_file(self, path: str) -> bytes:
        """What a file holds."""
        ((data,),) = self.ask("file.read", path)
        return _bytes(data)

    def write_file(self, path: str, data: bytes) -> None:
        """Make a file, or replace what is in it."""
        self.ask("file.write", path, data)

    def processes(self) -> list[ProcessRow]:
        """Every process."""
        rows = self.ask("process.list")
        return [ProcessRow(int(number), int(parent), _text(image), _time(at)) for number, parent, image, at in rows]

    def run(self, line: str, *, folder: str = "", seconds: float = 30.0) -> Ended:
        """Run a command line to its end. Raises Win32Error where it does not start, or 1460 where it does not end."""
        ((code, stdout, stderr),) = self.ask(
            "process.run", line, folder, int(seconds * 1000), seconds=seconds + _SECONDS
        )
        return Ended(int(code), _bytes(stdout), _bytes(stderr))

    def expand(self, text: str) -> str:
        """A text with its environment variables replaced."""
        ((expanded,),) = self.ask("system.expand", text)
        return _text(expanded)

    def system(self) -> System:
        """The Windows itself."""
        ((major, minor, build, pack, product, computer, folder, now, ticks, processor, language),) = self.ask(
            "system.facts"
        )
        return System(
            version=(int(major), int(minor), int(build)),
            service_pack=int(pack),
            product_type=int(product),
            computer=_text(computer),
            folder=_text(folder),
            now=_time(now),
            running_for=timedelta(milliseconds=int(ticks)),
            architecture=int(processor),
            language=int(language),
        )


def _rows(fields: Sequence[str]) -> Iterator[list[str]]:
    """The rows of an answer; a plain answer is one row."""
    row: list[str] = []
    for field in fields:
        if field == ";":
            yield row
            row = []
        elif field:
            row.append(field)
    if row:
        yield row
