"""Each right a check rests on, taken away at the lab's endpoint: what needs it is undecided and says so, the rest goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import converge.resources  # noqa: F401  # the kinds enter KINDS by being defined
from converge.apply.diagnosing import diagnose
from converge.apply.host import check
from converge.apply.options import ApplyOptions
from converge.lab.endpoint.host import EndpointPolicy, SimulatedHost
from converge.lab.endpoint.server import LabServer
from converge.lab.image import load_image
from converge.lab.world import LabAccount
from converge.model.change import Change, HostResult, Status
from converge.model.diagnosis import Certainty, Diagnosis
from converge.model.journal import History
from converge.model.names import fold
from converge.model.play import Play
from converge.model.resource import KINDS
from converge.model.secret import Secret
from converge.playbook import load
from converge.winrm.connection import Connection
from converge.winrm.observer import WinRMObserver

USER, PASSWORD = "auditor", "Only-looks-1"
PARAMETERS = r"HKLM\SYSTEM\CurrentControlSet\Services\InetInfo\Parameters"
PLAYBOOK = rf"""
- name: one of everything
  hosts: all
  article: Q0
  symptoms:
    events: [{{log: System, source: Service Control Manager, ids: [7000], within: 30 days}}]
  resources:
    - name: a service that runs
      service: {{name: SMTPSVC, running: true}}
    - name: a service that starts by itself
      service: {{name: W3SVC, start_mode: automatic}}
    - name: a service that is stopped
      service: {{name: IISADMIN, running: false}}
    - name: a value
      registry_value: {{key: '{PARAMETERS}', name: DispatchEntries, type: multi_string, contains: [Resvc]}}
    - name: a file
      file: {{path: 'C:\WINDOWS\System32\inetsrv\inetinfo.exe', size: 1}}
"""
ENTRIES = (
    "a service that runs", "a service that starts by itself", "a service that is stopped", "a value", "a file"
)  # fmt: skip


class Looked:
    """What an account with some rights less finds."""

    def __init__(self, observer: WinRMObserver, folder: Path) -> None:
        self.observer = observer
        self.folder = folder

    def check(self, *names: str) -> HostResult:
        """The check of the entries so named, one play each so that no entry stands in another's way."""
        plays: list[Play] = []
        for name in names or ENTRIES:
            path = self.folder / f"{ENTRIES.index(name)}.yml"
            head, _, body = PLAYBOOK.partition("  resources:\n")
            entries = body.split("    - name: ")
            (entry,) = [item for item in entries if item.startswith(f"{name}\n")]
            path.write_text(head.replace("one of everything", name) + f"  resources:\n    - name: {entry}")
            plays += load([path], kinds=KINDS)
        return check(
            plays, observer=self.observer, variables={}, history=History(), run="r",
            options=ApplyOptions(),
        )  # fmt: skip

    def diagnosed(self) -> Diagnosis:
        path = self.folder / "all.yml"
        path.write_text(PLAYBOOK)
        _, (found,) = diagnose(
            load([path], kinds=KINDS), observer=self.observer, variables={}, history=History(),
            run="r", options=ApplyOptions(),
        )  # fmt: skip
        return found


@pytest.fixture
def look(tmp_path: Path) -> Iterator[Callable[..., Looked]]:
    """Serves a Windows Server 2003 and looks at it over NTLM as an account that lacks what is named."""
    observers: list[WinRMObserver] = []
    with LabServer() as server:

        def start(*denies: str) -> Looked:
            world = load_image("exchange2003", host_name="LAB1")
            world.accounts[fold(USER)] = LabAccount(name=USER, password=PASSWORD, administrator=False, denies=denies)
            (endpoint,) = server.start([SimulatedHost("lab1", world, policy=EndpointPolicy())])
            observer = WinRMObserver(Connection("lab1", endpoint.url, username=USER, password=Secret(PASSWORD)))
            observers.append(observer)
            return Looked(observer, tmp_path)

        yield start
        for observer in observers:
            observer.close()


def undecided(result: HostResult) -> dict[str, Change]:
    assert result.error is None, result.error
    return {change.name: change for change in result.changes if change.status is Status.UNDECIDED}


def test_an_account_that_may_only_look_needs_nothing_more(look: Callable[..., Looked]) -> None:
    looked = look("service_start", "service_stop", "service_change", "registry_write", "file_write", "restart")
    assert undecided(looked.check()) == {}


@pytest.mark.parametrize(
    ("denied", "needing", "right"),
    [
        ("class:Win32_DependentService", {"a service that is stopped"}, "rights to read it"),
        ("service_query:SMTPSVC", {"a service that runs"}, "SERVICE_QUERY_STATUS"),
        (f"registry_read:{PARAMETERS}", {"a value"}, "read access to the registry key"),
        ("class:CIM_DataFile", {"a file"}, "rights to read it"),
        ("shells", set(), ""),
    ],
)
def test_what_needs_the_right_is_undecided_and_the_rest_goes_on(
    denied: str, needing: set[str], right: str, look: Callable[..., Looked]
) -> None:
    result = look(denied).check()
    found = undecided(result)
    assert set(found) == needing
    for change in found.values():
        assert change.error is not None
        assert right in f"{change.error.what} {change.error.try_}"
    others = {change.name for change in result.changes if change.status in (Status.OK, Status.CHANGED, Status.FAILED)}
    assert others == set(ENTRIES) - needing


@pytest.mark.parametrize(
    ("denied", "right"),
    [
        ("winrm", "the right to use WinRM"),
        ("namespace:root/cimv2", "Enable Account"),
        ("class:Win32_OperatingSystem", "rights to read it"),
        ("invoke", "Execute Methods"),
        ("service_query", "SERVICE_QUERY_STATUS"),
    ],
)
def test_without_what_every_play_rests_on_all_are_undecided_and_the_right_is_named(
    denied: str, right: str, look: Callable[..., Looked]
) -> None:
    result = look(denied).check("a file", "a service that runs")
    named = [change.error.what + change.error.try_ for change in undecided(result).values() if change.error]
    if denied == "service_query":
        assert [change.name for change in undecided(result).values()] == ["a service that runs"]
    else:
        assert len(named) == 2
    assert all(right in text for text in named)


def test_dependents_that_are_withheld_do_not_keep_a_service_from_being_started(look: Callable[..., Looked]) -> None:
    result = look("class:Win32_DependentService").check("a service that runs", "a service that starts by itself")
    assert {change.status for change in result.changes} <= {Status.OK, Status.CHANGED}


def test_a_service_that_is_not_there_is_not_taken_for_a_hidden_one(look: Callable[..., Looked], tmp_path: Path) -> None:
    path = tmp_path / "absent.yml"
    path.write_text("- {name: p, hosts: all, resources: [{service: {name: Nowhere, running: true}}]}\n")
    result = check(
        load([path], kinds=KINDS), observer=look().observer, variables={}, history=History(),
        run="r", options=ApplyOptions(),
    )  # fmt: skip
    (change,) = result.changes
    assert change.status is Status.FAILED
    assert "is not installed" in (change.reason or "")


def test_a_closed_event_log_is_said_to_be_closed(look: Callable[..., Looked]) -> None:
    (evidence,) = look("events:System").diagnosed().events
    assert evidence.refused is not None
    assert "Event Log Readers" in evidence.refused.missing_right


def test_an_open_event_log_without_such_an_event_is_no_closed_one(look: Callable[..., Looked]) -> None:
    found = look().diagnosed()
    (evidence,) = found.events
    assert (evidence.refused, evidence.count) == (None, 0)
    assert found.certainty is Certainty.LIKELY
