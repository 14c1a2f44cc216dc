"""What `registry_value` finds, wants and does, value type by value type."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from converge.model.action import NewRegistryKey, RemoveRegistryValue, SetRegistryValue
from converge.model.answer import Absent, Answer, Found, NotPredicted, Refused
from converge.model.facts import KeyContents, OperatingSystemFacts
from converge.model.query import AnyQuery, OperatingSystem, RegistryKey, RegistryValue
from converge.model.registry import RegistryData, RegistryType
from converge.model.resource import KINDS
from converge.windows.registry import parse_data, parse_path

Decide = Callable[..., Any]

TEXT = r"HKLM\SYSTEM\CurrentControlSet\Services\SMTPSVC"
KEY = parse_path(TEXT)
EMPTY: Answer[Any] = Found(KeyContents((), ()))
STRING, EXPAND, MULTI = RegistryType.STRING, RegistryType.EXPAND_STRING, RegistryType.MULTI_STRING
DWORD, QWORD, BINARY = RegistryType.DWORD, RegistryType.QWORD, RegistryType.BINARY

Case = tuple[str, Mapping[str, object], RegistryData | None, RegistryData | None]
CASES: list[Case] = [  # title, fields beside key and name, the value found, the value wanted (None: nothing to do)
    ("a string that is missing", {"type": "string", "data": "a"}, None, RegistryData(STRING, "a")),
    ("a string that is right", {"type": "string", "data": "a"}, RegistryData(STRING, "a"), None),
    ("case counts", {"type": "string", "data": "a"}, RegistryData(STRING, "A"), RegistryData(STRING, "a")),
    ("an empty string", {"type": "string", "data": ""}, RegistryData(STRING, ""), None),
    ("right data of the wrong type", {"type": "string", "data": "1"},
     RegistryData(EXPAND, "1"), RegistryData(STRING, "1")),
    ("a number where text should be", {"type": "string", "data": "1"},
     RegistryData(DWORD, 1), RegistryData(STRING, "1")),
    ("the highest dword", {"type": "dword", "data": "0xffffffff"}, RegistryData(DWORD, 0xFFFFFFFF), None),
    ("a dword in decimal", {"type": "dword", "data": 4294967295},
     RegistryData(DWORD, 0), RegistryData(DWORD, 2**32 - 1)),
    ("the highest qword", {"type": "qword", "data": 2**64 - 1}, RegistryData(QWORD, 2**64 - 1), None),
    ("binary as hex", {"type": "binary", "data": "01 FF"}, RegistryData(BINARY, b"\x01\xff"), None),
    ("binary that is empty", {"type": "binary", "data": ""}, RegistryData(BINARY, b"\x01"), RegistryData(BINARY, b"")),
    ("a list is compared as one", {"type": "multi_string", "data": ["a b", "c"]}, RegistryData(MULTI, ("a", "b c")),
     RegistryData(MULTI, ("a b", "c"))),
    ("order counts in a list", {"type": "multi_string", "data": ["a", "b"]}, RegistryData(MULTI, ("b", "a")),
     RegistryData(MULTI, ("a", "b"))),
    ("an empty list", {"type": "multi_string", "data": []}, RegistryData(MULTI, ()), None),
    ("entries that are among others", {"contains": ["LDAPSVC"]}, RegistryData(MULTI, ("x", "Ldapsvc")), None),
    ("missing entries are appended", {"contains": ["Ldapsvc", "Resvc", "RESVC"]},
     RegistryData(MULTI, ("z", "ldapsvc", "a")),
     RegistryData(MULTI, ("z", "ldapsvc", "a", "Resvc"))),
    ("entries of a value that is missing", {"contains": ["b", "a"]}, None, RegistryData(MULTI, ("b", "a"))),
    ("entries where one text stands", {"contains": ["b"]}, RegistryData(STRING, "a"), RegistryData(MULTI, ("a", "b"))),
    ("the type of the value that is there", {"data": "a"}, RegistryData(EXPAND, "b"), RegistryData(EXPAND, "a")),
    ("raw text against raw text", {"type": "expand_string", "data": r"C:\WINNT\x"},
     RegistryData(EXPAND, r"%SystemRoot%\x", r"C:\WINNT\x"),
     RegistryData(EXPAND, r"C:\WINNT\x")),
    ("raw text unknown, expanded alike", {"type": "expand_string", "data": r"%SystemRoot%\x"},
     RegistryData(EXPAND, None, r"C:\WINNT\x"),
     None),
    ("raw text unknown, expanded otherwise", {"type": "expand_string", "data": r"%SystemRoot%\x"},
     RegistryData(EXPAND, None, r"D:\x"), RegistryData(EXPAND, r"%SystemRoot%\x")),
    ("a path by its meaning", {"type": "expand_string", "data": r"c:\winnt\x.exe", "compare": "path"},
     RegistryData(EXPAND, "\"%SYSTEMROOT%\\X.exe\""), None),
    ("a path with a trailing backslash", {"type": "string", "data": r"D:\inetsrv", "compare": "path"},
     RegistryData(STRING, "d:\\Inetsrv\\"), None),
    ("another path", {"type": "string", "data": r"D:\inetsrv", "compare": "path"}, RegistryData(STRING, r"C:\inetsrv"),
     RegistryData(STRING, r"D:\inetsrv")),
    ("the right path of the wrong type", {"type": "expand_string", "data": r"D:\a", "compare": "path"},
     RegistryData(STRING, r"D:\a"), RegistryData(EXPAND, r"D:\a")),
]  # fmt: skip


def table(found: RegistryData | None, name: str = "ImagePath") -> dict[AnyQuery, Answer[Any]]:
    """A host whose key is there."""
    given: dict[AnyQuery, Answer[Any]] = {RegistryKey(KEY): EMPTY}
    return given | ({RegistryValue(KEY, name): Found(found)} if found is not None else {})


def written(**fields: object) -> dict[str, object]:
    """The resource about SMTPSVC's ImagePath."""
    return {"registry_value": {"key": TEXT, "name": "ImagePath", **fields}}


@pytest.mark.parametrize(("fields", "found", "wanted"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_the_difference_is_found_and_written(
    fields: Mapping[str, object], found: RegistryData | None, wanted: RegistryData | None, decided: Decide
) -> None:
    outcome = decided(written(**fields), table(found))
    if wanted is None:
        assert (outcome.status, outcome.actions, outcome.before) == ("ok", (), outcome.after)
        return
    assert outcome.status == "changed"
    assert outcome.actions == (SetRegistryValue(KEY, "ImagePath", wanted),)
    settled = decided(written(**fields), table(wanted))
    assert settled.status == "ok", "a second run must find nothing to do"
    if found is None:
        assert outcome.reverted() == (RemoveRegistryValue(KEY, "ImagePath"),)
    elif found.data is not None:
        assert outcome.reverted() == (SetRegistryValue(KEY, "ImagePath", replace(found, expanded=None)),)


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (RegistryData(QWORD, 2**64 - 1), {"type": "qword", "data": "18446744073709551615"}),
        (RegistryData(DWORD, 2**32 - 1), {"type": "dword", "data": 4294967295}),
        (RegistryData(BINARY, b"\x00\xff"), {"type": "binary", "data": "00ff"}),
        (RegistryData(MULTI, ("a",)), {"type": "multi_string", "data": ["a"]}),
        (RegistryData(EXPAND, "%a%", "b"), {"type": "expand_string", "data": "%a%"}),
        (RegistryData(EXPAND, None, "b"), {"type": "expand_string", "data": None, "expanded": "b"}),
    ],
)
def test_states_have_the_form_that_pipelines_read(data: RegistryData, shown: object, decided: Decide) -> None:
    assert decided(written(ensure="absent"), table(data)).before == shown


@pytest.mark.parametrize(
    ("fields", "version", "why"),
    [
        ({"type": "qword", "data": 1}, "5.2.3790", "no qword"),
        ({"type": "qword", "data": 1}, "6.0.6001", ""),
        ({"type": "binary", "data": "00" * 40_000}, "5.2.3790", "one request"),
        ({"type": "binary", "data": "00" * 40_000}, "10.0.20348", "one request"),
        ({"type": "binary", "data": "00" * 15_000}, "6.1.7601", "one request"),
        ({"type": "binary", "data": "00" * 15_000}, "6.3.9600", ""),
        ({"type": "binary", "data": "00" * 5_000}, "5.2.3790", ""),
        ({"type": "string", "data": "&" * 30_000}, "5.2.3790", "one request"),
        ({"type": "string", "data": "x" * 100_000}, "5.2.3790", ""),
        ({"type": "multi_string", "data": ["x"] * 9_000}, "5.2.3790", "one request"),
    ],
)
def test_what_apply_could_not_send_is_refused_in_check(
    fields: Mapping[str, object], version: str, why: str, decided: Decide, windows_2000: OperatingSystemFacts
) -> None:
    system: dict[AnyQuery, Answer[Any]] = {OperatingSystem(): Found(replace(windows_2000, version=version))}
    outcome = decided(written(**fields), table(RegistryData(DWORD, 1)) | system)
    assert outcome.status == ("failed" if why else "changed")
    assert why in outcome.error
    assert bool(outcome.actions) is not bool(why)


def test_what_could_not_be_written_back_is_not_overwritten_without_saying_so(decided: Decide) -> None:
    outcome = decided(written(type="binary", data="01"), table(RegistryData(BINARY, bytes(40_000))))
    assert outcome.decision.way_back.must_accept
    assert "too large" in str(outcome.decision.way_back)


def test_unknown_raw_text_is_not_overwritten_without_saying_so(decided: Decide) -> None:
    fields = {"type": "expand_string", "data": r"D:\x"}
    outcome = decided(written(**fields), table(RegistryData(EXPAND, None, r"C:\x")))
    assert str(outcome.decision.way_back) == "none (raw text unknown)"
    assert outcome.decision.way_back.must_accept
    assert any("compared as expanded" in note for note in outcome.decision.notes)
    known = decided(written(**fields), table(RegistryData(EXPAND, r"C:\x", r"C:\x")))
    assert str(known.decision.way_back) == "full"
    assert not known.decision.notes


def test_missing_keys_are_made_first(decided: Decide) -> None:
    service: dict[AnyQuery, Answer[Any]] = {RegistryKey(KEY): EMPTY}
    outcome = decided({"registry_value": {"key": TEXT + r"\Enum", "name": "0", "type": "dword", "data": 1}}, service)
    enum = KEY / "Enum"
    assert outcome.actions == (NewRegistryKey(enum), SetRegistryValue(enum, "0", RegistryData(DWORD, 1)))


@pytest.mark.parametrize("below", ["", r"\Enum", r"\Parameters\Deep"])
def test_half_a_service_is_never_made(below: str, decided: Decide) -> None:
    outcome = decided({"registry_value": {"key": TEXT + below, "name": "x", "type": "dword", "data": 1}}, {})
    assert outcome.status == "failed"
    assert "SMTPSVC does not exist" in outcome.error


def test_a_service_that_a_command_may_bring_is_decided_later(decided: Decide) -> None:
    later = NotPredicted("setup")
    given: dict[AnyQuery, Answer[Any]] = {RegistryValue(KEY, "ImagePath"): later, RegistryKey(KEY): later}
    outcome = decided(written(type="string", data="a"), given)
    assert (outcome.status, outcome.decision.reason, outcome.actions) == ("later", "decided after setup", ())


def test_a_refusal_is_never_a_change(decided: Decide) -> None:
    outcome = decided(
        written(type="string", data="a"), {RegistryValue(KEY, "ImagePath"): Refused("5", "access denied")}
    )
    assert (outcome.status, outcome.actions) == ("undecided", ())
    assert outcome.before["refused"]["code"] == "5"


def test_a_missing_value_whose_key_refuses_is_undecided(decided: Decide) -> None:
    given: dict[AnyQuery, Answer[Any]] = {RegistryValue(KEY, "ImagePath"): Absent(), RegistryKey(KEY): Refused("5", "")}
    assert decided(written(type="string", data="a"), given).status == "undecided"


def test_a_key_of_the_values_name_is_told_and_left(decided: Decide) -> None:
    given: dict[AnyQuery, Answer[Any]] = {RegistryKey(KEY): Found(KeyContents(("imagepath",), ()))}
    outcome = decided(written(type="string", data="a"), given)
    assert outcome.actions == (SetRegistryValue(KEY, "ImagePath", RegistryData(STRING, "a")),)
    assert any("a key, not a value" in note for note in outcome.decision.notes)


@pytest.mark.parametrize("fields", [{"type": "string", "data": "a"}, {"ensure": "absent"}, {"contains": ["a"]}])
def test_other_types_are_shown_and_never_written(fields: Mapping[str, object], decided: Decide) -> None:
    outcome = decided(written(**fields), table(RegistryData(RegistryType.RESOURCE_LIST, None)))
    assert outcome.status == "failed"
    assert "resource_list" in outcome.error


def test_the_type_may_be_left_out_only_where_the_value_exists(decided: Decide) -> None:
    outcome = decided(written(data="a"), table(None))
    assert outcome.status == "failed"
    assert "`type` must be said" in outcome.error
    wrong = decided(written(data="a"), table(RegistryData(DWORD, 1)))
    assert wrong.status == "failed"


def test_the_default_value(decided: Decide) -> None:
    outcome = decided({"registry_value": {"key": TEXT, "type": "string", "data": "x"}}, table(None))
    assert outcome.actions == (SetRegistryValue(KEY, "", RegistryData(STRING, "x")),)
    assert outcome.resource.address.endswith(r"SMTPSVC\(default)")


@pytest.mark.parametrize(
    ("architecture", "place"),
    [("x64", r"HKLM\SOFTWARE\WOW6432Node\Vendor*[1]/a"), ("x86", r"HKLM\SOFTWARE\Vendor*[1]/a")],
)
def test_the_32_bit_view(architecture: str, place: str, decided: Decide, windows_2000: OperatingSystemFacts) -> None:
    body = {"key": r"HKLM\SOFTWARE\Vendor*[1]/a", "name": r"back\slash ä", "view": 32, "type": "dword", "data": 1}
    given: dict[AnyQuery, Answer[Any]] = {OperatingSystem(): Found(replace(windows_2000, architecture=architecture))}
    outcome = decided({"registry_value": body}, given)
    assert outcome.actions[-1] == SetRegistryValue(parse_path(place), r"back\slash ä", RegistryData(DWORD, 1))


def test_absent(decided: Decide) -> None:
    outcome = decided(written(ensure="absent"), table(RegistryData(STRING, "a")))
    assert outcome.actions == (RemoveRegistryValue(KEY, "ImagePath"),)
    assert outcome.reverted() == (SetRegistryValue(KEY, "ImagePath", RegistryData(STRING, "a")),)
    assert decided(written(ensure="absent"), {}).status == "ok"


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"type": "dword", "data": -1},
        {"type": "dword", "data": 2**32},
        {"type": "dword", "data": True},
        {"type": "qword", "data": 2**64},
        {"type": "string", "data": 1},
        {"type": "string", "data": "a\tb"},
        {"type": "multi_string", "data": ["a", ""]},
        {"type": "multi_string", "data": "a"},
        {"type": "binary", "data": "0"},
        {"type": "string", "data": "x" * 1_000_000},
        {"type": "none", "data": "a"},
        {"data": -1},
        {"data": {"a": 1}},
        {"type": "string", "contains": ["a"]},
        {"contains": [""]},
        {"contains": []},
        {"contains": ["a"], "data": ["a"]},
        {"type": "dword", "data": 1, "compare": "path"},
        {"ensure": "absent", "data": "a"},
        {"type": "string", "data": "a", "dta": 1},
        {"type": "string", "data": "a", "view": 16},
        {"type": "string", "data": "a", "key": "HKXX\\a"},
        {"type": "string", "data": "a", "name": "a\nb"},
    ],
)
def test_what_cannot_be_meant_is_refused_while_reading(fields: Mapping[str, object]) -> None:
    with pytest.raises(ValidationError):
        KINDS["registry_value"].model_validate({"key": TEXT, "name": "x", **fields})


@pytest.mark.parametrize(
    ("kind", "data", "told"),
    [
        ("string", (1, 2), "not a list"),
        ("string", True, "not true; put it in quotes"),
        ("dword", (1, 2), "a list is no dword"),
        ("binary", (1, 2), "not a list"),
        ("multi_string", ("a", {"b": 1}), "not a mapping"),
    ],
)
def test_what_is_no_data_of_the_type_is_told_without_braces(kind: str, data: object, told: str) -> None:
    with pytest.raises(ValueError, match=told) as caught:
        parse_data(kind, data)
    assert not set("{}()[]") & set(str(caught.value))
