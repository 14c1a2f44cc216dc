"""The one place where command lines are built, and the closed set of commands that only read."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from converge.errors import LocalProtocolError
from converge.model.registry import RegistryPath

_PLAIN = re.compile(r"[A-Za-z0-9_\-.:\\/=+,;@~#$*?\[\]{}]+")
_CMD_SPECIAL = re.compile(r'([()%!^"<>&|])')
_UNREADABLE = re.compile(r'["%\x00-\x1f\x7f]')
_JOINABLE = re.compile(r"[\w \-.:\\/=+,;@~#$*?\[\]{}()']+")  # beside letters and digits of any script
_MARK = re.compile(r"[0-9a-f]{16,64}")
MAX_LINE = 8000
"""Characters of a line: cmd takes 8191 (KB 830473), less what WinRS writes before it."""


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
        return _reading_line(self.argv)

    @property
    def joinable(self) -> bool:
        """Whether it may stand beside others on one line: it holds nothing that cmd could take for more than a letter."""
        return all(_JOINABLE.fullmatch(word) and not word.endswith("\\") for word in self.argv)

    @classmethod
    def search_registry(cls, root: RegistryPath) -> ReadingCommand:
        """`reg.exe query ROOT /s`: every value below a key. Raises LocalProtocolError for a name no line can carry."""
        return cls(("reg.exe", "query", str(root), "/s"))

    @classmethod
    def query_registry_value(cls, key: RegistryPath, name: str) -> ReadingCommand:
        """`reg.exe query KEY /v NAME`, or /ve for the default value: prints the text unexpanded.

        Raises LocalProtocolError for a name no line can carry.
        """
        return cls(("reg.exe", "query", str(key), "/v", name) if name else ("reg.exe", "query", str(key), "/ve"))

    @classmethod
    def query_registry_key(cls, key: RegistryPath) -> ReadingCommand:
        """`reg.exe query KEY`: the values and subkeys directly in a key."""
        return cls(("reg.exe", "query", str(key)))

    @classmethod
    def code_page(cls) -> ReadingCommand:
        """`chcp.com`: prints the number of the code page that programs write in."""
        return cls(("chcp.com",))

    @classmethod
    def hash_file(cls, path: str, *, algorithm: str = "SHA256") -> ReadingCommand:
        """`certutil.exe -hashfile PATH SHA256`; of no algorithm, certutil's own choice, which is SHA-1."""
        return cls(("certutil.exe", "-hashfile", path, *((algorithm,) if algorithm else ())))


@lru_cache(maxsize=8192)  # a fleet's hosts are asked the same
def _reading_line(argv: tuple[str, ...]) -> str:
    return command_line(argv)


@dataclass(frozen=True, slots=True)
class ReadingLine:
    """Reading commands on one line, and a mark printed before, between and after what they print.

    The mark is the caller's, new for every line: what a host's registry holds cannot have been written to look like it.
    Raises LocalProtocolError for anything else.
    """

    commands: tuple[ReadingCommand, ...]
    mark: str

    def __post_init__(self) -> None:
        if not (self.commands and all(command.joinable for command in self.commands) and _MARK.fullmatch(self.mark)):
            raise LocalProtocolError("not a line of reading commands")
        if len(self.line) > MAX_LINE:
            raise LocalProtocolError(f"a line of {len(self.line)} characters, more than cmd takes")

    @property
    def line(self) -> str:
        """The line to send."""
        marking = f"echo {self.mark}"
        return "&".join([marking, *(f"{command.line}&{marking}" for command in self.commands)])

    @classmethod
    def filled(cls, commands: Iterable[ReadingCommand], *, mark: str) -> list[ReadingLine]:
        """As few lines as hold all these commands, in their order."""
        lines: list[list[ReadingCommand]] = [[]]
        length = marking = len(f"echo {mark}&")
        for command in commands:
            longer = len(command.line) + 1 + marking
            if lines[-1] and length + longer > MAX_LINE:
                lines.append([])
                length = marking
            lines[-1].append(command)
            length += longer
        return [cls(tuple(line), mark) for line in lines if line]


def _is_reg_query(arguments: list[str]) -> bool:
    if len(arguments) < 2 or arguments[0] != "query" or arguments[1].startswith(("/", "-", "\\")):
        return False
    rest = arguments[2:]
    return rest in ([], ["/s"], ["/ve"]) or (len(rest) == 2 and rest[0] == "/v" and bool(rest[1]))


def _is_hashing(arguments: list[str]) -> bool:
    return (
        len(arguments) >= 2
        and arguments[0] == "-hashfile"
        and not arguments[1].startswith(("/", "-"))
        and arguments[2:] in ([], ["SHA256"], ["SHA1"], ["MD5"])
    )


def _is_bare(arguments: list[str]) -> bool:
    return not arguments


_READING = {"reg.exe": _is_reg_query, "certutil.exe": _is_hashing, "chcp.com": _is_bare}
