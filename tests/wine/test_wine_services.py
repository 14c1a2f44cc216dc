"""Services under a real service manager: started, stopped, resumed, refused, dying, and restarted with their dependents."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.wine.agent import Agent, Win32Error
from tests.wine.bench import PROGRAM, Bench
from tests.wine.conftest import Converge, HostMaker
from tests.wine.services import PAUSED, RUNNING, STOPPED


def play(*entries: str) -> str:
    """A playbook of these services."""
    return "- name: services\n  hosts: all\n  resources:\n" + "".join(
        f"    - service: {{{entry}}}\n" for entry in entries
    )


def test_services_are_started_stopped_resumed_and_given_their_start_mode(converge: Converge, bench: Bench) -> None:
    bench.add("Stopped1")
    bench.add("Running1", running=True)
    bench.add("Paused1", running=True)
    bench.windows.control_service("Paused1", 2)
    bench.wait("Paused1", PAUSED)
    bench.add("Disabled1", start=4)
    bench.add("Right1", start=2, running=True)
    wanted = play(
        "name: stopped1, running: true, start_mode: automatic",
        "name: RUNNING1, running: false, start_mode: disabled",
        "name: Paused1, running: true, settle: 0",
        "name: Disabled1, running: true, start_mode: manual, settle: 0",
        "name: Right1, running: true, start_mode: automatic",
    )
    untouched = bench.process("Right1")

    checked = converge.check(wanted)
    assert (checked.exit_code, len(checked.of("changed"))) == (2, 4), checked.text + checked.complaint
    assert [bench.state(name) for name in ("Stopped1", "Running1", "Paused1", "Disabled1")] == [
        STOPPED,
        RUNNING,
        PAUSED,
        STOPPED,
    ]

    applied = converge.apply(wanted)
    assert applied.exit_code == 0, applied.text + applied.complaint
    states = {
        name: (bench.state(name), bench.windows.service(name).start)
        for name in ("Stopped1", "Running1", "Paused1", "Disabled1")
    }
    assert states == {
        "Stopped1": (RUNNING, 2),
        "Running1": (STOPPED, 4),
        "Paused1": (RUNNING, 3),
        "Disabled1": (RUNNING, 3),
    }
    assert bench.process("Right1") == untouched

    again = converge.check(wanted)
    assert (again.exit_code, again.of("changed")) == (0, []), again.text


def test_a_service_that_refuses_to_start_is_told_with_its_codes(converge: Converge, bench: Bench) -> None:
    bench.add("Refuses", SpecificCode=2)
    applied = converge.apply(play("name: Refuses, running: true"))
    assert applied.exit_code == 3
    (resource,) = applied.resources
    assert resource["status"] == "failed"
    told = f"{resource['error']['what']} {resource['error']['why']}"
    assert "1066" in told
    assert "2" in told.replace("1066", "")
    assert bench.state("Refuses") == STOPPED


def test_a_service_that_dies_after_its_start_does_not_run(converge: Converge, bench: Bench) -> None:
    bench.add("Dies", DiesAfter=1500)
    applied = converge.apply(play("name: Dies, running: true, settle: 4"))
    assert applied.exit_code == 3, applied.text
    assert bench.state("Dies") == STOPPED


def test_a_slow_service_is_waited_for(converge: Converge, bench: Bench) -> None:
    bench.add("Slow", StartsFor=3000)
    applied = converge.apply(play("name: Slow, running: true, settle: 0"))
    assert applied.exit_code == 0, applied.text
    assert bench.state("Slow") == RUNNING


def test_a_missing_service_fails_in_check(converge: Converge) -> None:
    checked = converge.check(play("name: NoSuchSvc, running: true"))
    assert checked.exit_code == 3
    assert "NoSuchSvc" in checked.text


def test_a_disabled_service_is_not_started_behind_its_start_mode(converge: Converge, bench: Bench) -> None:
    bench.add("Idle", start=4)
    assert converge.check(play("name: Idle, running: true")).exit_code == 3
    assert converge.apply(play("name: Idle, running: true")).exit_code == 3
    assert (bench.state("Idle"), bench.windows.service("Idle").start) == (STOPPED, 4)


def test_a_new_command_line_is_what_the_service_then_runs(converge: Converge, bench: Bench) -> None:
    bench.add("Moved")
    bench.windows.write_file(r"C:\services\other.exe", bench.windows.read_file(PROGRAM))
    wanted = play(r"name: Moved, image_path: 'C:\services\other.exe', running: true, settle: 0")
    assert converge.check(wanted).exit_code == 2
    applied = converge.apply(wanted)
    assert applied.exit_code == 0, applied.text
    assert bench.process("Moved").image == "other.exe"
    assert converge.check(wanted).exit_code == 0


def test_a_handler_restarts_a_service_with_its_dependents(converge: Converge, bench: Bench) -> None:
    bench.add("Base", running=True, StopsFor=500)
    bench.add("Leaf", running=True, depends_on=("Base",))
    bench.add("LeafOfLeaf", running=True, depends_on=("Leaf",))
    bench.add("IdleLeaf", depends_on=("Base",))
    before = {name: bench.process(name) for name in ("Base", "Leaf")}
    wanted = r"""
- name: restarted
  hosts: all
  resources:
    - registry_value: {key: 'HKLM\SOFTWARE\WitnessRestart', name: v, type: dword, data: 1}
      notify: restart
  handlers:
    - name: restart
      restart_service: {name: Base}
"""

    checked = converge.check(wanted)
    assert checked.exit_code == 2
    assert any("handler:" in address for address in checked.of("changed")), checked.text
    assert {name: bench.process(name) for name in before} == before

    applied = converge.apply(wanted)
    assert applied.exit_code == 0, applied.text
    for name in ("Base", "Leaf", "LeafOfLeaf"):
        bench.wait(name, RUNNING)
    assert all(bench.process(name) != process for name, process in before.items()), applied.text + repr(
        applied.requests
    )
    assert bench.state("IdleLeaf") == STOPPED

    again = converge.check(wanted)
    assert (again.exit_code, again.of("changed")) == (0, []), again.text


def test_the_same_over_ntlm_with_sealed_messages(new_host: HostMaker, tmp_path: Path, bench: Bench) -> None:
    host = new_host(basic=False)
    converge = Converge(tmp_path, host)
    bench.add("Sealed")
    wanted = play("name: Sealed, running: true, settle: 0")
    assert converge.check(wanted).exit_code == 2
    assert converge.apply(wanted).exit_code == 0
    assert bench.state("Sealed") == RUNNING
    assert converge.check(wanted).exit_code == 0
    # One connection for each look and one for the repair: no login is repeated.
    assert host.connections == 4


@pytest.mark.parametrize("basic", [True, False])
def test_a_wrong_password_is_tried_once(new_host: HostMaker, tmp_path: Path, basic: bool) -> None:
    host = new_host(basic=basic)
    converge = Converge(tmp_path, host, {"ansible_password": "wrong"})
    converge.variables["ansible_password"] = "wrong"
    checked = converge.check(play("name: Any, running: true"))
    assert checked.exit_code == 4
    assert checked.requests == ()
    assert host.connections == 1


def test_the_service_manager_refuses_what_windows_refuses(windows: Agent) -> None:
    with pytest.raises(Win32Error) as raised:
        windows.start_service("NoSuchSvc")
    assert raised.value.code == 1060
