"""Workers in other processes, of an embedded cluster and of one that was there: what they do is what threads would do, once."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from typing import Any

import pytest
from tests.cli.cli_program import Ended, Program
from tests.cluster.cluster_site import Dask, Site, kill_holder, owner, until

LONG = 25.0  # seconds that a host thinks: longer than anything a test waits for, shorter than its answer may take


def statuses(ended: Ended) -> dict[str, str]:
    return {host: result["status"] for host, result in ended.document()["hosts"].items()}


@pytest.fixture
def cluster(shared: Dask, hosts: Site) -> str:
    """Two workers of a scheduler that was there."""
    shared.whole(workers=2)
    hosts.program.environment |= shared.login
    return shared.executor


@pytest.fixture(params=["dask:2", "cluster"])
def executor(request: pytest.FixtureRequest) -> str:
    """Two workers of an embedded cluster, and two of a scheduler that was there: for what ends or dies, and what is told."""
    return str(request.getfixturevalue("cluster") if request.param == "cluster" else request.param)


def finished(process: subprocess.Popen[str]) -> Ended:
    out, err = process.communicate(timeout=100)
    return Ended(process.returncode, out, err)


def last_run(program: Program) -> str:
    return next(line.split()[0] for line in program("runs").out.splitlines() if " run " in line)


def test_an_evening_away_from_home(hosts: Site, cluster: str) -> None:
    program = hosts.program
    program.environment["CONVERGE_EXECUTOR"] = cluster
    looked = program("--check", "--format", "json")
    assert (looked.code, set(statuses(looked).values())) == (2, {"changed"}), looked.err
    assert not any(hosts.is_running(name) for name in hosts.hosts)
    assert program("plan", "-o", "p.plan", "-l", "mail01").code == 2
    planned = program("apply", "p.plan", "--format", "json")
    assert (planned.code, statuses(planned)) == (0, {"mail01": "changed"}), planned.err
    applied = program("--yes", "--format", "json")
    assert (applied.code, list(statuses(applied).values()).count("changed")) == (0, 5), applied.err
    assert all(hosts.is_running(name) and hosts.started(name) == 1 for name in hosts.hosts)
    undone = program("undo", last_run(program), "--yes", "--format", "json")
    assert (undone.code, list(statuses(undone).values()).count("changed")) == (0, 5), undone.err
    assert [name for name in hosts.hosts if hosts.is_running(name)] == ["mail01"]


def test_an_embedded_cluster_changes_and_takes_back(hosts: Site) -> None:
    program = hosts.program
    program.environment["CONVERGE_EXECUTOR"] = "dask:2"
    applied = program("--yes", "--format", "json")
    assert (applied.code, set(statuses(applied).values())) == (0, {"changed"}), applied.err
    assert all(hosts.is_running(name) and hosts.started(name) == 1 for name in hosts.hosts)
    undone = program("undo", last_run(program), "--yes", "--format", "json")
    assert (undone.code, set(statuses(undone).values())) == (0, {"changed"}), undone.err
    assert not any(hosts.is_running(name) for name in hosts.hosts)


def test_workers_and_threads_tell_the_same(hosts: Site, executor: str) -> None:
    def told(where: str) -> dict[str, Any]:
        document = hosts.program("--check", "--format", "json", "--executor", where).document()
        for result in document["hosts"].values():
            result.pop("seconds")
            result.pop("round_trips", None)
        return dict(sorted(document["hosts"].items()))

    assert told(executor) == told("threads")


def test_a_worker_that_dies_in_the_middle_of_a_change(hosts: Site, executor: str) -> None:
    """Its hosts are unknown, the others go on, nothing is sent twice, and the next run settles it."""
    for name in ("mail01", "mail02"):
        hosts.slow(name, LONG)
    process = hosts.program.started("--yes", "--format", "json", "--executor", executor, "--forks", "4")
    until(lambda: hosts.started("mail01") == 1)
    others = ("mail03", "mail04", "mail05", "mail06")
    until(lambda: all(hosts.is_running(name) and not owner(hosts.program.folder, name) for name in others))
    time.sleep(1.0)  # their results are on their way
    kill_holder(hosts.program.folder, "mail01")
    hosts.hosts["mail02"].mishaps.clear()
    ended = finished(process)
    found = statuses(ended)
    assert ended.code == 3, ended.err
    assert found["mail01"] == "unknown"
    assert "worker" in ended.document()["hosts"]["mail01"]["error"]["what"]
    assert [found[name] for name in others] == ["changed"] * 4
    assert hosts.started("mail01") == 1, "nobody else sent it again"
    for host in hosts.hosts.values():
        host.mishaps.clear()
    again = hosts.program("--yes", "--format", "json", "--executor", executor, "--lease-timeout", "40")
    assert again.code == 0, again.out + again.err
    assert all(hosts.is_running(name) for name in hosts.hosts)
    assert all(hosts.started(name) == 1 for name in others)
    assert hosts.program("--check", "--executor", executor).code == 0


def test_two_runs_at_one_host_change_it_once(hosts: Site, cluster: str) -> None:
    hosts.inventory({"mail01": "ansible_winrm_operation_timeout_sec: 60, ansible_winrm_read_timeout_sec: 90"})
    hosts.slow("mail01", 55.0)
    words = ("--yes", "--format", "json", "-l", "mail01", "--executor", cluster)
    first = hosts.program.started(*words)
    until(lambda: hosts.started("mail01") == 1)
    second = hosts.program(*words)
    assert (second.code, statuses(second)) == (7, {"mail01": "held"}), second.err
    hosts.hosts["mail01"].mishaps.clear()
    ended = finished(first)
    assert (ended.code, statuses(ended)) == (0, {"mail01": "changed"}), ended.err
    assert hosts.started("mail01") == 1


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_ends_within_seconds_with_a_true_report(hosts: Site, executor: str, times: int) -> None:
    assert_told_from_the_journal(hosts, executor, times=times)


def test_ctrl_c_ends_threads_with_the_same_report(hosts: Site) -> None:
    assert_told_from_the_journal(hosts, "threads", times=1)


def assert_told_from_the_journal(hosts: Site, executor: str, *, times: int) -> None:
    hosts.slow("mail01", LONG)
    process = hosts.program.started("--yes", "--format", "json", "--executor", executor, "--forks", "1")
    until(lambda: hosts.started("mail01") == 1)
    for _ in range(times):
        process.send_signal(signal.SIGINT)
        time.sleep(0.1)
    ended = finished(process)
    found = statuses(ended)
    assert ended.code == 130, ended.err
    assert found["mail01"] == "unknown"
    (cut,) = ended.document()["hosts"]["mail01"]["resources"]
    assert (cut["address"], cut["status"]) == ("service:RemoteRegistry", "unknown")
    assert "the run was stopped while StartService was under way" in cut["error"]["what"]
    assert {found[name] for name in hosts.hosts if name != "mail01"} == {"skipped"}
    assert sum(hosts.started(name) for name in hosts.hosts) == 1


def test_a_wrong_password_is_tried_twice_over_all_workers(hosts: Site, cluster: str) -> None:
    text = (hosts.program.folder / "inventory/hosts.yml").read_text()
    hosts.program.write("inventory/hosts.yml", text.replace("ansible_password: ", "ansible_password: not-"))
    ended = hosts.program("--check", "--format", "json", "--executor", cluster)
    codes = sorted(result["error"]["code"] for result in ended.document()["hosts"].values())
    assert codes == ["login-not-tried"] * 4 + ["login-refused"] * 2
    assert sum(host.log.refused_logins for host in hosts.hosts.values()) == 2


def test_mistakes_of_a_host_are_told_as_threads_tell_them(hosts: Site, cluster: str) -> None:
    hosts.inventory({"mail02": "converge_password_command: /bin/false", "mail03": "ansible_connection: ssh"})
    ended = hosts.program("--check", "--format", "json", "--executor", cluster)
    found = statuses(ended)
    assert (found["mail01"], found["mail02"], found["mail03"]) == ("changed", "unreachable", "skipped")
    assert ended.document()["hosts"]["mail02"]["error"]["code"] == "password-unavailable"


def test_what_other_hosts_hold_is_not_sent(hosts: Site, cluster: str) -> None:
    text = (
        "- hosts: all\n  name: p\n  resources:\n    - service: {name: \"{{ hostvars['mail01'].x }}\", running: true}\n"
    )
    hosts.program.write("playbooks/registry.yml", text)
    ended = hosts.program("--check", "--executor", cluster)
    assert ended.code == 1
    assert "hostvars" in ended.err
    assert not any(host.log.records for host in hosts.hosts.values())


def test_words_that_name_no_executor_are_1(hosts: Site) -> None:
    gone = ("processes:2", "dask://127.0.0.1:8786", "dask+insecure://127.0.0.1:8786")
    for words in (*gone, "process", "dask:0", "dask+tls://host", "threads:2"):
        ended = hosts.program("--check", "--executor", words)
        assert ended.code == 1, words
        assert "executor" in ended.err
    assert json.loads(hosts.program("--check", "--format", "json", "--executor", "none").out)["errors"]
