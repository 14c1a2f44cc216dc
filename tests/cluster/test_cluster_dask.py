"""What only a cluster can get wrong: sites, versions, certificates, stores that do not bind, secrets on their way."""

from __future__ import annotations

import base64
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Collection, Iterator
from contextlib import suppress
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from distributed import Security
from tests.bench.processes import tree_of
from tests.cluster.cluster_site import IMAGE, PASSWORD, Dask, Site, owner, until
from tests.store.postgresql_server import ABSENT, programs, served

from converge.errors import UsageError
from converge.fleet.cluster import is_loopback
from converge.runs.options import Sources
from converge.runs.payloads import require_reachable
from converge.runs.recording import Recorder
from converge.runs.selection import select
from converge.store.store import Store, Where

OLD = """
import importlib.metadata
import converge
converge.__version__ = "0.0.9"
"""


@pytest.fixture
def two(dask: Dask) -> Dask:
    """A worker in Lyon and one in Oslo."""
    dask.worker(sites=["lyon"])
    dask.worker(sites=["oslo"])
    return dask


def contacted(hosts: Site) -> list[str]:
    return [name for name, host in hosts.hosts.items() if host.log.records]


def test_a_site_that_no_worker_serves_is_one_error_before_any_host(hosts: Site, two: Dask) -> None:
    hosts.inventory({"mail01": "converge_site: lyon", "mail02": "converge_site: bergen"})
    ended = hosts.program("--check", "--executor", two.executor)
    assert ended.code == 1
    assert "no worker serves the site bergen" in ended.err
    assert 'dask worker ADDRESS --resources "site:bergen=1"' in ended.err
    assert not contacted(hosts)


def test_hosts_go_to_the_workers_of_their_site(hosts: Site, two: Dask) -> None:
    hosts.inventory({f"mail{number:02}": "converge_site: lyon" for number in range(1, 7)})
    hosts.slow("mail01", 6.0)
    process = hosts.program.started("--yes", "--executor", two.executor, "--format", "json")
    until(lambda: hosts.started("mail01") == 1)
    assert owner(hosts.program.folder, "mail01").endswith(f"pid {two.workers[0].pid}")
    out, err = process.communicate(timeout=100)
    assert process.returncode == 0, out + err
    assert all(hosts.is_running(name) for name in hosts.hosts)


def test_a_scheduler_that_is_not_there_or_has_no_workers(hosts: Site, dask: Dask) -> None:
    none = hosts.program("--check", "--executor", dask.executor)
    assert (none.code, "has no workers" in none.err) == (1, True)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    absent = hosts.program("--check", "--executor", f"dask+tls://127.0.0.1:{port}")
    assert (absent.code, "no scheduler answers" in absent.err) == (1, True)
    assert not contacted(hosts)


def test_certificates_that_are_not_named_or_not_there_are_told(hosts: Site, tmp_path: Path) -> None:
    ended = hosts.program("--check", "--executor", "dask+tls://127.0.0.1:8786")
    assert ended.code == 1
    assert "DASK_DISTRIBUTED__COMM__TLS__CA_FILE" in ended.err
    names = Dask(tmp_path).login
    ended = hosts.program("--check", "--executor", "dask+tls://127.0.0.1:8786", env=names)
    assert ended.code == 1
    assert f"{tmp_path / 'cert.pem'} cannot be read" in ended.err


def test_who_has_no_certificate_of_the_cluster_is_not_let_in(hosts: Site, dask: Dask, tmp_path: Path) -> None:
    dask.worker()
    other = Dask(tmp_path / "other")
    other.folder.mkdir()
    made = Security.temporary()  # type: ignore[no-untyped-call]  # of distributed
    (other.folder / "cert.pem").write_text(made.tls_client_cert)
    (other.folder / "key.pem").write_text(made.tls_client_key)
    ended = hosts.program("--check", "--executor", dask.executor, env=other.login)
    assert ended.code == 1
    assert "no scheduler answers" in ended.err
    assert not contacted(hosts)


def test_another_process_of_this_machine_cannot_talk_to_an_embedded_cluster(hosts: Site, tmp_path: Path) -> None:
    """Nothing that it listens at lets anybody in without the certificates of this run, nor shows a page."""
    hosts.slow("mail01", 60.0)
    process = hosts.program.started("--yes", "--executor", "dask:2", "--forks", "1")
    try:
        until(lambda: hosts.started("mail01") == 1)
        ports = listening(tree_of(process.pid))
        assert len(ports) >= 3, "a scheduler and two workers"
        assert {host for host, _ in ports} == {"127.0.0.1"}, "nothing listens beyond this machine"
        for _, port in sorted(ports):
            told = subprocess.run(
                [sys.executable, "-c", STRANGER, str(port)], capture_output=True, text=True, timeout=100, cwd=tmp_path
            )
            assert told.stdout.split() == ["refused", "refused", "nothing"], told.stdout + told.stderr
    finally:
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=100)


STRANGER = """
import asyncio, sys, urllib.request
from distributed import Security
from distributed.core import rpc
port = sys.argv[1]
async def asked(address, **login):
    line = rpc(address, timeout=3, **login)
    try:
        await asyncio.wait_for(line.identity(), 5)
    except Exception:
        return "refused"
    finally:
        await line.close_rpc()
    return "let in"
print(asyncio.run(asked("tcp://127.0.0.1:" + port)))
login = Security.temporary().get_connection_args("client")
print(asyncio.run(asked("tls://127.0.0.1:" + port, connection_args=login)))
def shows(page):
    try:
        return bool(urllib.request.urlopen(f"http://127.0.0.1:{port}/{page}", timeout=5).read())
    except Exception:
        return False
found = [page for page in ("", "info/main/workers.html", "health", "metrics", "json/identity.json") if shows(page)]
print("pages" if found else "nothing")
"""


def listening(pids: Collection[int]) -> set[tuple[str, int]]:
    """Where processes listen, as (address, port)."""
    owned = set()
    for pid in pids:
        for each in Path(f"/proc/{pid}/fd").glob("*"):
            with suppress(OSError):
                owned.add(each.readlink().name)
    found = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == "0A" and f"socket:[{fields[9]}]" in owned:
            address, _, port = fields[1].partition(":")
            found.add((str(IPv4Address(int.from_bytes(bytes.fromhex(address), "little"))), int(port, 16)))
    return found


def test_a_worker_of_another_version_is_one_error(hosts: Site, dask: Dask, tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "sitecustomize.py").write_text(OLD)
    dask.environment["PYTHONPATH"] = str(tmp_path / "old")
    dask.worker()
    ended = hosts.program("--check", "--executor", dask.executor)
    assert ended.code == 1
    assert "has converge 0.0.9; this is" in ended.err
    assert not contacted(hosts)


def test_a_worker_without_the_program_is_one_error(hosts: Site, dask: Dask, tmp_path: Path) -> None:
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "sitecustomize.py").write_text("import sys\nsys.modules['converge'] = None\n")
    dask.environment["PYTHONPATH"] = str(tmp_path / "bare")
    dask.worker()
    ended = hosts.program("--check", "--executor", dask.executor)
    assert ended.code == 1
    assert "has converge none" in ended.err
    assert "install the same version" in ended.err


def test_what_a_playbook_needs_and_a_worker_lacks_is_one_error(hosts: Site, dask: Dask) -> None:
    """A file that lies beside the control node only."""
    text = "- name: p\n  hosts: all\n  resources:\n    - file: {path: 'c:\\x.txt', source: files/x.txt}\n"
    hosts.program.write("playbooks/registry.yml", text)
    hosts.program.write("playbooks/files/x.txt", "x")
    dask.worker()
    ended = hosts.program("--check", "--executor", dask.executor)
    assert ended.code == 1, ended.out
    assert "the worker tls://127.0.0.1" in ended.err
    assert "x.txt cannot be read" in ended.err
    assert not contacted(hosts)


class Tap:
    """Stands between the scheduler and everybody else, and keeps every byte."""

    def __init__(self, address: str) -> None:
        host, _, port = address.removeprefix("tls://").rpartition(":")
        self._to = (host, int(port))
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = f"tls://127.0.0.1:{self._server.getsockname()[1]}"
        self.heard = bytearray()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                near, _ = self._server.accept()
            except OSError:
                return
            far = socket.create_connection(self._to)
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(one, other), daemon=True).start()

    def _pump(self, one: socket.socket, other: socket.socket) -> None:
        try:
            while data := one.recv(65536):
                self.heard += data
                other.sendall(data)
        except OSError:
            pass
        other.close()

    def close(self) -> None:
        self._server.close()


@pytest.fixture
def tapped(dask: Dask) -> Iterator[Tap]:
    """A tap before the scheduler, through which the control node goes, and a worker."""
    dask.environment["DASK_DISTRIBUTED__COMM__COMPRESSION"] = "null"
    tap = Tap(dask.scheduler)
    dask.worker()
    yield tap
    tap.close()


def test_a_password_is_nowhere_on_its_way(hosts: Site, dask: Dask, tapped: Tap) -> None:
    key = "journal-key-2fd1e7"
    environment = {"CONVERGE_JOURNAL_KEY": key, "DASK_DISTRIBUTED__COMM__COMPRESSION": "null"}
    secret = "  vars: {token: 'Vars-5521-Secret'}\n"
    hosts.program.write(
        "playbooks/registry.yml", (hosts.program.folder / "playbooks/registry.yml").read_text() + secret
    )
    executor = "dask+" + tapped.address
    broken = hosts.program("--check", "-e", "ansible_winrm_path=/nowhere", "--executor", executor, env=environment)
    done = hosts.program("--yes", "--executor", executor, env=environment)
    assert done.code == 0, done.out + done.err
    assert all(hosts.is_running(name) for name in hosts.hosts)
    assert len(tapped.heard) > 10_000, "the tap hears what is called"
    for word in (PASSWORD, key, "Vars-5521-Secret"):
        spellings = [word.encode(), word.encode("utf-16-le"), base64.b64encode(word.encode())[:-4]]
        told = (broken.out + broken.err + done.out + done.err).encode()
        for place in (bytes(tapped.heard), dask.log("scheduler"), dask.log("worker0"), told):
            assert not [spelling for spelling in spellings if spelling in place]


def test_a_store_that_binds_one_machine_is_refused_where_workers_are_on_others(
    hosts: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(hosts.program.folder)
    selection = select(Sources())
    with (
        Store.open(Where(Path(".converge"))) as store,
        pytest.raises(UsageError, match="a store that all of them share"),
    ):
        require_reachable(selection, Recorder(store))


def test_simulated_hosts_are_not_for_workers_on_other_machines(hosts: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    hosts.inventory({"mail03": f"ansible_connection: lab, converge_lab_image: {IMAGE}"})
    monkeypatch.chdir(hosts.program.folder)
    with pytest.raises(UsageError, match="mail03 is simulated by this machine"):
        require_reachable(select(Sources()), Recorder(None))


@pytest.mark.parametrize(
    ("address", "is_here"),
    [
        ("tcp://127.0.0.1:8786", True),
        ("tcp://localhost:1", True),
        ("tcp://[::1]:1", True),
        ("tcp://192.0.2.7:1", False),
        ("tls://name:1", False),
    ],
)
def test_only_loopback_is_this_machine(address: str, is_here: bool) -> None:
    assert is_loopback(address) is is_here


def test_with_postgresql_leases_bind_all_workers(hosts: Site, dask: Dask) -> None:
    binaries = programs()
    if binaries is None:
        pytest.skip(ABSENT)
    dask.worker()
    with served(binaries) as folder:
        store = f"postgresql://converge@/postgres?host={folder}"
        ended = hosts.program("--yes", "--format", "json", "--executor", dask.executor, "--store", store)
        assert ended.code == 0, ended.out + ended.err
        assert all(hosts.is_running(name) and hosts.started(name) == 1 for name in hosts.hosts)
        shown = hosts.program("runs", "--store", store)
        assert "6 changed" in shown.out
