"""The hash of a password is the one that Windows keeps."""

from __future__ import annotations

import pytest
import spnego._ntlm_raw.crypto as theirs
from hypothesis import given
from hypothesis import strategies as st

from converge.winrm.nt_hash import md4, nt_hash


@pytest.mark.parametrize(
    ("text", "digest"),
    [
        (b"", "31d6cfe0d16ae931b73c59d7e0c089c0"),
        (b"a", "bde52cb31de33e46245e05fbdbd6fb24"),
        (b"abc", "a448017aaf21d8525fc10ae87aa6729d"),
        (b"message digest", "d9130a8164549fe818874806e1c7014b"),
        (b"abcdefghijklmnopqrstuvwxyz", "d79e1c308aa5bbcdeea8ed63df412da9"),
        (
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
            "043f8582f241db351ce627e153e7f0e4",
        ),
        (b"1234567890" * 8, "e33b4ddc9c38f2199c3e7b164fcc0536"),
    ],
)
def test_the_examples_of_rfc_1320(text: bytes, digest: str) -> None:
    assert md4(text).hex() == digest


def test_the_hash_of_a_well_known_password() -> None:
    assert nt_hash("password").hex() == "8846f7eaee8fb117ad06bdd830b7586c"


@given(st.text(st.characters(codec="utf-16-le"), max_size=200))
def test_any_password_has_the_hash_that_pyspnego_reckons(password: str) -> None:
    assert nt_hash(password) == theirs.ntowfv1(password)
