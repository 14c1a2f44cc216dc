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
_PLAIN_FOR_CMD = re.compile(
    r"[A-Za-z0-9_\-.:\\/+@#$\[\]{}]+"
)  # what neither parts nor expands within cmd and batch files
_PLAIN_PROGRAM = re.compile(r"[A-Za-z0-9_\-.:\\#$~]+")
_CMD_SPECIAL = re.compile(r'([()%!^"<>&|])')
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f]")
_UNREADABLE = re.compile(r'["\x00-\x1f\x7f]')
_JOINABLE = re.compile(r"[\w \-.:\\/=+,;@~#$*?\[\]{}()']+")  # beside letters and digits of any script
_MARK = re.compile(r"[0-9a-f]{16,64}")
MAX_LINE = 8000
"""Characters of a line: cmd takes 8191 (KB 830473), less what WinRS writes before it."""
_BUILT_IN = frozenset(
    [
        "assoc",
        "cd",
        "chdir",
        "cls",
        "color",
        "copy",
        "date",
        "del",
        "dir",
        "echo",
        "endlocal",
        "erase",
        "exit",
        "ftype",
        "md",
        "mkdir",
        "mklink",
        "move",
        "path",
        "pause",
        "popd",
        "prompt",
        "pushd",
        "rd",
        "rem",
        "ren",
        "rename",
        "rmdir",
        "set",
        "setlocal",
        "shift",
        "time",
        "title",
        "type",
        "ver",
        "verify",
        "vol",
    ]
)
_GRAMMAR = frozenset(["call", "for", "goto", "if", "start"])
"""Commands of cmd that read the rest of their line once more, in ways of their own."""


def command_line(argv: Sequence[str]) -> str:
    """One line for cmd.exe, through which WinRS starts every command (`cmd /c`), that names exactly these arguments.

    Who reads the arguments after cmd decides how they are quoted: a command inside cmd, a batch file, or a program.
    Raises ValueError, in words for people, for what cannot be said to that reader.
    """
    _check_can_be_sent(argv)
    name, suffix = _name_and_suffix(argv[0])
    if name in _GRAMMAR:
        raise ValueError(f"`{name}` reads its line in a way of its own: write the line as one text, with `shell: true`")
    if name in _BUILT_IN:
        line = " ".join([argv[0].strip(), *map(_for_cmd, argv[1:])])
        _check_percent_signs(line, f"`{name}`, a command of cmd,")
    elif suffix in ("bat", "cmd"):
        line = " ".join([_program(argv[0]), *map(_for_cmd, argv[1:])])
        _check_percent_signs(line, "a batch file", most=0)
    else:
        if not suffix:
            _check_alike(argv)
        pairs = sum(text.count("%") for text in argv) > 1
        line = " ".join([_program(argv[0]), *(_for_program(text, pairs=pairs) for text in argv[1:])])
    return _fitting(line)


def shell_line(argv: Sequence[str]) -> str:
    """A line that somebody wrote for cmd, with its pipes, redirections and quotes. Raises ValueError as `command_line`."""
    _check_can_be_sent(argv)
    return _fitting(" ".join(argv))


def _check_can_be_sent(argv: Sequence[str]) -> None:
    if not argv or not argv[0].strip():
        raise ValueError("a command needs a program")
    for argument in argv:
        if _CONTROL.search(argument):
            raise ValueError(f"an argument cannot hold a control character: {argument!r}")


def _fitting(line: str) -> str:
    if len(line) > MAX_LINE:
        raise ValueError(
            f"the line has {len(line)} characters; cmd takes {MAX_LINE}, beside what WinRS writes before them"
        )
    return line


def in_quotes(text: str) -> str:
    """A path as commands inside cmd and redirections read it: within quotes nothing is special to cmd but per cent signs.

    There is no escape for a quote, nor for a per cent sign within quotes (cmd, Remarks; Command shell overview). One per
    cent sign alone begins no variable. Raises ValueError where the text holds a quote, a control character or two of them.
    """
    if found := _UNREADABLE.search(text):
        raise ValueError(f"{text!r} holds {found.group()!r}, which no command of cmd can be given")
    _check_percent_signs(text, "a command of cmd")
    return f'"{text}"'


def _name_and_suffix(program: str) -> tuple[str, str]:
    """A program's name in small letters and its ending; Windows leaves dots and blanks at the end of a name away."""
    name = re.split(r"[\\/:]", program)[-1].rstrip(". ").strip().lower()
    return name, name.rpartition(".")[2] if "." in name else ""


def _check_percent_signs(line: str, reader: str, *, most: int = 1) -> None:
    if line.count("%") > most:
        signs = "two per cent signs" if most else "a per cent sign"
        raise ValueError(f"{reader} cannot be given {signs}: what stands between two of them is taken for a variable")


def _program(name: str) -> str:
    if _PLAIN_PROGRAM.fullmatch(name):
        return name
    if '"' in name or name.count("%") > 1:
        raise ValueError(f"{name!r} cannot be the name of a program on a line for cmd")
    return f'"{name}"'


def _for_cmd(text: str) -> str:
    """An argument as batch files and commands inside cmd read it; these part a line at commas, semicolons and equals signs too.

    A quote in it could not be told from one that ends it, and what follows would be a command of its own.
    """
    if '"' in text:
        raise ValueError(f"{text!r} holds a quote, which neither a batch file nor a command of cmd can be given")
    return text if _PLAIN_FOR_CMD.fullmatch(text) else f'"{text}"'


def _check_alike(argv: Sequence[str]) -> None:
    """Refuse what a program and a batch file would read differently, where the name does not tell which of them it is."""
    hint = f"write {argv[0]}.exe, or .cmd"
    for argument in argv[1:]:
        if '"' in argument or (argument.endswith("\\") and not _PLAIN_FOR_CMD.fullmatch(argument)):
            raise ValueError(
                f"how {argument!r} is quoted depends on whether {argv[0]} is a program or a batch file: {hint}"
            )
    if "%" in "".join(argv[1:]):
        raise ValueError(
            f"what becomes of per cent signs depends on whether {argv[0]} is a program or a batch file: {hint}"
        )


def _for_program(text: str, *, pairs: bool) -> str:
    """An argument as programs split it (Parsing C Command-Line Arguments), past cmd, which reads quotes, carets and variables.

    What is special to cmd is put in quotes; what holds a quote is escaped with carets as a whole, so that cmd sees no quotes.
    Where the line has per cent signs in `pairs`, each stands outside the quotes: the name that cmd looks for between two of
    them then holds a quote, which no variable's does. Carets between them do not help everywhere.
    """
    if pairs and "%" in text:
        if '"' in text:
            raise ValueError(f"{text!r} holds a quote beside per cent signs, which cmd may take for a variable")
        pieces = (piece for piece in re.split("(%)", text) if piece)
        return "".join(piece if piece == "%" else f'"{piece}{_trailing_backslashes(piece)}"' for piece in pieces)
    if _PLAIN.fullmatch(text):
        return text
    quoted = subprocess.list2cmdline([text])
    if not quoted.startswith('"'):
        quoted = f'"{quoted}{_trailing_backslashes(text)}"'
    return _CMD_SPECIAL.sub(r"^\1", quoted) if '"' in text else quoted


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
        unreadable = any(_UNREADABLE.search(argument) for argument in self.argv) or "".join(self.argv).count("%") > 1
        if shape is None or not shape(arguments) or unreadable:
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
