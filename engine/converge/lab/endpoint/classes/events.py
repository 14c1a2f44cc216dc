"""Win32_NTLogEvent and Win32_NTEventlogFile: the classic logs (WMI reference)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from converge.lab import service_manager
from converge.lab.endpoint.schema import CimClass, CimType, Row, ServedClass, properties
from converge.lab.endpoint.wql import Condition
from converge.lab.world import LoggedEvent, Right
from converge.model.names import fold

NAMESPACE: Final = "root/cimv2"
_ALWAYS_THERE: Final = ("Application", "Security", "System")

# The two top bits of an event identifier are its severity.
_TYPES: Final = {"error": (1, "error", 3), "warning": (2, "warning", 2), "information": (3, "information", 1)}


def _rows(served: ServedClass, condition: Condition | None) -> Iterable[Row]:
    """Newest first, as the provider yields them."""
    del condition
    world = served.world
    service_manager.settle(world)
    readable = {
        log for log in {fold(item.log) for item in world.events} if world.permits(served.account, Right.EVENTS, log)
    }
    for event in sorted(world.events, key=lambda item: item.record, reverse=True):
        if fold(event.log) in readable:
            yield _row(event, world.profile.host_name)


def _row(event: LoggedEvent, host_name: str) -> Row:
    number, name, severity = _TYPES.get(event.type.lower(), _TYPES["information"])
    return {
        "Category": 0,
        "ComputerName": host_name,
        "EventCode": event.id,
        "EventIdentifier": severity << 30 | event.id,
        "EventType": number,
        "InsertionStrings": event.strings,
        "Logfile": event.log,
        "Message": event.message or None,
        "RecordNumber": event.record,
        "SourceName": event.provider,
        "TimeGenerated": event.time.replace(microsecond=0),
        "TimeWritten": event.time.replace(microsecond=0),
        "Type": name,
    }


def _logs(served: ServedClass, condition: Condition | None) -> Iterable[Row]:
    """The logs; of one that the account may not open, the number of records is not known."""
    del condition
    world = served.world
    names = {fold(name): name for name in (*_ALWAYS_THERE, *(event.log for event in world.events))}
    for folded, name in sorted(names.items()):
        records = sum(fold(event.log) == folded for event in world.events)
        yield {
            "FileName": name[:8],
            "LogfileName": name,
            "Name": rf"{world.profile.system_root}\system32\config\{name[:8]}.evt",
            "NumberOfRecords": records if world.permits(served.account, Right.EVENTS, name) else None,
        }


def classes() -> tuple[CimClass, ...]:
    """Events."""
    return (
        CimClass(
            NAMESPACE,
            "Win32_NTLogEvent",
            (
                *properties(CimType.UINT16, "Category EventCode"),
                *properties(CimType.STRING, "CategoryString ComputerName Logfile Message SourceName Type User"),
                *properties(CimType.UINT32, "EventIdentifier RecordNumber"),
                *properties(CimType.UINT8, "EventType"),
                *properties(CimType.UINT8, "Data", array=True),
                *properties(CimType.STRING, "InsertionStrings", array=True),
                *properties(CimType.DATETIME, "TimeGenerated TimeWritten"),
            ),
            ("Logfile", "RecordNumber"),
            _rows,
        ),
        CimClass(
            NAMESPACE,
            "Win32_NTEventlogFile",
            (
                *properties(CimType.STRING, "FileName LogfileName Name"),
                *properties(CimType.UINT32, "NumberOfRecords"),
            ),
            ("Name",),
            _logs,
        ),
    )
