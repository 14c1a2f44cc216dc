"""Rolling out through the program: portions, canaries, budgets, runs done again, and fleets of which some members are dead."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.cli_program import Ended, Program
from tests.cluster.cluster_site import Site, owner, site, until

from converge.lab.endpoint.host import EndpointPolicy
from converge.lab.endpoint.mishaps import Mishap, MishapKind

NAMES = [f"web{number:02}" for number in range(1, 9)]


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path, NAMES) as found:
        yield found


def statuses(ended: Ended) -> dict[str, str]:
    return {host: result["status"] for host, result in ended.document()["hosts"].items()}


def refuse_starts(hosts: Site, *names: str) -> None:
    """The service manager of these hosts refuses to start anything."""
    for name in names:
        hosts.hosts[name].mishaps.add(Mishap(MishapKind.FAULT, 5, operation="Invoke", method="StartService"))


def of_run(program: Program, mode: str) -> str:
    return next(line.split()[0] for line in program("runs").out.splitlines() if f" {mode} " in line)


def test_a_portion_begins_when_the_one_before_has_ended(hosts: Site) -> None:
    for name in ("web01", "web02"):
        hosts.slow(name, 3.0)
    process = hosts.program.started("--yes", "--batch", "2,50%", "--format", "json")
    until(lambda: hosts.started("web01") == 1 and hosts.started("web02") == 1)
    until(lambda: sum(hosts.started(name) for name in NAMES) > 2)
    assert hosts.is_running("web01"), "the others wait for the first two"
    assert hosts.is_running("web02")
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert {result["status"] for result in json.loads(out)["hosts"].values()} == {"changed"}
    assert all(hosts.is_running(name) for name in NAMES)


def test_too_many_failures_end_it_with_nothing_half_done(hosts: Site) -> None:
    refuse_starts(hosts, "web02")
    ended = hosts.program("--yes", "--batch", "2", "--max-failures", "0", "--format", "json")
    assert ended.code == 6, ended.out
    found = statuses(ended)
    assert [found[name] for name in NAMES] == ["changed", "failed", *["skipped"] * 6]
    assert "1 failed and 0 unreachable are more than the 0 allowed" in ended.out
    assert [name for name in NAMES if hosts.started(name)] == ["web01", "web02"]


def test_failures_within_the_budget_do_not(hosts: Site) -> None:
    refuse_starts(hosts, "web02")
    ended = hosts.program("--yes", "--batch", "2", "--max-failures", "20%", "--format", "json")
    assert ended.code == 3
    assert sorted(statuses(ended).values()) == ["changed"] * 7 + ["failed"]


def test_a_canary_goes_first_and_is_looked_at_again_after_its_soak(hosts: Site) -> None:
    process = hosts.program.started("--yes", "--canary", "web05", "--soak", "3", "--format", "json")
    until(lambda: hosts.is_running("web05") and not owner(hosts.program.folder, "web05"))
    asked = len(hosts.hosts["web05"].log.records)
    until(lambda: sum(hosts.started(name) for name in NAMES) > 1)
    assert len(hosts.hosts["web05"].log.records) > asked, "the others wait until the canary was looked at again"
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert {result["status"] for result in json.loads(out)["hosts"].values()} == {"changed"}


def test_a_canary_that_falls_back_ends_it(hosts: Site) -> None:
    process = hosts.program.started("--yes", "--canary", "web05", "--soak", "5", "--format", "json")
    until(lambda: hosts.is_running("web05") and not owner(hosts.program.folder, "web05"))
    world = hosts.hosts["web05"].world
    with world.lock:
        found = world.service("RemoteRegistry")
        assert found is not None
        found.start_mode = type(found.start_mode)("manual")
    out, err = process.communicate(timeout=300)
    assert process.returncode == 6, err
    assert "the canary web05 is changed when looked at again" in out
    assert json.loads(out)["hosts"]["web05"]["status"] == "changed"
    assert [name for name in NAMES if hosts.started(name)] == ["web05"]


def test_a_canary_that_fails_ends_it(hosts: Site) -> None:
    refuse_starts(hosts, "web05")
    ended = hosts.program("--yes", "--canary", "web05", "--format", "json")
    assert ended.code == 6
    assert statuses(ended)["web05"] == "failed"
    assert sum(hosts.started(name) for name in NAMES) == 1


@pytest.mark.parametrize("executor", ["threads", "dask:2"])
def test_only_what_failed_is_done_again(hosts: Site, executor: str) -> None:
    refuse_starts(hosts, "web02", "web07")
    program = hosts.program
    program.environment["CONVERGE_EXECUTOR"] = executor
    assert program("--yes").code == 3
    for host in hosts.hosts.values():
        host.mishaps.clear()
        host.log.clear()
    run = of_run(program, "run")
    again = program("--yes", "--rerun", "failed", run, "--format", "json")
    assert (again.code, statuses(again)) == (0, {"web02": "changed", "web07": "changed"}), again.err
    assert not any(host.log.records for name, host in hosts.hosts.items() if name not in ("web02", "web07"))
    assert program("--yes", "--rerun", "failed", of_run(program, "run")).code == 1, "nothing failed in that run"


@pytest.mark.parametrize("executor", ["threads", "dask:2"])
def test_a_fleet_with_dead_slow_denied_and_drifting_members(tmp_path: Path, executor: str) -> None:
    """Four at once: those who keep silent cost a place and their deadline, and everybody has a true result."""
    with (
        site(tmp_path, NAMES, policy=EndpointPolicy(lock_out_after=3)) as hosts,
        socket.create_server(("127.0.0.1", 0)) as mute,
    ):
        short = "ansible_winrm_operation_timeout_sec: 2, ansible_winrm_read_timeout_sec: 4"
        hosts.ports |= {"dead01": 9, "mute01": mute.getsockname()[1]}
        hosts.inventory(
            {"dead01": short, "mute01": short, "web01": "ansible_password: wrong", "web02": "ansible_user: stranger"}
        )
        hosts.hosts["web03"].mishaps.add(Mishap(MishapKind.DELAY, 1.0, times=3))
        ended = hosts.program("--yes", "--forks", "4", "--format", "json", "--executor", executor)
        found = statuses(ended)
        assert ended.code == 4, ended.out
        assert {name for name, status in found.items() if status == "unreachable"} == {
            "dead01",
            "mute01",
            "web01",
            "web02",
        }
        assert {found[f"web{number:02}"] for number in range(3, 9)} == {"changed"}
        assert all(hosts.is_running(f"web{number:02}") for number in range(3, 9))
        assert not any(host.log.refused_logins > 1 for host in hosts.hosts.values()), "nobody is locked out"


@pytest.mark.parametrize("words", [("--canary", "nosuch"), ("--canary", "web01", "--limit", "web02")])
def test_canaries_that_are_none_of_the_hosts_are_refused_before_any_is_changed(
    hosts: Site, words: tuple[str, ...]
) -> None:
    ended = hosts.program("--yes", *words)
    assert ended.code == 1, ended.out
    assert f"--canary {words[1]} matches none of the hosts of this run" in ended.err
    assert not [name for name in NAMES if hosts.started(name)]
    assert words[1] not in hosts.program("runs").out, "nothing was begun, so nothing is remembered"


def test_a_status_that_does_not_exist_is_answered_with_those_that_do(hosts: Site) -> None:
    ended = hosts.program("--yes", "--rerun", "broken", "whatever")
    assert ended.code == 1
    assert "changed, " in ended.err
    assert "unreachable" in ended.err
    assert "..." not in ended.err
