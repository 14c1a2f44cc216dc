"""The Windows itself, its event logs, and what only WMI knows; restarting it, and calling any CIM method."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from converge.errors import ActionRefused, RemoteProtocolError
from converge.model.action import InvokeCimMethod, Performed
from converge.model.answer import Absent, Answer, Found, Refused
from converge.model.facts import EventRecord, OperatingSystemFacts
from converge.model.query import CimInstances, Events, OperatingSystem
from converge.windows import wql
from converge.windows.return_codes import failed
from converge.winrm.answering import Answered, action_refused, is_absent, refused
from converge.winrm.exchange import LONGEST_OPERATION, Faulted
from converge.winrm.session import CIMV2, Reader, Session
from converge.wsman import faults
from converge.wsman.cim import Properties
from converge.wsman.envelopes import ResourceTarget
from converge.wsman.namespaces import wmi_uri

MAX_EVENTS_READ: Final = 5000
_PRODUCT_TYPES: Final = {1: "workstation", 2: "domain_controller", 3: "server"}
_CLASS_OF: Final = re.compile(r"^\s*SELECT\s.+?\sFROM\s+([A-Za-z_]\w*)", re.IGNORECASE | re.DOTALL)


def answer_operating_system(reader: Reader, queries: Sequence[OperatingSystem]) -> Answered:
    """The facts of the host, from Win32_OperatingSystem and Win32_ComputerSystem."""
    answer: Answer[OperatingSystemFacts]
    try:
        system = reader.get(CIMV2, "Win32_OperatingSystem")
        answer = Found(_facts(system, _computer(reader)))
    except (Faulted, RemoteProtocolError) as error:
        answer = refused(error)
    return dict.fromkeys(queries, answer)


def _computer(reader: Reader) -> Properties:
    """What Win32_ComputerSystem adds: the domain, and the architecture that Windows 2003 tells nowhere else."""
    try:
        rows = reader.query(CIMV2, wql.select((), "Win32_ComputerSystem"), at_most=1)
    except Faulted:
        return Properties()
    return rows[0].properties if rows else Properties()


def _facts(system: Properties, computer: Properties) -> OperatingSystemFacts:
    now = system.datetime("LocalDateTime")
    return OperatingSystemFacts(
        caption=" ".join((system.text("Caption") or "").split()),
        version=system.text("Version") or "",
        build=_number(system, "BuildNumber"),
        service_pack=_number(system, "ServicePackMajorVersion"),
        product_type=_PRODUCT_TYPES.get(_number(system, "ProductType"), "server"),
        architecture=_architecture(computer.text("SystemType") or "", system.text("OSArchitecture") or ""),
        language=_number(system, "OSLanguage"),
        system_root=(system.text("WindowsDirectory") or "").rstrip("\\"),
        host_name=system.text("CSName") or computer.text("Name") or "",
        domain=computer.text("Domain") or "",
        now=now or datetime.now(UTC),
        started=system.datetime("LastBootUpTime"),
    )


def _number(properties: Properties, name: str) -> int:
    return properties.integer(name) or 0


def _architecture(system_type: str, bits: str) -> str:
    """From `x64-based PC`, `Itanium (TM) -based System`; else from `64-bit`, whose words are localised."""
    words = system_type.lower()
    known = {"x64": "x64", "arm64": "arm64", "itanium": "ia64", "ia64": "ia64", "alpha": "alpha", "x86": "x86"}
    found = next((name for word, name in known.items() if word in words), None)
    return found or ("x64" if "64" in bits else "x86")


def answer_events(reader: Reader, queries: Sequence[Events]) -> Answered:
    """Events of classic logs (Win32_NTLogEvent), each question bounded by log, source and time."""
    return {query: _events_answer(reader, query) for query in queries}


def _events_answer(reader: Reader, query: Events) -> Answer[tuple[EventRecord, ...]]:
    columns = ["EventCode", "InsertionStrings", "Logfile", "RecordNumber", "SourceName", "TimeGenerated"]
    conditions = [wql.equals("Logfile", query.log)]
    if query.source:
        conditions.append(wql.equals("SourceName", query.source))
    if query.ids:
        conditions.append(wql.any_of([wql.equals("EventCode", number) for number in query.ids]))
    conditions.append(wql.at_least("TimeGenerated", query.since))
    if query.messages:
        columns.append("Message")
    where = wql.all_of(conditions)
    try:
        rows = reader.query(
            CIMV2,
            wql.select(columns, "Win32_NTLogEvent", where=where),
            at_most=MAX_EVENTS_READ,
            seconds=LONGEST_OPERATION,
        )
        records = [_event(row.properties, query) for row in rows]
    except (Faulted, RemoteProtocolError) as error:
        return refused(error)
    if not records and (closed := _closed_log(reader, query.log)):
        return closed
    newest_first = sorted(records, key=lambda record: (record.time, record.record), reverse=True)
    return Found(tuple(newest_first[: query.limit]))


def _closed_log(reader: Reader, log: str) -> Refused | None:
    """Why a log in which nothing was found may hold something; None where it could be read.

    The provider passes over logs that the account may not open, without a word; of such a log it cannot tell how many
    records it has (Win32_NTEventlogFile.NumberOfRecords).
    """
    text = wql.select(("LogfileName", "NumberOfRecords"), "Win32_NTEventlogFile", where=wql.equals("LogfileName", log))
    try:
        rows = reader.query(CIMV2, text, at_most=1)
    except Faulted as faulted:
        return refused(faulted) if faulted.fault.access_denied else None
    except RemoteProtocolError as error:
        return refused(error)
    if rows and rows[0].properties.integer("NumberOfRecords") is not None:
        return None
    return Refused("access-denied", f"the {log} log is not open to this account", "the group Event Log Readers")


def _event(row: Properties, query: Events) -> EventRecord:
    time = row.datetime("TimeGenerated")
    if time is None:
        raise RemoteProtocolError("an event without a time")
    return EventRecord(
        log=row.text("Logfile") or query.log,
        source=row.text("SourceName") or "",
        id=_number(row, "EventCode"),
        time=time,
        record=_number(row, "RecordNumber"),
        strings=row.array("InsertionStrings"),
        message=row.text("Message") if query.messages else None,
    )


def answer_cim_instances(reader: Reader, queries: Sequence[CimInstances]) -> Answered:
    """The rows of any WQL query."""
    return {query: _rows_answer(reader, query) for query in queries}


def _rows_answer(reader: Reader, query: CimInstances) -> Answer[tuple[dict[str, str | None], ...]]:
    namespace = query.namespace.replace("\\", "/")
    try:
        rows = reader.query(namespace, query.wql, seconds=LONGEST_OPERATION)
        return Found(tuple(row.as_texts() for row in rows))
    except Faulted as faulted:
        if is_absent(faulted.fault) or _class_is_missing(reader, namespace, query.wql, faulted):
            return Absent()
        return refused(faulted)


def _class_is_missing(reader: Reader, namespace: str, text: str, faulted: Faulted) -> bool:
    """Hosts answer a query of an unknown class and one they cannot read alike: asking for the class itself tells them apart."""
    match = _CLASS_OF.match(text)
    if faulted.fault.code != faults.INVALID_FILTER or not match:
        return False
    try:
        reader.get(namespace, match[1], keys={"__converge": "asked"})
    except Faulted as told:
        return is_absent(told.fault)
    return False


def call_cim_method(session: Session, action: InvokeCimMethod) -> Performed:
    """Call any CIM method. Raises ActionRefused where it returns something other than 0, Interrupted, HostUnreachable."""
    target = ResourceTarget(wmi_uri(action.namespace, action.class_name), selectors=action.keys)
    what = f"{action.class_name}.{action.method}"
    try:
        returned = session.call(target, action.method, dict(action.arguments)).integer("ReturnValue") or 0
    except Faulted as faulted:
        raise action_refused(what, faulted) from faulted
    if returned:
        told, why = failed(what, returned, {})
        raise ActionRefused(told, why=why)
    return Performed()
