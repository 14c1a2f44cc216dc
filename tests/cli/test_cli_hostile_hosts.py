"""Whatever hosts answer, a run ends with what it thinks of each, never with a bug of its own."""

from __future__ import annotations

import base64
import random
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from tests.cli.cli_program import PLAYBOOK, Program
from tests.winrm.meddler import meddling

from converge.errors import HostUnreachable
from converge.lab.endpoint.host import EndpointPolicy, SimulatedHost
from converge.lab.endpoint.server import LabServer
from converge.lab.image import load_image
from converge.lab.world import LabAccount
from converge.model.names import fold
from converge.model.query import CimInstances, OperatingSystem
from converge.model.secret import Secret
from converge.winrm import carrier
from converge.winrm.connection import Connection, Login, MessageSealing
from converge.winrm.observer import WinRMObserver

USER, PASSWORD = "checker", "Correct horse 1!"
HOSTS = 24
TEXTS = [
    b"\0",
    b"\xff\xfe",
    b"<",
    b"&#0;",
    b"]]>",
    b"9" * 400,
    b"-1",
    b"true",
    b"\r\n\r\n",
    b"<a>" * 100,
    b'xsi:nil="true"',
]
TOKEN = re.compile(rb"(?<=Negotiate )[A-Za-z0-9+/=]+")


@pytest.fixture
def port() -> Iterator[int]:
    """Where a simulated host listens."""
    world = load_image("exchange55", host_name="LAB1")
    world.accounts[fold(USER)] = LabAccount(name=USER, password=PASSWORD)
    with LabServer() as server:
        (endpoint,) = server.start([SimulatedHost("lab1", world, policy=EndpointPolicy(basic=True, allow_unencrypted=True))])
        yield endpoint.port


def damaging(seed: int) -> Callable[[int, bytes, bytes], bytes]:
    """Damages, in one way for each seed, some answers: their heads, their login tokens or their bodies."""
    dice = random.Random(seed)
    hit = {dice.randrange(6) for _ in range(dice.randrange(1, 4))}

    def mauled(text: bytes) -> bytes:
        at, length = dice.randrange(len(text) + 1), dice.randrange(1, 60)
        more = dice.choice([*TEXTS, dice.randbytes(8), text[at : at + length] * 3])
        return text[:at] + more + text[at + dice.choice([0, length]) :]

    def token(found: re.Match[bytes]) -> bytes:
        return base64.b64encode(mauled(base64.b64decode(found[0])))

    def change(number: int, head: bytes, body: bytes) -> bytes:
        if number not in hit:
            return head + body
        where = dice.choice(["head", "token", "body", "whole"])
        if where == "head":
            return mauled(head) + body
        if where == "token":
            return TOKEN.sub(token, head) + body
        if where == "body" and body:
            said = mauled(body)
            return re.sub(rb"(?i)(content-length: *)\d+", rb"\g<1>%d" % len(said), head) + said
        return mauled(head + body)

    return change


@pytest.mark.parametrize("transport", ["ntlm", "basic"])
def test_no_damage_of_answers_is_a_bug_of_ours(program: Program, port: int, transport: str) -> None:
    with ExitStack() as stack:
        meddlers = [stack.enter_context(meddling(port, damaging(seed))) for seed in range(HOSTS)]
        rows = "".join(f"    h{number}: {{ansible_port: {one.port}}}\n" for number, one in enumerate(meddlers))
        program.write("playbooks/registry.yml", PLAYBOOK)
        program.write(
            "hosts.yml",
            "all:\n  vars: {ansible_connection: winrm, ansible_host: 127.0.0.1, ansible_winrm_scheme: http,\n"
            f"    ansible_winrm_transport: {transport}, ansible_user: {USER}, ansible_password: '{PASSWORD}',\n"
            "    ansible_winrm_operation_timeout_sec: 2, ansible_winrm_read_timeout_sec: 4"
            + (", ansible_winrm_message_encryption: never" if transport == "basic" else "")
            + f"}}\n  hosts:\n{rows}",
        )
        ended = program("--check", "-i", "hosts.yml", "--format", "json")
        assert ended.code in (0, 2, 3, 4), ended.out + ended.err
        hosts = ended.document()["hosts"]
        assert len(hosts) == HOSTS
        assert {host["status"] for host in hosts.values()} <= {"ok", "changed", "undecided", "unreachable"}
        assert "a bug" not in ended.out + ended.err


def test_what_one_host_may_say_in_a_conversation_is_bounded(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carrier, "MAX_CONVERSATION", 20_000)
    observer = WinRMObserver(
        Connection(
            "lab1", f"http://127.0.0.1:{port}/wsman", username=USER, password=Secret(PASSWORD), login=Login.BASIC,
            sealing=MessageSealing.NEVER,
        )
    )  # fmt: skip
    query = CimInstances("root/cimv2", "SELECT * FROM Win32_Service")
    observer.ask([OperatingSystem()])
    with pytest.raises(HostUnreachable, match="converge's own limit") as raised:
        list(map(observer.ask, [[query]] * 100))
    observer.close()
    assert raised.value.code == "says-too-much"
