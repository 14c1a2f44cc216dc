"""Which references `registry_references` repairs, which it leaves alone, and what of a value survives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from pydantic import ValidationError

from converge.model.action import SetRegistryValue
from converge.model.answer import Answer, Found, Refused
from converge.model.facts import FileFacts, NamedValue, SearchFinds
from converge.model.query import AnyQuery, CimInstances, File, RegistrySearch, RegistryValue
from converge.model.registry import RegistryData, RegistryPath, RegistryType
from converge.model.resource import KINDS
from converge.windows.registry import parse_path

Decide = Callable[..., Any]
ROOT = parse_path(r"HKLM\SOFTWARE\Classes")
FILES = ("Seo.dll", "Seos.dll", "Smtpsvc.dll")
STRING, EXPAND = RegistryType.STRING, RegistryType.EXPAND_STRING
WRITTEN: dict[str, object] = {
    "roots": [str(ROOT)],
    "files": list(FILES),
    "from": [r"%SystemRoot%\System32\Inetsrv"],
    "directory": r"D:\Inetsrv",
}


def table(*values: NamedValue, unreadable: tuple[RegistryPath, ...] = (), real: bool = True) -> dict[AnyQuery, Any]:
    """A host whose search finds these values; with `real` the registry itself says the same."""
    given: dict[AnyQuery, Answer[Any]] = {RegistrySearch((ROOT,), FILES): Found(SearchFinds(values, unreadable))}
    if real:
        given |= {RegistryValue(value.key, value.name): Found(value.data) for value in values}
    return given


def named(data: RegistryData, place: str = r"CLSID\{1}\InprocServer32", name: str = "") -> NamedValue:
    """One value below the root."""
    return NamedValue(parse_path(f"{ROOT}\\{place}"), name, data)


CASES: list[tuple[str, str, str | None]] = [  # title, data found, data wanted (None: not touched)
    ("a plain path", r"C:\WINNT\System32\Inetsrv\Seo.dll", r"D:\Inetsrv\Seo.dll"),
    ("in any case", r"c:\winnt\SYSTEM32\inetsrv\SEO.DLL", r"D:\Inetsrv\SEO.DLL"),
    ("with variables", r"%SystemRoot%\System32\Inetsrv\Seos.dll", r"D:\Inetsrv\Seos.dll"),
    ("in quotes", r'"C:\WINNT\System32\Inetsrv\Seo.dll"', r'"D:\Inetsrv\Seo.dll"'),
    ("with arguments", r"C:\WINNT\System32\Inetsrv\Seo.dll /x 1", r"D:\Inetsrv\Seo.dll /x 1"),
    ("in quotes with arguments", r'"C:\WINNT\System32\Inetsrv\Seo.dll" -k', r'"D:\Inetsrv\Seo.dll" -k'),
    ("an entry point", r"C:\WINNT\System32\Inetsrv\Seo.dll,Run", r"D:\Inetsrv\Seo.dll,Run"),
    ("in a list", r"C:\a.dll;C:\WINNT\System32\Inetsrv\Seo.dll;x", r"C:\a.dll;D:\Inetsrv\Seo.dll;x"),
    ("twice in a list", "C:\\WINNT\\System32\\Inetsrv\\Seo.dll; %SystemRoot%\\System32\\Inetsrv\\Seos.dll",
     "D:\\Inetsrv\\Seo.dll; D:\\Inetsrv\\Seos.dll"),
    ("through the same folder", r"C:\WINNT\System32\.\Inetsrv\Seo.dll", r"D:\Inetsrv\Seo.dll"),
    ("there and back", r"C:\WINNT\System32\inf\..\Inetsrv\Seo.dll", r"D:\Inetsrv\Seo.dll"),
    ("as programs spell it", r"\\?\C:\WINNT\System32\Inetsrv\Seo.dll", r"\\?\D:\Inetsrv\Seo.dll"),
    ("as the kernel spells it", r"\??\C:\WINNT\System32\Inetsrv\Seo.dll", r"\??\D:\Inetsrv\Seo.dll"),
    ("a text in it", r"@C:\WINNT\System32\Inetsrv\Seo.dll,-101", r"@D:\Inetsrv\Seo.dll,-101"),
    ("already right", r"D:\inetsrv\Seo.dll", None),
    ("another file whose name ends alike", r"C:\WINNT\System32\Inetsrv\MySeo.dll", None),
    ("another file whose name begins alike", r"C:\WINNT\System32\Inetsrv\Seo.dll.bak", None),
    ("below the wrong folder", r"C:\WINNT\System32\Inetsrv\old\Seo.dll", None),
    ("beside the wrong folder", r"C:\WINNT\System32\Inetsrv2\Seo.dll", None),
    ("a bare name", "Seo.dll", None),
    ("words that mention a path", r"see C:\WINNT\System32\Inetsrv\Seo.dll", None),
    ("another program's argument", r"C:\a.exe C:\WINNT\System32\Inetsrv\Seo.dll", None),
    ("another vendor's file", r"C:\Vendor\Seo.dll", None),
]  # fmt: skip


@pytest.mark.parametrize("kind", [STRING, EXPAND])
@pytest.mark.parametrize(("found", "wanted"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_only_what_lies_in_the_wrong_folder_is_pointed_elsewhere(
    found: str, wanted: str | None, kind: RegistryType, decided: Decide
) -> None:
    value = named(RegistryData(kind, found))
    outcome = decided({"registry_references": WRITTEN}, table(value))
    if wanted is None:
        assert (outcome.status, outcome.actions) == ("ok", ())
        return
    assert outcome.actions == (SetRegistryValue(value.key, "", RegistryData(kind, wanted)),)
    assert outcome.reverted() == (SetRegistryValue(value.key, "", value.data),)
    repaired = named(RegistryData(kind, wanted))
    assert decided({"registry_references": WRITTEN}, table(repaired)).status == "ok"


def test_each_value_is_its_own_before_and_after(decided: Decide) -> None:
    wrong = named(RegistryData(STRING, r"C:\WINNT\System32\Inetsrv\Seo.dll"))
    right = named(RegistryData(STRING, r"D:\Inetsrv\Seos.dll"), r"CLSID\{2}", "Path")
    outcome = decided({"registry_references": WRITTEN}, table(wrong, right))
    assert len(outcome.actions) == 1
    before, after = outcome.before["values"], outcome.after["values"]
    assert [item["data"] for item in before] == [r"C:\WINNT\System32\Inetsrv\Seo.dll", r"D:\Inetsrv\Seos.dll"]
    assert [item["data"] for item in after] == [r"D:\Inetsrv\Seo.dll", r"D:\Inetsrv\Seos.dll"]
    assert before[1] == {"key": str(right.key), "name": "Path", "type": "string", "data": r"D:\Inetsrv\Seos.dll"}


def test_the_search_only_nominates(decided: Decide) -> None:
    said = named(RegistryData(STRING, r"C:\WINNT\System32\Inetsrv\Seo.dll"))
    gone = decided({"registry_references": WRITTEN}, table(said, real=False))
    assert (gone.status, gone.actions) == ("ok", ())
    truth = RegistryData(EXPAND, r"%SystemRoot%\System32\Inetsrv\Seo.dll", r"C:\WINNT\System32\Inetsrv\Seo.dll")
    given = table(said) | {RegistryValue(said.key, ""): Found(truth)}
    outcome = decided({"registry_references": WRITTEN}, given)
    assert outcome.actions == (SetRegistryValue(said.key, "", RegistryData(EXPAND, r"D:\Inetsrv\Seo.dll")),)


def test_references_elsewhere_are_listed(decided: Decide) -> None:
    there = named(RegistryData(STRING, r"C:\Vendor\Seo.dll"))
    given = table(there) | {File(r"c:\vendor\seo.dll"): Found(FileFacts(r"C:\Vendor\Seo.dll", 1))}
    outcome = decided({"registry_references": WRITTEN}, given)
    assert outcome.status == "ok"
    assert any(r"C:\Vendor\Seo.dll, which exists: left alone" in note for note in outcome.decision.notes)


def neighbours(folder: str, **short: str) -> dict[AnyQuery, Answer[Any]]:
    """What the host tells of the folders in a folder: their names, by their 8.3 names."""
    drive, inside = folder[:2].lower(), (folder[2:].lower().rstrip("\\") + "\\").replace("\\", "\\\\")
    wql = f"SELECT EightDotThreeFileName, Name FROM Win32_Directory WHERE Drive = '{drive}' AND Path = '{inside}'"
    rows = tuple(
        {"EightDotThreeFileName": f"{folder}\\{name}".lower(), "Name": f"{folder}\\{long}".lower()}
        for name, long in short.items()
    )
    return {CimInstances("root/cimv2", wql): Found(rows)}


LONG = {**WRITTEN, "from": [r"C:\Program Files\Internet Server"]}
EIGHT_DOT_THREE: list[tuple[str, str, str | None]] = [
    ("of the wrong folder", r"C:\PROGRA~1\INTERN~2\Seo.dll", r"D:\Inetsrv\Seo.dll"),
    ("in part, in any case", r"c:\progra~1\Internet Server\SEO.DLL /x", r"D:\Inetsrv\SEO.DLL /x"),
    ("of the right folder", r"D:\INETSRV\Seo.dll", None),
    ("of a neighbour", r"C:\PROGRA~1\INTERN~1\Seo.dll", None),
    ("of no folder, as Windows makes it of another name", r"C:\PROGRA~1\SERVER~1\Seo.dll", None),
    ("of no folder, with a later number", r"C:\PROGRA~1\INTERN~3\Seo.dll", None),
    ("of a folder that is called so", r"C:\INTERN~1\Seo.dll", None),
]


@pytest.mark.parametrize(
    ("found", "wanted"), [case[1:] for case in EIGHT_DOT_THREE], ids=[case[0] for case in EIGHT_DOT_THREE]
)
def test_of_8_3_names_the_host_is_asked(found: str, wanted: str | None, decided: Decide) -> None:
    value = named(RegistryData(STRING, found))
    known = neighbours("C:", **{"PROGRA~1": "Program Files", "INTERN~1": "INTERN~1"}) | neighbours(
        r"C:\Program Files", **{"INTERN~1": "Internet Explorer", "INTERN~2": "Internet Server"}
    )
    outcome = decided({"registry_references": LONG}, table(value) | known)
    expected = () if wanted is None else (SetRegistryValue(value.key, "", RegistryData(STRING, wanted)),)
    assert outcome.actions == expected


def test_an_8_3_name_that_no_folder_bears_is_the_one_that_it_looks_like(decided: Decide) -> None:
    value = named(RegistryData(STRING, r"C:\WINNT\System32\INETSR~1\Seo.dll"))
    outcome = decided({"registry_references": WRITTEN}, table(value) | neighbours(r"C:\WINNT\System32"))
    assert outcome.actions == (SetRegistryValue(value.key, "", RegistryData(STRING, r"D:\Inetsrv\Seo.dll")),)
    other = neighbours(r"C:\WINNT\System32", **{"INETSR~1": "Inetsrv of last year"})
    outcome = decided({"registry_references": WRITTEN}, table(value) | other)
    assert outcome.actions == ()
    assert any(r"System32\inetsrv of last year\Seo.dll: left alone" in note for note in outcome.decision.notes)


def test_8_3_names_that_the_host_will_not_explain_leave_it_undecided(decided: Decide) -> None:
    value = named(RegistryData(STRING, r"C:\WINNT\System32\INETSR~1\Seo.dll"))
    (question,) = neighbours(r"C:\WINNT\System32")
    outcome = decided({"registry_references": WRITTEN}, table(value) | {question: Refused("5", "access denied")})
    assert (outcome.status, outcome.actions) == ("undecided", ())


def test_without_8_3_names_nothing_more_is_asked(decided: Decide) -> None:
    value = named(RegistryData(STRING, r"C:\WINNT\System32\Inetsrv\Seo.dll"))
    outcome = decided({"registry_references": WRITTEN}, table(value))
    assert not any(isinstance(query, CimInstances) for query in outcome.answers)


def test_what_could_not_be_read_leaves_a_gap_and_the_rest_is_repaired(decided: Decide) -> None:
    wrong = named(RegistryData(STRING, r"C:\WINNT\System32\Inetsrv\Seo.dll"))
    locked = parse_path(f"{ROOT}\\Locked\\Deep")
    given = table(wrong, unreadable=(locked,))
    outcome = decided({"registry_references": WRITTEN}, given)
    assert len(outcome.actions) == 1
    assert str(locked) in outcome.resource.incomplete(outcome.answers)
    allowed = decided({"registry_references": {**WRITTEN, "unreadable": [f"{ROOT}\\locked"]}}, given)
    assert allowed.resource.incomplete(allowed.answers) == ""
    assert any("refused to be read" in note for note in allowed.decision.notes)


def test_a_nominated_value_that_refuses_is_a_gap(decided: Decide) -> None:
    wrong = named(RegistryData(STRING, r"C:\WINNT\System32\Inetsrv\Seo.dll"))
    given = table(wrong) | {RegistryValue(wrong.key, ""): Refused("5", "access denied")}
    outcome = decided({"registry_references": WRITTEN}, given)
    assert outcome.actions == ()
    assert "refused to read" in outcome.resource.incomplete(outcome.answers)


def test_a_refused_search_is_undecided(decided: Decide) -> None:
    outcome = decided({"registry_references": WRITTEN}, {RegistrySearch((ROOT,), FILES): Refused("5", "denied")})
    assert outcome.status == "undecided"


def test_unknown_raw_text_is_not_overwritten_without_saying_so(decided: Decide) -> None:
    wrong = named(RegistryData(EXPAND, None, r"C:\WINNT\System32\Inetsrv\Seo.dll"))
    outcome = decided({"registry_references": WRITTEN}, table(wrong))
    assert outcome.decision.way_back.must_accept
    assert len(outcome.actions) == 1


def test_a_folder_with_blanks_does_not_run_into_arguments(decided: Decide) -> None:
    written = {**WRITTEN, "directory": r"D:\Inet Server"}
    wrong = named(RegistryData(STRING, r"C:\WINNT\System32\Inetsrv\Seo.dll /x"))
    outcome = decided({"registry_references": written}, table(wrong))
    assert outcome.after["values"][0]["data"] == r'"D:\Inet Server\Seo.dll" /x'


@pytest.mark.parametrize(
    "fields",
    [{"files": []}, {"files": [r"a\Seo.dll"]}, {"files": ["*.dll"]}, {"roots": ["Classes"]}, {"directory": "Inetsrv"},
     {"from": []}, {"frm": []}],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_while_reading(fields: Mapping[str, object]) -> None:
    with pytest.raises(ValidationError):
        KINDS["registry_references"].model_validate({**WRITTEN, **fields})
