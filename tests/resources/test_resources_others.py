"""Keys, components, commands, the restart of a computer, requirements, operator steps and procedures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from converge.errors import ResourceError
from converge.model.action import (
    NewRegistryKey,
    RemoveFile,
    RemoveRegistryKey,
    RemoveRegistryValue,
    RestartComputer,
    RunCommand,
    SetRegistryValue,
    WriteFile,
)
from converge.model.answer import Answer, Found, Refused
from converge.model.facts import FileFacts, KeyContents, OperatingSystemFacts, ServiceFacts, ServiceState, StartMode
from converge.model.query import AnyQuery, File, OperatingSystem, RegistryKey, RegistryValue, Service
from converge.model.registry import RegistryData, RegistryType
from converge.model.resource import KINDS, ProcedureResource
from converge.windows.components import question
from converge.windows.registry import SMALLEST_REQUEST, parse_path

Decide = Callable[..., Any]
RUN = "2026-11-20T220107Z-1f3a"
KEY = parse_path(r"HKLM\SOFTWARE\Vendor\Product")
NO_KEYS: Answer[Any] = Found(KeyContents((), ()))
DWORD = RegistryType.DWORD
ON, OFF = Found(RegistryData(DWORD, 1)), Found(RegistryData(DWORD, 0))
SMTP: Answer[Any] = Found(ServiceFacts("SMTPSVC", "SMTP", ServiceState.RUNNING, StartMode.AUTOMATIC, "x"))


def test_a_key_is_made_and_taken_back(decided: Decide) -> None:
    outcome = decided({"registry_key": {"key": str(KEY)}}, {})
    assert outcome.actions == (NewRegistryKey(KEY),)
    assert decided({"registry_key": {"key": str(KEY)}}, {RegistryKey(KEY): NO_KEYS}).status == "ok"


def test_a_key_that_is_not_empty_stays_unless_everything_is_to_go(decided: Decide) -> None:
    sub = KEY / "Sub"
    given: dict[AnyQuery, Answer[Any]] = {
        RegistryKey(KEY): Found(KeyContents(("Sub",), ())),
        RegistryKey(sub): Found(KeyContents((), (("n", RegistryType.QWORD),))),
        RegistryValue(sub, "n"): Found(RegistryData(RegistryType.QWORD, 2**63)),
    }
    kept = decided({"registry_key": {"key": str(KEY), "ensure": "absent"}}, given)
    assert (kept.status, kept.actions) == ("failed", ())
    gone = decided({"registry_key": {"key": str(KEY), "ensure": "absent", "recursive": True}}, given)
    assert gone.actions == (RemoveRegistryKey(sub), RemoveRegistryKey(KEY))
    assert gone.decision.way_back.kind == "partial"
    assert gone.reverted() == (
        NewRegistryKey(KEY),
        NewRegistryKey(sub),
        SetRegistryValue(sub, "n", RegistryData(RegistryType.QWORD, 2**63)),
    )
    refusing = given | {RegistryValue(sub, "n"): Refused("5", "denied")}
    locked = decided({"registry_key": {"key": str(KEY), "ensure": "absent", "recursive": True}}, refusing)
    assert (locked.status, locked.actions) == ("undecided", ())


def test_a_key_with_what_cannot_come_back_says_so(decided: Decide) -> None:
    given: dict[AnyQuery, Answer[Any]] = {
        RegistryKey(KEY): Found(KeyContents((), (("n", RegistryType.NONE),))),
        RegistryValue(KEY, "n"): Found(RegistryData(RegistryType.NONE, None)),
    }
    gone = decided({"registry_key": {"key": str(KEY), "ensure": "absent", "recursive": True}}, given)
    assert gone.decision.way_back.must_accept


def test_a_key_with_a_value_too_large_for_one_request_says_so(decided: Decide) -> None:
    large = RegistryData(RegistryType.BINARY, bytes(SMALLEST_REQUEST // 24 + 1))
    given: dict[AnyQuery, Answer[Any]] = {
        RegistryKey(KEY): Found(KeyContents((), (("n", RegistryType.BINARY),))),
        RegistryValue(KEY, "n"): Found(large),
    }
    gone = decided({"registry_key": {"key": str(KEY), "ensure": "absent", "recursive": True}}, given)
    assert (gone.decision.way_back.kind, gone.decision.way_back.must_accept) == ("none", True)
    assert "too large" in str(gone.decision.way_back)


@pytest.mark.parametrize("key", ["HKLM", r"HKLM\SOFTWARE"])
def test_hives_are_never_removed(key: str) -> None:
    with pytest.raises(ValidationError):
        KINDS["registry_key"].model_validate({"key": key, "ensure": "absent", "recursive": True})


COMPONENT = {"name": "iis_smtp", "provides": {"services": ["SMTPSVC"]}}


def answer_file(outcome: Any) -> str:
    """What sysocmgr is told."""
    return next(action.content for action in outcome.actions if isinstance(action, WriteFile)).decode()


def test_a_component_is_installed_by_an_answer_file(decided: Decide) -> None:
    outcome = decided({"component": COMPONENT}, {question("iis_smtp"): OFF})
    written, run, removed = outcome.actions
    path = f"C:\\WINNT\\Temp\\converge-{RUN}-iis_smtp.txt"
    assert (written.path, removed) == (path, RemoveFile(path))
    assert answer_file(outcome) == "[Components]\r\niis_smtp = on\r\n"
    assert run.argv == (r"C:\WINNT\System32\sysocmgr.exe", r"/i:C:\WINNT\inf\sysoc.inf", f"/u:{path}", "/q", "/r")
    assert run.exit_codes == ()
    assert set(run.decides) == {question("iis_smtp"), Service("SMTPSVC")}


@pytest.mark.parametrize(
    ("ensure", "noted", "there", "status"),
    [
        ("present", ON, True, "ok"),
        ("present", ON, False, "changed"),
        ("present", OFF, True, "changed"),
        ("absent", OFF, False, "ok"),
        ("absent", OFF, True, "changed"),
        ("absent", ON, False, "changed"),
    ],
)
def test_a_component_is_judged_by_what_it_provides(
    ensure: str, noted: Answer[Any], there: bool, status: str, decided: Decide
) -> None:
    given: dict[AnyQuery, Answer[Any]] = {question("iis_smtp"): noted} | ({Service("SMTPSVC"): SMTP} if there else {})
    assert decided({"component": {**COMPONENT, "ensure": ensure}}, given).status == status


def test_the_common_files_of_iis_are_never_turned_off(decided: Decide) -> None:
    given: dict[AnyQuery, Answer[Any]] = {
        question("iis_smtp"): ON,
        question("iis_common"): ON,
        Service("SMTPSVC"): SMTP,
    }
    removed = decided({"component": {**COMPONENT, "ensure": "absent"}}, given)
    assert answer_file(removed) == "[Components]\r\niis_smtp = off\r\niis_common = on\r\n"
    assert removed.decision.way_back.must_accept
    for name in ("iis_common", "IIS_Common", "iis"):
        with pytest.raises(ValidationError, match="never removed"):
            KINDS["component"].model_validate({"name": name, "ensure": "absent"})
    made = decided({"component": {"name": "iis_common"}}, {})
    with pytest.raises(ResourceError, match="never turned off"):
        made.reverted()


def test_setup_is_told_where_the_files_are_and_then_what_it_was_told_before(decided: Decide) -> None:
    setup = parse_path(r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Setup")
    before = RegistryData(RegistryType.STRING, "E:\\")
    given: dict[AnyQuery, Answer[Any]] = {RegistryValue(setup, "SourcePath"): Found(before)}
    outcome = decided({"component": {**COMPONENT, "source": r"D:\point"}}, given)
    ours = RegistryData(RegistryType.STRING, r"D:\point")
    kept = SetRegistryValue(setup, "SourcePath.converge", before)
    assert outcome.actions[:2] == (kept, SetRegistryValue(setup, "SourcePath", ours))
    back = (SetRegistryValue(setup, "SourcePath", before), RemoveRegistryValue(setup, "SourcePath.converge"))
    assert outcome.actions[-2:] == back


def test_a_source_that_a_broken_run_left_is_given_back(decided: Decide) -> None:
    setup = parse_path(r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Setup")
    given: dict[AnyQuery, Answer[Any]] = {
        RegistryValue(setup, "SourcePath"): Found(RegistryData(RegistryType.STRING, r"D:\point")),
        RegistryValue(setup, "SourcePath.converge"): Found(RegistryData(RegistryType.STRING, "")),
    }
    outcome = decided({"component": {**COMPONENT, "ensure": "absent", "source": r"D:\point"}}, given)
    removed = (RemoveRegistryValue(setup, "SourcePath"), RemoveRegistryValue(setup, "SourcePath.converge"))
    assert outcome.actions == removed, "there was none before"


def test_a_windows_without_sysocmgr_is_told_apart(decided: Decide, windows_2000: OperatingSystemFacts) -> None:
    newer = replace(windows_2000, caption="Windows Server 2008 ", version="6.0.6002")
    given: dict[AnyQuery, Answer[Any]] = {OperatingSystem(): Found(newer)}
    assert "Windows Server 2008 has no sysocmgr" in decided({"component": COMPONENT}, given).error
    assert decided({"component": {**COMPONENT, "ensure": "absent"}}, given).status == "ok"


@pytest.mark.parametrize("name", ["a = on\r\niis_common", "a b", "", "x" * 65, "a=b"])
def test_a_components_name_cannot_say_more(name: str) -> None:
    with pytest.raises(ValidationError):
        KINDS["component"].model_validate({"name": name})


COMMAND = {"name": "setup", "argv": [r"C:\Program Files\setup.exe", "/q"]}


def test_a_command_without_a_guard_runs_each_time(decided: Decide) -> None:
    outcome = decided({"command": COMMAND}, {})
    assert outcome.status == "changed"
    assert outcome.decision.notes == ("will run, effect unknown",)
    assert outcome.actions == (RunCommand(tuple(COMMAND["argv"]), title="setup"),)
    assert outcome.resource.is_reached(outcome.answers)
    with pytest.raises(ResourceError, match="cannot be taken back"):
        outcome.reverted()


@pytest.mark.parametrize("guard", [{"creates": r"%SystemRoot%\done.txt"}, {"unless": {"service": {"name": "SMTPSVC"}}}])
def test_a_guard_decides(guard: Mapping[str, object], decided: Decide) -> None:
    path = r"C:\WINNT\done.txt"
    done: dict[AnyQuery, Answer[Any]] = {File(path): Found(FileFacts(path, 1)), Service("SMTPSVC"): SMTP}
    assert decided({"command": {**COMMAND, **guard}}, done).status == "ok"
    open_ = decided({"command": {**COMMAND, **guard}}, {})
    assert open_.status == "changed"
    assert not open_.resource.is_reached(open_.answers)
    refused: dict[AnyQuery, Answer[Any]] = {File(path): Refused("5", ""), Service("SMTPSVC"): Refused("5", "")}
    assert decided({"command": {**COMMAND, **guard}}, refused).status == "undecided"


@pytest.mark.parametrize(
    "fields",
    [{"argv": []}, {"argv": ["a\x00b"]}, {"argv": "setup.exe /q"}, {"argv": ["a", "b"], "shell": True}, {"timeout": 0},
     {"unless": {"servce": {}}}, {"argv": [""]}],
)  # fmt: skip
def test_commands_that_cannot_be_meant(fields: Mapping[str, object]) -> None:
    with pytest.raises(ValidationError):
        KINDS["command"].model_validate({**COMMAND, **fields})


def test_the_computer(decided: Decide) -> None:
    outcome = decided({"restart_computer": {}}, {})
    assert outcome.actions == (RestartComputer(1200.0),)
    assert outcome.resource.address == "restart_computer"
    assert outcome.resource.is_reached(outcome.answers)


def test_a_requirement_says_what_it_is_told_to_say(decided: Decide) -> None:
    body = {"name": "SMTP", "that": {"service": {"name": "SMTPSVC"}}, "else": "install SMTP"}
    met: dict[AnyQuery, Answer[Any]] = {Service("SMTPSVC"): SMTP}
    assert decided({"requirement": body}, met).status == "ok"
    unmet = decided({"requirement": body}, {})
    assert (unmet.status, unmet.decision.error.code) == ("failed", "requirement-unmet")
    assert "install SMTP" in unmet.error
    assert decided({"requirement": body}, {Service("SMTPSVC"): Refused("5", "")}).status == "undecided"
    assert unmet.resource.blocks_play


def test_an_operator_step_waits_for_its_condition(decided: Decide) -> None:
    body = {"name": "step", "instructions": "run Setup", "done_when": {"service": {"name": "SMTPSVC"}}}
    open_ = decided({"operator_step": body}, {})
    assert (open_.status, open_.actions, open_.decision.notes) == ("changed", (), ("run Setup",))
    done = decided({"operator_step": body}, {Service("SMTPSVC"): SMTP})
    assert (done.status, done.decision.notes) == ("ok", ())


PROCEDURE: dict[str, Any] = {
    "name": "reinstall",
    "needs": [{"expr": True}],
    "done_when": {"service": {"name": "SMTPSVC", "running": True}},
    "steps": [
        {"name": "remove", "component": {**COMPONENT, "ensure": "absent"}},
        {"component": COMPONENT},
    ],
}


def test_a_procedure_holds_its_steps_in_order() -> None:
    procedure = KINDS["procedure"].model_validate(PROCEDURE)
    assert isinstance(procedure, ProcedureResource)
    assert [step.name for step in procedure.ordered_steps] == ["remove", "component:iis_smtp"]
    assert [step.resource.kind for step in procedure.ordered_steps] == ["component", "component"]
    assert KINDS["procedure"].model_validate(procedure.model_dump(mode="json")) == procedure
    assert procedure.way_back(None, None).must_accept
    named = KINDS["procedure"].model_validate({**PROCEDURE, "loses": "all Web sites"})
    assert str(named.way_back(None, None)) == "none (all Web sites)"


@pytest.mark.parametrize(
    ("steps", "place"),
    [
        ([], ("steps",)),
        ([{"name": "x"}], ("steps", 0)),
        ([{"component": COMPONENT, "service": {"name": "a", "running": True}}], ("steps", 0)),
        ([{"component": {"nam": "x"}}], ("steps", 0, "component", "nam")),
        ([{"restart_service": {"name": "x"}}], ("steps", 0, "restart_service")),
        ([{"procedure": PROCEDURE}], ("steps", 0, "procedure")),
        ([{"component": COMPONENT}, {"component": COMPONENT}], ()),
    ],
)
def test_steps_that_cannot_be_meant_are_told_with_their_place(steps: object, place: tuple[object, ...]) -> None:
    with pytest.raises(ValidationError) as caught:
        KINDS["procedure"].model_validate({**PROCEDURE, "steps": steps})
    assert place in [error["loc"] for error in caught.value.errors()]


def test_every_field_of_every_kind_is_described() -> None:
    for name, kind in KINDS.items():
        assert kind.__doc__, name
        for field, info in kind.model_fields.items():
            assert info.description, f"{name}.{field}"
