"""A Windows with a WinRM host before it, and converge to run against it as its users do."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.cli.cli_program import FORKED
from tests.wine.agent import Agent
from tests.wine.bench import PROGRAM, Bench
from tests.wine.host import Logged, WineHost
from tests.wine.prefix import Prefix, Unavailable, be_windows_10, boot, compiled, provide_tools

USER, PASSWORD = "Administrator", "Correct horse 1!"
RUN_SECONDS = 240


@pytest.fixture(scope="session")
def cache(request: pytest.FixtureRequest) -> Path:
    """Where compiled programs are kept from one session to the next."""
    return Path(request.config.cache.mkdir("wine"))


@pytest.fixture(scope="session")
def prefix(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Iterator[Prefix]:
    """A booted Windows with a drive D:, shared by the tests."""
    try:
        provide_tools()
        booted = boot(tmp_path_factory.mktemp("wine") / "prefix", cache)
    except Unavailable as error:
        pytest.skip(f"no Wine here: {error}")
    booted.map_drive("d", booted.folder / "drive_d")
    yield booted
    booted.end()


@pytest.fixture(scope="session")
def service_program(cache: Path, prefix: Prefix) -> Path:
    """The service program that behaves as it is told."""
    return compiled("service", cache)


@pytest.fixture(scope="session")
def windows(prefix: Prefix) -> Iterator[Agent]:
    """The Windows itself, to set things up and to see what is really there; it keeps the session from ending."""
    agent = prefix.new_agent()
    be_windows_10(agent)
    yield agent
    agent.close()


@pytest.fixture(scope="session")
def accounts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The accounts that may log in by NTLM, in the form its acceptor reads."""
    path = tmp_path_factory.mktemp("accounts") / "ntlm"
    path.write_text(f":{USER}:{PASSWORD}\nWINE:{USER}:{PASSWORD}\n")
    return path


@pytest.fixture
def bench(windows: Agent, service_program: Path) -> Iterator[Bench]:
    """The services of one test."""
    if not windows.exists(r"C:\services"):
        windows.make_folder(r"C:\services")
        windows.write_file(PROGRAM, service_program.read_bytes())
    made = Bench(windows)
    yield made
    made.clear()


HostMaker = Callable[..., WineHost]


@pytest.fixture
def new_host(prefix: Prefix, windows: Agent, accounts: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HostMaker]:
    """Makes hosts before that Windows; ends them with the test."""
    monkeypatch.setenv("NTLM_USER_FILE", str(accounts))
    hosts: list[WineHost] = []

    def make(*, basic: bool = True, **settings: Any) -> WineHost:
        host = WineHost(prefix.new_agent, username=USER, password=PASSWORD, basic=basic, **settings)
        host.start()
        hosts.append(host)
        return host

    yield make
    for host in hosts:
        host.close()


@pytest.fixture
def host(new_host: HostMaker) -> WineHost:
    """A host that takes Basic and plain messages."""
    return new_host()


@dataclass(frozen=True)
class Result:
    """What a run of converge came to, and the requests it sent."""

    exit_code: int
    text: str
    complaint: str
    requests: tuple[Logged, ...]

    @property
    def document(self) -> dict[str, Any]:
        """The result as JSON."""
        return dict(json.loads(self.text))

    @property
    def resources(self) -> list[dict[str, Any]]:
        """What became of each resource of the host."""
        return list(self.document["hosts"]["wine"]["resources"])

    def of(self, status: str) -> list[str]:
        """The addresses of the resources with a status."""
        return [resource["address"] for resource in self.resources if resource["status"] == status]

    @property
    def writes(self) -> list[Logged]:
        """The requests that can have changed something."""
        return [request for request in self.requests if not request.reads]


@dataclass
class Converge:
    """Runs converge in a folder of its own, with the inventory of one host."""

    folder: Path
    host: WineHost
    variables: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        transport = {"ansible_winrm_transport": "basic", "ansible_winrm_message_encryption": "never"}
        ntlm = {"ansible_winrm_transport": "ntlm"}
        self.variables = {
            "ansible_connection": "winrm",
            "ansible_host": "127.0.0.1",
            "ansible_port": self.host.port,
            "ansible_winrm_scheme": "http",
            "ansible_user": self.host.username,
            "ansible_password": self.host.password,
            **(transport if self.host.basic else ntlm),
            **self.variables,
        }

    def run(self, playbook: str | Path, *arguments: str, groups: tuple[str, ...] = ()) -> Result:
        """Run a playbook, given as text or as a file, and log what the host was asked."""
        return self._ended(*arguments, str(self._played(playbook)), groups=groups)

    def started(self, playbook: str | Path, *arguments: str, groups: tuple[str, ...] = ()) -> subprocess.Popen[str]:
        """The process of a run that was just started."""
        return subprocess.Popen(
            [
                sys.executable,
                "-m",
                "converge.cli.main",
                *self._words(*arguments, str(self._played(playbook)), groups=groups),
            ],
            cwd=self.folder,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def undo(self, run: str, *arguments: str) -> Result:
        """`converge undo RUN --yes --format json`."""
        return self._ended("undo", "--yes", "--format", "json", *arguments, run)

    def _played(self, playbook: str | Path) -> Path:
        if isinstance(playbook, Path):
            return playbook
        path = self.folder / "play.yml"
        path.write_text(playbook, encoding="utf-8")
        return path

    def _words(self, *words: str, groups: tuple[str, ...] = ()) -> list[str]:
        """The command line, with the inventory that it names written."""
        children: dict[str, Any] = {group: {"hosts": {"wine": {}}} for group in groups}
        inventory = {"all": {"hosts": {"wine": self.variables}, "children": children}}
        (self.folder / "inventory.yml").write_text(json.dumps(inventory))
        command, *rest = words
        first = [command] if command == "undo" else []
        return [*first, "-i", "inventory.yml", *(rest if first else words)]

    def _environment(self) -> dict[str, str]:
        return {name: value for name, value in os.environ.items() if name != "NTLM_USER_FILE"} | {"NO_COLOR": "1"}

    def _ended(self, *words: str, groups: tuple[str, ...] = ()) -> Result:
        begun = len(self.host.log)
        line = self._words(*words, groups=groups)
        ended = FORKED.run(line, cwd=self.folder, env=self._environment(), stdin="", timeout=RUN_SECONDS)
        return Result(*ended, tuple(self.host.log[begun:]))

    @property
    def runs(self) -> list[str]:
        """The runs that changed the host, oldest first, as the journal holds them."""
        with closing(sqlite3.connect(self.folder / ".converge" / "converge.db")) as file:
            return [run for (run,) in file.execute("SELECT run FROM journal GROUP BY run ORDER BY min(number)")]

    def check(self, playbook: str | Path, *arguments: str, groups: tuple[str, ...] = ()) -> Result:
        """`converge --check --format json`; whatever the outcome, nothing that could change the host was sent."""
        result = self.run(playbook, "--check", "--format", "json", *arguments, groups=groups)
        assert result.writes == [], f"a check sent {result.writes}"
        return result

    def apply(self, playbook: str | Path, *arguments: str, groups: tuple[str, ...] = ()) -> Result:
        """`converge --yes --format json`."""
        return self.run(playbook, "--yes", "--format", "json", *arguments, groups=groups)


@pytest.fixture
def converge(tmp_path: Path, host: WineHost) -> Converge:
    """converge with the inventory of the host."""
    return Converge(tmp_path, host)
