"""One simulated Windows: everything it is and holds, and how that is kept between runs. How it behaves stands elsewhere."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from converge.errors import ConvergeError
from converge.lab.file_tree import FileTree
from converge.lab.registry_tree import RegistryTree
from converge.lab.specs import (
    AccountSpec,
    ClassSpec,
    ComponentSpec,
    Profile,
    Quirks,
    ServiceTraits,
    StepSpec,
)
from converge.model.facts import ServiceState, StartMode
from converge.model.names import fold, same
from converge.model.opening import make_state_folder, read_bounded
from converge.model.registry import Hive, RegistryPath
from converge.windows import paths
from converge.windows.registry import parse_path

FORMAT = 1
_LARGEST = 256 * 1024 * 1024  # bytes of a kept world
"""The version of a kept world. One of another version is not read: `converge lab reset` makes a new one."""

BASE_NAMESPACES = ("root/cimv2", "root/default")
_FIRST_RELEASE = {"ROOT/MSCLUSTER": (6, 0), "ROOT/MICROSOFTIISV2": (5, 2)}
_ENVIRONMENT = RegistryPath(Hive.LOCAL_MACHINE, r"SYSTEM\CurrentControlSet\Control\Session Manager\Environment")


class WorldUnreadable(ConvergeError):
    """A kept world cannot be read."""

    code = "lab-world"


class Right(StrEnum):
    """What an account can be denied, alone or for one subject (`registry_write:HKLM\\SYSTEM`)."""

    WINRM = "winrm"  # any conversation
    SHELLS = "shells"
    NAMESPACE = "namespace"  # subject: a namespace
    CLASS = "class"  # subject: a class name
    INVOKE = "invoke"  # calling methods, which reading the registry needs too
    REGISTRY_READ = "registry_read"  # subject: a key and what lies below
    REGISTRY_WRITE = "registry_write"
    FILE_READ = "file_read"  # subject: a path and what lies below
    FILE_WRITE = "file_write"
    SERVICE_QUERY = "service_query"  # subject: a service
    SERVICE_START = "service_start"
    SERVICE_STOP = "service_stop"
    SERVICE_CHANGE = "service_change"
    EVENTS = "events"  # subject: a log
    RESTART = "restart"


class _Record(BaseModel):
    """A part of a world that changes and is kept."""

    model_config = ConfigDict(extra="forbid")


class ServiceRecord(_Record, ServiceTraits):
    """What the service manager holds of one service; the program's path lies in the registry only."""

    name: str
    display_name: str
    start_mode: StartMode = StartMode.MANUAL
    state: ServiceState = ServiceState.STOPPED
    process_id: int = 0
    settles_at: datetime | None = None  # when a pending state ends
    dies_at: datetime | None = None

    @property
    def key(self) -> RegistryPath:
        """Where its settings lie in the registry."""
        return RegistryPath(Hive.LOCAL_MACHINE, rf"SYSTEM\CurrentControlSet\Services\{self.name}")


class ProcessRecord(_Record):
    """A running program. `dispatch_entries` is what the list of hosted services held when it began."""

    process_id: int
    image: str
    created: datetime
    shared: bool = False
    dispatch_entries: tuple[str, ...] = ()


class LoggedEvent(_Record):
    """One event in a classic log."""

    record: int = 0
    log: str
    provider: str
    id: int
    type: str
    time: datetime
    strings: tuple[str, ...] = ()
    message: str = ""


class WorldClock(_Record):
    """The host's clock: real time plus what it was advanced by, or standing still where a test froze it."""

    ahead: timedelta = timedelta(0)
    frozen_at: datetime | None = None

    def now(self) -> datetime:
        """The time in UTC, aware."""
        return (self.frozen_at or datetime.now(UTC)) + self.ahead

    def advance(self, seconds: float) -> None:
        """Let time pass at once."""
        self.ahead += timedelta(seconds=seconds)

    def freeze(self, moment: datetime | None = None) -> None:
        """Stop the clock, at a moment or now; from then on only `advance` moves it."""
        self.frozen_at = moment or datetime.now(UTC)
        if moment is not None:
            self.ahead = timedelta(0)


class LabAccount(_Record):
    """Who can log on, and what is denied to them."""

    name: str
    password: str = Field(repr=False)
    administrator: bool = True
    denies: tuple[str, ...] = ()

    def denied(self, right: Right, subject: str) -> bool:
        """Whether this right, on this subject, is denied."""
        for denial in self.denies:
            name, _, denied_subject = denial.partition(":")
            if name == right and (not denied_subject or _covers(right, denied_subject, subject)):
                return True
        return False


def _covers(right: Right, denied: str, subject: str) -> bool:
    if right in (Right.REGISTRY_READ, Right.REGISTRY_WRITE):
        try:
            inner, outer = parse_path(subject), parse_path(denied)
        except ValueError:
            return False
        return RegistryTree.canonical(inner).is_within(RegistryTree.canonical(outer))
    if right in (Right.FILE_READ, Right.FILE_WRITE):
        return paths.is_within(subject, denied)
    if right is Right.NAMESPACE:
        return same(subject.replace("\\", "/"), denied.replace("\\", "/"))
    return same(subject, denied)


@dataclass
class World:
    """One Windows. Whoever lets several threads at it holds `lock` meanwhile."""

    profile: Profile
    image: str = ""
    quirks: Quirks = field(default_factory=Quirks)
    clock: WorldClock = field(default_factory=WorldClock)
    started: datetime = field(default_factory=lambda: datetime.now(UTC) - timedelta(days=3))
    registry: RegistryTree = field(default_factory=RegistryTree)
    files: FileTree = field(default_factory=FileTree)
    services: dict[str, ServiceRecord] = field(default_factory=dict)
    processes: dict[int, ProcessRecord] = field(default_factory=dict)
    events: list[LoggedEvent] = field(default_factory=list)
    components: dict[str, ComponentSpec] = field(default_factory=dict)
    accounts: dict[str, LabAccount] = field(default_factory=dict)
    cim: dict[str, dict[str, ClassSpec]] = field(default_factory=dict)
    steps: dict[str, StepSpec] = field(default_factory=dict)
    restarts: int = 0  # how often it was restarted since it was made
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False, compare=False)

    def now(self) -> datetime:
        """The time by the host's clock, aware."""
        return self.clock.now()

    def service(self, name: str) -> ServiceRecord | None:
        """A service by its name in any case."""
        return self.services.get(fold(name))

    def dependents(self, name: str) -> list[ServiceRecord]:
        """The services that name this one among those they depend on."""
        return [item for item in self.services.values() if any(same(name, needed) for needed in item.depends_on)]

    def environment(self) -> dict[str, str]:
        """The machine's variables, without any user's."""
        root = self.profile.system_root
        drive = paths.drive(root)
        known = {
            "SystemRoot": root,
            "SystemDrive": drive,
            "windir": root,
            "ComSpec": rf"{root}\system32\cmd.exe",
            "COMPUTERNAME": self.profile.host_name,
            "OS": "Windows_NT",
            "Path": rf"{root}\system32;{root}",
            "PATHEXT": ".COM;.EXE;.BAT;.CMD",
            "ProgramFiles": rf"{drive}\Program Files",
            "CommonProgramFiles": rf"{drive}\Program Files\Common Files",
            "PROCESSOR_ARCHITECTURE": {"x64": "AMD64"}.get(
                self.profile.architecture, self.profile.architecture.upper()
            ),
            "TEMP": rf"{root}\TEMP",
            "TMP": rf"{root}\TEMP",
        }
        if self.profile.is_64_bit:
            known["ProgramFiles(x86)"] = rf"{drive}\Program Files (x86)"
        known |= self.profile.environment
        key = self.registry.find(_ENVIRONMENT)
        for value in key.values.values() if key else ():
            if isinstance(value.data, str):
                held = next((name for name in known if same(name, value.name)), value.name)
                known[held] = paths.expand(value.data, known)
        return known

    def expand(self, text: str) -> str:
        """A text with the machine's variables put in."""
        return paths.expand(text, self.environment())

    def namespaces(self) -> tuple[str, ...]:
        """The CIM namespaces this host serves."""
        return (*BASE_NAMESPACES, *(name for name in self.cim if fold(name) not in map(fold, BASE_NAMESPACES)))

    def cim_class(self, namespace: str, name: str) -> ClassSpec | None:
        """A class that an image defines, by names in any case."""
        wanted = fold(namespace.replace("\\", "/"))
        for held, classes in self.cim.items():
            if fold(held) == wanted:
                return next((spec for class_name, spec in classes.items() if same(class_name, name)), None)
        return None

    def log(self, event: LoggedEvent) -> None:
        """Append an event; its record number is set to the next of its log."""
        last = max((held.record for held in self.events if same(held.log, event.log)), default=0)
        event.record = last + 1
        self.events.append(event)

    def account(self, name: str) -> LabAccount | None:
        """An account by its name in any case; a domain or host before it does not matter."""
        bare = name.rpartition("\\")[2].partition("@")[0]
        return self.accounts.get(fold(name)) or next(
            (held for held in self.accounts.values() if same(held.name.rpartition("\\")[2], bare)), None
        )

    def permits(self, account: LabAccount | None, right: Right, subject: str = "") -> bool:
        """Whether an account has a right; None stands for the machine itself, to which nothing is denied."""
        return account is None or not account.denied(right, subject)

    def to_json(self) -> dict[str, Any]:
        """Plain data that `from_json` reads back."""
        return {
            "format": FORMAT,
            "image": self.image,
            "profile": self.profile.model_dump(mode="json"),
            "quirks": self.quirks.model_dump(mode="json"),
            "clock": self.clock.model_dump(mode="json"),
            "started": self.started.isoformat(),
            "restarts": self.restarts,
            "registry": self.registry.to_json(),
            "files": self.files.to_json(),
            "services": [item.model_dump(mode="json") for item in self.services.values()],
            "processes": [item.model_dump(mode="json") for item in self.processes.values()],
            "events": [item.model_dump(mode="json") for item in self.events],
            "components": _dump(self.components),
            "accounts": [item.model_dump(mode="json") for item in self.accounts.values()],
            "cim": {name: _dump(classes) for name, classes in self.cim.items()},
            "steps": _dump(self.steps),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> World:
        """The world of `to_json`. Raises WorldUnreadable for another version or anything else."""
        try:
            if data["format"] != FORMAT:
                raise ValueError(f"it has format {data['format']}, this converge reads {FORMAT}")
            return _read(data)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise WorldUnreadable(
                "the kept world of a simulated host cannot be read",
                why=str(error)[:500],
                try_="converge lab reset HOST, which makes it anew from its image",
            ) from error

    def save(self, path: Path) -> None:
        """Write to a file, whole or not at all; readable by its owner only."""
        make_state_folder(path.parent)
        beside = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}.new")
        with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as stream:
            json.dump(self.to_json(), stream)
            stream.flush()
            os.fsync(stream.fileno())
        beside.replace(path)

    @classmethod
    def load(cls, path: Path) -> World:
        """Read a file that `save` wrote. Raises WorldUnreadable, and OSError where it cannot be opened."""
        try:
            data = json.loads(read_bounded(path, most=_LARGEST))
        except ValueError as error:
            raise WorldUnreadable(f"{path} is no kept world", why=str(error)) from error
        return cls.from_json(data)


def _dump(models: Mapping[str, BaseModel]) -> dict[str, Any]:
    return {name: model.model_dump(mode="json", exclude_unset=True) for name, model in models.items()}


def _read(data: Mapping[str, Any]) -> World:
    world = World(
        profile=Profile.model_validate(data["profile"]),
        image=str(data["image"]),
        quirks=Quirks.model_validate(data["quirks"]),
        clock=WorldClock.model_validate(data["clock"]),
        started=datetime.fromisoformat(data["started"]),
        registry=RegistryTree.from_json(data["registry"]),
        files=FileTree.from_json(data["files"]),
        events=[LoggedEvent.model_validate(item) for item in data["events"]],
        components={name: ComponentSpec.model_validate(item) for name, item in data["components"].items()},
        cim={
            namespace: {name: ClassSpec.model_validate(item) for name, item in classes.items()}
            for namespace, classes in data["cim"].items()
        },
        steps={name: StepSpec.model_validate(item) for name, item in data["steps"].items()},
        restarts=int(data["restarts"]),
    )
    for item in data["services"]:
        service = ServiceRecord.model_validate(item)
        world.services[fold(service.name)] = service
    for item in data["processes"]:
        process = ProcessRecord.model_validate(item)
        world.processes[process.process_id] = process
    for item in data["accounts"]:
        account = LabAccount.model_validate(item)
        world.accounts[fold(account.name)] = account
    return world


def check_namespace(name: str, profile: Profile) -> None:
    """Raises ValueError for a namespace that this Windows never had."""
    first = _FIRST_RELEASE.get(fold(name.replace("\\", "/")))
    if first and profile.release < first:
        raise ValueError(f"{name} exists from Windows {first[0]}.{first[1]} on, this one is {profile.version}")


def account_of(name: str, spec: AccountSpec) -> LabAccount:
    """An account as an image states it. Raises ValueError for a denial of an unknown right."""
    for denial in spec.denies:
        if denial.partition(":")[0] not in set(Right):
            raise ValueError(f"{denial!r} begins with no right: one of {', '.join(Right)}")
    return LabAccount(name=name, password=spec.password, administrator=spec.administrator, denies=spec.denies)
