"""How fast converge is beside a bare loop of the same requests and beside Ansible: `python -m tests.bench [FILE]`.

Figures are to be read as ratios within one run: the machine is whatever it is.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tests.bench.answering import ADDRESS, PASSWORD, USER
from tests.bench.processes import ROOT, Answerers, Used, measured

BENCH = Path(__file__).parent
IMAGE = "iis4-smtp-healthy"
FORKS = 50
STAND_IN = ROOT.parent / "shared" / "bench"
ANSIBLE = Path.home() / ".cache" / "converge-bench" / "venv"
ROW = "| {} | {} | {} | {} | {:.1f} | {:.1f} | {} | {} | {:.1f} | {:.0f} | {:.2f} | {:.1f} |"
HEAD = (
    "| what | login | hosts | latency ms | hosts/s | CPU ms/host | × bare loop | peak MB | requests/host | KB/host "
    "| first result s | answering CPU ms/host |",
    "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
)


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement."""

    what: str
    login: str
    hosts: int
    latency: int
    used: Used
    requests: float
    size: float
    answering: float
    beside: float = 0.0

    @property
    def cpu(self) -> float:
        """Milliseconds for each host, start-up of the process included."""
        return self.used.cpu / self.hosts * 1000

    def __str__(self) -> str:
        ratio = f"{self.cpu / self.beside:.2f}" if self.beside else ""
        memory = f"{self.used.memory:.0f}" if self.used.memory else ""
        rate = self.hosts / self.used.wall
        return ROW.format(
            self.what, self.login, self.hosts, self.latency, rate, self.cpu, ratio, memory, self.requests,
            self.size / 1024, self.used.first, self.answering,
        )  # fmt: skip


class Bench:
    """The answering processes, a folder to work in, and the rows so far."""

    def __init__(self, answerers: Answerers, folder: Path) -> None:
        self._answerers = answerers
        self._folder = folder
        self.rows: list[Row] = []

    def converge(self, login: str, hosts: int, latency: int, *, memory: bool = False, beside: float = 0.0) -> Row:
        """`converge --check` of the 22 resources."""
        inventory = self._inventory(login, hosts)
        program = [sys.executable, "-m", "converge.cli.main", "run", "--check", "--forks", str(FORKS)]
        command = [*program, "-i", str(inventory), str(BENCH / "checks.yml")]
        row = self._row("converge --check", login, hosts, latency, command, memory=memory, beside=beside)
        if row.used.code != 0:
            raise SystemExit(f"converge ended with {row.used.code}:\n{row.used.output[-3000:]}")
        return row

    def bare(self, login: str, hosts: int, latency: int, *, requests: int) -> Row:
        """A loop of as many of the same requests."""
        client = {"basic": "requests", "ntlm": "pywinrm"}[login]
        endpoints, questions = self._folder / "endpoints.json", self._folder / "questions"
        endpoints.write_text(json.dumps([f"http://{ADDRESS}:{self._port(host)}/wsman" for host in range(hosts)]))
        asked = {line for told in self._answerers.tell("questions") for line in told["questions"]}
        questions.write_text("\n".join(sorted(asked)))
        words = [client, str(endpoints), str(questions), str(requests), str(FORKS)]
        command = [sys.executable, "-m", "tests.bench.bare", *words]
        return self._row(f"bare {client} loop", login, hosts, latency, command)

    def _row(
        self, what: str, login: str, hosts: int, latency: int, command: Sequence[str], *, memory: bool = False,
        beside: float = 0.0,
    ) -> Row:  # fmt: skip
        self._answerers.tell(f"latency {latency / 1000}")
        before = sum(told["cpu"] for told in self._answerers.tell("reset"))
        environment = dict(os.environ, PYTHONPATH=str(ROOT))
        used = measured(command, folder=self._folder, environment=environment, memory=memory)
        told = self._answerers.tell("stats")
        questions = sum(each["questions"] for each in told) / hosts
        size = sum(each["received"] + each["sent"] for each in told) / hosts
        answering = (sum(each["cpu"] for each in told) - before) / hosts * 1000
        row = Row(what, login, hosts, latency, used, questions, size, answering, beside)
        self.rows.append(row)
        print(row, flush=True)  # noqa: T201  # it is what this program is for
        return row

    def _port(self, host: int) -> int:
        return int(self._answerers.ports[host % len(self._answerers.ports)])

    def _inventory(self, login: str, hosts: int) -> Path:
        path = self._folder / f"{login}-{hosts}.yml"
        lines = ["all:", "  vars:", f"    ansible_host: {ADDRESS}", "    ansible_connection: winrm"]
        lines += [f"    ansible_user: {USER}", f"    ansible_password: {PASSWORD!r}", "    ansible_winrm_scheme: http"]
        lines += [f"    ansible_winrm_transport: {login}"]
        lines += ["    ansible_winrm_message_encryption: never"] if login == "basic" else []
        lines += ["  hosts:", *(f"    win{host:05d}: {{ansible_port: {self._port(host)}}}" for host in range(hosts))]
        path.write_text("\n".join(lines) + "\n")
        return path


def compare(bench: Bench, *, sizes: Iterable[int], latencies: Iterable[int], logins: Iterable[str]) -> None:
    """Converge and the bare loop side by side, once for each size and latency."""
    for login in logins:
        bench.converge(login, 4, 0)  # every question is answered once by the lab before anything counts
        bench.rows.pop()
        for hosts in sizes:
            for latency in latencies if hosts <= 200 else (0,):
                first = bench.converge(login, hosts, latency)
                bare = bench.bare(login, hosts, latency, requests=round(first.requests))
                bench.rows.remove(first)
                bench.rows.append(replace(first, beside=bare.cpu))
            bench.converge(login, hosts, 0, memory=True, beside=0.0)


def ansible(bench: Bench, *, hosts: int) -> None:
    """ansible-core with ansible.windows against the stand-in, which answers its modules at once. Left out where either is missing."""
    program = ANSIBLE / "bin" / "ansible-playbook"
    if not program.exists() or not STAND_IN.exists():
        print(f"no Ansible at {ANSIBLE}, or no {STAND_IN}: left out")  # noqa: T201
        return
    stub = subprocess.Popen(
        [str(ANSIBLE / "bin" / "python"), str(STAND_IN / "stub_winrm.py")],
        stdout=subprocess.PIPE,
        env=dict(os.environ, PYTHONDONTWRITEBYTECODE="1"),
    )
    try:
        assert stub.stdout
        assert stub.stdout.readline().startswith(b"ready")
        for login in ("basic", "ntlm"):
            for book in ("q245208.yml", "q245208_oneshot.yml"):
                bench.rows.append(_played(book, login, hosts))
                print(bench.rows[-1], flush=True)  # noqa: T201
    finally:
        stub.terminate()
        stub.wait(timeout=10)


def _played(book: str, login: str, hosts: int) -> Row:
    with tempfile.TemporaryDirectory() as folder:
        inventory = Path(folder) / "inventory.yml"
        told = subprocess.run(
            [sys.executable, str(STAND_IN / "gen_inventory.py"), str(hosts), f"winrm-{login}"],
            capture_output=True, check=True, text=True, timeout=30,
        )  # fmt: skip
        inventory.write_text(told.stdout)
        words = ["-i", str(inventory), "-f", "20", str(STAND_IN / book), "--check"]
        environment = {"PATH": f"{ANSIBLE}/bin:/usr/bin:/bin", "HOME": folder, "LANG": "C.UTF-8"}
        used = measured(
            [str(ANSIBLE / "bin" / "ansible-playbook"), *words], folder=Path(folder), environment=environment
        )
    if used.code != 0:
        raise SystemExit(used.output[-3000:])
    return Row(f"ansible {book}", login, hosts, 0, used, 0.0, 0.0, 0.0)


def main() -> None:
    """Measure, print a table, and write it where wanted."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("file", nargs="?", type=Path, help="write the table there too")
    parser.add_argument("--hosts", default="20,200,1000", help="fleets to measure")
    parser.add_argument("--latency", default="0,20,100", help="milliseconds, for fleets of up to 200 hosts")
    parser.add_argument("--logins", default="basic,ntlm")
    parser.add_argument("--large", action="store_true", help="5,000 hosts too")
    parser.add_argument("--ansible", type=int, default=20, metavar="HOSTS", help="0 leaves Ansible out")
    given = parser.parse_args()
    sizes = [int(word) for word in given.hosts.split(",")] + ([5000] if given.large else [])
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="converge-bench-") as folder:
        with Answerers(2, image=IMAGE) as answerers:
            bench = Bench(answerers, Path(folder))
            print("\n".join(HEAD))  # noqa: T201
            latencies = [int(word) for word in given.latency.split(",")]
            compare(bench, sizes=sizes, latencies=latencies, logins=given.logins.split(","))
            if given.ansible:
                ansible(bench, hosts=given.ansible)
    lines = [*HEAD, *(str(row) for row in bench.rows), "", f"Measured in {time.monotonic() - began:.0f} s."]
    if given.file:
        given.file.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
