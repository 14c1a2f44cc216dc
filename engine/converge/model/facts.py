"""What hosts tell of themselves: the values that answers carry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from converge.errors import Undecided
from converge.model.registry import RegistryData, RegistryPath, RegistryType


@dataclass(frozen=True, slots=True)
class OperatingSystemFacts:
    """One Windows: version "5.2.3790", build 3790, service pack 0 if none. Times are aware datetimes, by the host's own clock."""

    caption: str
    version: str
    build: int
    service_pack: int
    product_type: str  # workstation, domain_controller or server
    architecture: str  # x86, x64, ia64, arm64 or alpha
    language: int  # OSLanguage, a Windows language number: 1033 is English (United States)
    system_root: str
    host_name: str
    domain: str
    now: datetime
    started: datetime | None = None
    environment: Mapping[str, str] = field(default_factory=dict)  # machine variables known without a shell

    @property
    def is_64_bit(self) -> bool:
        """Whether this Windows has a second, 32-bit registry view."""
        return self.architecture in ("x64", "ia64", "arm64")


class ServiceState(StrEnum):
    """What the service manager says a service is doing."""

    STOPPED = "stopped"
    START_PENDING = "start_pending"
    STOP_PENDING = "stop_pending"
    RUNNING = "running"
    CONTINUE_PENDING = "continue_pending"
    PAUSE_PENDING = "pause_pending"
    PAUSED = "paused"
    UNKNOWN = "unknown"

    @property
    def pending(self) -> bool:
        """Whether it will change by itself."""
        return self.value.endswith("_pending")


class StartMode(StrEnum):
    """When a service is started."""

    BOOT = "boot"
    SYSTEM = "system"
    AUTOMATIC = "automatic"
    MANUAL = "manual"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class Withheld:
    """Why a host told a thing but not this part of it: its code, its text, and the right that is missing if that is known."""

    code: str
    text: str
    missing_right: str = ""


@dataclass(frozen=True, slots=True)
class ServiceFacts:
    """One service. `dependents` are the names of the services that need it, directly; none where `withheld` says why not."""

    name: str
    display_name: str
    state: ServiceState
    start_mode: StartMode
    path_name: str
    exit_code: int = 0
    specific_exit_code: int = 0
    process_id: int = 0
    dependents: tuple[str, ...] = ()
    withheld: Withheld | None = None

    def needed_by(self) -> tuple[str, ...]:
        """The names of the services that need it, for who acts upon them. Raises Undecided where the host would not tell."""
        if self.withheld is None:
            return self.dependents
        raise Undecided(
            f"the host refused to tell which services need {self.name}: {self.withheld.text or self.withheld.code}",
            why=f"code {self.withheld.code}" if self.withheld.text else "",
            try_=f"grant the account {self.withheld.missing_right}" if self.withheld.missing_right else "",
            refusal=self.withheld.code,
        )


@dataclass(frozen=True, slots=True)
class KeyContents:
    """What lies directly in a registry key. The default value's name is the empty string."""

    subkeys: tuple[str, ...]
    values: tuple[tuple[str, RegistryType], ...]


@dataclass(frozen=True, slots=True)
class NamedValue:
    """One value found in the registry."""

    key: RegistryPath
    name: str
    data: RegistryData


@dataclass(frozen=True, slots=True)
class SearchFinds:
    """What a registry search found, and the keys it could not read.

    `last_full` is set where nothing was searched for: these are the places that a search found at that time.
    """

    values: tuple[NamedValue, ...]
    unreadable: tuple[RegistryPath, ...] = ()
    last_full: datetime | None = None


@dataclass(frozen=True, slots=True)
class FileFacts:
    """One file: size in bytes, its version resource if it has one, its hash as lower-case hex if it was asked for.

    The hash is the SHA-256; of a host that knows none it is the SHA-1.
    """

    path: str
    size: int
    version: str | None = None
    modified: datetime | None = None
    sha256: str | None = None
    sha1: str | None = None


@dataclass(frozen=True, slots=True)
class DirectoryFacts:
    """One folder. Files and the names of folders in it are told only if a listing was asked for."""

    path: str
    files: tuple[FileFacts, ...] = ()
    directories: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EventRecord:
    """One event of a classic log, with the message only if it was asked for."""

    log: str
    source: str
    id: int
    time: datetime
    record: int
    strings: tuple[str, ...] = ()
    message: str | None = None
