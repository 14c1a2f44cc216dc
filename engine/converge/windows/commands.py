"""The one place where command lines are built, and the closed set of commands that only read."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from converge.errors import LocalProtocolError
from converge.model.registry import RegistryPath

_PLAIN = re.compile(r"[A-Za-z0-9_\-.:\\/=+,;@~#$*?\[\]{}]+")
_CMD_SPECIAL = re.compile(r'([()%!^"<>&|])')
_UNREADABLE = re.compile(r'["%\x00-\x1f\x7f]')


def command_line(argv: Sequence[str]) -> str:
    """One line that cmd.exe hands to a program so that it sees exactly these arguments.

    A program splits its line by the rules of the C runtime (backslashes and quotes); before that cmd.exe reads the line
    too, as WinRS starts every command through `cmd /c`. An argument that holds a quote or a percent sign is
    therefore escaped with carets, any other special one is put in quotes. Raises ValueError for an empty list and for
    control characters, which no line can carry.
    """
    if not argv or not argv[0]:
        raise ValueError("a command needs a program")
    for argument in argv:
        if re.search(r"[\x00-\x08\x0a-\x1f]", argument):
            raise ValueError(f"an argument cannot hold a control character: {argument!r}")
    return " ".join(_argument(argument) for argument in argv)


def _argument(text: str) -> str:
    if _PLAIN.fullmatch(text):
        return text
    quoted = subprocess.list2cmdline([text])
    if not quoted.startswith('"'):
        quoted = f'"{quoted}{_trailing_backslashes(text)}"'
    if '"' in text or "%" in text:
        return _CMD_SPECIAL.sub(r"^\1", quoted)
    return quoted


def _trailing_backslashes(text: str) -> str:
    return "\\" * (len(text) - len(text.rstrip("\\")))


@dataclass(frozen=True, slots=True)
class ReadingCommand:
    """A command line that reads and cannot write. Only the constructors below make one; anything else is refused.

    Raises LocalProtocolError when made of other arguments: whoever tries it has a bug, and a host must not feel it.
    """

    argv: tuple[str, ...]

    def __post_init__(self) -> None:
        program, *arguments = self.argv or ("",)
        shape = _READING.get(program)
        if shape is None or not shape(arguments) or any(_UNREADABLE.search(argument) for argument in self.argv):
            raise LocalProtocolError(f"not a reading command: {' '.join(self.argv)[:200]}")

    @property
    def line(self) -> str:
        """The line to send."""
        return command_line(self.argv)

    @classmethod
    def search_registry(cls, root: RegistryPath) -> ReadingCommand:
        """`reg.exe query ROOT /s`: every value below a key. Raises LocalProtocolError for a name no line can carry."""
        return cls(("reg.exe", "query", str(root), "/s"))

    @classmethod
    def query_registry_value(cls, key: RegistryPath, name: str) -> ReadingCommand:
        """`reg.exe query KEY /v NAME`, or /ve for the default value: prints the text unexpanded."""
        return cls(("reg.exe", "query", str(key), "/v", name) if name else ("reg.exe", "query", str(key), "/ve"))

    @classmethod
    def query_registry_key(cls, key: RegistryPath) -> ReadingCommand:
        """`reg.exe query KEY`: the values and subkeys directly in a key."""
        return cls(("reg.exe", "query", str(key)))

    @classmethod
    def hash_file(cls, path: str, *, algorithm: str = "SHA256") -> ReadingCommand:
        """`certutil.exe -hashfile PATH SHA256`."""
        return cls(("certutil.exe", "-hashfile", path, algorithm))


def _is_reg_query(arguments: list[str]) -> bool:
    if len(arguments) < 2 or arguments[0] != "query" or arguments[1].startswith(("/", "-", "\\")):
        return False
    rest = arguments[2:]
    return rest in ([], ["/s"], ["/ve"]) or (len(rest) == 2 and rest[0] == "/v" and bool(rest[1]))


def _is_hashing(arguments: list[str]) -> bool:
    return (
        len(arguments) == 3
        and arguments[0] == "-hashfile"
        and not arguments[1].startswith(("/", "-"))
        and arguments[2] in ("SHA256", "SHA1", "MD5")
    )


_READING = {"reg.exe": _is_reg_query, "certutil.exe": _is_hashing}
