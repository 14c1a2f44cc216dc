"""Where the password of a host comes from; it is fetched only when somebody connects."""

from __future__ import annotations

import os
import shlex
import shutil
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from converge.errors import HostUnreachable
from converge.inventory.programs import ProgramFailed, run_program
from converge.model.opening import doubt, read_bounded
from converge.model.secret import Secret

COMMAND_SECONDS = 30.0
MAX_PASSWORD_BYTES = 64 * 1024

Origin = Literal["nowhere", "inventory", "command", "env", "file"]


@dataclass(frozen=True, slots=True)
class PasswordSource:
    """Tells where a password comes from, without holding it unless the inventory itself does."""

    origin: Origin = "nowhere"
    name: str = ""
    """The command, the environment variable or the file. Shown to nobody: a command may hold what it should not."""
    secret: Secret | None = None
    store: PasswordStore | None = field(default=None, repr=False, compare=False)

    def __repr__(self) -> str:
        return f"PasswordSource({self.origin})"

    def fetch(self) -> Secret | None:
        """The password; None if none is given. Raises HostUnreachable when it cannot be had."""
        if self.origin in ("nowhere", "inventory"):
            return self.secret
        return (self.store or PasswordStore()).fetch(self.origin, self.name)


class PasswordStore:
    """Fetches each password once for all hosts that share its source. Meant for many threads."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._locks: dict[tuple[Origin, str], threading.Lock] = {}
        self._found: dict[tuple[Origin, str], Secret | HostUnreachable] = {}

    def fetch(self, origin: Origin, name: str) -> Secret:
        """The password from this source. Raises HostUnreachable, each time, when it cannot be had."""
        key = (origin, name)
        with self._guard:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            if key not in self._found:
                try:
                    self._found[key] = _FETCHERS[origin](name)
                except HostUnreachable as error:
                    self._found[key] = error
        found = self._found[key]
        if isinstance(found, HostUnreachable):
            raise _unavailable(found.what, why=found.why, try_=found.try_)
        return found


def _from_command(command: str) -> Secret:
    try:
        argv = shlex.split(command)
    except ValueError as error:
        raise _unavailable("converge_password_command is not a command", why=str(error)) from None
    if not argv:
        raise _unavailable("converge_password_command is empty")
    for path in _files_of(argv):
        if words := doubt(path):
            raise _unavailable(
                f"the password command {argv[0]} is not run: another account may change {path}",
                why="It would be run with your rights.",
                try_=words,
            )
    try:
        output = run_program(argv, seconds=COMMAND_SECONDS, max_output=MAX_PASSWORD_BYTES, quotes_errors=False)
    except ProgramFailed as error:
        raise _unavailable(
            f"the password command {argv[0]} gave no password",
            why=str(error),
            try_="run the command of converge_password_command by hand; it runs without a shell and without input",
        ) from None
    return _first_line(output, f"the password command {argv[0]}")


def _files_of(argv: Sequence[str]) -> Iterator[str]:
    """The program, and every file that its arguments name: what `sh` runs is in the file after it."""
    if program := shutil.which(argv[0]):
        yield program
    for word in argv[1:]:
        for path in (word, word.partition("=")[2]):
            if os.path.isfile(path):
                yield path


def _from_env(name: str) -> Secret:
    value = os.environ.get(name)
    if not value:
        raise _unavailable(
            f"the environment variable {name} holds no password",
            why="converge_password_env names it",
            try_=f"export {name} before running converge",
        )
    return Secret(value)


def _from_file(path: str) -> Secret:
    path = os.path.expanduser(path)
    if words := doubt(path):
        raise _unavailable(f"the password file {path} is not read: another account may change it", try_=words)
    try:
        data = read_bounded(path, most=MAX_PASSWORD_BYTES)
    except (OSError, ValueError) as error:
        reason = error.strerror or "" if isinstance(error, OSError) else str(error)
        raise _unavailable(f"the password file {path} cannot be read", why=reason) from None
    return _first_line(data, f"the password file {path}")


def _first_line(data: bytes, whose: str) -> Secret:
    line = data.removeprefix(b"\xef\xbb\xbf").split(b"\n", 1)[0].removesuffix(b"\r")
    try:
        text = line.decode()
    except UnicodeDecodeError:
        raise _unavailable(f"{whose} gave bytes that are not UTF-8") from None
    if not text:
        raise _unavailable(f"{whose} gave an empty first line")
    return Secret(text)


def _unavailable(what: str, *, why: str = "", try_: str = "") -> HostUnreachable:
    return HostUnreachable(what, why=why, try_=try_, code="password-unavailable")


_FETCHERS = {"command": _from_command, "env": _from_env, "file": _from_file}
