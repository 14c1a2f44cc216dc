"""Q277770: Inetinfo.exe dispatches the Exchange services again, and those that should run do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from converge.lab import service_events
from converge.lab.specs import StepNeed
from converge.model.change import Status
from converge.model.facts import ServiceState, StartMode

if TYPE_CHECKING:
    from tests.articles.articles_lab import LabHostMaker, changed, skip_reason, the
else:
    from articles_lab import changed, skip_reason, the


ARTICLE = "Q277770"
KEY = r"HKLM\SYSTEM\CurrentControlSet\Services\InetInfo\Parameters"
ADDRESS = rf"registry_value:{KEY}\DispatchEntries"
WANTED = ("Ldapsvc", "Smtpsvc", "Nntpsvc", "Imap4svc", "Pop3svc", "Resvc")
"""Step 4."""


def test_missing_entries_are_added_and_the_others_stay(lab_host: LabHostMaker) -> None:
    host = lab_host("exchange2000-dispatch-broken", ARTICLE)
    decoy = host.value(r"HKLM\SYSTEM\CurrentControlSet\Services\ContosoGuard\Parameters", "DispatchEntries")
    before = host.state()
    assert changed(host.check())[:2] == [ADDRESS, "handler:restart IIS Admin"]
    assert host.state() == before
    assert host.apply().status is Status.CHANGED
    kind, entries = host.value(KEY, "DispatchEntries") or ("", ())
    assert kind == "multi_string"
    assert isinstance(entries, tuple)
    assert entries[:2] == ("LDAPSVC", "ContosoFaxSvc")
    assert sorted(entry.lower() for entry in entries) == sorted([*map(str.lower, WANTED), "contosofaxsvc"])
    assert host.running("IISADMIN", "W3SVC", "SMTPSVC", "NNTPSVC", "POP3SVC", "IMAP4SVC", "RESvc", "MSExchangeIS")
    assert host.value(r"HKLM\SYSTEM\CurrentControlSet\Services\ContosoGuard\Parameters", "DispatchEntries") == decoy
    assert host.check().status is Status.OK


def test_a_value_that_is_missing_altogether_is_made(lab_host: LabHostMaker) -> None:
    host = lab_host("exchange2003-dispatch-broken", ARTICLE)
    host.apply()
    assert host.value(KEY, "DispatchEntries") == ("multi_string", WANTED)
    assert host.running("SMTPSVC", "IMAP4SVC", "RESvc", "W3SVC")
    assert host.service("POP3SVC") is ServiceState.STOPPED  # disabled by default in Exchange 2003
    assert host.service("NNTPSVC") is ServiceState.STOPPED


def test_small_business_server_keeps_its_own_services(lab_host: LabHostMaker) -> None:
    host = lab_host("sbs2003-dispatch-broken", ARTICLE)
    host.apply()
    assert host.running("RESvc", "SMTPSVC", "POP3 Connector")
    assert host.check().status is Status.OK


def test_what_is_not_meant_to_run_is_left_stopped(lab_host: LabHostMaker) -> None:
    host = lab_host("exchange2000-dispatch-partly-broken", ARTICLE)
    result = host.apply()
    assert host.running("SMTPSVC", "IMAP4SVC", "RESvc")
    assert host.service("POP3SVC") is ServiceState.STOPPED
    assert host.service("NNTPSVC") is ServiceState.STOPPED
    assert skip_reason(result, "POP3 runs").startswith("POP3SVC does not start automatically")


@pytest.mark.parametrize("missing", WANTED)
def test_each_entry_that_is_missing_is_shown_alone(missing: str, lab_host: LabHostMaker) -> None:
    host = lab_host("exchange2000", ARTICLE)
    kept = [entry for entry in (*WANTED, "ContosoFaxSvc") if entry != missing]
    host.set_value(KEY, "DispatchEntries", number=7, data=kept)
    before = host.state()
    result = host.check()
    assert changed(result) == [ADDRESS, "handler:restart IIS Admin"]
    assert the(result, ADDRESS).after == {"type": "multi_string", "data": [*kept, missing]}
    assert host.state() == before


@pytest.mark.parametrize("name", ["SMTPSVC", "NNTPSVC", "POP3SVC", "IMAP4SVC", "RESvc"])
def test_each_service_that_stopped_is_shown_alone(name: str, lab_host: LabHostMaker) -> None:
    host = lab_host("exchange2000", ARTICLE)
    record = host.world.service(name)
    assert record is not None
    record.state = ServiceState.STOPPED
    assert changed(host.check()) == [f"service:{name}"]
    host.apply()
    assert host.running(name)


def test_a_value_of_the_wrong_type_is_drift(lab_host: LabHostMaker) -> None:
    host = lab_host("exchange2000", ARTICLE)
    host.set_value(KEY, "DispatchEntries", number=1, data=" ".join(WANTED))
    assert ADDRESS in [change.address for change in host.check().changes if change.status is not Status.OK]


def test_a_foreign_entry_is_no_drift(lab_host: LabHostMaker) -> None:
    host = lab_host("exchange2000", ARTICLE)
    host.set_value(KEY, "DispatchEntries", number=7, data=["OtherSvc", *reversed(WANTED), "YetAnother"])
    assert host.check().status is Status.OK


def test_a_cluster_node_without_a_virtual_server_is_repaired(lab_host: LabHostMaker) -> None:
    host = lab_host("exchange2000-cluster-node-dispatch-broken", ARTICLE)
    result = host.apply()
    assert changed(result) == [ADDRESS, "handler:restart IIS Admin"]
    assert host.service("POP3SVC") is ServiceState.STOPPED  # the cluster starts what it needs
    assert host.running("ClusSvc", "IISADMIN", "SMTPSVC")
    assert host.check().status is Status.OK


def test_a_cluster_node_with_a_virtual_server_is_not_touched(lab_host: LabHostMaker) -> None:
    host = lab_host("exchange2000-cluster-node-online", ARTICLE)
    before = host.state()
    for result in (host.check(), host.apply()):
        refused = the(result, "requirement:no virtual server online")
        assert refused.error is not None
        assert refused.error.code == "requirement-unmet"
        assert "Move Group" in refused.error.what
        assert changed(result) == []
    assert host.state() == before


def test_a_healthy_node_with_a_virtual_server_is_healthy(lab_host: LabHostMaker) -> None:
    host = lab_host("exchange2000-cluster-node", ARTICLE)
    for name in ("MSExchangeSA", "MSExchangeIS"):
        record = host.world.service(name)
        assert record is not None
        record.state = ServiceState.RUNNING
    assert host.check().status is Status.OK


def test_a_key_of_that_name_is_reported_and_not_written(lab_host: LabHostMaker) -> None:
    host = lab_host("exchange2000-dispatch-key", ARTICLE)
    notes = the(host.check(), ADDRESS).notes
    assert any("key" in note and "DispatchEntries" in note for note in notes)
    held = host.value(rf"{KEY}\DispatchEntries", "Smtpsvc")
    host.apply()
    assert host.value(rf"{KEY}\DispatchEntries", "Smtpsvc") == held
    assert host.running("SMTPSVC", "RESvc")


def test_it_does_not_apply_without_exchange_2000(lab_host: LabHostMaker) -> None:
    for image in ("file-server-2000", "exchange55"):
        result = lab_host(image, ARTICLE).check()
        assert result.status is Status.SKIPPED
        assert skip_reason(result, "SMTP runs") == "Exchange 2000 or 2003 is not installed"


HANDLER = "handler:restart IIS Admin"
EDITED = "exchange2000-dispatch-edited-by-hand"


def test_entries_that_a_person_put_right_need_the_restart_all_the_same(lab_host: LabHostMaker) -> None:
    host = lab_host(EDITED, ARTICLE)
    result = host.check()
    assert changed(result)[0] == HANDLER
    assert any("SMTPSVC" in note and "1083" in note for note in the(result, HANDLER).notes)
    assert host.apply().status is Status.CHANGED
    assert host.running("IISADMIN", "W3SVC", "SMTPSVC", "NNTPSVC", "POP3SVC", "IMAP4SVC", "RESvc")
    assert host.check().status is Status.OK


def test_an_event_since_iis_admin_started_tells_it_where_the_exit_code_does_not(lab_host: LabHostMaker) -> None:
    host = lab_host(EDITED, ARTICLE)
    for name in ("SMTPSVC", "NNTPSVC", "POP3SVC", "IMAP4SVC", "RESvc"):
        record = host.world.service(name)
        assert record is not None
        record.exit_code = 1077
    assert HANDLER not in changed(host.check())  # the image's events are from before IISADMIN was started
    host.world.clock.advance(60)
    smtp = host.world.service("SMTPSVC")
    assert smtp is not None
    service_events.start_failed(host.world, smtp, 1083)
    assert HANDLER in changed(host.check())


@pytest.mark.parametrize("exit_code", [0, 1077, 1067])
def test_a_service_that_is_stopped_for_another_reason_needs_no_restart(exit_code: int, lab_host: LabHostMaker) -> None:
    host = lab_host("exchange2000", ARTICLE)
    record = host.world.service("POP3SVC")
    assert record is not None
    record.state, record.exit_code = ServiceState.STOPPED, exit_code
    assert changed(host.check()) == ["service:POP3SVC"]


@pytest.mark.parametrize("mode", [StartMode.MANUAL, StartMode.DISABLED])
def test_what_is_not_meant_to_run_interrupts_nobody(mode: StartMode, lab_host: LabHostMaker) -> None:
    host = lab_host("exchange2000", ARTICLE)
    record = host.world.service("POP3SVC")
    assert record is not None
    record.state, record.exit_code, record.start_mode = ServiceState.STOPPED, 1083, mode
    assert changed(host.check()) == []


def test_a_node_with_a_virtual_server_is_not_restarted_for_a_service_either(lab_host: LabHostMaker) -> None:
    host = lab_host("exchange2000-cluster-node", ARTICLE)
    for name in ("MSExchangeSA", "MSExchangeIS"):
        record = host.world.service(name)
        assert record is not None
        record.state = ServiceState.RUNNING
    pop = host.world.service("POP3SVC")
    assert pop is not None
    pop.state, pop.exit_code, pop.start_mode = ServiceState.STOPPED, 1083, StartMode.AUTOMATIC
    result = host.check()
    assert "Move Group" in str(the(result, "requirement:no virtual server online").reason)
    assert changed(result) == []


@pytest.mark.parametrize("image", [EDITED, "exchange2000-dispatch-broken"])
def test_a_service_that_fails_with_1083_after_the_restart_has_another_fault(image: str, lab_host: LabHostMaker) -> None:
    host = lab_host(image, ARTICLE)
    pop = host.world.service("POP3SVC")
    assert pop is not None
    pop.needs = (StepNeed(file=r"C:\missing.dll", exit_code=1083),)  # whatever is dispatched
    first = host.apply()
    assert HANDLER in changed(first)
    assert the(first, "service:POP3SVC").status is Status.FAILED
    restarted = host.started("IISADMIN")
    for result in (host.check(), host.apply(), host.apply()):
        told = the(result, HANDLER)
        assert told.status is Status.SKIPPED
        assert "did not help" in (told.reason or "")
        assert "POP3SVC" in (told.reason or "")
    assert host.started("IISADMIN") == restarted
    pop.state, pop.exit_code = ServiceState.RUNNING, 0
    assert host.apply().status is Status.OK
    pop.state, pop.exit_code = ServiceState.STOPPED, 1083  # the fault of the article, anew
    assert HANDLER in changed(host.check())


def test_smtp_that_was_added_again_waits_for_exchange_setup(lab_host: LabHostMaker) -> None:
    host = lab_host("exchange2000", ARTICLE, smtp_was_reinstalled=True)
    record = host.world.service("SMTPSVC")
    assert record is not None
    record.state = ServiceState.STOPPED
    assert "Q312395" in skip_reason(host.check(), "SMTP runs")
