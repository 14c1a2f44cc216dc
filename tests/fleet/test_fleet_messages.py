"""Messages between a control node and its workers: a secret is handed over by name only, and shown nowhere."""

from __future__ import annotations

import pickle

import pytest

from converge.fleet.messages import Go, Parcel, pack, unpack
from converge.model.secret import Secret


def test_a_secret_is_packed_only_explicitly_and_shown_nowhere() -> None:
    message = Go(1, "mail01", False, {"password": Secret("Canary-7f3a9c")})
    assert "Canary" not in repr(message)
    with pytest.raises(TypeError):
        pickle.dumps(message)
    found = unpack(pack(message))
    assert isinstance(found, Go)
    assert found.content == {"password": Secret("Canary-7f3a9c")}


def test_a_parcel_shows_nothing_of_its_content() -> None:
    """dask logs the arguments of what fails."""
    parcel = Parcel(1, pack(Go(1, "mail01", False, {"password": Secret("Canary-7f3a9c")})))
    assert b"Canary" in parcel.content
    assert "Canary" not in f"{parcel!r} {parcel!s} {[parcel]}"
    assert pickle.loads(pickle.dumps(parcel)) == parcel
