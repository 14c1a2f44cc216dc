"""Win32_Process: the processes of services, and Create, which runs a program of the simulation (WMI reference)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from converge.lab import service_manager
from converge.lab.endpoint.schema import Call, CimClass, CimType, Method, Property, Row, Served, properties
from converge.lab.endpoint.wql import Condition
from converge.lab.shell import run_command_line
from converge.windows import paths
from converge.wsman.cim import Value

NAMESPACE: Final = "root/cimv2"
PATH_NOT_FOUND: Final = 9
INVALID_PARAMETER: Final = 21
_NOT_RECOGNISED: Final = 9009
"""The exit code of cmd for a program that is not there (MSG_DIR_BAD_COMMAND_OR_FILE)."""


def _rows(served: Served, condition: Condition | None) -> Iterable[Row]:
    del condition
    world = served.world
    service_manager.settle(world)
    for process in list(world.processes.values()):
        yield {
            "Caption": paths.name(process.image),
            "CommandLine": process.image,
            "CreationClassName": "Win32_Process",
            "CreationDate": process.created,
            "CSCreationClassName": "Win32_ComputerSystem",
            "CSName": world.profile.host_name,
            "Description": paths.name(process.image),
            "ExecutablePath": process.image,
            "Handle": str(process.process_id),
            "HandleCount": 100,
            "Name": paths.name(process.image),
            "OSCreationClassName": "Win32_OperatingSystem",
            "OSName": world.profile.caption,
            "ParentProcessId": 4,
            "Priority": 8,
            "ProcessId": process.process_id,
            "SessionId": 0,
            "ThreadCount": 10,
            "WindowsVersion": world.profile.version,
            "WorkingSetSize": 1_048_576,
        }


def _create(call: Call) -> Mapping[str, Value]:
    """Create: returns before the program ends, so its output and exit code are lost."""
    line = call.text("CommandLine")
    if not line:
        return {"ProcessId": None, "ReturnValue": INVALID_PARAMETER}
    world = call.host.world
    result = run_command_line(world, line, account=call.host.account, code_page=world.profile.oem_code_page)
    if result.exit_code == _NOT_RECOGNISED:
        return {"ProcessId": None, "ReturnValue": PATH_NOT_FOUND}
    return {"ProcessId": max(world.processes, default=396) + 404, "ReturnValue": 0}


def classes() -> tuple[CimClass, ...]:
    """Processes."""
    return (
        CimClass(
            NAMESPACE,
            "Win32_Process",
            (
                *properties(
                    CimType.STRING,
                    "Caption CommandLine CreationClassName CSCreationClassName CSName Description ExecutablePath Handle Name "
                    "OSCreationClassName OSName Status WindowsVersion",
                ),
                *properties(CimType.UINT32, "HandleCount ParentProcessId Priority ProcessId SessionId ThreadCount"),
                *properties(CimType.UINT64, "WorkingSetSize"),
                *properties(CimType.DATETIME, "CreationDate InstallDate TerminationDate"),
            ),
            ("Handle",),
            _rows,
            (
                Method(
                    "Create",
                    _create,
                    inputs=(*properties(CimType.STRING, "CommandLine CurrentDirectory"),),
                    outputs=(Property("ProcessId", CimType.UINT32),),
                    static=True,
                ),
            ),
            ("CIM_Process", "CIM_LogicalElement"),
        ),
    )
