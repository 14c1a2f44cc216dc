"""A store that cannot be written: looking goes on and says that it is not recorded, changing is refused before anything is sent."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.cli.cli_program import BOUND, Ended, Program

from converge.lab.endpoint.host import EndpointPolicy, SimulatedHost
from converge.lab.endpoint.server import LabServer
from converge.lab.image import load_image
from converge.lab.world import LabAccount, World
from converge.model.names import fold

PASSWORD = "Full-1"
PLAYBOOK = """\
- name: Remote Registry runs
  hosts: all
  resources:
    - service: {name: RemoteRegistry, running: true}
    - directory: {path: 'C:\\Vendor'}
"""
NOT_RECORDED = re.compile(r"warning: this (check|diagnosis|undo-check) is not recorded: .*")
FULL = "database or disk is full"


@dataclass(slots=True)
class Site:
    """A folder on a disk of its own, and one host that answers there."""

    program: Program
    world: World
    run: Callable[..., Ended]
    fill: Callable[[], None]

    def changed(self) -> bool:
        service = self.world.service("RemoteRegistry")
        return service is not None and service.state.value == "running"


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """Only root may, and not in every container."""
    words = ["mount", "-t", "tmpfs", "-o", "size=2m,mode=0755", "none", str(folder)]
    mounted = subprocess.run(words, capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("no file system of a size of its own can be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> None:
    with (folder / "ballast").open("wb", buffering=0) as file, suppress(OSError):
        while file.write(b"x" * 4096):
            pass
    assert os.statvfs(folder).f_bavail == 0


def limited(program: Program) -> Callable[..., Ended]:
    """Runs the program where no file may grow beyond a kilobyte: a full disk that needs no right to mount one."""

    def run(*words: str) -> Ended:
        argv = ["bash", "-c", 'ulimit -f 1; exec "$0" "$@"', *program.argv(words)]
        done = subprocess.run(
            argv, cwd=program.folder, env=program.env(), capture_output=True, text=True, stdin=subprocess.DEVNULL,
            timeout=BOUND, check=False,
        )  # fmt: skip
        return Ended(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture(params=["a full disk", "a limit of sizes"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    world = load_image("exchange55-registry-stopped", host_name="FULL")
    world.accounts[fold("doer")] = LabAccount(name="doer", password=PASSWORD)
    program = Program(tmp_path)
    disk = small_disk(tmp_path) if request.param == "a full disk" else nullcontext()
    with disk, LabServer() as server:
        (endpoint,) = server.start([SimulatedHost("host", world, policy=EndpointPolicy(basic=True, allow_unencrypted=True))])
        variables: dict[str, Any] = {
            "ansible_host": "127.0.0.1", "ansible_winrm_scheme": "http", "ansible_connection": "winrm",
            "ansible_user": "doer", "ansible_password": PASSWORD, "ansible_port": endpoint.port,
        }  # fmt: skip
        program.write("inventory/hosts.yml", json.dumps({"all": {"hosts": {"host": variables}}}))
        program.write("playbooks/book.yml", PLAYBOOK)
        if request.param == "a full disk":
            yield Site(program, world, program, lambda: fill(tmp_path))
        else:
            yield Site(program, world, limited(program), lambda: None)


def assert_unrecorded(ended: Ended, code: int) -> None:
    assert ended.code == code, ended
    assert len(NOT_RECORDED.findall(ended.err)) == 1, ended.err
    assert FULL in ended.err or "File too large" in ended.err or "disk I/O error" in ended.err, ended.err


def test_without_a_store_looking_goes_on_and_changing_is_refused(site: Site) -> None:
    site.fill()
    for _ in range(2):  # what the first leaves behind hinders nobody
        assert_unrecorded(site.run("--check"), 2)
        assert_unrecorded(site.run("diagnose"), 2)
    refused = site.run("--yes")
    assert (refused.code, site.changed()) == (1, False)
    assert "cannot be used" in refused.err


def test_with_a_store_the_past_is_known_and_nothing_is_recorded(site: Site) -> None:
    first = site.program("--yes")
    assert site.changed(), first
    run = re.findall(r"converge undo (\S+)`", first.err)[0]
    before = site.program("runs").out
    site.fill()
    assert_unrecorded(site.run("--check"), 0)
    assert site.run("diagnose").code == 0  # it writes nothing, and where the store opens it has nothing to warn of
    back = site.run("undo", run, "--check")
    assert_unrecorded(back, 2)
    assert "service:RemoteRegistry" in back.out
    assert site.run("runs").out == before
    for words in (("--yes",), ("undo", run, "--yes")):
        refused = site.run(*words)
        assert (refused.code, site.changed()) == (1, True), refused
        assert "cannot be used" in refused.err


def test_damage_is_never_taken_for_a_full_disk(site: Site) -> None:
    site.program("--yes")
    path = site.program.folder / ".converge" / "converge.db"
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * (path.stat().st_size - 4096))
    site.fill()
    for words in (("--check",), ("diagnose",), ("--yes",)):
        refused = site.run(*words)
        assert refused.code == 1, refused
        assert "not recorded" not in refused.err
    assert "is damaged" in site.run("--check").err
