"""One running cmd.exe: where it is, what it knows, what it has written. Programs get it handed in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from converge.lab.file_system import FileSystem
from converge.lab.registry_provider import RegistryProvider
from converge.lab.world import LabAccount, World
from converge.model.names import fold
from converge.windows import paths

MAX_OUTPUT = 16 * 1024 * 1024  # bytes of one stream; what is more is lost


class OutputSink:
    """Where output goes. It takes `MAX_OUTPUT` bytes and loses the rest."""

    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, data: bytes) -> None:
        """Append."""
        self.data += data[: max(0, MAX_OUTPUT - len(self.data))]


@dataclass
class ShellSession:
    """What commands of one line share."""

    world: World
    account: LabAccount | None
    code_page: int
    folder: str
    variables: dict[str, tuple[str, str]] = field(default_factory=dict)
    error_level: int = 0
    counted: int = 0
    """How often a `for` has run a command."""

    @classmethod
    def begin(cls, world: World, *, account: LabAccount | None, code_page: int | None, folder: str = "") -> ShellSession:
        """A new cmd.exe with the machine's variables and the user's name. The default folder is the system drive's root."""
        variables = {fold(name): (name, value) for name, value in world.environment().items()}
        name = account.name if account else "SYSTEM"
        variables["USERNAME"] = ("USERNAME", name.rpartition("\\")[2])
        page = code_page or world.profile.oem_code_page
        return cls(world, account, page, folder or paths.drive(world.profile.system_root) + "\\", variables)

    @property
    def files(self) -> FileSystem:
        """The disks, for this account."""
        return FileSystem(self.world, self.account)

    @property
    def registry(self) -> RegistryProvider:
        """The registry, for this account."""
        return RegistryProvider(self.world, self.account)

    def variable(self, name: str) -> str | None:
        """A variable, or one of those cmd makes up."""
        made_up = {"CD": self.folder, "ERRORLEVEL": str(self.error_level)}
        held = self.variables.get(fold(name))
        return held[1] if held else made_up.get(fold(name))

    def encode(self, text: str) -> bytes:
        """Text as the console's code page has it; what it lacks becomes a question mark."""
        name = "utf-8" if self.code_page == 65001 else f"cp{self.code_page}"
        try:
            return text.encode(name, "surrogatepass" if name == "utf-8" else "replace")
        except LookupError:
            return text.encode("cp437", "replace")

    def resolve(self, path: str) -> str:
        """A full path from one that may be relative to the current folder or drive, without `.` and `..`."""
        text = path.replace("/", "\\").strip()
        if text.startswith("\\") and not text.startswith("\\\\"):
            text = paths.drive(self.folder) + text
        elif len(text) > 1 and text[1] == ":" and text[2:3] != "\\":
            text = f"{text[:2]}\\{text[2:]}"
        elif not paths.is_absolute(text):
            text = paths.join(self.folder, text)
        kept: list[str] = []
        for component in paths.normalise(text).split("\\"):
            if component == "..":
                kept = kept[:-1] if len(kept) > 1 else kept
            elif component != ".":
                kept.append(component.rstrip(". ") or component)
        return paths.normalise("\\".join(kept))


@dataclass(frozen=True, slots=True)
class Call:
    """One command being run: its name, its arguments as text, and its streams."""

    session: ShellSession
    name: str
    tail: str
    stdin: bytes
    out: OutputSink
    err: OutputSink

    def say(self, text: str) -> None:
        """Print a line."""
        self.out.write(self.session.encode(text + "\r\n"))

    def complain(self, text: str) -> None:
        """Print a line on the error stream."""
        self.err.write(self.session.encode(text + "\r\n"))


Program = Callable[[Call], int]
"""Does what a program does; returns its exit code."""
