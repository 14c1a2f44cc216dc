"""Services: what Win32_Service tells and does, and who depends on whom (Win32_DependentService)."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Final

from converge.errors import ActionRefused, RemoteProtocolError
from converge.model.action import (
    Performed,
    ResumeService,
    SetServiceImagePath,
    SetServiceStartMode,
    StartService,
    StopService,
)
from converge.model.answer import Absent, Answer, Found, Refused
from converge.model.facts import ServiceFacts, ServiceState, StartMode, Withheld
from converge.model.names import fold
from converge.model.query import Service, ServiceStartTime
from converge.windows import wql
from converge.windows.registry import SERVICES
from converge.windows.return_codes import failed
from converge.windows.services import RETURN_CODES, display_name_of
from converge.winrm.answering import Answered, action_refused, is_absent, refused
from converge.winrm.batches import listed
from converge.winrm.exchange import LONGEST_OPERATION, Faulted
from converge.winrm.registry import ACCESS_DENIED, DONE, parameters, return_value
from converge.winrm.session import CIMV2, Reader, ReadingMethod, Session
from converge.wsman.cim import Properties, Reference, Value
from converge.wsman.envelopes import ResourceTarget
from converge.wsman.namespaces import wmi_uri

SERVICE: Final = wmi_uri(CIMV2, "Win32_Service")
_COLUMNS: Final = (
    "DisplayName",
    "ExitCode",
    "Name",
    "PathName",
    "ProcessId",
    "ServiceSpecificExitCode",
    "StartMode",
    "State",
)
_STATES: Final = {state.value.replace("_", " "): state for state in ServiceState}
_START_MODES: Final = {mode.value: mode for mode in StartMode} | {"auto": StartMode.AUTOMATIC}
# "Auto" is read, "Automatic" is written (Win32_Service.ChangeStartMode).
_WRITTEN_MODES: Final = {
    StartMode.AUTOMATIC: "Automatic",
    StartMode.MANUAL: "Manual",
    StartMode.DISABLED: "Disabled",
}
_OBJECT_PATH_NAME: Final = re.compile(r'\.Name="((?:[^"\\]|\\.)*)"', re.IGNORECASE)


_WIN32: Final = 0x30  # SERVICE_WIN32 of a service's Type: what Win32_Service lists, where drivers are not
_QUERY_RIGHTS: Final = (
    "SERVICE_QUERY_STATUS and SERVICE_QUERY_CONFIG on the service, and to list services (sc sdset scmanager)"
)


class Dependents:
    """Which services need which, asked once; they change only when services are installed or set up anew."""

    def __init__(self) -> None:
        self._known: Mapping[str, tuple[str, ...]] | Withheld | None = None

    def forget(self) -> None:
        """Ask anew next time."""
        self._known = None

    def of(self, reader: Reader, service: str) -> tuple[str, ...] | Withheld:
        """The names of the services that need this one directly, or why the host does not tell."""
        if self._known is None:
            try:
                self._known = _all_dependents(reader)
            except (Faulted, RemoteProtocolError) as error:
                if isinstance(error, Faulted) and not error.fault.access_denied:
                    return _associated(reader, service)
                self._known = _withheld(error)
        return self._known if isinstance(self._known, Withheld) else self._known.get(fold(service), ())


def _withheld(error: Faulted | RemoteProtocolError) -> Withheld:
    told = refused(error)
    return Withheld(told.code, told.text, told.missing_right)


def _associated(reader: Reader, service: str) -> tuple[str, ...] | Withheld:
    """The dependents of one service, for hosts that list associations only from one of their ends."""
    text = wql.associators(
        "Win32_Service",
        "Name",
        service,
        association="Win32_DependentService",
        role="Antecedent",
        result_role="Dependent",
    )
    try:
        return tuple(row.properties.text("Name") or "" for row in reader.query(CIMV2, text))
    except (Faulted, RemoteProtocolError) as error:
        return _withheld(error)


def _all_dependents(reader: Reader) -> Mapping[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for row in reader.query(CIMV2, wql.select((), "Win32_DependentService"), seconds=LONGEST_OPERATION):
        antecedent, dependent = (_service_name(row.properties.get(end)) for end in ("Antecedent", "Dependent"))
        if antecedent and dependent:
            found.setdefault(fold(antecedent), []).append(dependent)
    return {name: tuple(sorted(names, key=fold)) for name, names in found.items()}


def _service_name(value: Value) -> str:
    """The service a reference points to, as an endpoint reference or as a WMI object path."""
    if isinstance(value, Reference):
        return next((key for name, key in value.selectors if fold(name) == "NAME" and isinstance(key, str)), "")
    match = _OBJECT_PATH_NAME.search(value) if isinstance(value, str) else None
    return re.sub(r"\\(.)", r"\1", match.group(1)) if match else ""


def answer_services(reader: Reader, queries: Sequence[Service], dependents: Dependents) -> Answered:
    """Every service asked for, in one query of Win32_Service."""
    rows = _rows(reader, {query.name for query in queries})
    return {query: _service_answer(reader, rows[fold(query.name)], dependents) for query in queries}


def _service_answer(reader: Reader, row: Properties | Refused | None, dependents: Dependents) -> Answer[ServiceFacts]:
    if row is None:
        return Absent()
    if isinstance(row, Refused):
        return row
    try:
        return Found(_facts(row, dependents.of(reader, row.text("Name") or "")))
    except RemoteProtocolError as error:
        return refused(error)


def _facts(row: Properties, dependents: tuple[str, ...] | Withheld) -> ServiceFacts:
    mode = _START_MODES.get((row.text("StartMode") or "").lower())
    if mode is None:
        raise RemoteProtocolError(f"a service with the start mode {row.text('StartMode')!r}")
    return ServiceFacts(
        name=row.text("Name") or "",
        display_name=row.text("DisplayName") or "",
        state=_STATES.get((row.text("State") or "").lower(), ServiceState.UNKNOWN),
        start_mode=mode,
        path_name=row.text("PathName") or "",
        exit_code=row.integer("ExitCode") or 0,
        specific_exit_code=row.integer("ServiceSpecificExitCode") or 0,
        process_id=row.integer("ProcessId") or 0,
        dependents=() if isinstance(dependents, Withheld) else dependents,
        withheld=dependents if isinstance(dependents, Withheld) else None,
    )


def _rows(reader: Reader, names: Collection[str]) -> dict[str, Properties | Refused | None]:
    """The row of each service by its folded name; None where there is no such service."""
    found: dict[str, Properties | Refused | None] = {fold(name): None for name in names}

    for batch, rows in listed(reader, "Win32_Service", names, by="Name", columns=_COLUMNS):
        if isinstance(rows, Refused):
            found.update((fold(name), rows) for name in batch)
        else:
            found.update((fold(row.text("Name") or ""), row) for row in rows)
    found |= {fold(name): _hidden(reader, name) for name in names if found[fold(name)] is None}
    return found | _meant_otherwise(reader, [name for name in names if found[fold(name)] is None])


def _meant_otherwise(reader: Reader, names: Collection[str]) -> dict[str, Refused]:
    """Which of the names that no service has are display names of some: those are not absent."""
    told: dict[str, Refused] = {}
    for batch, rows in listed(reader, "Win32_Service", names, by="DisplayName", columns=("DisplayName", "Name")):
        if isinstance(rows, Refused):
            told.update((fold(name), rows) for name in batch)
            continue
        for name in batch:
            meant = [row.text("Name") or "" for row in rows if fold(row.text("DisplayName") or "") == fold(name)]
            told |= {fold(name): display_name_of(name, meant)} if meant else {}
    return told


def _hidden(reader: Reader, name: str) -> Refused | None:
    """Why a service that was not listed may be there all the same; None where it is not.

    The service manager leaves services that the account may not query out of its lists without a word
    (EnumServicesStatusEx, Remarks). Their keys tell that they are there.
    """
    try:
        output = reader.registry(ReadingMethod.GET_DWORD, parameters(SERVICES / name, "Type"))
        code = return_value(output)
    except Faulted as faulted:
        if is_absent(faulted.fault):
            return None
        told = refused(faulted)
        text = f"it is not listed, and the registry, which tells whether it is hidden, is closed: {told.text}"
        return Refused(told.code, text, told.missing_right)
    except RemoteProtocolError as error:
        return refused(error)
    if code == DONE and (output.integer("uValue") or 0) & _WIN32:
        return Refused("access-denied", "it has a registry key and is not listed to this account", _QUERY_RIGHTS)
    if code == ACCESS_DENIED:
        text = "it is not listed, and its registry key, which tells whether it is hidden, is closed"
        return Refused("access-denied", text, f"{_QUERY_RIGHTS}, or read access to its registry key")
    return None


def answer_start_times(reader: Reader, queries: Sequence[ServiceStartTime]) -> Answered:
    """When the processes of running services were created (Win32_Process.CreationDate)."""
    rows = _rows(reader, {query.name for query in queries})
    processes = {
        number for row in rows.values() if isinstance(row, Properties) and (number := _running_process(row)) is not None
    }
    created = _creation_times(reader, processes) if processes else {}
    answers: Answered = {}
    for query in queries:
        row = rows[fold(query.name)]
        if isinstance(row, Refused):
            answers[query] = row
        else:
            process = _running_process(row) if row is not None else None
            answers[query] = created.get(process, Absent()) if process is not None else Absent()
    return answers


def _running_process(row: Properties) -> int | None:
    running = (row.text("State") or "").lower() != "stopped"
    return row.integer("ProcessId") or None if running else None


def _creation_times(reader: Reader, processes: Collection[int]) -> dict[int, Answer[datetime]]:
    condition = wql.any_of([wql.equals("ProcessId", number) for number in sorted(processes)])
    wanted = ("CreationDate", "ProcessId")
    times: dict[int, Answer[datetime]] = {}
    try:
        for row in reader.query(CIMV2, wql.select(wanted, "Win32_Process", where=condition)):
            created = row.properties.datetime("CreationDate")
            number = row.properties.integer("ProcessId")
            if number is not None and created is not None:
                times[number] = Found(created)
    except (Faulted, RemoteProtocolError) as error:
        return dict.fromkeys(processes, refused(error))
    return times


ServiceAction = StartService | StopService | ResumeService | SetServiceStartMode | SetServiceImagePath

# What a method may return though nothing is left to do, or though it goes on by itself: looking again decides.
_AS_GOOD_AS_DONE: Final[Mapping[str, frozenset[int]]] = {
    "StartService": frozenset({0, 7, 10}),
    "StopService": frozenset({0, 6, 7}),
}


def perform_on_service(session: Session, action: ServiceAction) -> Performed:
    """Do one thing to a service. Raises ActionRefused, Interrupted, HostUnreachable."""
    method, parameters = _call(action)
    target = ResourceTarget(SERVICE, selectors=(("Name", action.name),))
    try:
        returned = session.call(target, method, parameters).integer("ReturnValue") or 0
    except Faulted as faulted:
        raise action_refused(f"{method} on the service {action.name}", faulted) from faulted
    if returned in _AS_GOOD_AS_DONE.get(method, frozenset({0})):
        return Performed(code=returned)
    if method == "StopService" and returned == _CANNOT_ACCEPT and _is_stopped(session, action.name):
        return Performed(code=returned)
    what, why = failed(method, returned, RETURN_CODES)
    raise ActionRefused(
        what,
        why=_why(session, returned, action) or why,
        try_=_remedy(returned, action),
    )


_CANNOT_ACCEPT: Final = 5
_NO_ACCESS: Final = 2  # of Win32_Service methods


def _call(action: ServiceAction) -> tuple[str, dict[str, Value]]:
    if isinstance(action, StartService):
        return "StartService", {}
    if isinstance(action, StopService):
        return "StopService", {}
    if isinstance(action, ResumeService):
        return "ResumeService", {}
    if isinstance(action, SetServiceImagePath):
        return "Change", {"PathName": action.image_path}
    mode = _WRITTEN_MODES.get(action.start_mode)
    if mode is None:
        raise ActionRefused(f"the start mode {action.start_mode} is for drivers and cannot be set on a service")
    return "ChangeStartMode", {"StartMode": mode}


def _is_stopped(session: Session, name: str) -> bool:
    row = _rows(session, {name})[fold(name)]
    return isinstance(row, Properties) and (row.text("State") or "").lower() == "stopped"


def _why(session: Session, returned: int, action: ServiceAction) -> str:
    if returned != _NO_ACCESS:
        return ""
    account = session.connection.username or "the account"
    return f"The account {account} can read the service {action.name} but not do this to it."


_RIGHTS: Final[Mapping[type[object], str]] = {
    StartService: "SERVICE_START",
    StopService: "SERVICE_STOP",
    ResumeService: "SERVICE_PAUSE_CONTINUE",
    SetServiceStartMode: "SERVICE_CHANGE_CONFIG",
    SetServiceImagePath: "SERVICE_CHANGE_CONFIG",
}


def _remedy(returned: int, action: ServiceAction) -> str:
    if returned == _NO_ACCESS:
        return f"grant the account {_RIGHTS[type(action)]} on {action.name}"
    return ""
