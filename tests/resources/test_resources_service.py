"""How `service` and `restart_service` bring services about, whatever they are doing when first looked at."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from converge.model.action import (
    AnyAction,
    ResumeService,
    SetServiceImagePath,
    SetServiceStartMode,
    StartService,
    StopService,
)
from converge.model.answer import Answer, Answers, Found, NotPredicted, Refused
from converge.model.facts import EventRecord, ServiceFacts, ServiceState, StartMode
from converge.model.query import AnyQuery, Events, Service
from converge.model.resource import KINDS

Decide = Callable[..., Any]
NAME = "SMTPSVC"
START, STOP, RESUME = StartService(NAME), StopService(NAME), ResumeService(NAME)
AUTOMATIC, MANUAL, DISABLED = StartMode.AUTOMATIC, StartMode.MANUAL, StartMode.DISABLED


def service(
    name: str = NAME,
    state: str = "running",
    *,
    mode: StartMode = AUTOMATIC,
    dependents: tuple[str, ...] = (),
    path: str = r"C:\inetinfo.exe",
) -> dict[AnyQuery, Answer[Any]]:
    """One service of a host."""
    return {
        Service(name): Found(
            ServiceFacts(name, f"{name} display", ServiceState(state), mode, path, dependents=dependents)
        )
    }


CASES: list[tuple[str, Mapping[str, object], str, StartMode, list[AnyAction] | str | None]] = [
    # title, fields beside name, state, start mode; actions, words of the error, or None for nothing to do
    ("stopped", {"running": True}, "stopped", AUTOMATIC, [START]),
    ("running", {"running": True}, "running", AUTOMATIC, None),
    ("running although disabled", {"running": True}, "running", DISABLED, None),
    ("paused is resumed", {"running": True}, "paused", AUTOMATIC, [RESUME]),
    ("about to pause", {"running": True}, "pause_pending", AUTOMATIC, [RESUME]),
    ("about to stop", {"running": True}, "stop_pending", AUTOMATIC, [START]),
    ("about to run", {"running": True}, "start_pending", AUTOMATIC, []),
    ("about to go on", {"running": True}, "continue_pending", AUTOMATIC, []),
    ("disabled", {"running": True}, "stopped", DISABLED, "disabled and cannot be started"),
    ("the start mode before the start", {"running": True, "start_mode": "manual"}, "stopped", DISABLED,
     [SetServiceStartMode(NAME, MANUAL), START]),
    ("the start mode after the stop", {"running": False, "start_mode": "disabled"}, "running", AUTOMATIC,
     [STOP, SetServiceStartMode(NAME, DISABLED)]),
    ("only the start mode", {"start_mode": "manual"}, "running", AUTOMATIC, [SetServiceStartMode(NAME, MANUAL)]),
    ("stopped as wanted", {"running": False}, "stopped", AUTOMATIC, None),
    ("paused to be stopped", {"running": False}, "paused", AUTOMATIC, [STOP]),
    ("about to stop as wanted", {"running": False}, "stop_pending", AUTOMATIC, []),
    ("the command line before the start", {"running": True, "image_path": r"D:\inetinfo.exe"}, "stopped", AUTOMATIC,
     [SetServiceImagePath(NAME, r"D:\inetinfo.exe"), START]),
    ("the command line, written otherwise", {"image_path": '"%SystemDrive%\\INETINFO.exe"'}, "running", AUTOMATIC, None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "state", "mode", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_a_service_is_brought_about(
    fields: Mapping[str, object], state: str, mode: StartMode, expected: list[AnyAction] | str | None, decided: Decide
) -> None:
    outcome = decided({"service": {"name": NAME, **fields}}, service(state=state, mode=mode))
    if isinstance(expected, str):
        assert outcome.status == "failed"
        assert expected in outcome.error
        return
    assert outcome.status == ("ok" if expected is None else "changed")
    assert list(outcome.actions) == (expected or [])


def test_states_survive_the_journal_and_lead_back(decided: Decide) -> None:
    body = {"name": NAME, "running": True, "start_mode": "manual"}
    outcome = decided({"service": body}, service(state="stopped", mode=DISABLED))
    assert outcome.before == {"state": "stopped", "start_mode": "disabled", "image_path": None}
    assert outcome.after == {"state": "running", "start_mode": "manual", "image_path": None}
    assert outcome.reverted() == (STOP, SetServiceStartMode(NAME, DISABLED))


@pytest.mark.parametrize(("running", "mode"), [(True, None), (False, None), (None, "manual")])
def test_a_missing_service_fails_in_check(running: bool | None, mode: str | None, decided: Decide) -> None:
    outcome = decided({"service": {"name": NAME, "running": running, "start_mode": mode}}, {})
    assert (outcome.status, outcome.actions) == ("failed", ())
    assert "not installed" in outcome.error


def test_a_service_that_an_earlier_entry_brings_is_decided_later(decided: Decide) -> None:
    outcome = decided({"service": {"name": NAME, "running": True}}, {Service(NAME): NotPredicted("setup")})
    assert (outcome.status, outcome.decision.reason) == ("later", "decided after setup")


def test_a_refusal_is_never_a_change(decided: Decide) -> None:
    outcome = decided({"service": {"name": NAME, "running": True}}, {Service(NAME): Refused("5", "denied")})
    assert (outcome.status, outcome.actions) == ("undecided", ())


def test_a_service_that_others_need_is_not_stopped(decided: Decide) -> None:
    given = service(dependents=("RESvc",)) | service("RESvc")
    assert "RESvc, which needs it, runs" in decided({"service": {"name": NAME, "running": False}}, given).error
    given |= service("RESvc", "stopped")
    assert decided({"service": {"name": NAME, "running": False}}, given).actions == (STOP,)


def test_running_means_still_running_a_while_later() -> None:
    kind = KINDS["service"]
    assert kind.model_validate({"name": NAME, "running": True}).lasts == timedelta(seconds=5)
    long = kind.model_validate({"name": NAME, "running": True, "settle": "2 minutes"})
    assert long.lasts == timedelta(minutes=2)
    assert kind.model_validate({"name": NAME, "running": False}).lasts == timedelta(0)


def test_a_failed_start_is_explained_by_codes_and_events() -> None:
    resource: Any = KINDS["service"].model_validate(
        {"name": NAME, "running": True, "if_it_fails": "restart the computer"}
    )
    since = datetime(2003, 6, 1, 12, 0, 0, 700, tzinfo=UTC)
    facts = ServiceFacts(NAME, "Simple Mail Transport Protocol", ServiceState.STOPPED, AUTOMATIC, "x", 1083, 42)
    ours = EventRecord(
        "System", "Service Control Manager", 7000, since, 1, ("Simple Mail Transport Protocol", "%%1083")
    )
    foreign = EventRecord("System", "Service Control Manager", 7023, since, 2, ("Print Spooler", "%%2"))
    queries = resource.diagnosis_queries(since)
    events = next(query for query in queries if isinstance(query, Events))
    assert events.since <= since
    text = resource.explain(Answers({Service(NAME): Found(facts), events: Found((ours, foreign))}))
    assert "exit code 1083, the executable program" in text
    assert "service-specific exit code 42" in text
    assert "event 7000" in text
    assert "Print Spooler" not in text
    assert text.endswith("If it still does not start: restart the computer")


@pytest.mark.parametrize(
    ("running", "state", "codes", "failed"),
    [
        (True, "stopped", (1083, 0), True),
        (True, "stopped", (0, 42), True),
        (True, "stopped", (0, 0), False),
        (True, "stopped", (1077, 0), False),
        (True, "start_pending", (1083, 0), False),
        (True, "running", (1083, 0), False),
        (False, "stopped", (1083, 0), False),
        (None, "stopped", (1083, 0), False),
    ],
)
def test_a_service_has_failed_that_was_to_run_and_ended_with_an_error(
    running: bool | None, state: str, codes: tuple[int, int], failed: bool
) -> None:
    resource = KINDS["service"].model_validate({"name": NAME, "running": running, "start_mode": "manual"})
    facts = ServiceFacts(NAME, NAME, ServiceState(state), StartMode.MANUAL, "x.exe", *codes)
    assert resource.has_failed(Answers({Service(NAME): Found(facts)})) is failed
    assert not resource.has_failed(Answers({Service(NAME): Refused("5", "denied")}))


@pytest.mark.parametrize(
    "fields",
    [{}, {"running": True, "start_mode": "disabled"}, {"start_mode": "auto"}, {"running": True, "name": ""},
     {"running": "maybe"}, {"image_path": "a\nb"}, {"running": True, "settle": "soon"}],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_while_reading(fields: Mapping[str, object]) -> None:
    with pytest.raises(ValidationError):
        KINDS["service"].model_validate({"name": NAME, **fields})


def names(actions: tuple[AnyAction, ...]) -> list[str]:
    """`-NAME` for a stop, `+NAME` for a start."""
    return [f"{'-' if isinstance(action, StopService) else '+'}{getattr(action, 'name', '?')}" for action in actions]


RESTART = {"restart_service": {"name": "IISADMIN"}}


def test_a_restart_stops_dependents_leaf_first_and_starts_them_again(decided: Decide) -> None:
    given = service("IISADMIN", dependents=("SMTPSVC", "W3SVC", "POP3SVC"))
    given |= service("SMTPSVC", dependents=("RESvc",)) | service("RESvc", mode=MANUAL) | service("W3SVC", "paused")
    given |= service("POP3SVC", "stopped")
    actions = names(decided(RESTART, given).actions)
    assert actions == ["-RESvc", "-SMTPSVC", "-W3SVC", "-IISADMIN", "+IISADMIN", "+W3SVC", "+SMTPSVC", "+RESvc"]


def test_a_dependent_of_two_is_stopped_before_both(decided: Decide) -> None:
    given = service("IISADMIN", dependents=("A", "B", "C")) | service("A", dependents=("C",)) | service("C")
    given |= service("B", dependents=("C",))
    actions = names(decided(RESTART, given).actions)
    assert actions.index("-C") < min(actions.index("-A"), actions.index("-B"))
    assert actions.index("+C") > max(actions.index("+A"), actions.index("+B"))


def test_services_that_need_each_other_in_a_circle_end(decided: Decide) -> None:
    given = service("IISADMIN", dependents=("A",)) | service("A", dependents=("IISADMIN", "A"))
    assert names(decided(RESTART, given).actions) == ["-A", "-IISADMIN", "+IISADMIN", "+A"]


def test_a_stopped_service_is_only_started(decided: Decide) -> None:
    outcome = decided(RESTART, service("IISADMIN", "stopped"))
    assert names(outcome.actions) == ["+IISADMIN"]
    assert not outcome.resource.is_reached(outcome.answers)


@pytest.mark.parametrize("disabled", ["IISADMIN", "A"])
def test_what_could_not_be_started_again_is_not_stopped(disabled: str, decided: Decide) -> None:
    given = service("IISADMIN", dependents=("A",)) | service("A")
    given |= service(disabled, mode=DISABLED, dependents=("A",) if disabled == "IISADMIN" else ())
    outcome = decided(RESTART, given)
    assert outcome.status == "failed"
    assert f"{disabled} is disabled" in outcome.error


def test_a_restart_waits_for_what_it_may_not_know(decided: Decide) -> None:
    assert decided(RESTART, {}).status == "failed"
    given = service("IISADMIN", dependents=("A",)) | {Service("A"): Refused("5", "denied")}
    assert decided(RESTART, given).status == "undecided"
