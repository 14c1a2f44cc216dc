"""The daemon as a process, before hosts of this process: signals, refused logins, restarts, a second daemon, a store that is away."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.cli.cli_program import PLAYBOOK, Program

from converge.lab.endpoint.host import EndpointPolicy, SimulatedHost
from converge.lab.endpoint.mishaps import Mishap, MishapKind
from converge.lab.endpoint.server import LabServer
from converge.lab.image import load_image
from converge.model.facts import ServiceState

HOSTS = ("mail01", "mail02", "mail03", "mail04")
LOCKS_AFTER = 3
BOUND = 120.0  # seconds: real processes and real time, on machines that do other things as well
ENFORCE = "version: 1\ngroups:\n  all: {mode: enforce, cadence: 10s, splay: 0, grace: %s, quarantine_after: 2}\n"


@dataclass
class Site:
    """Hosts that listen on loopback, and a folder from which they are enforced."""

    program: Program
    hosts: dict[str, SimulatedHost]
    ports: dict[str, int]
    account: str
    password: str
    daemons: list[Daemon] = field(default_factory=list)

    def inventory(self, *, password: str) -> None:
        lines = [f"    {name}: {{ansible_host: 127.0.0.1, ansible_port: {port}}}" for name, port in self.ports.items()]
        variables = {
            "ansible_user": self.account, "ansible_password": password, "ansible_winrm_transport": "ntlm",
            "ansible_winrm_scheme": "http",
        }  # fmt: skip
        self.program.write(
            "inventory/hosts.yml", f"all:\n  vars: {json.dumps(variables)}\n  hosts:\n" + "\n".join(lines) + "\n"
        )

    def policy(self, *, grace: str = "0") -> None:
        self.program.write("policy.yml", ENFORCE % grace)

    def once(self, *more: str) -> Any:
        return self.program("enforce", "--policy", "policy.yml", "--once", *more)

    def daemon(self) -> Daemon:
        process = self.program.started("enforce", "--policy", "policy.yml", "--port", "0")
        made = Daemon(process)
        self.daemons.append(made)
        return made

    def refused(self) -> int:
        return sum(host.log.refused_logins for host in self.hosts.values())

    def stop_services(self) -> None:
        for host in self.hosts.values():
            with host.world.lock:
                record = host.world.service("RemoteRegistry")
                assert record is not None
                record.state = ServiceState.STOPPED

    def running(self) -> list[str]:
        found = []
        for name, host in self.hosts.items():
            record = host.world.service("RemoteRegistry")
            assert record is not None
            if record.state is ServiceState.RUNNING:
                found.append(name)
        return found


class Daemon:
    """A daemon and what it says."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.lines.extend(iter(self.process.stdout.readline, ""))

    def says(self, words: str, *, times: int = 1, within: float = 300.0) -> str:
        found: str = until(
            lambda: next((line for line in self.lines if words in line), "") if self._count(words) >= times else "",
            within=within, what=lambda: f"it never said {words!r}: {''.join(self.lines)}",
        )  # fmt: skip
        return found

    def _count(self, words: str) -> int:
        return sum(words in line for line in self.lines)

    @property
    def port(self) -> int:
        found = re.search(r"127\.0\.0\.1:(\d+)", self.says("/metrics"))
        assert found is not None
        return int(found[1])

    def health(self) -> tuple[int, Any]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=BOUND) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def metrics(self) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=BOUND) as answer:
            text: str = answer.read().decode()
            return text

    def rounds(self) -> float:
        """How many rounds it has made."""
        return sum(
            float(each) for each in re.findall(r"(?m)^converge_enforce_rounds_total\{.*\} (\S+)$", self.metrics())
        )

    def terminate(self) -> None:
        """Tell it to end, and wait until it has."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=BOUND)
        self._reader.join(timeout=BOUND)
        assert self.process.returncode == 0


def until(asked: Callable[[], Any], *, within: float, what: Callable[[], str] = lambda: "it never came true") -> Any:
    deadline = time.monotonic() + within
    while not (found := asked()):
        assert time.monotonic() < deadline, what()
        time.sleep(0.05)
    return found


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    program = Program(tmp_path)
    program.write("playbooks/registry.yml", PLAYBOOK)
    with LabServer() as server:
        hosts = {
            name: SimulatedHost(
                name, load_image("exchange55-registry-stopped", host_name=name), EndpointPolicy(lock_out_after=LOCKS_AFTER)
            )
            for name in HOSTS
        }
        ports = {name: int(server.start([host])[0].url.rsplit(":", 1)[1].split("/")[0]) for name, host in hosts.items()}
        account = next(iter(hosts["mail01"].world.accounts.values()))
        made = Site(program, hosts, ports, account.name, account.password)
        made.inventory(password=made.password)
        made.policy()
        yield made
        for daemon in made.daemons:
            daemon.process.kill()
            daemon.process.communicate(timeout=BOUND)


def test_a_wrong_password_is_not_tried_until_it_locks_the_account(site: Site) -> None:
    site.inventory(password="wrong")
    daemon = site.daemon()
    daemon.says("could not be checked: mail[01-04]")
    until(lambda: daemon.rounds() >= 2, within=BOUND)
    assert daemon.health() == (503, {"healthy": False})
    assert site.refused() == 2, "as many as one run tries, however many rounds there are"
    told = daemon.metrics()
    assert "converge_enforce_refused_logins 2.0" in told
    assert not [word for word in (site.account, "127.0.0.1", "refused the login") if word.lower() in told.lower()]
    daemon.process.send_signal(signal.SIGHUP)
    daemon.says("could not be checked", times=2)
    until(lambda: site.refused() == 4, within=BOUND)
    site.inventory(password=site.password)
    daemon.says("repaired: 4 changed")
    until(lambda: daemon.health()[0] == 200, within=BOUND)
    assert site.running() == list(HOSTS), "no account was locked"
    daemon.terminate()
    assert site.password not in "".join(daemon.lines)


def test_rounds_of_a_scheduler_do_not_lock_an_account_either(site: Site) -> None:
    site.inventory(password="wrong")
    for _ in range(4):
        assert "not tried" in site.once().out
    assert site.refused() == 2
    site.inventory(password=site.password)
    assert "not tried again" in site.once().out
    assert "repaired: 4 changed" in site.once("--retry-logins").out


def test_sigterm_in_the_middle_of_an_action_waits_for_it_and_begins_nothing_more(site: Site) -> None:
    for host in site.hosts.values():
        host.mishaps.add(Mishap(MishapKind.DELAY, 4.0, operation="Invoke", method="StartService", times=1))
    daemon = site.daemon()
    until(lambda: any(r.method == "StartService" for h in site.hosts.values() for r in h.log.records), within=BOUND)
    assert daemon.health() == (200, {"healthy": True}), "a round under way is no bad health"
    assert 'converge_enforce_round_running{group="all"} 1.0' in daemon.metrics()
    daemon.terminate()
    runs = site.program("runs").out
    newest = runs.splitlines()[1].split()[0]
    shown = site.program("runs", newest).out
    assert "unknown" not in shown
    assert "still open" not in shown
    asked = {name: sum(not r.reads for r in host.log.records) for name, host in site.hosts.items()}
    time.sleep(1)
    assert asked == {name: sum(not r.reads for r in host.log.records) for name, host in site.hosts.items()}
    assert site.once().code == 0
    assert site.program("--check").code == 0


def test_grace_and_quarantine_outlast_the_process(site: Site) -> None:
    site.policy(grace="1h")
    assert "in its grace period" in site.once().out
    assert site.running() == []
    site.policy(grace="1s")
    # The drift is as old as when it was first seen: were it new to each process, it would never be repaired.
    until(lambda: "repaired: 4 changed" in site.once().out, within=BOUND)
    site.policy()
    site.stop_services()
    assert "repaired: 4 changed" in site.once().out
    site.stop_services()
    third = site.once().out
    assert "QUARANTINED mail01 service:RemoteRegistry" in third
    assert " repaired: " not in third
    assert "quarantined: mail[01-04]" in site.once().out
    assert site.running() == []
    assert site.program("enforce", "--release", "mail02=service:RemoteRegistry").code == 0
    assert "repaired: 1 changed" in site.once().out
    assert site.running() == ["mail02"]


def test_two_at_once_leave_the_round_to_one(site: Site) -> None:
    for host in site.hosts.values():
        host.mishaps.add(Mishap(MishapKind.DELAY, 1.0, times=6))
    daemon = site.daemon()
    until(lambda: 'converge_enforce_round_running{group="all"} 1.0' in daemon.metrics(), within=BOUND)
    other = site.once()
    assert other.code == 7
    assert "another process makes this round" in other.out
    daemon.says("repaired: 4 changed")


def test_a_store_that_is_away_for_a_while_is_bad_health_and_nothing_worse(site: Site) -> None:
    daemon = site.daemon()
    daemon.says("repaired: 4 changed")
    daemon.says("looked: 4 ok")
    state = site.program.folder / ".converge"
    state.rename(site.program.folder / "away")
    state.write_text("in the way")
    site.stop_services()
    daemon.says("this round could not be completed")
    assert daemon.health()[0] == 503
    assert site.running() == []
    state.unlink()
    (site.program.folder / "away").rename(state)
    daemon.says("repaired: 4 changed", times=2)
    until(lambda: daemon.health()[0] == 200, within=BOUND)
    daemon.terminate()


def test_metrics_are_for_this_machine_alone(site: Site) -> None:
    daemon = site.daemon()
    port = f"{daemon.port:04X}"
    tables = [Path(f"/proc/{daemon.process.pid}/net/{name}") for name in ("tcp", "tcp6")]
    if not tables[0].exists():
        pytest.skip("this system does not tell who listens")
    listening = [
        line.split()[1]
        for table in tables
        if table.exists()
        for line in table.read_text().splitlines()
        if f":{port} " in line and line.split()[3] == "0A"
    ]
    assert listening == [f"0100007F:{port}"]
