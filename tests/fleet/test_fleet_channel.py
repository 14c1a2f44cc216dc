"""A sealed line: only the other end reads it, what comes twice counts once, and what was changed is refused."""

from __future__ import annotations

import pickle

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from converge.errors import RemoteProtocolError
from converge.fleet.channel import Channel, number_of
from converge.fleet.messages import Go, pack, unpack
from converge.model.secret import Secret


def ends(session: str = "run 1") -> tuple[Channel, Channel]:
    one, other = X25519PrivateKey.generate(), X25519PrivateKey.generate()
    return (
        Channel(one, other.public_key().public_bytes_raw(), session=session, asks=True),
        Channel(other, one.public_key().public_bytes_raw(), session=session, asks=False),
    )


def test_both_directions_and_nobody_in_between() -> None:
    near, far = ends()
    sealed = near.seal(b"Canary-7f3a9c")
    assert b"Canary" not in sealed
    assert far.open(sealed) == b"Canary-7f3a9c"
    assert near.open(far.seal(b"back")) == b"back"
    with pytest.raises(RemoteProtocolError):
        ends()[1].open(near.seal(b"for another"))


def test_what_comes_twice_or_late_counts_once() -> None:
    near, far = ends()
    first, second = near.seal(b"one"), near.seal(b"two")
    assert (number_of(first), number_of(second)) == (1, 2)
    assert far.open(second) == b"two"
    assert far.open(second) is None
    assert far.open(first) is None


@pytest.mark.parametrize("place", [0, 8, -1])
def test_what_was_changed_is_refused(place: int) -> None:
    near, far = ends()
    sealed = bytearray(near.seal(b"word"))
    sealed[place] ^= 1
    with pytest.raises(RemoteProtocolError):
        far.open(bytes(sealed))


def test_what_one_end_sealed_does_not_come_back_as_the_other_ends_word() -> None:
    near, _ = ends()
    with pytest.raises(RemoteProtocolError):
        near.open(near.seal(b"word"))


def test_a_secret_is_packed_only_aloud_and_shown_nowhere() -> None:
    message = Go(1, "mail01", False, {"password": Secret("Canary-7f3a9c")})
    assert "Canary" not in repr(message)
    with pytest.raises(TypeError):
        pickle.dumps(message)
    found = unpack(pack(message))
    assert isinstance(found, Go)
    assert found.cargo == {"password": Secret("Canary-7f3a9c")}
