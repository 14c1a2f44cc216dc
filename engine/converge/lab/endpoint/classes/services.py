"""Win32_Service and Win32_DependentService over the simulated service manager (WMI reference, Win32_Service)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from converge.lab import service_manager
from converge.lab.endpoint.schema import (
    CimClass,
    CimType,
    Handler,
    Method,
    MethodCall,
    Property,
    Row,
    ServedClass,
    properties,
)
from converge.lab.endpoint.wql import Condition
from converge.lab.world import Right, ServiceRecord, World
from converge.model.facts import ServiceState, StartMode
from converge.model.names import same
from converge.wsman.cim import Reference
from converge.wsman.namespaces import wmi_uri

NAMESPACE: Final = "root/cimv2"
NOT_SUPPORTED: Final = 1
INVALID_PARAMETER: Final = 21

# "Auto" is read, "Automatic" is written.
_READ_MODES: Final = {mode: mode.value.title() for mode in StartMode} | {StartMode.AUTOMATIC: "Auto"}
_WRITTEN_MODES: Final = {mode.value: mode for mode in StartMode}
_ERROR_CONTROL: Final = ("Ignore", "Normal", "Severe", "Critical")


def _rows(served: ServedClass, condition: Condition | None) -> Iterable[Row]:
    del condition
    world = served.world
    service_manager.settle(world)
    for record in list(world.services.values()):
        if world.permits(served.account, Right.SERVICE_QUERY, record.name):
            yield _row(world, record)


def _row(world: World, record: ServiceRecord) -> Row:
    running = record.state is not ServiceState.STOPPED
    level = world.registry.value(record.key, "ErrorControl")
    description = world.registry.value(record.key, "Description")
    number = level.data if level and isinstance(level.data, int) and level.data < len(_ERROR_CONTROL) else 1
    return {
        "AcceptPause": record.can_pause and running,
        "AcceptStop": record.can_stop and running,
        "Caption": record.display_name,
        "CheckPoint": 0,
        "CreationClassName": "Win32_Service",
        "Description": description.data if description and isinstance(description.data, str) else None,
        "DesktopInteract": False,
        "DisplayName": record.display_name,
        "ErrorControl": _ERROR_CONTROL[number],
        "ExitCode": record.exit_code if not record.specific_exit_code else 1066,
        "Name": record.name,
        "PathName": service_manager.image_path(world, record) or None,
        "ProcessId": record.process_id,
        "ServiceSpecificExitCode": record.specific_exit_code,
        "ServiceType": "Share Process" if record.shares_process else "Own Process",
        "Started": running,
        "StartMode": _READ_MODES[record.start_mode],
        "StartName": record.account,
        "State": record.state.value.replace("_", " ").title(),
        "Status": "OK",
        "SystemCreationClassName": "Win32_ComputerSystem",
        "SystemName": world.profile.host_name,
        "TagId": 0,
        "WaitHint": 0,
    }


def _dependencies(served: ServedClass, condition: Condition | None) -> Iterable[Row]:
    """One for each service another one needs: the antecedent is needed, the dependent needs it."""
    del condition
    world = served.world
    for record in list(world.services.values()):
        for name in record.depends_on:
            needed = world.service(name)
            if needed is not None and world.permits(served.account, Right.SERVICE_QUERY, record.name):
                yield {"Antecedent": _reference(needed), "Dependent": _reference(record), "TypeOfDependency": None}


def _reference(record: ServiceRecord) -> Reference:
    return Reference(wmi_uri(NAMESPACE, "Win32_Service"), (("Name", record.name),))


def _name(call: MethodCall) -> str:
    return str(call.keys["Name"])


def _control(act: Callable[[MethodCall], int], *, stopping: bool = False) -> Handler:
    def handler(call: MethodCall) -> int:
        return service_manager.return_code(act(call), stopping=stopping)

    return handler


def _interrogate(call: MethodCall) -> int:
    record = call.host.world.service(_name(call))
    return 6 if record is None or record.state is ServiceState.STOPPED else 0


def _change_start_mode(call: MethodCall) -> int:
    mode = _WRITTEN_MODES.get((call.text("StartMode") or "").lower())
    if mode is None:
        return INVALID_PARAMETER
    error = service_manager.set_start_mode(call.host.world, _name(call), mode, account=call.host.account)
    return service_manager.return_code(error)


def _change(call: MethodCall) -> int:
    """Change: what is left out stays. Type, account and dependencies are refused: nothing here needs to change them."""
    world, name, account = call.host.world, _name(call), call.host.account
    if set(call.arguments) - {"DisplayName", "PathName", "StartMode", "ErrorControl", "DesktopInteract"}:
        return NOT_SUPPORTED
    mode = _WRITTEN_MODES.get((call.text("StartMode") or "").lower())
    if call.text("StartMode") is not None and mode is None:
        return INVALID_PARAMETER
    record = world.service(name)
    if record is None or not world.permits(account, Right.SERVICE_CHANGE, record.name):
        return 2
    path, shown, level = call.text("PathName"), call.text("DisplayName"), call.integer("ErrorControl")
    error = service_manager.set_image_path(world, name, path, account=account) if path is not None else 0
    if not error and mode is not None:
        error = service_manager.set_start_mode(world, name, mode, account=account)
    if error:
        return service_manager.return_code(error)
    if shown is not None:
        if any(same(shown, other.display_name) for other in world.services.values() if other is not record):
            return 19
        record.display_name = shown
        world.registry.create(record.key).set("DisplayName", number=1, data=shown)
    if level is not None:
        if level >= len(_ERROR_CONTROL):
            return INVALID_PARAMETER
        world.registry.create(record.key).set("ErrorControl", number=4, data=level)
    return 0


def _delete(call: MethodCall) -> int:
    world, name = call.host.world, _name(call)
    if not world.permits(call.host.account, Right.SERVICE_CHANGE, name):
        return 2
    record = world.service(name)
    if record is not None and record.state is not ServiceState.STOPPED:
        # Windows marks it and deletes it when it ends; nothing here depends on that.
        return 16
    return 0 if service_manager.delete(world, name) else 9


_METHODS: Final = (
    Method("StartService", _control(lambda c: service_manager.start(c.host.world, _name(c), account=c.host.account))),
    Method(
        "StopService",
        _control(lambda c: service_manager.stop(c.host.world, _name(c), account=c.host.account), stopping=True),
    ),
    Method("PauseService", _control(lambda c: service_manager.pause(c.host.world, _name(c), account=c.host.account))),
    Method("ResumeService", _control(lambda c: service_manager.resume(c.host.world, _name(c), account=c.host.account))),
    Method("InterrogateService", _interrogate, reads=True),
    Method("ChangeStartMode", _change_start_mode, inputs=(Property("StartMode"),)),
    Method(
        "Change",
        _change,
        inputs=(
            *properties(CimType.STRING, "DisplayName PathName"),
            Property("ServiceType", CimType.UINT8),
            Property("ErrorControl", CimType.UINT8),
            Property("StartMode"),
            Property("DesktopInteract", CimType.BOOLEAN),
            *properties(CimType.STRING, "StartName StartPassword LoadOrderGroup"),
            *properties(CimType.STRING, "LoadOrderGroupDependencies ServiceDependencies", array=True),
        ),
    ),
    Method("Delete", _delete),
)

_PROPERTIES: Final = (
    *properties(CimType.BOOLEAN, "AcceptPause AcceptStop DesktopInteract Started"),
    *properties(
        CimType.STRING,
        "Caption CreationClassName Description DisplayName ErrorControl Name PathName ServiceType StartMode StartName "
        "State Status SystemCreationClassName SystemName",
    ),
    *properties(CimType.UINT32, "CheckPoint ExitCode ProcessId ServiceSpecificExitCode TagId WaitHint"),
    *properties(CimType.DATETIME, "InstallDate"),
)


def classes() -> tuple[CimClass, ...]:
    """Services, and which of them needs which."""
    return (
        CimClass(
            NAMESPACE,
            "Win32_Service",
            _PROPERTIES,
            ("Name",),
            _rows,
            _METHODS,
            ("Win32_BaseService", "CIM_Service", "CIM_LogicalElement"),
        ),
        CimClass(
            NAMESPACE,
            "Win32_DependentService",
            (*properties(CimType.REFERENCE, "Antecedent Dependent"), Property("TypeOfDependency", CimType.UINT16)),
            ("Antecedent", "Dependent"),
            _dependencies,
            parents=("CIM_ServiceServiceDependency", "CIM_Dependency"),
        ),
    )
