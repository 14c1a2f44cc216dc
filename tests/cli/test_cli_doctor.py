"""`converge doctor` walks to a host over every kind of line, and says at the first step that fails what would help."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.cli.cli_program import Ended, Program
from tests.logins.conftest import Authority, listening

from converge.cli import doctor as examining
from converge.lab.endpoint.host import EndpointPolicy, SimulatedHost
from converge.lab.endpoint.server import LabServer
from converge.lab.image import load_image
from converge.lab.world import LabAccount
from converge.model.names import fold

USER, PASSWORD = "auditor", "Canary horse 1!"
Doctor = Callable[..., Ended]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """An authority of our own."""
    return Authority(tmp_path, "Doctor authority")


@pytest.fixture
def doctor(program: Program, authority: Authority) -> Iterator[Doctor]:
    """Runs doctor on a host with this policy, whose account is denied these rights, reached with these variables."""
    with LabServer() as server:

        def run(
            *,
            policy: EndpointPolicy | None = None,
            denies: tuple[str, ...] = (),
            certificate: Path | None = None,
            **variables: Any,
        ) -> Ended:
            world = load_image("exchange2003", host_name="LAB1")
            world.accounts[fold(USER)] = LabAccount(name=USER, password=PASSWORD, denies=denies)
            tls = listening(certificate) if certificate else None
            (endpoint,) = server.start([SimulatedHost("web01", world, policy=policy or EndpointPolicy())], tls=tls)
            settings = {
                "ansible_host": "127.0.0.1", "ansible_port": endpoint.port, "ansible_connection": "winrm",
                "ansible_winrm_scheme": "https" if tls else "http", "ansible_user": USER, "ansible_password": PASSWORD,
                **variables,
            }  # fmt: skip
            program.write("inventory/hosts.yml", json.dumps({"all": {"hosts": {"web01": settings}}}))
            ended = program("doctor", "web01")
            assert PASSWORD not in ended.out + ended.err
            return ended

        yield run


def steps(ended: Ended) -> list[str]:
    """The steps that went well."""
    return [line.split(":")[0].removeprefix("ok").strip() for line in ended.out.splitlines() if line.startswith("ok")]


ALL = ["settings", "name", "port", "HTTP", "authentication", "Identify", "WMI read", "registry read", "service read"]


def test_over_https_the_certificate_is_described(doctor: Doctor, authority: Authority) -> None:
    ended = doctor(
        certificate=authority.sign("host", names=("127.0.0.1",), days=(-1, 9)),
        ansible_winrm_ca_trust_path=str(authority.path),
    )
    assert ended.code == 0, ended.out
    assert steps(ended)[:4] == ["settings", "name", "port", "TLS"]
    (tls,) = [line for line in ended.out.splitlines() if line.startswith("ok    TLS")]
    assert "CN=127.0.0.1" in tls
    assert "CN=Doctor authority" in tls
    assert "(8 days)" in tls


@pytest.mark.parametrize(
    ("days", "names", "words"),
    [((-9, -1), ("127.0.0.1",), "has expired"), ((-1, 9), ("127.0.0.9",), "for another name")],
)
def test_a_bad_certificate_ends_it(
    doctor: Doctor, authority: Authority, days: tuple[int, int], names: tuple[str, ...], words: str
) -> None:
    ended = doctor(
        certificate=authority.sign("host", names=names, days=days), ansible_winrm_ca_trust_path=str(authority.path)
    )
    assert ended.code == 4
    assert steps(ended)[-1] == "port"
    assert words in ended.out
    assert "Try:" in ended.out


def test_basic_that_is_switched_off_is_told(doctor: Doctor, authority: Authority) -> None:
    ended = doctor(
        certificate=authority.sign("host", names=("127.0.0.1",)),
        ansible_winrm_ca_trust_path=str(authority.path),
        ansible_winrm_transport="basic",
    )
    assert ended.code == 4
    assert steps(ended)[-1] == "HTTP"
    assert "does not offer basic, only negotiate" in ended.out


@pytest.mark.parametrize(
    ("denies", "last", "words"),
    [
        ("winrm", "HTTP", "Remote Management Users"),
        ("namespace", "Identify", "WMI namespace"),
        ("registry_read", "WMI read", "registry"),
        ("service_query", "registry read", "service"),
    ],
)
def test_a_missing_right_is_named(doctor: Doctor, denies: str, last: str, words: str) -> None:
    ended = doctor(denies=(denies,))
    assert ended.code == 4, ended.out
    assert steps(ended)[-1] == last
    assert words in ended.out
    assert "Try:" in ended.out


def test_a_refused_shell_is_a_warning_that_tells_its_cost(doctor: Doctor) -> None:
    ended = doctor(denies=("shells",))
    assert ended.code == 0, ended.out
    assert steps(ended)[: len(ALL)] == ALL
    assert "WARN  no shell" in ended.out
    assert "compared expanded" in " ".join(ended.out.split())


def _dripping(listener: socket.socket, released: threading.Event) -> None:
    """Takes connections and sends each a line of a head that never ends, byte by byte."""
    with contextlib.suppress(OSError):
        while not released.is_set():
            line, _ = listener.accept()
            with contextlib.suppress(OSError), line:
                line.recv(65536)
                line.sendall(b"HTTP/1.1 200 OK\r\n")
                while not released.wait(0.05):
                    line.sendall(b"X")


def test_a_step_that_never_ends_is_ended_by_the_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(examining, "PROBE_SECONDS", 1.0)
    released = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_dripping, args=(listener, released), daemon=True).start()
        settings = {
            "ansible_host": "127.0.0.1", "ansible_port": listener.getsockname()[1], "ansible_winrm_scheme": "http",
            "ansible_user": USER, "ansible_password": PASSWORD,
        }  # fmt: skip
        Path("hosts.json").write_text(json.dumps({"all": {"hosts": {"web01": settings}}}))
        code = examining.examine("web01", inventories=["hosts.json"], extra_vars=())
        released.set()
        listener.shutdown(socket.SHUT_RDWR)
    out = capsys.readouterr().out
    assert code == 4, out
    assert "the step HTTP does not end within the 1 s that doctor gives it" in " ".join(out.split())
    assert "NT 4.0" not in out


def test_only_where_nothing_listens_is_the_age_of_windows_a_cause(doctor: Doctor) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    closed = doctor(ansible_port=port)
    refused = doctor(ansible_password="no-no")
    assert (closed.code, refused.code) == (4, 4)
    assert "NT 4.0" in closed.out
    assert "NT 4.0" not in refused.out
