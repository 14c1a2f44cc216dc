"""Win32_Process: the processes of services, and Create, which runs a program of the simulation (WMI reference)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from converge.lab import service_manager
from converge.lab.endpoint.schema import CimClass, CimType, Method, MethodCall, Property, Row, ServedClass, properties
from converge.lab.endpoint.wql import Condition
from converge.lab.shell import run_command_line
from converge.lab.shell.grammar import split_arguments
from converge.lab.shell.programs import find_program
from converge.lab.shell.session import ShellSession
from converge.windows import paths
from converge.wsman.cim import Value

NAMESPACE: Final = "root/cimv2"
PATH_NOT_FOUND: Final = 9
INVALID_PARAMETER: Final = 21


def _rows(served: ServedClass, condition: Condition | None) -> Iterable[Row]:
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


def _create(call: MethodCall) -> Mapping[str, Value]:
    """Create: returns before the program ends, so its output and exit code are lost."""
    line = call.text("CommandLine") or ""
    name = next(iter(split_arguments(line)), "")
    if not name:
        return {"ProcessId": None, "ReturnValue": INVALID_PARAMETER}
    world, account = call.host.world, call.host.account
    is_cmd = paths.name(name).lower().removesuffix(".exe") == "cmd"
    if not is_cmd and find_program(ShellSession.begin(world, account=account, code_page=None), name) is None:
        return {"ProcessId": None, "ReturnValue": PATH_NOT_FOUND}
    run_command_line(world, line, account=account)
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
