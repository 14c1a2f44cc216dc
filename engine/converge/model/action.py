"""What can be done to a host: a small closed set of Windows verbs, each a frozen value."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from converge.model.change import Json
from converge.model.facts import StartMode
from converge.model.query import AnyQuery
from converge.model.registry import RegistryData, RegistryPath, RegistryType


@dataclass(frozen=True, slots=True)
class SetRegistryValue:
    """Write a value with its type. The key is made first by `NewRegistryKey` where it is missing."""

    key: RegistryPath
    name: str
    data: RegistryData


@dataclass(frozen=True, slots=True)
class RemoveRegistryValue:
    """Remove one value."""

    key: RegistryPath
    name: str


@dataclass(frozen=True, slots=True)
class NewRegistryKey:
    """Make a key, and its parents where they are missing."""

    key: RegistryPath


@dataclass(frozen=True, slots=True)
class RemoveRegistryKey:
    """Remove a key that has no subkeys. Its values go with it."""

    key: RegistryPath


@dataclass(frozen=True, slots=True)
class CopyFile:
    """Copy a file on the host. Refused where the target exists."""

    source: str
    target: str


@dataclass(frozen=True, slots=True)
class MoveFile:
    """Rename a file within its volume. Refused where the target exists."""

    source: str
    target: str


@dataclass(frozen=True, slots=True)
class WriteFile:
    """Write bytes (at most 1 MiB) from the control node to a new file. Refused where it exists."""

    path: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class RemoveFile:
    """Delete a file."""

    path: str


@dataclass(frozen=True, slots=True)
class NewDirectory:
    """Make a folder, and its parents where they are missing."""

    path: str


@dataclass(frozen=True, slots=True)
class MoveDirectory:
    """Rename a folder within its volume. Refused where the target exists."""

    source: str
    target: str


@dataclass(frozen=True, slots=True)
class RemoveDirectory:
    """Remove an empty folder."""

    path: str


@dataclass(frozen=True, slots=True)
class StartService:
    """Ask the service manager to start a service. Returns when it has accepted or refused."""

    name: str


@dataclass(frozen=True, slots=True)
class StopService:
    """Ask the service manager to stop a service. Returns when it has accepted or refused."""

    name: str


@dataclass(frozen=True, slots=True)
class ResumeService:
    """Let a paused service go on."""

    name: str


@dataclass(frozen=True, slots=True)
class SetServiceStartMode:
    """Change when a service is started: automatic, manual or disabled."""

    name: str
    start_mode: StartMode


@dataclass(frozen=True, slots=True)
class SetServiceImagePath:
    """Change the command line of a service, through the service manager."""

    name: str
    image_path: str


@dataclass(frozen=True, slots=True)
class RunCommand:
    """Run a program (or, with `shell`, a line of cmd) to its end, at most `timeout` seconds.

    Exit codes other than `exit_codes` and `reboot_codes` are a refusal; with no `exit_codes` at all any is accepted.
    `title` names the command to people. `decides` are the questions whose answers it is known to change: of a folder and of a
    registry key also those about all that lies below. Whatever else it may change, a rehearsal shows as it is now.
    """

    argv: tuple[str, ...]
    shell: bool = False
    timeout: float = 600.0
    exit_codes: tuple[int, ...] = (0,)
    reboot_codes: tuple[int, ...] = ()
    title: str = ""
    decides: tuple[AnyQuery, ...] = ()


@dataclass(frozen=True, slots=True)
class RestartComputer:
    """Restart Windows, and come back when it answers again with a later start time, at most `timeout` seconds."""

    timeout: float = 1200.0


@dataclass(frozen=True, slots=True)
class InvokeCimMethod:
    """Call a method of a CIM class or instance, for what only WMI can do. A return value other than 0 is a refusal."""

    namespace: str
    class_name: str
    method: str
    keys: tuple[tuple[str, str], ...] = ()
    arguments: tuple[tuple[str, str | tuple[str, ...]], ...] = ()


AnyAction = (
    SetRegistryValue
    | RemoveRegistryValue
    | NewRegistryKey
    | RemoveRegistryKey
    | CopyFile
    | MoveFile
    | WriteFile
    | RemoveFile
    | NewDirectory
    | MoveDirectory
    | RemoveDirectory
    | StartService
    | StopService
    | ResumeService
    | SetServiceStartMode
    | SetServiceImagePath
    | RunCommand
    | RestartComputer
    | InvokeCimMethod
)


@dataclass(frozen=True, slots=True)
class Performed:
    """What an action that was done brought back: a program's exit code and the end of its output, if it was one."""

    code: int = 0
    output: str = ""
    reboot_needed: bool = False


def action_as_json(action: AnyAction) -> dict[str, Json]:
    """The form in which an action is shown and journaled: its name and its arguments, file contents in hex, long ones by size only."""
    shown: dict[str, Json] = {"action": type(action).__name__}
    for item in fields(action):
        if item.name == "decides":
            continue
        shown[item.name] = _plain(getattr(action, item.name))
    return shown


def data_as_json(data: RegistryData) -> dict[str, Json]:
    """Registry data as users read it: dword a number, qword a decimal string, binary hex, multi_string a list."""
    shown: dict[str, Json] = {"type": data.type.label, "data": _plain(data.data)}
    if data.type is RegistryType.QWORD and data.data is not None:
        shown["data"] = str(data.data)
    if data.data is None and data.expanded is not None:
        shown["expanded"] = data.expanded
    return shown


def _plain(value: object) -> Json:
    if isinstance(value, RegistryData):
        return data_as_json(value)
    if isinstance(value, RegistryPath):
        return str(value)
    if isinstance(value, bytes):
        return value.hex() if len(value) <= 4096 else {"bytes": len(value)}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value
