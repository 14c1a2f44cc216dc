"""A host, or somebody on the way to it, that takes from NTLM what sealed messages rest on: unreachable, and it says why."""

from __future__ import annotations

import base64
import re
import struct
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.cli.cli_program import PLAYBOOK, Program
from tests.winrm.meddler import Meddler, meddling

from converge.lab.endpoint.host import EndpointPolicy, SimulatedHost
from converge.lab.endpoint.server import LabServer
from converge.lab.image import load_image
from converge.lab.world import LabAccount
from converge.model.names import fold

USER, PASSWORD = "checker", "Correct horse 1!"
SIGN, SEAL, LM_KEY, EXTENDED, TARGET_INFO, KEY_128, KEY_EXCHANGE, KEY_56 = (
    0x10, 0x20, 0x80, 0x80000, 0x800000, 0x20000000, 0x40000000, 0x80000000,
)  # fmt: skip
TOKEN = re.compile(rb"(WWW-Authenticate: Negotiate )([A-Za-z0-9+/=]+)", re.IGNORECASE)
PROVED = re.compile(rb"Authorization: Negotiate ([A-Za-z0-9+/=]+)", re.IGNORECASE)


@pytest.fixture
def port() -> Iterator[int]:
    """Where a simulated host listens that takes NTLM."""
    world = load_image("exchange55", host_name="LAB1")
    world.accounts[fold(USER)] = LabAccount(name=USER, password=PASSWORD)
    with LabServer() as server:
        (endpoint,) = server.start([SimulatedHost("lab1", world, policy=EndpointPolicy())])
        yield endpoint.port


def told_otherwise(change: Callable[[bytes], bytes]) -> Callable[[int, bytes, bytes], bytes]:
    """The host's login tokens, each changed."""

    def swapped(found: re.Match[bytes]) -> bytes:
        return found[1] + base64.b64encode(change(base64.b64decode(found[2])))

    return lambda _, head, body: TOKEN.sub(swapped, head) + body


def without(flags: int, *, given: int = 0) -> Callable[[bytes], bytes]:
    """A challenge that agrees to less, and to what else is given."""

    def weaker(token: bytes) -> bytes:
        if not token.startswith(b"NTLMSSP\0\x02\0\0\0"):
            return token
        (agreed,) = struct.unpack_from("<I", token, 20)
        return token[:20] + struct.pack("<I", agreed & ~flags | given) + token[24:]

    return weaker


def asked(program: Program, port: int, **variables: str) -> tuple[int, dict[str, Any], str]:
    """Exit code, what is told of the host, and all of the output, of a check by NTLM."""
    program.write("playbooks/registry.yml", PLAYBOOK)
    program.write(
        "hosts.yml",
        f"all:\n  vars: {{ansible_connection: winrm, ansible_host: 127.0.0.1, ansible_port: {port}, ansible_winrm_scheme: http,\n"
        f"    ansible_winrm_transport: ntlm, ansible_user: {USER}, ansible_password: '{PASSWORD}'}}\n"
        "  hosts: {mail01: {}}\n",
    )
    ended = program("--check", "-i", "hosts.yml", "--format", "json", env=variables)
    assert "Traceback" not in ended.err
    host = ended.document()["hosts"]["mail01"]
    return ended.code, host, ended.out + ended.err


def proofs(meddler: Meddler) -> list[bytes]:
    """The messages with which the client proved its password."""
    said = [base64.b64decode(found[1]) for head in meddler.heads if (found := PROVED.search(head))]
    return [token for token in said if token.startswith(b"NTLMSSP\0\x03\0\0\0")]


WEAKENED = {
    "signing": SIGN,
    "sealing": SEAL,
    "extended session security": EXTENDED,
    "128-bit keys": KEY_128,
    "signing, sealing, extended session security, 128-bit keys": SIGN | SEAL | EXTENDED | KEY_128 | KEY_56 | KEY_EXCHANGE,
}


@pytest.mark.parametrize("missing", WEAKENED)
def test_a_login_that_is_weakened_on_the_way_is_given_up_before_the_password_is_proved(
    program: Program, port: int, missing: str
) -> None:
    with meddling(port, told_otherwise(without(WEAKENED[missing]))) as meddler:
        code, host, _ = asked(program, port=meddler.port)
        assert (code, host["status"]) == (4, "unreachable")
        assert f"weakened NTLM, without {missing}" in str(host["error"])
        assert proofs(meddler) == []


def test_a_host_that_knows_nothing_after_lan_manager_is_unreachable(program: Program, port: int) -> None:
    """No extended session security and no information about the target, but the key of LAN Manager."""
    old = without(EXTENDED | TARGET_INFO | KEY_128, given=LM_KEY)
    with meddling(port, told_otherwise(old)) as meddler:
        code, host, _ = asked(program, port=meddler.port)
        assert (code, host["status"]) == (4, "unreachable")
        assert "extended session security, 128-bit keys" in str(host["error"])
        assert proofs(meddler) == []


@pytest.mark.parametrize("level", ["", "0", "1", "5", "nonsense"])
def test_whatever_the_environment_says_the_password_is_proved_by_ntlmv2_alone(
    program: Program, port: int, level: str
) -> None:
    with meddling(port) as meddler:
        code, host, _ = asked(program, port=meddler.port, **({"LM_COMPAT_LEVEL": level} if level else {}))
        assert (code, host["status"]) == (0, "ok")
        (proof,) = proofs(meddler)
    lan_manager, _, at = struct.unpack_from("<HHI", proof, 12)
    assert not any(proof[at : at + lan_manager])
    length, _, at = struct.unpack_from("<HHI", proof, 20)
    assert length > 24  # an answer of the older kind is no longer
    assert proof[at + 16 : at + 18] == b"\x01\x01"


@pytest.mark.parametrize(
    "change",
    [
        lambda _: b"",
        lambda token: token[:20],
        lambda token: token[:31],
        lambda token: b"NTLMSSP\0\x01" + token[9:],
        lambda token: b"\x60\x28\x06\x06" + token,
        lambda token: token[:40] + b"\xff\xff\xff\xff\xff\xff\xff\x7f" + token[48:],
        lambda token: token[:12] + b"\xff\xff\xff\xff\xff\xff\xff\xff" + token[20:],
        lambda token: token[:48] + b"\xff" * (len(token) - 48),
        lambda token: token + b"\0" * 40_000,
    ],
    ids=["none", "cut", "no-target-information", "type", "wrapped", "offset", "lengths", "noise", "long"],
)  # fmt: skip
def test_a_challenge_that_cannot_be_read_is_no_bug_of_ours(
    program: Program, port: int, change: Callable[[bytes], bytes]
) -> None:
    with meddling(port, told_otherwise(change)) as meddler:
        code, host, told = asked(program, port=meddler.port)
        assert (code, host["status"]) in ((4, "unreachable"), (0, "ok")), told
        assert "bug" not in told
