"""Win32_Service and Win32_DependentService over a real service manager, with the return codes of their documentation.

Wine's manager lacks three habits of Windows', which are kept here: it neither starts what a service depends on nor refuses
to stop what others depend on, and it remembers a service's command line, which Windows reads from the registry each time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from tests.wine.agent import HKLM, NO_CHANGE, Agent, ServiceRow, Value, Win32Error
from tests.wine.soap import Fault, MissingInstance, Reference, Row
from tests.wine.wql import Associators, BadQuery, Select

STOPPED, START_PENDING, STOP_PENDING, RUNNING, CONTINUE_PENDING, PAUSE_PENDING, PAUSED = range(1, 8)
_STATES = {
    STOPPED: "Stopped",
    START_PENDING: "Start Pending",
    STOP_PENDING: "Stop Pending",
    RUNNING: "Running",
    CONTINUE_PENDING: "Continue Pending",
    PAUSE_PENDING: "Pause Pending",
    PAUSED: "Paused",
}
_START_MODES = {0: "Boot", 1: "System", 2: "Auto", 3: "Manual", 4: "Disabled"}
_SET_MODES = {"automatic": 2, "manual": 3, "disabled": 4}
_ERROR_CONTROLS = {0: "Ignore", 1: "Normal", 2: "Severe", 3: "Critical"}
_RETURNED = {
    0: 0,
    5: 2,
    1051: 3,
    1052: 4,
    1061: 5,
    1062: 6,
    1053: 7,
    2: 9,
    3: 9,
    1056: 10,
    1055: 11,
    1075: 13,
    1068: 13,
    1058: 14,
    1069: 15,
    1072: 16,
    1054: 17,
    1059: 18,
    1060: 20,
    123: 20,
    1057: 22,
    1073: 23,
}
UNKNOWN_FAILURE, INVALID_PARAMETER = 8, 21
NOT_IN_EXE = 1083
STOP, PAUSE, CONTINUE, INTERROGATE = 1, 2, 3, 4


class Services:
    """The rows and methods of Win32_Service."""

    name, key = "Win32_Service", "Name"

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._refused: dict[str, int] = {}
        """Codes that Windows' manager keeps as the exit code of a service which it could not start."""
        self._methods: dict[str, Callable[[ServiceRow, Mapping[str, list[str]]], int]] = {
            "StartService": lambda service, _: self._start(service),
            "StopService": lambda service, _: self._stop(service),
            "PauseService": lambda service, _: self._controlled(service, PAUSE),
            "ResumeService": lambda service, _: self._controlled(service, CONTINUE),
            "InterrogateService": lambda service, _: self._controlled(service, INTERROGATE),
            "ChangeStartMode": self._change_start_mode,
            "Change": self._change,
        }

    def rows(self, query: Select | None) -> Iterable[Row]:
        """Every service, or those whose names the query binds."""
        bound = query.bound("name") if query else None
        for name in self._agent.service_names():
            if bound is None or name.lower() in bound:
                service = self._service(name)
                if service:
                    yield self._row(service)

    def _service(self, name: str) -> ServiceRow | None:
        known = next((known for known in self._agent.service_names() if known.lower() == name.lower()), None)
        return self._agent.service(known) if known else None

    def _row(self, service: ServiceRow) -> Row:
        running = service.state != STOPPED
        exit_code = service.exit_code if running else self._refused.get(service.name, service.exit_code)
        return {
            "AcceptPause": bool(service.accepted & 2),
            "AcceptStop": bool(service.accepted & 1),
            "Caption": service.display,
            "CheckPoint": 0,
            "CreationClassName": self.name,
            "DelayedAutoStart": False,
            "Description": None,
            "DesktopInteract": False,
            "DisplayName": service.display,
            "ErrorControl": _ERROR_CONTROLS.get(service.error_control, "Unknown"),
            "ExitCode": exit_code,
            "InstallDate": None,
            "Name": service.name,
            "PathName": self._stored_path(service)[0],
            "ProcessId": service.process,
            "ServiceSpecificExitCode": service.specific_code,
            "ServiceType": "Share Process" if service.kind & 0x20 else "Own Process",
            "Started": running,
            "StartMode": _START_MODES.get(service.start, "Unknown"),
            "StartName": service.account,
            "State": _STATES.get(service.state, "Unknown"),
            "Status": "OK",
            "SystemCreationClassName": "Win32_ComputerSystem",
            "SystemName": self._agent.system().computer,
            "TagId": 0,
            "WaitHint": 0,
        }

    def invoke(self, method: str, name: str | None, parameters: Mapping[str, list[str]]) -> Row:
        """Call a method of one service. Raises Fault."""
        found = self._methods.get(method)
        if not found:
            raise Fault("w:InternalError", 2150859010, f"The method {method} is not implemented. ", code="s:Receiver")
        service = self._service(name or "")
        if not service:
            raise MissingInstance
        try:
            return {"ReturnValue": found(service, parameters)}
        except Win32Error as error:
            return {"ReturnValue": _RETURNED.get(error.code, UNKNOWN_FAILURE)}

    def _stored_path(self, service: ServiceRow) -> tuple[str, Value | None]:
        """The command line as the registry has it, expanded as the manager does, and as it is stored."""
        try:
            stored = self._agent.value(HKLM, rf"SYSTEM\CurrentControlSet\Services\{service.name}", "ImagePath")
        except Win32Error:
            return service.path, None
        return self._agent.expand(stored.text), stored

    def _start(self, service: ServiceRow) -> int:
        for name in service.dependencies:
            needed = self._service(name)
            if needed is None:
                return _RETURNED[1075]
            if needed.state == STOPPED and self._start(needed):
                return _RETURNED[1068]
        path, stored = self._stored_path(service)
        if stored and path.lower() != self._agent.expand(service.path).lower():
            self._agent.configure_service(service.name, path=path)
            self._agent.set_value(HKLM, rf"SYSTEM\CurrentControlSet\Services\{service.name}", stored)
        if service.state == PAUSED:
            return _RETURNED[1056]
        return self._started(service.name)

    def _started(self, name: str) -> int:
        self._refused.pop(name, None)
        try:
            self._agent.start_service(name)
        except Win32Error as error:
            # Wine says "invalid parameter" where a program does not implement the service it was started for.
            code = NOT_IN_EXE if error.code == 87 else error.code
            if code not in (1056, 1058):
                self._refused[name] = code
            return _RETURNED.get(code, UNKNOWN_FAILURE)
        return 0

    def _stop(self, service: ServiceRow) -> int:
        if any(other.state != STOPPED for other in self.dependents(service.name)):
            return _RETURNED[1051]
        if service.state == STOPPED:
            return 5  # as recorded of stopped services, whatever the documentation's 6
        return self._controlled(service, STOP)

    def _controlled(self, service: ServiceRow, control: int) -> int:
        self._agent.control_service(service.name, control)
        return 0

    def _change_start_mode(self, service: ServiceRow, parameters: Mapping[str, list[str]]) -> int:
        mode = _SET_MODES.get("".join(parameters.get("StartMode", [])).lower())
        if mode is None:
            return INVALID_PARAMETER
        self._agent.configure_service(service.name, start=mode)
        return 0

    def _change(self, service: ServiceRow, parameters: Mapping[str, list[str]]) -> int:
        path = "".join(parameters.get("PathName", []))
        mode = _SET_MODES.get("".join(parameters.get("StartMode", [])).lower(), NO_CHANGE)
        self._agent.configure_service(service.name, start=mode, path=path)
        return 0

    def dependents(self, name: str) -> list[ServiceRow]:
        """The services that need one directly."""
        services = [self._agent.service(other) for other in self._agent.service_names()]
        return [other for other in services if name.lower() in (needed.lower() for needed in other.dependencies)]

    def associated(self, query: Associators) -> Iterable[Row]:
        """What ASSOCIATORS OF a service yields by Win32_DependentService. Raises BadQuery for another association."""
        where = dict(query.where)
        if where.pop("assocclass", "") != "win32_dependentservice":
            raise BadQuery("only Win32_DependentService is served")
        role = where.pop("role", "") or {"dependent": "antecedent", "antecedent": "dependent"}.get(
            where.pop("resultrole", ""), ""
        )
        where.pop("resultrole", None)
        if where or role not in ("antecedent", "dependent", ""):
            raise BadQuery("an association that is not served")
        service = self._service(query.value)
        if service is None:
            return
        if role in ("antecedent", ""):
            yield from (self._row(other) for other in self.dependents(service.name))
        if role in ("dependent", ""):
            yield from (self._row(needed) for name in service.dependencies if (needed := self._service(name)))


class DependentServices:
    """Win32_DependentService: who needs whom."""

    name, key = "Win32_DependentService", ""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    def rows(self, query: Select | None) -> Iterable[Row]:
        """One row for every pair."""
        names = {name.lower(): name for name in self._agent.service_names()}
        for name in names.values():
            for needed in self._agent.service(name).dependencies:
                yield {
                    "Antecedent": Reference("Win32_Service", "Name", names.get(needed.lower(), needed)),
                    "Dependent": Reference("Win32_Service", "Name", name),
                    "TypeOfDependency": None,
                }
