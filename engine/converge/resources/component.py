"""The kind `component`: an optional component of Windows NT 4.0 to Windows Server 2003, by sysocmgr and an answer file."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from converge.errors import ResourceError
from converge.model.action import (
    AnyAction,
    RemoveFile,
    RemoveRegistryValue,
    RunCommand,
    SetRegistryValue,
    WriteFile,
)
from converge.model.answer import Answers
from converge.model.change import Json, WayBack
from converge.model.facts import OperatingSystemFacts
from converge.model.query import AnyQuery, File, OperatingSystem, RegistryValue, Service
from converge.model.registry import Hive, RegistryData, RegistryPath, RegistryType
from converge.model.resource import Resource, State
from converge.windows import components, environment, paths, versions
from converge.windows.fields import HostPath, ServiceName

COMMON_FILES = "iis_common"
_NEVER_OFF = (COMMON_FILES, "iis")  # the group takes the common files, and with them a cluster's services, away
SETUP = RegistryPath(Hive.LOCAL_MACHINE, r"SOFTWARE\Microsoft\Windows\CurrentVersion\Setup")
SOURCE_PATH = RegistryValue(SETUP, "SourcePath")
KEPT_SOURCE_PATH = RegistryValue(SETUP, "SourcePath.converge")
"""What Setup's source was, while it is ours: a run that is broken off leaves it for the next one to bring back."""
PATIENCE = timedelta(minutes=30)


class Provided(BaseModel):
    """What a component brings. By this it is judged, and this a rehearsal knows to come or go."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    services: tuple[ServiceName, ...] = Field((), max_length=100, description="Names of services.")
    files: tuple[HostPath, ...] = Field((), max_length=100, description="Full paths of files.")


class ComponentState(State):
    """What there is of a component: whether the OC Manager has noted it, and which of its services and files are there."""

    installed: bool
    services: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    borrowed_source: bool = False  # a run was broken off and left its own folder as Setup's source

    def as_json(self) -> Json:
        """The borrowed source only where it is still there."""
        return self.model_dump(mode="json", exclude=None if self.borrowed_source else {"borrowed_source"})


class ComponentResource(Resource[ComponentState]):
    """An optional component of Windows, installed or removed by sysocmgr with an answer file.

    It is judged by the OC Manager's note and by what it provides, never by sysocmgr's exit code. What converge knows of
    sysocmgr on Windows 2000 and Server 2003 is Microsoft's reference; for the Option Pack of Windows NT 4.0, whose
    sysocmgr takes another .inf file (`inf`), it rests on the same description and was never seen run.
    """

    kind: ClassVar[str] = "component"
    key_fields: ClassVar[tuple[str, ...]] = ("name",)
    settles_within: ClassVar[timedelta] = PATIENCE
    way_back_summary: ClassVar[str] = (
        "in part: taking a component out again leaves files and settings behind; the settings of one "
        "that was removed are lost."
    )
    example: ClassVar[str] = r"""
- name: The SMTP service is installed
  component: {name: iis_smtp, source: 'D:\i386', provides: {services: [SMTPSVC]}}
"""

    name: str = Field(
        pattern=r"^[A-Za-z0-9_.\-]{1,64}$", description="The component's name in the .inf file, such as iis_smtp."
    )
    ensure: Literal["present", "absent"] = Field("present", description="Whether it is to be installed.")
    inf: HostPath = Field(r"%SystemRoot%\inf\sysoc.inf", description="The master .inf file that knows the component.")
    source: HostPath | None = Field(
        None,
        description="The folder that holds the installation files; while sysocmgr runs it is Setup's SourcePath. Empty: none.",
    )
    provides: Provided = Field(Provided(), description="Services and files that it brings.")

    @field_validator("source", mode="before")
    @classmethod
    def _none_named(cls, value: object) -> object:
        return None if value == "" else value

    @model_validator(mode="after")
    def _spares_the_common_files(self) -> ComponentResource:
        if self.ensure == "absent" and self.name.lower() in _NEVER_OFF:
            raise ValueError(f"{self.name} is never removed: on a cluster node the cluster services would go with it")
        return self

    def queries(self, known: Answers) -> Collection[AnyQuery]:
        """The note, and what it provides; for IIS whether the common files are installed; Setup's source."""
        asked: list[AnyQuery] = [OperatingSystem(), components.question(self.name), *self._provided(known)]
        if self._is_of_iis:
            asked.append(components.question(COMMON_FILES))
        return [*asked, SOURCE_PATH, KEPT_SOURCE_PATH] if self.source else asked

    @property
    def _is_of_iis(self) -> bool:
        return self.name.lower().startswith("iis_")

    def _provided(self, known: Answers) -> list[AnyQuery]:
        files = (environment.resolve_known(path, known) for path in self.provides.files)
        return [*(Service(name) for name in self.provides.services), *(File(path) for path in files if path)]

    def brings(self, known: Answers) -> Collection[AnyQuery]:
        """The note, and what it provides."""
        return (components.question(self.name), *self._provided(known))

    def actual_state(self, answers: Answers) -> ComponentState | None:
        """What there is of it; None for nothing at all. Raises Undecided, Unpredictable and ResourceError."""
        noted = components.is_installed(answers, self.name)
        there = tuple(name for name in self.provides.services if answers.value(Service(name)) is not None)
        files = (environment.resolve(path, answers) for path in self.provides.files)
        found = tuple(path for path in files if answers.value(File(path)) is not None)
        borrowed = self.source is not None and answers.value(KEPT_SOURCE_PATH) is not None
        state = ComponentState(installed=noted, services=there, files=found, borrowed_source=borrowed)
        return state if noted or there or found or borrowed else None

    def desired_state(self, actual: ComponentState | None, answers: Answers) -> ComponentState | None:
        """Everything of it, or nothing. Raises ResourceError on a Windows without sysocmgr."""
        wanted = self._whole(answers) if self.ensure == "present" else None
        if wanted != actual:
            _check_has_sysocmgr(answers.value(OperatingSystem()))
        return wanted

    def _whole(self, answers: Answers) -> ComponentState:
        files = tuple(environment.resolve(path, answers) for path in self.provides.files)
        return ComponentState(installed=True, services=self.provides.services, files=files)

    def actions(self, before: ComponentState | None, after: ComponentState | None, answers: Answers) -> Sequence[AnyAction]:
        """Write the answer file, run sysocmgr, remove the answer file, Setup's source being ours meanwhile. Raises ResourceError."""
        borrowing, giving_back = self._source(answers)
        if _without_borrowed_source(before) == after:
            return giving_back
        install = after is not None
        system = answers.value(OperatingSystem())
        if system is None:
            raise ResourceError("the host does not report its Windows folder")
        answer_file = paths.join(system.system_root, "Temp", f"converge-{answers.run}-{self.name}.txt")
        argv = (
            paths.join(system.system_root, "System32", "sysocmgr.exe"),
            f"/i:{environment.resolve(self.inf, answers)}",
            f"/u:{answer_file}",
            "/q",
            "/r",
        )
        decides = tuple(self.brings(answers))
        run = RunCommand(
            argv,
            timeout=PATIENCE.total_seconds(),
            exit_codes=(),
            title=f"sysocmgr {'installs' if install else 'removes'} {self.name}",
            decides=decides,
        )
        writing = WriteFile(answer_file, self._answer_file(install=install, answers=answers))
        return [*borrowing, writing, run, RemoveFile(answer_file), *giving_back]

    def _answer_file(self, *, install: bool, answers: Answers) -> bytes:
        """The [Components] section. Raises ResourceError rather than turn the common files of IIS off, Undecided."""
        if not install and self.name.lower() in _NEVER_OFF:
            raise ResourceError(f"{self.name} is never turned off: cluster services would go with it")
        lines = ["[Components]", f"{self.name} = {'on' if install else 'off'}"]
        if not install and self._is_of_iis and components.is_installed(answers, COMMON_FILES):
            lines.append(f"{COMMON_FILES} = on")  # so that the last of IIS' other parts does not take them along
        return ("\r\n".join(lines) + "\r\n").encode("ascii")

    def _source(self, answers: Answers) -> tuple[list[AnyAction], list[AnyAction]]:
        """What names the installation files to Setup, and what names again those it named before."""
        if self.source is None:
            return [], []
        ours = RegistryData(RegistryType.STRING, environment.resolve(self.source, answers))
        now, kept = answers.value(SOURCE_PATH), answers.value(KEPT_SOURCE_PATH)
        if kept is None and now is not None and _is_folder(now, ours):
            return [], []
        before = kept if kept is not None else now if now is not None else _NOTHING
        if before.data is None or not before.type.writable:
            raise ResourceError("Setup's SourcePath could not be read as it is stored", try_="correct it by hand")
        borrowing: list[AnyAction] = [SetRegistryValue(SETUP, SOURCE_PATH.name, ours)]
        if kept is None:
            borrowing.insert(0, SetRegistryValue(SETUP, KEPT_SOURCE_PATH.name, before))
        back: AnyAction = SetRegistryValue(SETUP, SOURCE_PATH.name, before)
        if before == _NOTHING:
            back = RemoveRegistryValue(SETUP, SOURCE_PATH.name)
        return borrowing, [back, RemoveRegistryValue(SETUP, KEPT_SOURCE_PATH.name)]

    def way_back(self, before: ComponentState | None, after: ComponentState | None) -> WayBack:
        """Removing loses the component's configuration for good; installing leaves traces when it is taken back."""
        if after is None and self.ensure == "absent":
            return WayBack("none", f"the configuration of {self.name} is removed with it", must_accept=True)
        if self.name.lower() in _NEVER_OFF:
            return WayBack("none", f"{self.name} is never turned off")
        return WayBack("partial", "taking it out again leaves files and settings behind")


_NOTHING = RegistryData(RegistryType.STRING, "")


def _is_folder(data: RegistryData, folder: RegistryData) -> bool:
    return isinstance(data.data, str) and paths.same_folder(data.data, str(folder.data))


def _without_borrowed_source(state: ComponentState | None) -> ComponentState | None:
    """The state but for Setup's source; None for nothing at all."""
    if state is None or not (state.installed or state.services or state.files):
        return None
    return state.model_copy(update={"borrowed_source": False})


def _check_has_sysocmgr(system: OperatingSystemFacts | None) -> None:
    if system is not None and versions.parse(system.version) >= (6, 0):
        what = f"{system.caption.strip()} has no sysocmgr: its components are roles and features"
        raise ResourceError(what, try_="install or remove the feature with Windows' own means")
