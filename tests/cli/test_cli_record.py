"""`converge doctor --record`: the exchanges of a host as files, readable by the parsers, without any secret."""

from __future__ import annotations

import base64
import json
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, unquote

import pytest
from tests.cli.cli_program import Program

from converge.errors import UsageError
from converge.lab.endpoint.host import SimulatedHost
from converge.lab.endpoint.server import LabServer
from converge.lab.image import load_image
from converge.lab.world import LabAccount
from converge.model.names import fold
from converge.model.secret import Secret
from converge.store.exchanges import ExchangeFolder
from converge.wsman import messages
from converge.wsman.operations import Got, Identify, Identity

PASSWORD = "Canary<&>\"7'Kaese"


@pytest.fixture
def recorded(program: Program) -> Iterator[Path]:
    """What doctor kept of a host that this process serves."""
    world = load_image("exchange2003", host_name="LAB1")
    world.accounts[fold("auditor")] = LabAccount(name="auditor", password=PASSWORD)
    with LabServer() as server:
        (endpoint,) = server.start([SimulatedHost("web01", world)])
        settings = {
            "ansible_host": "127.0.0.1", "ansible_port": endpoint.port, "ansible_winrm_scheme": "http",
            "ansible_connection": "winrm", "ansible_user": "auditor", "ansible_password": PASSWORD,
        }  # fmt: skip
        program.write("inventory/hosts.yml", json.dumps({"all": {"hosts": {"web01": settings}}}))
        ended = program("doctor", "web01", "--record", "kept")
        assert ended.code == 0, ended.out + ended.err
        assert "exchanges are in kept" in ended.out
        assert "Canary" not in ended.out + ended.err
        yield program.folder / "kept"


def test_what_was_recorded_is_read_by_the_parsers_again(recorded: Path) -> None:
    requests = sorted(recorded.glob("*-request.xml"))
    assert len(requests) >= 3
    kinds = []
    for path in requests:
        request = messages.parse_request(path.read_bytes())
        (answer_path,) = recorded.glob(path.name.replace("-request.xml", "-answer.*.xml"))
        answer = messages.parse_answer(answer_path.read_bytes())
        kinds.append(type(answer.body))
        if not isinstance(request.operation, Identify):
            assert answer.header.relates_to == request.header.message_id
    assert {Identity, Got} <= set(kinds)


def test_it_holds_no_login_and_no_password_and_is_for_its_owner_only(recorded: Path) -> None:
    assert stat.S_IMODE(recorded.stat().st_mode) == 0o700
    for path in recorded.iterdir():
        content = path.read_bytes()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert b"Authorization" not in content
        for spelling in (PASSWORD.encode(), b"Canary", base64.b64encode(PASSWORD.encode())):
            assert spelling not in content


def test_a_folder_that_holds_something_is_left_alone(recorded: Path, program: Program) -> None:
    before = {path.name: path.read_bytes() for path in recorded.iterdir()}
    ended = program("doctor", "web01", "--record", "kept")
    assert ended.code == 1
    assert "holds something already" in ended.err
    assert {path.name: path.read_bytes() for path in recorded.iterdir()} == before


@pytest.mark.parametrize(
    "message",
    [
        PASSWORD.encode(),
        PASSWORD.encode("utf-16-le"),
        b"<x>Canary&lt;&amp;&gt;\"7'Kaese</x>",
        b"<x>Canary&lt;&amp;&gt;&quot;7&apos;Kaese</x>",
        base64.b64encode(PASSWORD.encode()),
        *(b"Basic " + base64.b64encode(f"{user}:{PASSWORD}".encode()) for user in ("auditor", "LAB\\ana", "bo")),
        base64.b64encode(f"auditor:{PASSWORD}".encode("utf-16-le")),
        base64.urlsafe_b64encode(f"{PASSWORD}>>>???".encode()),
        PASSWORD.encode().hex().encode(),
        PASSWORD.encode("utf-16-le").hex().upper().encode(),
        quote(PASSWORD).encode(),
        quote(PASSWORD, safe="").lower().replace("canary", "Canary").replace("kaese", "Kaese").encode(),
        json.dumps(PASSWORD).encode(),
        b"<p:StartPassword>another one</p:StartPassword>",
        b'<Password xsi:type="s">another one</Password>',
        b"<rsp:Arguments>/password:another one</rsp:Arguments>",
    ],
)
def test_every_spelling_of_a_secret_is_cut_out(message: bytes, tmp_path: Path) -> None:
    folder = ExchangeFolder(tmp_path / "new", secrets=[Secret(PASSWORD), Secret("")])
    folder.exchanged(b"before " + message + b" after", None)
    (path,) = (tmp_path / "new").iterdir()
    kept = path.read_bytes()
    assert b"Canary" not in kept
    assert b"C\0a\0n" not in kept
    assert b"another" not in kept
    assert "kaese" not in unquote(kept.decode("latin-1")).lower()
    for word in re.findall(rb"[A-Za-z0-9+/_=-]{8,}", kept):
        for begin in range(4):
            rest = word[begin:].rstrip(b"=")
            decoded = base64.b64decode(rest[: len(rest) // 4 * 4], altchars=b"-_")
            assert b"anar" not in decoded.replace(b"\0", b"")
    assert b"43616e" not in kept.lower()
    assert b"****" in kept
    assert kept.startswith(b"before ")


def test_what_names_no_secret_stays_as_it_is(tmp_path: Path) -> None:
    folder = ExchangeFolder(tmp_path / "new", secrets=[Secret(PASSWORD)])
    message = b"<p:Name>Password Policy Service</p:Name><p:StartPassword/><p:State>Running</p:State>"
    assert folder.without_secrets(message) == message


def test_a_folder_that_cannot_be_made_is_the_users_to_mend(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError):
        ExchangeFolder(tmp_path / "file" / "below", secrets=[])
