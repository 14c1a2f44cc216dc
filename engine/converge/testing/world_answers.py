"""What a world answers to each query, for one account: found, absent or refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from converge.lab import file_system as codes
from converge.lab import service_manager
from converge.lab.file_system import FileSystem
from converge.lab.file_tree import StoredFile
from converge.lab.registry_provider import ACCESS_DENIED, RegistryProvider
from converge.lab.registry_tree import StoredValue
from converge.lab.shell import certutil
from converge.lab.shell.programs import has_program
from converge.lab.world import LabAccount, LoggedEvent, Right, ServiceRecord, World
from converge.model.answer import Absent, Answer, Found, Refused
from converge.model.facts import (
    DirectoryFacts,
    EventRecord,
    FileFacts,
    KeyContents,
    NamedValue,
    OperatingSystemFacts,
    SearchFinds,
    ServiceFacts,
    Withheld,
)
from converge.model.names import fold, same
from converge.model.query import (
    AnyQuery,
    CimInstances,
    Directory,
    Events,
    File,
    OperatingSystem,
    RegistryKey,
    RegistrySearch,
    RegistryValue,
    Service,
    ServiceStartTime,
)
from converge.model.registry import RegistryData, RegistryPath, RegistryType
from converge.testing import direct_cim
from converge.windows import paths
from converge.windows.services import display_name_of

_DEPENDENTS = "the right to read Win32_DependentService"


def _denied(right: str) -> Refused:
    return Refused("access-denied", "Access is denied.", right)


class WorldAnswers:
    """Answers queries about a world as one account is answered; None is the machine itself."""

    def __init__(self, world: World, account: LabAccount | None) -> None:
        self._world = world
        self._account = account
        self._registry = RegistryProvider(world, account)
        self._files = FileSystem(world, account)
        self._answerers: dict[type[AnyQuery], Callable[[Any], Answer[Any]]] = {
            OperatingSystem: self._operating_system,
            Service: self._service,
            ServiceStartTime: self._start_time,
            RegistryKey: self._key,
            RegistryValue: self._value,
            RegistrySearch: self._search,
            File: self._file,
            Directory: self._directory,
            Events: self._events,
            CimInstances: self._instances,
        }

    def answer(self, query: AnyQuery) -> Answer[object]:
        """The answer to one query. Raises KeyError for a query the lab does not know."""
        service_manager.settle(self._world)
        return self._answerers[type(query)](query)

    def _permits(self, right: Right, subject: str = "") -> bool:
        return self._world.permits(self._account, right, subject)

    def _operating_system(self, query: OperatingSystem) -> Answer[OperatingSystemFacts]:
        if not self._permits(Right.CLASS, "Win32_OperatingSystem"):
            return _denied("Remote Enable on root/cimv2")
        profile = self._world.profile
        return Found(
            OperatingSystemFacts(
                caption=profile.caption,
                version=profile.version,
                build=profile.build,
                service_pack=profile.service_pack,
                product_type=profile.product_type,
                architecture=profile.architecture,
                language=profile.language,
                system_root=profile.system_root,
                host_name=profile.host_name,
                domain=profile.domain,
                now=self._world.now(),
                started=self._world.started,
                environment=self._world.environment(),
            )
        )

    def _record(self, name: str) -> ServiceRecord | Absent | Refused:
        if not self._permits(Right.SERVICE_QUERY, name) or not self._permits(Right.CLASS, "Win32_Service"):
            return _denied(f"the right to query the service {name}")
        if record := self._world.service(name):
            return record
        visible = (item for item in self._world.services.values() if self._permits(Right.SERVICE_QUERY, item.name))
        meant = [item.name for item in visible if same(item.display_name, name)]
        return display_name_of(name, meant) if meant else Absent()

    def _service(self, query: Service) -> Answer[ServiceFacts]:
        record = self._record(query.name)
        if not isinstance(record, ServiceRecord):
            return record
        told = self._permits(Right.CLASS, "Win32_DependentService")
        return Found(
            ServiceFacts(
                name=record.name,
                display_name=record.display_name,
                state=record.state,
                start_mode=record.start_mode,
                path_name=service_manager.image_path(self._world, record),
                exit_code=record.exit_code,
                specific_exit_code=record.specific_exit_code,
                process_id=record.process_id,
                dependents=tuple(item.name for item in self._world.dependents(record.name)) if told else (),
                withheld=None if told else Withheld("access-denied", "Access is denied.", _DEPENDENTS),
            )
        )

    def _start_time(self, query: ServiceStartTime) -> Answer[Any]:
        record = self._record(query.name)
        if not isinstance(record, ServiceRecord):
            return record
        process = service_manager.process_of(self._world, record)
        return Found(process.created) if process else Absent()

    def _key(self, query: RegistryKey) -> Answer[KeyContents]:
        code, subkeys = self._registry.enum_key(query.key)
        if code:
            return self._registry_answer(code)
        _, values = self._registry.enum_values(query.key)
        return Found(KeyContents(subkeys, tuple((name, RegistryType.from_number(number)) for name, number in values)))

    def _value(self, query: RegistryValue) -> Answer[RegistryData]:
        code, value = self._registry.read(query.key, query.name)
        return Found(self._data(value)) if value else self._registry_answer(code)

    def _registry_answer(self, code: int) -> Absent | Refused:
        denied = code == ACCESS_DENIED or not self._permits(Right.INVOKE)
        return _denied("read access to the registry key") if denied else Absent()

    def _data(self, value: StoredValue) -> RegistryData:
        """The raw text of an expandable string is told where the world's quirk or a shell would tell it."""
        data = value.as_data()
        if value.number != 2 or not isinstance(value.data, str):
            return data
        told = self._world.quirks.get_string_of_expandable == "raw" or self._permits(Right.SHELLS)
        return RegistryData(data.type, value.data if told else None, expanded=self._world.expand(value.data))

    def _search(self, query: RegistrySearch) -> Answer[SearchFinds]:
        wanted = [fold(file) for file in query.files]
        found: dict[tuple[RegistryPath, str], NamedValue] = {}
        unreadable: list[RegistryPath] = []
        for root in query.roots:
            for place, key in self._world.registry.walk(root):
                if any(place.is_within(closed) for closed in unreadable):
                    continue
                if not self._registry.readable(place):
                    unreadable.append(place)
                    continue
                for value in key.values.values():
                    text = fold(value.data) if value.number in (1, 2) and isinstance(value.data, str) else ""
                    if any(file in text for file in wanted):
                        found[place, fold(value.name)] = NamedValue(place, value.name, self._data(value))
        return Found(SearchFinds(tuple(found.values()), tuple(unreadable)))

    def _file(self, query: File) -> Answer[FileFacts]:
        code, file = self._files.file(query.path)
        if file is None:
            return _denied("read access to the file") if code == codes.ACCESS_DENIED else Absent()
        if query.hashed and not self._permits(Right.SHELLS):
            return Refused("access-denied", "A hash needs a shell.", "the right to open a shell")
        facts = self._file_facts(query.path, file)
        if not query.hashed:
            return Found(facts)
        if not file.size:
            return Found(replace(facts, sha256=file.digest("sha256"), sha1=file.digest("sha1")))
        if not has_program(self._world, "certutil"):
            return Refused("gave-up", f"certutil returned no hash of {query.path}: there is no certutil")
        if self._world.profile.release < certutil.SHA256_SINCE:
            return Found(replace(facts, sha1=file.digest("sha1")))
        return Found(replace(facts, sha256=file.digest("sha256")))

    def _file_facts(self, path: str, file: StoredFile) -> FileFacts:
        return FileFacts(self._world.files.real_path(path), file.size, file.version, file.modified)

    def _directory(self, query: Directory) -> Answer[DirectoryFacts]:
        code, folder = self._files.folder(query.path)
        if folder is None:
            return _denied("read access to the folder") if code == codes.ACCESS_DENIED else Absent()
        path = self._world.files.real_path(query.path)
        if not query.listing:
            return Found(DirectoryFacts(path))
        files = tuple(self._file_facts(paths.join(path, file.name), file) for file in folder.files.values())
        return Found(DirectoryFacts(path, files, tuple(child.name for child in folder.folders.values())))

    def _events(self, query: Events) -> Answer[tuple[EventRecord, ...]]:
        if not self._permits(Right.EVENTS, query.log):
            return _denied(f"the right to read the {query.log} log")
        found = [event for event in self._world.events if _is_asked(event, query)]
        found.sort(key=lambda event: (event.time, event.record), reverse=True)
        return Found(tuple(_event(item, messages=query.messages) for item in found[: query.limit]))

    def _instances(self, query: CimInstances) -> Answer[tuple[dict[str, str | None], ...]]:
        return direct_cim.query(self._world, self._account, namespace=query.namespace, wql=query.wql)


def _is_asked(event: LoggedEvent, query: Events) -> bool:
    source = not query.source or same(event.provider, query.source)
    return (
        same(event.log, query.log) and source and event.time >= query.since and (not query.ids or event.id in query.ids)
    )


def _event(event: LoggedEvent, *, messages: bool) -> EventRecord:
    message = event.message if messages else None
    return EventRecord(event.log, event.provider, event.id, event.time, event.record, event.strings, message)
