"""`converge serve` as a process of its own, fleets for it to show, and requests to it as they stand on the wire."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from pathlib import Path
from urllib.parse import urlsplit

from tests.cli.cli_program import Program

from converge.model.change import Change, HostResult, Problem, Status
from converge.store.store import Store, Where

BOUND = 120.0  # seconds
ENDS_WITHIN = 45.0  # seconds: less than a minute, for which aiohttp would wait for those who are connected
TOKEN = "a-token-that-tests-know-7c1f0b"
PAGES = ("/", "/drift", "/changes", "/hosts", "/runs", "/enforcement")
HOSTILE = (
    "<script>document.title='broken'</script>.example",
    "\"><img src=x onerror=document.title='broken'>",
    "x\" onmouseover=\"document.title='broken'",
    "x' autofocus onfocus='document.title=1",
    "</main></body><script>document.title='broken'//",
    "\u202egpj.exe\u2066",
    "nul\0 esc\x1b[2J line\nend",
    "{{ 7 * 7 }}{% raw %}",
    "?name=a&status=ok#x%00%2e/../",
    "__proto__",
    "a" * 300,
    "דואר01",
    "👩‍💻🏴󠁧󠁢󠁥󠁮󠁧󠁿.example",
    "javascript:document.title='broken'",
)
LARGE = "<b>" + "x" * 1_000_000


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request got."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("utf-8")


@dataclass
class Served:
    """A running server."""

    process: subprocess.Popen[str]
    address: str
    errors: list[str] = field(default_factory=list)
    bearer: str = ""
    """The token that is sent where a request says nothing else."""

    @property
    def port(self) -> int:
        port = urlsplit(self.address).port
        assert port is not None
        return port

    def ask(self, path: str, *, method: str = "GET", body: str | None = None, **headers: str) -> Answer:
        """Send a request just as it is; underscores in names of headers are hyphens."""
        secure = self.address.startswith("https:")
        connection: HTTPConnection = (
            HTTPSConnection("127.0.0.1", self.port, timeout=BOUND, context=ssl._create_unverified_context())
            if secure
            else HTTPConnection("127.0.0.1", self.port, timeout=BOUND)
        )
        try:
            given = {name.replace("_", "-"): value for name, value in headers.items()}
            if self.bearer:
                given.setdefault("Authorization", f"Bearer {self.bearer}")
            connection.putrequest(method, path, skip_host="Host" in given, skip_accept_encoding=True)
            if body is not None:
                given |= {"Content-Type": "application/x-www-form-urlencoded", "Content-Length": str(len(body))}
            for name, value in given.items():
                connection.putheader(name, value)
            connection.endheaders(body.encode() if body is not None else None)
            return answered(connection.getresponse())
        finally:
            connection.close()

    def page(self, path: str) -> str:
        answer = self.ask(path)
        assert answer.status == 200, answer.text[:2000]
        return answer.text

    def raw(self, sent: bytes) -> bytes:
        """What comes back for these bytes, up to the end of the headers or until the other end hangs up."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=BOUND) as line:
            line.sendall(sent)
            found = b""
            with suppress(ConnectionError):
                while b"\r\n\r\n" not in found and (chunk := line.recv(65536)):
                    found += chunk
            return found


def answered(response: HTTPResponse) -> Answer:
    return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())


@contextmanager
def serving(program: Program, *words: str) -> Iterator[Served]:
    """A server in a folder, on a port that was free. At its end it must end in order.

    Where the program is given no token it is given one here, which requests then hold by themselves.
    """
    own = "CONVERGE_SERVE_TOKEN" in program.environment or "--token-file" in words
    program = program if own else replace(program, environment=program.environment | {"CONVERGE_SERVE_TOKEN": TOKEN})
    listen = () if "--listen" in words else ("--listen", "127.0.0.1:0")
    process = program.started("serve", *listen, *words)
    assert process.stdout is not None
    assert process.stderr is not None
    errors: list[str] = []
    reader = threading.Thread(target=lambda: errors.extend(process.stderr or ()), daemon=True)
    reader.start()
    try:
        line = process.stdout.readline()
        assert line, f"it did not come up: {errors}"
        yield Served(process, line.split()[0], errors, "" if own else TOKEN)
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(timeout=ENDS_WITHIN)
        finally:
            process.kill()
        reader.join(timeout=BOUND)
        process.stdout.close()
        process.stderr.close()
        assert process.returncode == 0, errors


def found(host: str, kind: int, *, data: str = "") -> HostResult:
    """What is told of a host: in order, drifting, out of reach or failed, by its number."""

    def change(status: Status, **more: object) -> Change:
        address = "registry_value:HKLM\\SOFTWARE\\<i>Vendor\\Path"
        before, after = {"type": "string", "data": data or "old <b>"}, {"type": "string", "data": "new"}
        return Change(address, {"kind": "registry_value"}, f"A name {data[:50]}", "p", status, before=before, after=after,
                      **more)  # type: ignore[arg-type]  # any field  # fmt: skip

    if kind % 4 == 1:
        return HostResult(host, Status.CHANGED, (change(Status.CHANGED, reason="because </td><b>"),), seconds=0.5)
    if kind % 4 == 2:
        error = Problem("unreachable", f"no answer of {host} <b>", "why", f"converge doctor {host}")
        return HostResult(host, Status.UNREACHABLE, error=error)
    if kind % 4 == 3:
        problem = Problem("action-refused", "access denied <b>", "why", "try")
        return HostResult(host, Status.FAILED, (change(Status.FAILED, error=problem),))
    return HostResult(host, Status.OK, (change(Status.OK),))


def fill(folder: Path, hosts: Sequence[str], *, runs: int = 3, data: str = "") -> None:
    """Runs over these hosts, each host of another kind in each run."""
    with Store.open(Where(folder)) as store:
        for number in range(runs):
            name = f"2026-11-{number % 27 + 1:02}T000000Z-{number:04x}"
            run = store.runs.begin(name, mode="check", playbooks=["p<b>.yml"], user="<u>\u202e", version="1")
            for place, host in enumerate(hosts):
                run.host(found(host, place + number, data=data))
            run.end(2)
