"""Canaries: secrets put in wherever users put them, and looked for in everything converge says and leaves behind."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.cli.cli_program import BOUND, Program

from converge.lab.endpoint.host import EndpointPolicy, SimulatedHost
from converge.lab.endpoint.server import LabServer
from converge.lab.image import load_image
from converge.lab.world import LabAccount
from converge.model.names import fold
from converge.model.secret import Secret
from converge.runs.connections import connection_of
from converge.runs.options import Sources
from converge.runs.selection import select
from converge.windows.registry import parse_path
from converge.winrm.carrier import MessageCarrier
from converge.winrm.machine import WinRMMachine

PASSWORD = "CanaryPassword-4711"
WRONG = "CanaryWrong-4712"
VALUE = "CanaryValue-4713"
EARLIER = "CanaryEarlier-4714"
CONTENT = "CanaryContent-4715"
ALL = (PASSWORD, WRONG, VALUE, EARLIER, CONTENT)

PLAYBOOK = f"""\
- name: secrets
  hosts: all
  vars: {{token: {VALUE}}}
  resources:
    - name: a secret value
      sensitive: true
      registry_value: {{key: 'HKLM\\SOFTWARE\\Canary', name: Token, type: string, data: '{{{{ token }}}}'}}
    - name: a secret file
      sensitive: true
      file: {{path: 'C:\\canary.txt', content: {CONTENT}}}
    - name: a service
      service: {{name: SMTPSVC, running: true}}
"""
BUG = """
import sys
from converge.winrm import carrier
def broken(self, envelope, *, seconds):
    password = self._connection.password.reveal()
    raise ValueError(f"no {password} in {self._connection}") from KeyError(password)
carrier.MessageCarrier.send = broken
from converge.cli.main import main
main(sys.argv[1:])
"""


@dataclass
class Site:
    """A folder with a playbook and an inventory, and a host that this process serves."""

    program: Program
    port: int
    host: SimulatedHost

    def inventory(self, **settings: object) -> None:
        given = {
            "ansible_host": "127.0.0.1", "ansible_port": self.port, "ansible_winrm_scheme": "http",
            "ansible_connection": "winrm", "ansible_user": "canary", "ansible_password": PASSWORD, **settings,
        }  # fmt: skip
        self.program.write("inventory/hosts.yml", json.dumps({"all": {"hosts": {"web01": given}}}))

    def run(self, *words: str, bug: bool = False) -> tuple[int, str]:
        """Run the program; what it said must hold no canary, and neither may a file it left."""
        code, said = self._with_bug(words) if bug else self._plain(words)
        assert canaries_in(said.encode()) == [], said
        assert self.files_with_canaries() == {}
        return code, said

    def _plain(self, words: Sequence[str]) -> tuple[int, str]:
        ended = self.program(*words)
        return ended.code, ended.out + ended.err

    def _with_bug(self, words: Sequence[str]) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-c", BUG, *words], cwd=self.program.folder, env=self.program.env(), stdin=subprocess.DEVNULL,
            capture_output=True, timeout=BOUND, check=False,
        )  # fmt: skip
        return done.returncode, (done.stdout + done.stderr).decode()

    def files_with_canaries(self) -> dict[str, list[str]]:
        """Everything below the folder but what the user wrote; the .reg file keeps what was there before, as it must."""
        found = {}
        for base, _, names in os.walk(self.program.folder):
            for name in names:
                path = Path(base) / name
                place = path.relative_to(self.program.folder)
                if place.parts[0] in ("inventory", "playbooks"):
                    continue
                held = canaries_in(str(place).encode() + path.read_bytes())
                if path.suffix == ".reg":
                    held = [canary for canary in held if canary != EARLIER]
                if held:
                    found[str(place)] = held
        return found


def canaries_in(content: bytes) -> list[str]:
    """The canaries that stand in some bytes, in any spelling a program may give them by itself."""
    folded = content.lower()
    found = [
        canary
        for canary in ALL
        for spelling in (
            canary.encode(), canary.encode("utf-16-le"), base64.b64encode(canary.encode())[:-2], canary.encode().hex().encode(),
        )
        if spelling.lower() in folded
    ]  # fmt: skip
    return found + [canary for canary in ALL for core in cores_of(canary) if core in content]


def cores_of(canary: str) -> list[bytes]:
    """What base64 makes of a canary at the end of a longer text, as in USER:PASSWORD, whatever its length."""
    return [base64.b64encode(b"x" * length + canary.encode())[4:20] for length in range(3)]


@pytest.fixture
def site(program: Program) -> Iterator[Site]:
    world = load_image("exchange2003", host_name="LAB1")
    world.accounts[fold("canary")] = LabAccount(name="canary", password=PASSWORD)
    world.registry.create(parse_path(r"HKLM\SOFTWARE\Canary")).set("Token", number=1, data=EARLIER)
    host = SimulatedHost("web01", world, policy=EndpointPolicy(basic=True, allow_unencrypted=True))
    with LabServer() as server:
        (endpoint,) = server.start([host])
        made = Site(program, endpoint.port, host)
        program.write("playbooks/secrets.yml", PLAYBOOK)
        made.inventory()
        yield made


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(tmp_path)


VERBOSE = pytest.mark.parametrize("verbose", [(), ("-v",), ("-vv",), ("-vvv",)], ids=["", "-v", "-vv", "-vvv"])
FORMATS = pytest.mark.parametrize("form", [(), ("--format", "json"), ("-o", "out.txt")], ids=["text", "json", "file"])


@VERBOSE
@FORMATS
def test_check_apply_and_what_they_keep(site: Site, verbose: Sequence[str], form: Sequence[str]) -> None:
    code, said = site.run("--check", *verbose, *form)
    assert code == 2, said
    code, said = site.run("--yes", "--accept-no-way-back", *verbose, *form)
    assert code in (0, 3), said  # 3: certutil of Windows Server 2003 tells no SHA-256 of the file
    key = site.host.world.registry.value(parse_path(r"HKLM\SOFTWARE\Canary"), "Token")
    assert key is not None
    assert key.data == VALUE  # it went where it was to go
    site.run("--check", *verbose, *form)


@FORMATS
def test_the_other_commands(site: Site, form: Sequence[str]) -> None:
    for words in (("diagnose", "-vvv", *form), ("--list-hosts", *form), ("--list-resources", *form)):
        site.run(*words)
    assert site.run("doctor", "web01", "--record", "kept")[0] == 0
    site.run("lint")


@FORMATS
@pytest.mark.parametrize("transport", ["negotiate", "basic"])
def test_a_wrong_password(site: Site, form: Sequence[str], transport: str) -> None:
    sealing = "never" if transport == "basic" else "auto"
    site.inventory(ansible_password=WRONG, ansible_winrm_transport=transport, ansible_winrm_message_encryption=sealing)
    for words in (("--check", "-vvv"), ("--yes", "-vvv"), ("diagnose", "-vvv")):
        code, said = site.run(*words, *form)
        assert code == 4, said
    assert site.run("doctor", "web01", "--record", "kept")[0] == 4


@pytest.mark.parametrize("verbose", [(), ("-vvv",)], ids=["", "-vvv"])
@pytest.mark.parametrize("words", [("--check",), ("--yes",), ("diagnose",), ("doctor", "web01")], ids=lambda w: w[0])
def test_a_bug_whose_words_quote_the_password(site: Site, words: Sequence[str], verbose: Sequence[str]) -> None:
    code, said = site.run(*words, *(verbose if words[0] != "doctor" else ()), bug=True)
    assert code == 70, said
    kept = list((site.program.folder / ".converge" / "bugs").iterdir())
    assert kept
    assert all("ValueError" in path.read_text() for path in kept)


def test_a_password_that_cannot_be_meant(site: Site) -> None:
    for given in ({"ansible_winrm_transport": "basic"}, {"ansible_winrm_transport": "certificate"}):
        site.inventory(**given)
        code, said = site.run("--check", "-vvv")
        assert code in (1, 3, 4), said


@pytest.mark.parametrize("words", [("--check", "-vvv"), ("--yes", "-vvv"), ("diagnose", "-vvv"), ("doctor", "web01")])
def test_a_password_command_that_fails_and_says_why(site: Site, words: Sequence[str]) -> None:
    said = f"echo 'the vault answers {WRONG}, which has expired' >&2; exit 3"
    site.inventory(converge_password_command=f'sh -c "{said}"', ansible_password=None)
    code, said = site.run(*words)
    assert code == 4, said
    assert "the password command sh gave no password" in said
    assert "exit code 3" in said


class Echo(BaseHTTPRequestHandler):
    """A host, or a proxy before it, that gives back the login it was sent."""

    def do_POST(self) -> None:  # the name that http.server calls
        self.rfile.read(int(self.headers["Content-Length"]))
        login = self.headers["Authorization"]
        body = (
            '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Header/><s:Body><s:Fault><s:Code>'
            "<s:Value>s:Receiver</s:Value></s:Code><s:Reason><s:Text xml:lang='en'>not allowed with "
            f"{login}</s:Text></s:Reason></s:Fault></s:Body></s:Envelope>"
        ).encode()
        self.send_response(500)
        self.send_header("Content-Type", "application/soap+xml;charset=UTF-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # the name that http.server uses
        """Nobody reads it."""


@pytest.mark.parametrize("user", ["canary", "canary1", "LAB\\canary"])
def test_a_host_that_gives_back_the_login(site: Site, user: str) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        site.inventory(
            ansible_user=user, ansible_port=server.server_port,
            ansible_winrm_transport="basic", ansible_winrm_message_encryption="never",
        )  # fmt: skip
        assert site.run("doctor", "web01", "--record", "kept")[0] == 4
        assert any(b"not allowed with" in path.read_bytes() for path in (site.program.folder / "kept").iterdir())
        site.run("--check", "-vvv")
    finally:
        server.shutdown()
        server.server_close()


def test_extra_variables(site: Site) -> None:
    site.inventory(ansible_password=None)
    code, said = site.run("--check", "-vvv", "-e", f"ansible_password={PASSWORD}")
    assert code == 2, said
    code, said = site.run("--check", "-e", f"ansible_password: [{PASSWORD}")
    assert code == 1, said


def test_nothing_that_holds_it_shows_it(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(site.program.folder)
    selection = select(Sources())
    target = selection.targets["web01"]
    connection = connection_of(target.settings)
    account = site.host.world.accounts[fold("canary")]
    holders = [selection, selection.inventory, target, target.settings, connection, MessageCarrier(connection),
               WinRMMachine(connection), Secret(PASSWORD), account, site.host]  # fmt: skip
    for holder in holders:
        for text in (repr(holder), str(holder), f"{holder}"):
            assert PASSWORD not in text, type(holder).__name__
        if is_dataclass(holder):
            for field in fields(holder):
                assert PASSWORD not in repr(getattr(holder, field.name)), f"{type(holder).__name__}.{field.name}"
