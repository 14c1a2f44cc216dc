"""Limits of our own: they bound what a host may cost, say so, and break nothing."""

from __future__ import annotations

import ssl
import struct
from pathlib import Path

import pytest
import spnego

from converge.errors import HostUnreachable, RemoteProtocolError
from converge.model.secret import Secret
from converge.winrm import direct, held, probes, strength, unreached
from converge.winrm.carrier import MessageCarrier
from converge.winrm.connection import Connection, Login
from converge.winrm.held import HeldBytes
from converge.winrm.shell import KEPT_OUTPUT, _Ends
from converge.wsman import xml

NEEDED = 0x20080030


def test_of_a_long_output_the_beginning_and_the_end_are_kept_and_it_says_so() -> None:
    kept = _Ends()
    kept.take(b"begin")
    for _ in range(10_000):
        kept.take(b"0123456789" * 100)
    kept.take(b"end")
    assert kept.whole.startswith(b"begin")
    assert kept.whole.endswith(b"end")
    assert b"bytes left out here" in kept.whole
    assert len(kept.whole) < 2 * KEPT_OUTPUT + 200


def test_a_message_of_too_many_elements_is_refused_before_a_tree_is_built() -> None:
    with pytest.raises(RemoteProtocolError, match="elements"):
        xml.parse(b"<a>" + b"<x/>" * 100_000 + b"</a>")
    with pytest.raises(RemoteProtocolError, match="attributes"):
        xml.parse(b"<a " + b" ".join(b'a%d=""' % number for number in range(100_000)) + b"/>")


def test_what_all_questions_hold_together_is_bounded_and_given_back() -> None:
    one, other = HeldBytes(), HeldBytes()
    page = b"x" * (1024 * 1024)
    taken = 0
    while one.take(page):
        taken += len(page)
    assert taken <= held.ALWAYS + held.SHARED
    assert other.take(page)  # a little is left for everybody
    one.release()
    other.release()
    assert all(one.take(page) for _ in range(50))
    one.release()


@pytest.mark.parametrize("taken", [0x10, 0x20, 0x80000, 0x20000000])
def test_a_challenge_that_weakens_sealing_is_refused(taken: int) -> None:
    def challenge(flags: int) -> bytes:
        return b"NTLMSSP\0\x02\0\0\0" + bytes(8) + struct.pack("<I", flags) + bytes(24)

    strength.check_challenge(challenge(NEEDED))
    with pytest.raises(RemoteProtocolError, match="weakened NTLM"):
        strength.check_challenge(challenge(NEEDED & ~taken))


@pytest.mark.parametrize("level", ["0", "2", "nonsense"])
def test_the_environment_chooses_no_older_ntlm(level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LM_COMPAT_LEVEL", level)
    made: list[spnego.ContextProxy] = []
    new = spnego.client

    def client(*given: object, **named: object) -> spnego.ContextProxy:
        made.append(new(*given, **named))  # type: ignore[arg-type]  # handed on
        raise ValueError("seen")

    monkeypatch.setattr(spnego, "client", client)
    monkeypatch.setattr(
        direct.DirectTransport,
        "_opened_line",
        lambda *_: type("L", (), {"certificate": None, "close": lambda _: None})(),
    )
    with pytest.raises((ValueError, HostUnreachable)):
        MessageCarrier(Connection("h", "http://h:5985/wsman", username="u", password=Secret("p"))).send(b"", seconds=5)
    assert made[0]._nt_v2  # type: ignore[attr-defined]  # of pyspnego's own NTLM
    assert not made[0]._nt_v1  # type: ignore[attr-defined]  # as above


def test_no_challenge_of_a_host_is_a_bug_of_ours() -> None:
    import random

    dice = random.Random(4)
    connection = Connection("h", "http://h:5985/wsman", username="u", password=Secret("p"))
    transport = direct.DirectTransport(connection, Login.NEGOTIATE)
    base = (
        b"NTLMSSP\0\x02\0\0\0"
        + bytes(8)
        + struct.pack("<I", NEEDED | 0x40800201)
        + b"12345678"
        + bytes(8)
        + bytes(8)
        + bytes(8)
    )
    for _ in range(3000):
        said = bytearray(base + dice.randbytes(dice.randrange(60)))
        for _ in range(dice.randrange(1, 6)):
            said[dice.randrange(len(said))] = dice.randrange(256)
        context = spnego.client("u", "p", hostname="h", protocol="ntlm", options=spnego.NegotiateOptions.use_ntlm)
        context.step(None)
        try:
            transport._step(context, bytes(said))
        except RemoteProtocolError:
            continue


def test_doctor_trusts_a_folder_of_authorities_as_runs_do(tmp_path: Path) -> None:
    connection = Connection(
        "h", "https://h:5986/wsman", username="u", password=Secret("p"), ca_trust_path=str(tmp_path)
    )
    assert probes._tls(connection).verify_mode is ssl.CERT_REQUIRED


def test_a_hint_to_validate_less_is_given_only_where_something_is_validated() -> None:
    connection = Connection(
        "h", "https://h.invalid:5986/wsman", username="u", password=Secret("p"), validate_certificate=False
    )
    told = unreached.tls_refused(connection, ssl.SSLError(1, "tlsv1 alert protocol version"))
    assert "speaks no TLS 1.2 or later" in told.what
    assert "ignore" not in told.try_
