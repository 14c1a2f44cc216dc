"""A host that is crowded, slow, forgetful or half forbidden: what can be had is had, in bounded time, and shells are deleted."""

from __future__ import annotations

import _thread
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from converge.errors import ActionRefused, DeadlineExceeded, HostUnreachable, Interrupted
from converge.lab.endpoint.host import WINRM_2, EndpointPolicy, SimulatedHost, Stack
from converge.lab.endpoint.mishaps import Mishap, MishapKind
from converge.lab.endpoint.server import LabServer
from converge.lab.image import load_image
from converge.lab.world import LabAccount, World
from converge.model.action import RunCommand, StopService
from converge.model.answer import Absent, Found, Refused
from converge.model.facts import ServiceState
from converge.model.names import fold
from converge.model.query import CimInstances, File, OperatingSystem, RegistryKey, Service
from converge.model.registry import Hive, RegistryPath
from converge.model.secret import Secret
from converge.winrm.connection import Connection
from converge.winrm.machine import WinRMMachine
from converge.wsman import faults

USER, PASSWORD = "checker", "Correct horse 1!"
W3SVC = Service("W3SVC")
SOFTWARE = RegistryKey(RegistryPath(Hive.LOCAL_MACHINE, "SOFTWARE"))


@contextmanager
def reached(
    *, denies: tuple[str, ...] = (), stack: Stack | None = None, **settings: Any
) -> Iterator[tuple[SimulatedHost, WinRMMachine, World]]:
    """A host, a client of it that has logged in, and its world."""
    world = load_image("exchange2003", host_name="LAB1")
    world.accounts[fold(USER)] = LabAccount(name=USER, password=PASSWORD, denies=denies)
    host = SimulatedHost("lab1", world, policy=EndpointPolicy(), stack=stack)
    with LabServer() as server:
        (endpoint,) = server.start([host])
        given = {"operation_timeout": 4.0, "read_timeout": 8.0, **settings}
        machine = WinRMMachine(Connection("lab1", endpoint.url, username=USER, password=Secret(PASSWORD), **given))
        machine.ask([OperatingSystem()])
        host.log.clear()
        yield host, machine, world
        machine.close()


def fault(code: int, **named: Any) -> Mishap:
    """The host answers with this fault, and does nothing."""
    return Mishap(MishapKind.FAULT, amount=code, **named)


QUOTAS = (faults.QUOTA_OPERATIONS, faults.QUOTA_PLUGIN[0])


@pytest.mark.parametrize("code", QUOTAS)
def test_a_crowded_host_is_asked_again_after_a_while(code: int) -> None:
    with reached() as (host, machine, _):
        host.mishaps.add(fault(code, times=2))
        started = time.monotonic()
        assert isinstance(machine.ask([W3SVC])[W3SVC], Found)
        assert time.monotonic() - started >= 1.0


def test_a_host_that_stays_crowded_is_left_undecided() -> None:
    with reached(stack=WINRM_2) as (host, machine, _):
        host.mishaps.add(fault(faults.QUOTA_OPERATIONS, operation="Invoke"))
        started = time.monotonic()
        answers = machine.ask([SOFTWARE, W3SVC])
        assert isinstance(answers[SOFTWARE], Refused)
        assert isinstance(answers[W3SVC], Found)
        assert time.monotonic() - started > 5


def test_a_write_that_was_turned_away_for_a_quota_is_refused_and_not_sent_again() -> None:
    with reached() as (host, machine, world):
        host.mishaps.add(fault(faults.QUOTA_OPERATIONS, method="StopService", times=1))
        with pytest.raises(ActionRefused, match="concurrent operations"):
            machine.perform(StopService("W3SVC"))
        assert world.services[fold("W3SVC")].state == ServiceState.RUNNING
        assert [record.method for record in host.log.records if not record.reads] == ["StopService"]


def test_shells_beyond_the_quota_are_waited_for() -> None:
    with reached() as (host, machine, _):
        host.mishaps.add(fault(faults.QUOTA_SHELLS, operation="Create", times=1))
        assert machine.perform(RunCommand(("ver",), shell=True, timeout=10)).code == 0


def test_an_enumeration_that_the_host_dropped_is_begun_again_once() -> None:
    with reached(stack=WINRM_2) as (host, machine, _):
        queries = [W3SVC, Service("SMTPSVC"), Service("IISADMIN")]
        host.mishaps.add(fault(faults.INVALID_ENUMERATION_CONTEXT, operation="Pull", times=1))
        answers = machine.ask(queries)
        assert all(isinstance(answers[query], (Found, Absent)) for query in queries)
        assert isinstance(answers[W3SVC], Found)
        assert "Pull" in [record.operation for record in host.log.records]


def test_enumerations_that_the_host_always_drops_are_not_begun_for_ever() -> None:
    query = CimInstances("root/cimv2", "SELECT Name FROM Win32_Service")
    with reached(stack=WINRM_2) as (host, machine, _):
        host.mishaps.add(fault(faults.INVALID_ENUMERATION_CONTEXT, operation="Pull"))
        assert isinstance(machine.ask([query])[query], Refused)
        assert len([record for record in host.log.records if record.operation == "Enumerate"]) == 2


def test_an_answer_too_large_is_followed_by_smaller_questions() -> None:
    with reached() as (host, machine, _):
        files = [File(rf"C:\WINDOWS\system32\inetsrv\{name}") for name in ("inetinfo.exe", "seo.dll", "none1", "none2")]
        host.mishaps.add(fault(faults.ENVELOPE_TOO_SMALL, operation="Enumerate", times=2))
        answers = machine.ask(files)
        assert not any(isinstance(answers[file], Refused) for file in files)
        asked = [record.detail for record in host.log.records if record.operation == "Enumerate"]
        assert len(asked) >= 4
        assert len(asked[-1]) < len(asked[0])


def test_a_request_too_large_for_the_host_is_split() -> None:
    small = Stack("3.0", max_envelope=4096, wmi_errors=True)
    with reached(stack=small) as (_, machine, _):
        files = [File(rf"C:\{'x' * 80}\{number}.dll") for number in range(40)]
        answers = machine.ask([*files, W3SVC])
        assert all(isinstance(answers[file], Absent) for file in files)
        assert isinstance(answers[W3SVC], Found)


def test_a_slow_operation_is_given_more_time_once() -> None:
    with reached() as (host, machine, _):
        host.mishaps.add(fault(faults.TIMED_OUT, operation="Enumerate", times=1))
        assert isinstance(machine.ask([W3SVC])[W3SVC], Found)
        host.mishaps.add(fault(faults.TIMED_OUT, operation="Enumerate"))
        assert isinstance(machine.ask([W3SVC])[W3SVC], Refused)


def test_a_write_that_timed_out_may_have_happened() -> None:
    with reached() as (host, machine, _):
        host.mishaps.add(fault(faults.TIMED_OUT, method="StopService"))
        with pytest.raises(Interrupted):
            machine.perform(StopService("W3SVC"))
        assert len([record for record in host.log.records if record.method == "StopService"]) == 1


@pytest.mark.parametrize("operation", ["Get", "Enumerate", "Invoke"])
def test_a_byte_a_second_ends_at_the_deadline(operation: str) -> None:
    with reached(operation_timeout=0.5, read_timeout=1.0) as (host, machine, _):
        host.mishaps.add(Mishap(MishapKind.TRICKLE, amount=1.0, operation=operation))
        with pytest.raises(DeadlineExceeded):
            machine.ask([OperatingSystem(), W3SVC, SOFTWARE])


def test_the_whole_host_has_a_deadline_too() -> None:
    with reached(operation_timeout=2.0, read_timeout=3.0, host_timeout=4.0) as (host, machine, _):
        host.mishaps.add(Mishap(MishapKind.DELAY, amount=0.5))
        asked = ([OperatingSystem()] for _ in range(100))
        with pytest.raises(DeadlineExceeded):
            list(map(machine.ask, asked))
        assert len(host.log.records) < 20


def test_one_forbidden_class_leaves_the_rest() -> None:
    with reached() as (host, machine, _):
        host.mishaps.add(fault(faults.ACCESS_DENIED, operation="Invoke"))
        answers = machine.ask([SOFTWARE, W3SVC, OperatingSystem()])
        refused = answers[SOFTWARE]
        assert isinstance(refused, Refused)
        assert refused.code == "access-denied"
        assert refused.missing_right
        assert isinstance(answers[W3SVC], Found)
        assert isinstance(answers[OperatingSystem()], Found)


def ended(host: SimulatedHost) -> bool:
    """Whether every shell that was opened was deleted, and every command in it signalled."""
    records = host.log.records
    operations = [record.operation for record in records]
    return operations.count("Create") == operations.count("Delete") and operations.count("Signal") >= operations.count(
        "Command"
    )


@pytest.mark.parametrize("operation", ["Command", "Receive", "Signal", "Delete"])
@pytest.mark.parametrize("kind", [MishapKind.DROP_BEFORE, MishapKind.DROP_AFTER, MishapKind.CUT_SHORT])
def test_shells_are_deleted_however_the_line_breaks(operation: str, kind: MishapKind) -> None:
    with reached() as (host, machine, _):
        host.mishaps.add(Mishap(kind, operation=operation, times=1))
        with suppress(Interrupted):
            machine.perform(RunCommand(("ver",), shell=True, timeout=10))
        kinds = [record.operation for record in host.log.records]
        assert kinds.count("Delete") >= kinds.count("Create") == 1
        assert kinds.count("Command") == 1


def interrupt_at(host: SimulatedHost, operation: str) -> None:
    """Press Ctrl-C once the host was asked this."""
    deadline = time.monotonic() + 60
    while operation not in [record.operation for record in host.log.records] and time.monotonic() < deadline:
        time.sleep(0.01)
    _thread.interrupt_main()


def test_shells_are_deleted_when_somebody_presses_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    with reached(operation_timeout=1.0, read_timeout=5.0) as (host, machine, _):
        host.mishaps.add(Mishap(MishapKind.SLOW_COMMAND, amount=30.0))
        timer = threading.Thread(target=interrupt_at, args=(host, "Receive"))
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            machine.perform(RunCommand(("ver",), shell=True, timeout=30))
        timer.join()
        assert ended(host)


def test_a_command_that_does_not_end_is_signalled_and_its_shell_deleted() -> None:
    with reached(operation_timeout=0.6, read_timeout=5.0) as (host, machine, _):
        host.mishaps.add(Mishap(MishapKind.SLOW_COMMAND, amount=30.0))
        with pytest.raises(Interrupted, match=r"ver did not end within 2 s.* was ended"):
            machine.perform(RunCommand(("ver",), shell=True, timeout=2))
        assert ended(host)


def test_a_host_that_goes_away_for_good_is_unreachable_and_not_asked_for_ever() -> None:
    with reached() as (host, machine, _):
        host.mishaps.add(Mishap(MishapKind.DROP_BEFORE))
        with pytest.raises(HostUnreachable, match="broke off twice"):
            machine.ask([W3SVC])
        assert len(host.log.records) == 2
        host.mishaps.clear()
        assert isinstance(machine.ask([W3SVC])[W3SVC], Found)


@pytest.mark.parametrize("status", [404, 503])
def test_a_host_that_is_starting_again_leaves_a_write_to_looking_again(status: int) -> None:
    with reached() as (host, machine, world):
        host.mishaps.add(Mishap(MishapKind.HTTP_ERROR, amount=status, times=1))
        with pytest.raises(Interrupted):
            machine.perform(StopService("W3SVC"))
        assert world.services[fold("W3SVC")].state == ServiceState.RUNNING


def test_an_action_the_host_forbids_is_refused_with_the_missing_right() -> None:
    with reached() as (host, machine, _):
        host.mishaps.add(fault(faults.ACCESS_DENIED, method="StopService"))
        with pytest.raises(ActionRefused) as refused:
            machine.perform(StopService("W3SVC"))
        assert "Remote Management Users" in refused.value.try_
