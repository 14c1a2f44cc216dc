"""A check of 22 resources measured on fleets of many sizes, beside bare loops of the same requests."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from tests.bench.answering import ADDRESS, PASSWORD, USER
from tests.bench.processes import ROOT, Answerers, measured
from tests.bench.rows import Row

BENCH = Path(__file__).parent
IMAGE, DRIFTED = "iis4-smtp-healthy", "iis4-smtp-broken"
FORKS = 50
SLOW = 1.0  # seconds that a slow host takes for each answer
CLIENTS = {"basic": ("requests", "aiohttp-basic"), "ntlm": ("pywinrm", "aiohttp-ntlm")}


class Bench:
    """The answering processes, a folder to work in, and the rows so far, each told as it comes."""

    def __init__(self, answerers: Answerers, folder: Path) -> None:
        self._answerers = answerers
        self._folder = folder
        self.rows: list[Row] = []

    def warm(self, login: str) -> Row:
        """Every question is answered once by the lab of each process, before anything counts."""
        return self.converge(login, len(self._answerers.ports), 0)

    def compare(self, login: str, hosts: int, latency: int) -> None:
        """Converge and the bare loop that is usual for this login, side by side."""
        ours = self.converge(login, hosts, latency)
        bare = self.bare(CLIENTS[login][0], login, hosts, latency, requests=round(ours.requests))
        self.tell(replace(ours, beside=bare.cpu))
        self.tell(bare)

    def streamed(self, login: str, hosts: int, *, form: str) -> None:
        """How much memory it takes, and when the first result is there, where results are told as they come."""
        row = self.converge(login, hosts, 0, form=form, memory=True)
        first = row.used.first if form != "text" else 0.0
        self.tell(replace(row, what=f"converge --check --format {form}", first=first))

    def converge(self, login: str, hosts: int, latency: int, *, form: str = "text", memory: bool = False) -> Row:
        """`converge --check` of the 22 resources."""
        inventory = self.inventory(login, hosts)
        words = [*_CHECK, "--format", form, "-i", str(inventory), str(BENCH / "checks.yml")]
        command = [sys.executable, "-m", "converge.cli.main", *words]
        row = self._row("converge --check", login, hosts, latency, command, memory=memory)
        if row.used.code != 0:
            raise SystemExit(f"converge ended with {row.used.code}:\n{row.used.output[-3000:]}")
        return row

    def bare(self, client: str, login: str, hosts: int, latency: int, *, requests: int) -> Row:
        """A loop of as many of the same requests."""
        endpoints, questions = self._folder / "endpoints.json", self._folder / "questions"
        of_process = [told["questions"] for told in self._answerers.tell("questions")]
        questions.write_text(json.dumps(of_process))
        each = len(self._answerers.ports) // len(of_process)
        ports = [(self._port(host), host % len(self._answerers.ports) // each) for host in range(hosts)]
        urls = [(f"http://{ADDRESS}:{port}/wsman", process) for port, process in ports]
        endpoints.write_text(json.dumps(urls))
        words = [client, str(endpoints), str(questions), str(requests), str(FORKS)]
        row = self._row(
            f"bare {client} loop", login, hosts, latency, [sys.executable, "-m", "tests.bench.bare", *words]
        )
        if row.used.code != 0:
            raise SystemExit(f"the bare loop ended with {row.used.code}:\n{row.used.output[-3000:]}")
        return row

    def answering_alone(self, login: str, hosts: int, *, requests: int) -> None:
        """How fast the answering side is, asked by the leanest client at hand: no row below may come near to it."""
        row = self.bare(CLIENTS[login][1], login, hosts, 0, requests=requests)
        self.tell(replace(row, what=f"answering side alone ({CLIENTS[login][1]})"))

    def engine(self, hosts: int) -> None:
        """Parse, plan, compare and report, with hosts that answer from memory. Start-up is taken off by a smaller fleet."""
        small = max(1, hosts // 10)
        used = {}
        for number in (small, hosts):
            words = [*_CHECK, "-i", str(self.inventory("basic", number)), str(BENCH / "checks.yml")]
            command = [sys.executable, "-m", "tests.bench.engine", IMAGE, *words]
            used[number] = measured(command, folder=self._folder, environment=_environment())
            if used[number].code != 0:
                raise SystemExit(f"the engine ended with {used[number].code}:\n{used[number].output[-3000:]}")
        more = replace(
            used[hosts], cpu=max(used[hosts].cpu - used[small].cpu, 0.0), wall=used[hosts].wall - used[small].wall
        )
        self.tell(Row("engine without the wire, start-up taken off", "", hosts - small, 0, more))

    def population(self, login: str, hosts: int) -> None:
        """A fleet with dead, silent, slow, denied and drifting members. Raises SystemExit where one is told wrongly."""
        with Answerers(1, image=DRIFTED) as drifted, Answerers(1, image=IMAGE) as slow, silence() as silent:
            slow.tell(f"latency {SLOW}")
            members = _members(hosts)
            ports = {"drifting": drifted.ports[0], "slow": slow.ports[0], "silent": silent, "dead": _closed_port()}
            lines = [
                f"    {kind}{number:05d}: {{ansible_port: {ports.get(kind, self._port(number))}"
                + (f", ansible_user: nobody{number}" if kind == "denied" else "")
                + "}"
                for number, kind in enumerate(members)
            ]
            inventory = self._written(f"population-{login}-{hosts}", login, lines)
            words = [*_CHECK, "--format", "json", "-i", str(inventory), str(BENCH / "checks.yml")]
            command = [sys.executable, "-m", "converge.cli.main", *words]
            row = self._row("mixed population", login, hosts, 0, command)
        told = json.loads(row.used.output)["hosts"]
        wrong = [host for host, result in told.items() if result["status"] != _EXPECTED[host.rstrip("0123456789")]]
        if wrong or len(told) != hosts:
            raise SystemExit(f"told wrongly: {', '.join(wrong)}\n{row.used.output[:3000]}")
        counts = ", ".join(f"{number} {kind}" for kind, number in Counter(members).items())
        self.tell(replace(row, what=f"mixed population ({counts})", first=row.used.first))

    def tell(self, row: Row) -> None:
        """Add a row to the table, and show it."""
        self.rows.append(row)
        print(row, flush=True)  # noqa: T201  # it is what this program is for

    def _row(
        self, what: str, login: str, hosts: int, latency: int, command: Sequence[str], *, memory: bool = False
    ) -> Row:
        self._answerers.tell(f"latency {latency / 1000}")
        before = sum(told["cpu"] for told in self._answerers.tell("reset"))
        used = measured(command, folder=self._folder, environment=_environment(), memory=memory)
        told = self._answerers.tell("stats")
        questions = sum(each["questions"] for each in told) / hosts
        size = sum(each["received"] + each["sent"] for each in told) / hosts
        answering = (sum(each["cpu"] for each in told) - before) / hosts * 1000
        return Row(what, login, hosts, latency, used, questions, size, answering)

    def _port(self, host: int) -> int:
        return int(self._answerers.ports[host % len(self._answerers.ports)])

    def inventory(self, login: str, hosts: int) -> Path:
        lines = (f"    win{host:05d}: {{ansible_port: {self._port(host)}}}" for host in range(hosts))
        return self._written(f"{login}-{hosts}", login, lines)

    def _written(self, name: str, login: str, hosts: Iterable[str]) -> Path:
        path = self._folder / f"{name}.yml"
        lines = ["all:", "  vars:", f"    ansible_host: {ADDRESS}", "    ansible_connection: winrm"]
        lines += [f"    ansible_user: {USER}", f"    ansible_password: {PASSWORD!r}", "    ansible_winrm_scheme: http"]
        lines += [f"    ansible_winrm_transport: {login}"]
        lines += ["    ansible_winrm_operation_timeout_sec: 3", "    ansible_winrm_read_timeout_sec: 5"]
        lines += ["    ansible_winrm_message_encryption: never"] if login == "basic" else []
        path.write_text("\n".join([*lines, "  hosts:", *hosts]) + "\n")
        return path


_CHECK = ("run", "--check", "--forks", str(FORKS))
_EXPECTED = {
    "fine": "ok", "slow": "ok", "drifting": "changed", "denied": "unreachable", "dead": "unreachable",
    "silent": "unreachable",
}  # fmt: skip


def _members(hosts: int) -> list[str]:
    """Of twenty hosts one is dead, one silent, one slow, one denied and two are drifting, spread over the fleet."""
    twenty = ["fine"] * 3 + ["dead", "fine", "fine", "drifting", "fine", "fine", "silent", "fine", "fine", "slow"]
    twenty += ["fine", "fine", "drifting", "fine", "denied", "fine", "fine"]
    return [twenty[number % len(twenty)] for number in range(hosts)]


def _environment() -> dict[str, str]:
    return dict(os.environ, PYTHONPATH=str(ROOT))


@contextmanager
def silence() -> Iterator[int]:
    """A port where connections are taken and nothing is ever said."""
    with socket.create_server((ADDRESS, 0), backlog=1024) as listening:
        yield listening.getsockname()[1]


def _closed_port() -> int:
    with socket.create_server((ADDRESS, 0)) as listening:
        return int(listening.getsockname()[1])
