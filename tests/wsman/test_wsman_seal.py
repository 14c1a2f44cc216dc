"""Sealed messages are framed as Windows frames them and split by position, whatever the ciphertext holds."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converge.errors import RemoteProtocolError
from converge.wsman import seal

SIGNATURE = b"\x01\x00\x00\x00" + b"S" * 12


def wrap(plain: bytes) -> tuple[bytes, bytes]:
    """A stand-in for a cipher: turns every bit."""
    return SIGNATURE, bytes(byte ^ 0xFF for byte in plain)


def unwrap(signature: bytes, sealed: bytes) -> bytes:
    """The way back."""
    assert signature == SIGNATURE
    return bytes(byte ^ 0xFF for byte in sealed)


def opened(body: bytes) -> bytes:
    """The message in a sealed body."""
    return seal.unseal(body, unwrap=unwrap, limit=10_000)


NASTY = [
    b"--Encrypted Boundary--\r\n",
    b"--Encrypted Boundary\r\n",
    b"\tContent-Type: application/octet-stream\r\n",
    b"\r\n\r\n",
]


@settings(max_examples=200)
@given(pieces=st.lists(st.one_of(st.binary(max_size=30), st.sampled_from(NASTY)), max_size=6))
def test_any_message_comes_back_even_if_its_ciphertext_holds_the_boundary(pieces: list[bytes]) -> None:
    _, plain = wrap(b"".join(pieces))
    assert opened(seal.seal(plain, wrap=wrap)) == plain


def test_the_frame_is_the_one_windows_writes() -> None:
    assert seal.seal(b"<a/>", wrap=lambda _: (b"sig", b"data")) == (
        b"--Encrypted Boundary\r\n"
        b"\tContent-Type: application/HTTP-SPNEGO-session-encrypted\r\n"
        b"\tOriginalContent: type=application/soap+xml;charset=UTF-8;Length=4\r\n"
        b"--Encrypted Boundary\r\n"
        b"\tContent-Type: application/octet-stream\r\n"
        b"\x03\x00\x00\x00sigdata--Encrypted Boundary--\r\n"
    )
    assert seal.is_sealed(seal.content_type())
    assert not seal.is_sealed("application/soap+xml;charset=UTF-8")


def test_the_boundary_with_a_blank_and_several_parts_are_read() -> None:
    body = seal.seal(b"hello", wrap=wrap)
    assert opened(body.replace(b"--Encrypted", b"-- Encrypted")) == b"hello"
    assert opened(body.removesuffix(b"--Encrypted Boundary--\r\n") + body) == b"hellohello"


def test_padding_beyond_the_stated_length_is_the_ciphers_business() -> None:
    body = seal.seal(b"hello", wrap=lambda plain: (SIGNATURE, wrap(plain)[1] + b"\x00\x00"))
    assert seal.unseal(body, unwrap=lambda _, sealed: unwrap(SIGNATURE, sealed)[:-2], limit=100) == b"hello"


BODY = seal.seal(b"hello world", wrap=wrap)


@pytest.mark.parametrize("cut", range(len(BODY)))
def test_a_sealed_message_that_is_cut_anywhere_is_refused(cut: int) -> None:
    if BODY[cut:] == b"\r\n":
        pytest.skip("the last line end is no part of the message")
    with pytest.raises(RemoteProtocolError):
        opened(BODY[:cut])


@pytest.mark.parametrize(
    "body",
    [
        BODY.replace(b"Length=11", b"Length=10"),
        BODY.replace(b"Length=11", b"Length=999999999"),
        BODY.replace(b"Length=11", b"Length=-1"),
        BODY.replace(b"\x10\x00\x00\x00", b"\xff\xff\xff\xff"),
        BODY.replace(b"\tContent", b"Content"),
        b"x" + BODY,
        BODY + b"x",
        seal.seal(b"x" * 20_000, wrap=wrap),
    ],
)
def test_a_wrong_frame_is_refused(body: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        opened(body)
