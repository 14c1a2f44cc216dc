"""What an image may state about a Windows, and what a step, a component or a method does to one: data, checked, no behaviour."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from converge.lab.registry_tree import StoredValue, stored
from converge.model.facts import StartMode
from converge.model.registry import RegistryType
from converge.windows.paths import is_absolute
from converge.windows.registry import parse_path

Denials = frozenset[Literal["read", "write"]]
CimValue = str | bool | int | float | list[str] | list[int] | None
_LABELS = {kind.label: kind.number for kind in RegistryType if kind is not RegistryType.UNKNOWN}
_OWN_SETTINGS = "\\"  # the entry of a key or folder that speaks of the key or folder itself


class Spec(BaseModel):
    """A statement of an image. `source` says where it is known from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str = ""


def _file_shorthand(raw: object) -> object:
    if isinstance(raw, int) and not isinstance(raw, bool):
        return {"size": raw}
    return {"text": raw} if isinstance(raw, str) else {} if raw is None else raw


class FileSpec(Spec):
    """A file: `text`, `hex` or just a size; a number alone is a size, a text alone the text.

    A file without content holds bytes made of `seed` (its name, version and size if none is given), so that copies of one
    file are equal. `text` is written with CRLF line ends in `encoding`.
    """

    size: int | None = Field(default=None, ge=0, lt=2**63)
    version: str | None = None
    modified: datetime | None = None
    text: str | None = None
    encoding: str = "cp1252"
    hex: Annotated[str | None, AfterValidator(lambda digits: digits and _octets(digits).hex())] = None
    seed: str = ""
    deny: Denials = frozenset()
    in_use: bool = False

    @property
    def content(self) -> bytes | None:
        """The bytes, if they were given."""
        if self.text is not None:
            return re.sub(r"\r?\n", "\r\n", self.text).encode(self.encoding)
        return None if self.hex is None else bytes.fromhex(self.hex)


def _octets(digits: str) -> bytes:
    return bytes.fromhex(re.sub(r"[\s,]", "", digits))


def _absolute(path: str) -> str:
    if not is_absolute(path) and not path.startswith("%"):
        raise ValueError(f"{path!r} is not a full path: begin with a drive or a %VARIABLE%")
    return path


def _folder_shorthand(raw: object) -> object:
    return {} if raw is None else raw


AnyPath = Annotated[str, AfterValidator(_absolute)]
FolderSpec = Annotated[
    dict[str, Annotated[FileSpec, BeforeValidator(_file_shorthand)]], BeforeValidator(_folder_shorthand)
]


class KeySpec:
    """A key as an image states it: values, denials, and subkeys (whose names begin or end with a backslash)."""

    __slots__ = ("deny", "subkeys", "values")

    def __init__(self, raw: dict[str, Any]) -> None:
        self.values: list[StoredValue] = []
        self.subkeys: dict[str, KeySpec] = {}
        self.deny: set[str] = set()
        for name, held in raw.items():
            if name == _OWN_SETTINGS:
                self._own(held)
            elif name.startswith("\\") or name.endswith("\\"):
                self.subkeys[name.strip("\\")] = KeySpec(held or {})
            else:
                self.values.append(_value("" if name == "(default)" else name, held))

    def _own(self, raw: Any) -> None:
        if not isinstance(raw, dict) or set(raw) - {"deny", "values", "source"}:
            raise ValueError(r"the entry '\' takes deny, values and source")
        self.deny = set(raw.get("deny", ()))
        if self.deny - {"read", "write"}:
            raise ValueError("deny takes read and write")
        self.values += [_value(name, held) for name, held in raw.get("values", {}).items()]


def _value(name: str, raw: Any) -> StoredValue:
    """A registry value: a text, a number, a list of texts, {TYPE: DATA}, or {type: NUMBER, hex: DIGITS} for any type."""
    shorthand = {str: "string", int: "dword", list: "multi_string"}.get(type(raw))
    if shorthand:
        raw = {shorthand: raw}
    if not isinstance(raw, dict):
        raise ValueError(f"{name or '(default)'}: {raw!r} is neither a text, a number, a list nor {{type: data}}")
    held = {key: data for key, data in raw.items() if key != "source"}
    try:
        if set(held) == {"type", "hex"}:
            return stored(name, number=int(held["type"]), data=_octets(str(held["hex"])))
        ((label, data),) = held.items()
        number = _LABELS[label]
    except (ValueError, KeyError) as error:
        raise ValueError(f"{name or '(default)'}: takes one of {', '.join(sorted(_LABELS))}") from error
    if isinstance(data, str) and number not in (1, 2):
        data = int(data, 0) if number in (4, 5, 11) else _octets(data)
    try:
        return stored(name, number=number, data=data)
    except ValueError as error:
        raise ValueError(f"{name or '(default)'}: {error}") from error


def _check_key(raw: dict[str, Any]) -> dict[str, Any]:
    KeySpec(raw)
    return raw


def _check_key_path(text: str) -> str:
    parse_path(text)
    return text


KeyName = Annotated[str, AfterValidator(_check_key_path)]


class StepNeed(Spec):
    """What a service's process looks for when it starts; where it is missing the service ends with `exit_code`.

    `{image_directory}` stands for the folder of the service's program.
    """

    file: str
    exit_code: int = 2
    specific_exit_code: int = 0


class Death(Spec):
    """A service that ends by itself: `crash` as a process that vanished (7034), else with its exit code (7023, 7024)."""

    after_seconds: float = Field(default=1.0, ge=0)
    crash: bool = False
    exit_code: int = 1067
    specific_exit_code: int = 0
    while_missing: str = ""  # only as long as this file is missing; always if empty


class ServiceTraits(BaseModel):
    """How a service behaves: what an image states of it, and what the service manager holds."""

    shares_process: bool = False  # with all other such services of the same program
    needs_dispatch_entry: bool = False  # by InetInfo\Parameters, as the process began: else 1083
    account: str = "LocalSystem"
    depends_on: tuple[str, ...] = ()
    exit_code: int = 0
    specific_exit_code: int = 0
    needs: tuple[StepNeed, ...] = ()
    dies: Death | None = None
    hangs: bool = False  # its process never answers the service manager: error 1053
    logon_fails: bool = False  # error 1069
    nameless: bool = False  # its events name it "", as article Q197303 shows
    can_pause: bool = False
    can_stop: bool = True
    start_seconds: float = Field(default=0.0, ge=0)
    stop_seconds: float = Field(default=0.0, ge=0)


class ServiceSpec(Spec, ServiceTraits):
    """A service. What is left out stays as an image that is extended has it, else as the default says."""

    display_name: str = ""
    image_path: str | dict[Literal["string", "expand_string"], str] = ""  # a text alone is an expand_string
    start: StartMode = StartMode.MANUAL
    state: Literal["stopped", "running", "paused"] = "stopped"


class EventSpec(Spec):
    """One event in a classic log. `minutes_ago` counts from the moment the world is made."""

    log: str = "System"
    provider: str
    id: int = Field(ge=0, le=0xFFFF)
    type: Literal["error", "warning", "information"] = "error"
    minutes_ago: float | None = Field(default=None, ge=0)
    time: datetime | None = None
    strings: tuple[str, ...] = ()
    message: str = ""


class MethodSpec(Spec):
    """What a method of a CIM class does: its return value, its other results, and its effects on the world."""

    return_value: int = 0
    results: dict[str, CimValue] = {}
    effects: Effects | None = None


class ClassSpec(Spec):
    """The instances of a CIM class. Each holds every property; `key` names the one that tells them apart."""

    key: str
    instances: tuple[dict[str, CimValue], ...] = ()
    methods: dict[str, MethodSpec] = {}
    deny: bool = False


class FileTest(Spec):
    """A file that must be there, with one of the sizes if any are given. `{source}` is the folder installed from."""

    file: str
    sizes: tuple[int, ...] = ()


class Effects(Spec):
    """What is put into a world and taken out of it. Removals come first."""

    remove_services: tuple[str, ...] = ()
    remove_files: tuple[AnyPath, ...] = ()  # a folder goes with all in it
    remove_keys: tuple[KeyName, ...] = ()  # with all below
    remove_values: dict[KeyName, tuple[str, ...]] = {}
    remove_instances: dict[str, dict[str, tuple[str, ...]]] = {}  # namespace, class, values of the key property
    files: dict[AnyPath, FolderSpec] = {}
    registry: dict[KeyName, Annotated[dict[str, Any], AfterValidator(_check_key)]] = {}
    services: dict[str, ServiceSpec] = {}
    components: dict[str, ComponentSpec] = {}
    cim: dict[str, dict[str, ClassSpec]] = {}
    events: tuple[EventSpec, ...] = ()
    stop: tuple[str, ...] = ()  # services to stop, through the service manager, in this order
    start: tuple[str, ...] = ()  # and to start


class InstallVariant(Effects):
    """What installing brings when all of `when` is met; the first variant whose conditions are met is taken."""

    when: tuple[FileTest, ...] = ()


class ComponentSpec(Spec):
    """An optional component for sysocmgr. `needs` are components it cannot do without: they come and go with it.

    Where it stays undefined in a later statement (`installed` alone), what an extended image said remains.
    """

    installed: bool = False
    infs: tuple[str, ...] = ("sysoc.inf",)
    needs: tuple[str, ...] = ()
    install: tuple[InstallVariant, ...] = ()
    remove: Effects = Field(default_factory=lambda: Effects())  # by name: each of the two models holds the other


class AccountSpec(Spec):
    """An account. `denies` are rights, or RIGHT:SUBJECT, it lacks; see `world.Right`."""

    password: str
    administrator: bool = True
    denies: tuple[str, ...] = ()


class StepSpec(Spec):
    """What a person does in an operator step. `program` is a file on the disk that does the same when it is run."""

    describe: str = ""
    program: str = ""
    effects: Effects = Field(default_factory=Effects)


class Profile(Spec):
    """Which Windows this is."""

    caption: str
    version: str = Field(pattern=r"^\d+\.\d+\.\d+$")
    service_pack: int = Field(default=0, ge=0)
    architecture: Literal["x86", "x64", "ia64", "alpha", "arm64"] = "x86"
    product_type: Literal["workstation", "domain_controller", "server"] = "server"
    language: int = 1033
    system_root: AnyPath = r"C:\WINDOWS"
    host_name: str = "LAB"
    domain: str = "WORKGROUP"
    oem_code_page: int = 437
    ansi_code_page: int = 1252
    minutes_from_utc: int = 0
    winrm_stack: Literal["1.1", "2.0", "3.0"] = "2.0"
    programs: tuple[str, ...] = ()  # beyond those this Windows ships: a Resource Kit's reg
    without_programs: tuple[str, ...] = ()  # and those it ships that are missing here
    environment: dict[str, str] = {}

    @property
    def release(self) -> tuple[int, int]:
        """Major and minor version: (5, 2) for Windows Server 2003."""
        major, minor, _ = self.version.split(".")
        return int(major), int(minor)

    @property
    def build(self) -> int:
        """The build number: 3790."""
        return int(self.version.rpartition(".")[2])

    @property
    def is_64_bit(self) -> bool:
        """Whether there is a second, 32-bit registry view."""
        return self.architecture in ("x64", "ia64", "arm64")


class Quirks(Spec):
    """What is known to differ between Windows, or not known at all, so that each behaviour can be tried.

    How `GetStringValue` answers a REG_EXPAND_SZ value is recorded nowhere: raw, expanded or 0x80041005.
    """

    get_string_of_expandable: Literal["raw", "expanded", "error"] = "raw"


def aware(moment: datetime) -> datetime:
    """The moment with a zone; one without is taken as UTC."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


for _model in (MethodSpec, ClassSpec, Effects, InstallVariant, ComponentSpec, StepSpec):
    _model.model_rebuild()
