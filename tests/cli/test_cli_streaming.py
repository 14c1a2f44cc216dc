"""Results appear as they come: whoever reads along learns of the first host while another is still under way."""

from __future__ import annotations

import json
import os
import pty
import select
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from tests.cli.cli_program import BOUND, Program

from converge.lab.endpoint.host import EndpointPolicy, SimulatedHost
from converge.lab.endpoint.server import LabServer
from converge.lab.image import load_image
from converge.lab.world import LabAccount
from converge.model.names import fold

PASSWORD = "Streaming-1"
PLAYBOOK = """\
- name: Remote Registry runs
  hosts: all
  resources:
    - service: {name: RemoteRegistry, running: true}
"""


class HungHost:
    """A host that takes a connection and says nothing until it is let go."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._let_go = threading.Event()
        self._held: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self._held.append(connection)
            if self._let_go.is_set():
                connection.close()

    def let_go(self) -> None:
        """Break every line, and from now on each at once."""
        self._let_go.set()
        for connection in self._held:
            connection.close()

    def close(self) -> None:
        self.let_go()
        self._socket.close()


@dataclass(frozen=True, slots=True)
class Site:
    """Two hosts, of which one answers and the other hangs."""

    program: Program
    hung: HungHost


@pytest.fixture
def site(program: Program) -> Iterator[Site]:
    world = load_image("exchange55-registry-stopped", host_name="QUICK")
    world.accounts[fold("looker")] = LabAccount(name="looker", password=PASSWORD)
    hung = HungHost()
    with LabServer() as server:
        (endpoint,) = server.start([SimulatedHost("quick", world, policy=EndpointPolicy(basic=True, allow_unencrypted=True))])
        common: dict[str, Any] = {
            "ansible_host": "127.0.0.1", "ansible_winrm_scheme": "http", "ansible_connection": "winrm",
            "ansible_user": "looker", "ansible_password": PASSWORD,
        }  # fmt: skip
        hosts = {"quick": {"ansible_port": endpoint.port}, "hung": {"ansible_port": hung.port}}
        program.write("inventory/hosts.yml", json.dumps({"all": {"vars": common, "hosts": hosts}}))
        program.write("playbooks/book.yml", PLAYBOOK)
        try:
            yield Site(program, hung)
        finally:
            hung.close()


def read_until(stream: int, words: bytes) -> bytes:
    """What comes until these words have come. Fails where they do not come in time."""
    found, ends = b"", time.monotonic() + BOUND / 2
    while words not in found:
        ready, _, _ = select.select([stream], [], [], max(0.0, ends - time.monotonic()))
        piece = os.read(stream, 65536) if ready else b""
        assert piece, f"{words!r} did not come, only {found!r}"
        found += piece
    return found


@pytest.mark.parametrize("form", ["json", "jsonl", "junit"])
def test_documents_are_read_host_by_host(site: Site, form: str) -> None:
    process = site.program.started("--check", "--format", form)
    assert process.stdout is not None
    early = read_until(process.stdout.fileno(), b"RemoteRegistry")
    assert b"hung" not in early
    assert process.poll() is None
    site.hung.let_go()
    out, _ = process.communicate(timeout=BOUND)
    assert "hung" in out


def test_with_verbose_each_host_is_told_as_it_ends_in_a_pipe_too(site: Site) -> None:
    process = site.program.started("--check", "-v")
    assert process.stderr is not None
    early = read_until(process.stderr.fileno(), b"\n")
    assert early == b"quick  would change  1 of 1\n"
    assert process.poll() is None
    site.hung.let_go()
    out, err = process.communicate(timeout=BOUND)
    assert err.startswith("hung  unreachable  ")
    assert "2 hosts: 1 would change, 1 unreachable" in out


def test_on_a_terminal_trouble_is_told_while_others_are_under_way(site: Site) -> None:
    dead = socket.create_server(("127.0.0.1", 0))
    inventory = json.loads((site.program.folder / "inventory" / "hosts.yml").read_text("utf-8"))
    inventory["all"]["hosts"]["dead"] = {"ansible_port": dead.getsockname()[1]}
    dead.close()  # nobody listens there now
    site.program.write("inventory/hosts.yml", json.dumps(inventory))
    control, terminal = pty.openpty()
    process = subprocess.Popen(
        site.program.argv(["--check"]), cwd=site.program.folder, env=site.program.env({"TERM": "xterm"}),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=terminal,
    )  # fmt: skip
    os.close(terminal)
    try:
        early = read_until(control, b"dead  unreachable")
        assert b"hung" not in early
        read_until(control, b"1 in trouble")
        assert process.poll() is None
        site.hung.let_go()
        out, _ = process.communicate(timeout=BOUND)
        assert b"3 hosts: 1 would change, 2 unreachable" in out
    finally:
        process.kill()
        process.wait(timeout=BOUND)
        os.close(control)
