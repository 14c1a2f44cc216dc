"""A scheduler and its workers as processes of their own, and simulated hosts behind sockets of the testing process."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from distributed import Security
from sqlalchemy import select
from tests.cli.cli_program import Program

from converge.lab.endpoint.host import EndpointPolicy, SimulatedHost
from converge.lab.endpoint.mishaps import Mishap, MishapKind
from converge.lab.endpoint.server import LabServer
from converge.lab.image import load_image
from converge.lab.world import LabAccount
from converge.model.names import fold
from converge.store.database import open_sqlite
from converge.store.tables import LEASES

USER, PASSWORD = "deploy", "Canary-7f3a9c-Sailcloth"
IMAGE = "exchange55-registry-stopped"
PATIENCE = 60.0
PLAYBOOK = """\
- name: Remote Registry runs
  hosts: all
  resources:
    - service: {name: RemoteRegistry, running: true, start_mode: automatic}
"""


@dataclass(slots=True)
class Site:
    """Simulated hosts that the program reaches as it reaches real ones, and what was sent to each."""

    program: Program
    hosts: dict[str, SimulatedHost] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)

    def inventory(self, settings: Mapping[str, str] | None = None) -> None:
        """Write it; `settings` are more variables of single hosts, as YAML."""
        more = dict(settings or {})
        lines = ["all:", "  vars:", "    ansible_host: 127.0.0.1", f"    ansible_user: {USER}"]
        lines += [f"    ansible_password: {PASSWORD}", "    ansible_winrm_scheme: http", "  hosts:"]
        lines += [
            f"    {name}: {{ansible_port: {port}{', ' + more[name] if name in more else ''}}}"
            for name, port in self.ports.items()
        ]
        self.program.write("inventory/hosts.yml", "\n".join(lines) + "\n")

    def started(self, name: str) -> int:
        """How often a host was asked to start the service."""
        return sum(record.method == "StartService" for record in self.hosts[name].log.records)

    def is_running(self, name: str) -> bool:
        """Whether the service runs, as the world itself tells."""
        found = self.hosts[name].world.service("RemoteRegistry")
        assert found is not None
        return str(found.state) == "running"

    def slow(self, name: str, seconds: float) -> None:
        """Let one host think before it starts a service, so long or until its mishaps are cleared."""
        self.hosts[name].mishaps.add(Mishap(MishapKind.DELAY, seconds, operation="Invoke", method="StartService"))


@contextmanager
def site(folder: Path, names: Sequence[str], *, policy: EndpointPolicy | None = None) -> Iterator[Site]:
    """A folder with a playbook, an inventory and these hosts."""
    found = Site(Program(folder))
    account = LabAccount(name=USER, password=PASSWORD)
    with LabServer() as server:
        for name in names:
            world = load_image(IMAGE, host_name=name)
            world.accounts = {fold(USER): account}
            found.hosts[name] = SimulatedHost(name, world, policy or EndpointPolicy())
        endpoints = server.start(list(found.hosts.values()))
        found.ports = {endpoint.name: endpoint.port for endpoint in endpoints}
        found.program.write("playbooks/registry.yml", PLAYBOOK)
        found.inventory()
        yield found


@dataclass(slots=True)
class Dask:
    """A scheduler and workers, each a process with a log of its own."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    scheduler: str = ""
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def executor(self) -> str:
        """What --executor takes."""
        return "dask+tls://" + self.scheduler.partition("://")[2]

    @property
    def login(self) -> dict[str, str]:
        """What the control node's environment must say to be let in."""
        prefix = "DASK_DISTRIBUTED__COMM__TLS__"
        names = {"CA_FILE": "cert.pem", "CLIENT__CERT": "cert.pem", "CLIENT__KEY": "key.pem"}
        return {prefix + name: str(self.folder / file) for name, file in names.items()}

    def begin(self) -> None:
        """Make certificates, and start the scheduler."""
        made = Security.temporary()  # type: ignore[no-untyped-call]  # of distributed
        (self.folder / "cert.pem").write_text(made.tls_client_cert)
        (self.folder / "key.pem").write_text(made.tls_client_key)
        file = self.folder / "scheduler.json"
        words = [
            "--host",
            "127.0.0.1",
            "--port",
            "0",
            "--no-dashboard",
            "--dashboard-address",
            "127.0.0.1:0",
            "--scheduler-file",
            str(file),
            "--protocol",
            "tls",
        ]
        self._start("scheduler", ["distributed.cli.dask_scheduler", *words, *self._tls])
        until(lambda: file.exists() and file.stat().st_size > 0)
        self.scheduler = json.loads(file.read_text())["address"]

    def worker(self, *, sites: Sequence[str] = ()) -> subprocess.Popen[bytes]:
        """Start a worker, and wait until it has registered."""
        resources = ["--resources", " ".join(f"site:{name}=1" for name in sites)] if sites else []
        words = [self.scheduler, *self._tls, "--no-nanny", "--nthreads", "1", "--host", "127.0.0.1", "--no-dashboard"]
        number = len(self._processes) - 1  # the scheduler is the first
        process = self._start(f"worker{number}", ["distributed.cli.dask_worker", *words, *resources])
        self.workers.append(process)
        until(lambda: b"Registered to:" in self.log(f"worker{number}"))
        return process

    @property
    def _tls(self) -> list[str]:
        cert, key = str(self.folder / "cert.pem"), str(self.folder / "key.pem")
        return ["--tls-ca-file", cert, "--tls-cert", cert, "--tls-key", key]

    def log(self, name: str) -> bytes:
        """What a process wrote."""
        return (self.folder / f"{name}.log").read_bytes()

    def whole(self, *, workers: int) -> None:
        """Have so many workers; of those that were there, whoever was killed is replaced."""
        self.workers = [process for process in self.workers if process.poll() is None]
        while len(self.workers) < workers:
            self.worker()

    def end(self) -> None:
        """End all of it."""
        for process in reversed(self._processes):
            if process.poll() is None:
                process.kill()
            process.wait(timeout=PATIENCE)

    def _start(self, name: str, words: Sequence[str]) -> subprocess.Popen[bytes]:
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("CONVERGE_", "DASK_"))}
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *words], cwd=self.folder, env=environment | self.environment,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        self._processes.append(process)
        return process


def until(holds: Callable[[], bool], *, seconds: float = PATIENCE) -> None:
    """Wait until something holds. Fails where it does not in time."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.02)


def owner(folder: Path, host: str) -> str:
    """Who holds the lease of a host; an empty text for nobody."""
    database = open_sqlite(folder / ".converge" / "converge.db", read_only=True)
    try:
        with database.reading() as connection:
            row = connection.execute(select(LEASES.c.holder, LEASES.c.owner).where(LEASES.c.host == host)).first()
    finally:
        database.close()
    return str(row.owner) if row is not None and row.holder is not None else ""


def kill_holder(folder: Path, host: str) -> int:
    """Kill the worker that is changing a host."""
    found = re.search(r"pid (\d+)", owner(folder, host))
    assert found is not None
    pid = int(found[1])
    assert pid != os.getpid()
    os.kill(pid, signal.SIGKILL)
    return pid
