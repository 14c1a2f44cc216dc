"""Conditions hold, do not hold, or are undecided; a refusal is never an absence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from converge.errors import Undecided, Unpredictable
from converge.model.answer import Absent, Answer, Answers, Found, NotPredicted, Refused
from converge.model.facts import EventRecord, FileFacts, OperatingSystemFacts, ServiceFacts, ServiceState, StartMode
from converge.model.query import AnyQuery, CimInstances, Events, File, OperatingSystem, RegistryValue, Service
from converge.model.registry import RegistryData, RegistryType
from converge.windows.components import SUBCOMPONENTS
from converge.windows.conditions import parse_condition
from converge.windows.registry import parse_path

NOW = datetime(2003, 6, 1, 12, 0, tzinfo=UTC)
SYSTEM = OperatingSystemFacts(
    caption="Windows Server 2003",
    version="5.2.3790",
    build=3790,
    service_pack=2,
    product_type="server",
    architecture="x64",
    language=1033,
    system_root=r"C:\WINDOWS",
    host_name="MAIL01",
    domain="CORP",
    now=NOW,
)
SMTP = ServiceFacts("SMTPSVC", "SMTP", ServiceState.STOPPED, StartMode.AUTOMATIC, r"C:\inetinfo.exe", exit_code=2)
REFUSED = Refused("5", "access is denied")
INETSTP = parse_path(r"HKLM\SOFTWARE\Microsoft\InetStp")


def answers(*given: tuple[AnyQuery, Answer[Any]]) -> Answers:
    """What a host said."""
    return Answers({OperatingSystem(): Found(SYSTEM), **dict(given)})


def service(**properties: object) -> dict[str, object]:
    """A condition about SMTPSVC."""
    return {"service": {"name": "smtpsvc", **properties}}


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({}, True),
        ({"exists": True}, True),
        ({"exists": False}, False),
        ({"running": False}, True),
        ({"running": True}, False),
        ({"exit_code": 2}, True),
        ({"exit_code": [5, 2]}, True),
        ({"exit_code": 0}, False),
        ({"running": False, "exit_code": 1083}, False),
        ({"start_mode": "automatic"}, True),
        ({"start_mode": "disabled"}, False),
    ],
)
def test_a_service_is_judged_by_every_property_named(properties: dict[str, object], expected: bool) -> None:
    assert parse_condition(service(**properties)).holds(answers((Service("SMTPSVC"), Found(SMTP)))) is expected


@pytest.mark.parametrize(
    ("properties", "expected"), [({}, False), ({"exists": False}, True), ({"running": False}, False)]
)
def test_a_missing_service_only_does_not_exist(properties: dict[str, object], expected: bool) -> None:
    assert parse_condition(service(**properties)).holds(answers((Service("SMTPSVC"), Absent()))) is expected


def value(data: RegistryData) -> Answers:
    """Answers in which InetStp's InstallPath holds this."""
    return answers((RegistryValue(INETSTP, "InstallPath"), Found(data)))


@pytest.mark.parametrize(
    ("data", "properties", "expected"),
    [
        (RegistryData(RegistryType.STRING, r"D:\Inetsrv"), {"equals": r"d:\inetsrv"}, True),
        (RegistryData(RegistryType.STRING, r"D:\Inetsrv"), {"equals": r"d:\inet"}, False),
        (RegistryData(RegistryType.STRING, r"D:\Inetsrv"), {"contains": "INETSRV"}, True),
        (RegistryData(RegistryType.EXPAND_STRING, None, r"C:\WINDOWS\x"), {"equals": r"c:\windows\x"}, True),
        (RegistryData(RegistryType.DWORD, 0xFFFFFFFF), {"equals": 4294967295}, True),
        (RegistryData(RegistryType.DWORD, 0xFFFFFFFF), {"equals": "0xffffffff"}, True),
        (RegistryData(RegistryType.DWORD, 0), {"equals": 1}, False),
        (RegistryData(RegistryType.MULTI_STRING, ("Ldapsvc", "Smtpsvc")), {"contains": "SMTPSVC"}, True),
        (RegistryData(RegistryType.MULTI_STRING, ("Ldapsvc", "MySmtpsvc")), {"contains": "smtpsvc"}, False),
        (RegistryData(RegistryType.MULTI_STRING, ("Ldapsvc",)), {"contains": ["ldapsvc", "resvc"]}, False),
        (RegistryData(RegistryType.MULTI_STRING, ("a", "b")), {"equals": ["A", "B"]}, True),
        (RegistryData(RegistryType.MULTI_STRING, ("a", "b")), {"equals": ["b", "a"]}, False),
        (RegistryData(RegistryType.BINARY, b"\x01\xff"), {"equals": "01 FF"}, True),
    ],
)
def test_a_registry_value_is_compared_by_its_type(data: RegistryData, properties: Any, expected: bool) -> None:
    raw = {"registry_value": {"key": r"HKLM\SOFTWARE\Microsoft\InetStp", "name": "InstallPath", **properties}}
    assert parse_condition(raw).holds(value(data)) is expected


def test_the_32_bit_view_is_where_a_64_bit_windows_keeps_it() -> None:
    raw = {"registry_value": {"key": r"HKLM\SOFTWARE\Vendor", "name": "x", "view": 32}}
    condition = parse_condition(raw)
    assert list(condition.queries(Answers({}))) == [OperatingSystem()]
    mapped = RegistryValue(parse_path(r"HKLM\SOFTWARE\WOW6432Node\Vendor"), "x")
    assert list(condition.queries(answers())) == [OperatingSystem(), mapped]
    assert condition.holds(answers((mapped, Found(RegistryData(RegistryType.DWORD, 1)))))


FIX = FileFacts(r"C:\WINDOWS\Ims.inf", 33535, "5.0.2195.10", datetime(1998, 11, 25, 20, 5, tzinfo=UTC))


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({"exists": False}, False),
        ({"size": 33535}, True),
        ({"size": [33535, 33628]}, True),
        ({"size": 33628}, False),
        ({"size": {"min": 33535}}, True),
        ({"size": {"min": 1, "max": 2}}, False),
        ({"version": "5.0.2195.10"}, True),
        ({"version": ">=5.0.2195.9"}, True),
        ({"version": "<5.0.2195.9"}, False),
        ({"newer_than": "5.0.2195.9"}, True),
        ({"newer_than": "5.0.2195.10"}, False),
        ({"newer_than": "1998-11-24"}, True),
        ({"newer_than": "1998-11-25"}, False),
    ],
)
def test_a_file_is_judged_by_size_version_and_day(properties: Any, expected: bool) -> None:
    condition = parse_condition({"file": {"path": r"%systemroot%\Ims.inf", **properties}})
    assert list(condition.queries(Answers({}))) == [OperatingSystem()]
    asked = answers((File(r"c:\windows\ims.inf"), Found(FIX)))
    assert set(condition.queries(asked)) <= set(asked)
    assert condition.holds(asked) is expected


@pytest.mark.parametrize(
    ("noted", "expected"),
    [
        (Found(RegistryData(RegistryType.DWORD, 1)), True),
        (Found(RegistryData(RegistryType.DWORD, 0)), False),
        (Absent(), False),
    ],
)
def test_a_component_is_what_the_oc_manager_notes(noted: Answer[Any], expected: bool) -> None:
    asked = answers((RegistryValue(SUBCOMPONENTS, "iis_smtp"), noted))
    assert parse_condition({"component": {"name": "iis_smtp"}}).holds(asked) is expected
    assert parse_condition({"component": {"name": "iis_smtp", "installed": False}}).holds(asked) is not expected


def test_events_are_asked_by_the_hosts_own_clock() -> None:
    raw = {"source": "Service Control Manager", "ids": [7023], "within": "7 days", "strings": [""]}
    condition = parse_condition({"events": raw})
    assert list(condition.queries(Answers({}))) == [OperatingSystem()]
    query = next(item for item in condition.queries(answers()) if isinstance(item, Events))
    assert query.since == NOW - timedelta(days=7)
    event = EventRecord("System", query.source, 7023, NOW, 1, strings=("", "%%2"))
    assert condition.holds(answers((query, Found((event,)))))
    assert not condition.holds(answers((query, Found((replace(event, strings=("W3SVC", "%%2")),)))))
    assert not condition.holds(answers((query, Found(()))))


@pytest.mark.parametrize(
    ("count", "rows", "expected"), [(">=1", 0, False), (">=1", 2, True), (0, 0, True), ("0", 1, False), ("<2", 1, True)]
)
def test_rows_are_counted(count: int | str, rows: int, expected: bool) -> None:
    wql = "SELECT Name FROM MSCluster_Node"
    condition = parse_condition({"cim": {"namespace": r"root\MSCluster", "wql": wql, "count": count}})
    given: Answer[Any] = Found(tuple({"Name": str(row)} for row in range(rows))) if rows else Absent()
    assert condition.holds(answers((CimInstances("root/mscluster", wql), given))) is expected


TRUE: Mapping[str, object] = {"expr": True}
FALSE: Mapping[str, object] = {"expr": False}
UNKNOWN: Mapping[str, object] = {"service": {"name": "LOCKED"}}
LATER: Mapping[str, object] = {"service": {"name": "LATER"}}
OPEN = answers((Service("LOCKED"), REFUSED), (Service("LATER"), NotPredicted("setup")))


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({"all": [TRUE, TRUE]}, True),
        ({"all": [TRUE, FALSE]}, False),
        ({"all": [UNKNOWN, FALSE]}, False),
        ({"all": [TRUE, UNKNOWN]}, Undecided),
        ({"all": [TRUE, LATER]}, Unpredictable),
        ({"any": [FALSE, TRUE]}, True),
        ({"any": [FALSE, FALSE]}, False),
        ({"any": [UNKNOWN, TRUE]}, True),
        ({"any": [UNKNOWN, FALSE]}, Undecided),
        ({"any": [FALSE, LATER]}, Unpredictable),
        ({"not": TRUE}, False),
        ({"not": UNKNOWN}, Undecided),
        ({"not": {"any": [UNKNOWN, TRUE]}}, False),
        (UNKNOWN, Undecided),
    ],
)
def test_three_valued_logic(raw: object, expected: bool | type[Exception]) -> None:
    condition = parse_condition(raw)
    if isinstance(expected, bool):
        assert condition.holds(OPEN) is expected
    else:
        with pytest.raises(expected):
            condition.holds(OPEN)


@pytest.mark.parametrize(
    ("raw", "place"),
    [
        ({"servce": {"name": "X"}}, ()),
        ({}, ()),
        (["service"], ()),
        ({"service": {"name": "X"}, "expr": True}, ()),
        ({"service": {"name": "X", "runing": True}}, ("service", "service", "runing")),
        ({"service": {"name": "X", "exists": False, "running": True}}, ("service", "service")),
        ({"service": {"name": "a\\b"}}, ("service", "service", "name")),
        ({"all": []}, ("all", "all")),
        ({"file": {"path": "c:\temp"}}, ("file", "file", "path")),
        ({"file": {"path": "temp\\a.dll"}}, ("file", "file", "path")),
        ({"events": {"source": "S", "ids": [1], "within": "soon"}}, ("events", "events", "within")),
        ({"cim": {"namespace": "root/x", "wql": "DELETE FROM x"}}, ("cim", "cim", "wql")),
        ({"cim": {"namespace": "root/x", "wql": "SELECT * FROM x", "count": "many"}}, ("cim", "cim", "count")),
    ],
)
def test_what_is_wrong_is_told_with_its_place(raw: object, place: tuple[object, ...]) -> None:
    with pytest.raises(ValidationError) as caught:
        parse_condition(raw)
    assert place in [error["loc"] for error in caught.value.errors()]


def test_a_condition_survives_being_written_down() -> None:
    raw = {"any": [service(exit_code=[2]), {"not": {"file": {"path": r"%windir%\a", "newer_than": "1998-11-25"}}}]}
    condition = parse_condition(raw)
    assert parse_condition(condition.model_dump(mode="json")) == condition
    assert condition.describe() == (
        r"(service smtpsvc ended with exit code 2 or not (file %windir%\a is newer than 1998-11-25))"
    )
