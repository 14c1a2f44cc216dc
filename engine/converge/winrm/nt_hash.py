"""The hash that Windows keeps of a password and NTLM reckons with: MD4 (RFC 1320) of its text in UTF-16."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

_MASK: Final = 0xFFFFFFFF
_START: Final = (0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476)
_Mix = Callable[[int, int, int], int]
_ROUNDS: Final[tuple[tuple[_Mix, int, tuple[int, ...], tuple[int, ...]], ...]] = (
    (lambda x, y, z: (x & y) | (~x & z), 0, tuple(range(16)), (3, 7, 11, 19)),
    (
        lambda x, y, z: (x & y) | (x & z) | (y & z),
        0x5A827999,
        (0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15),
        (3, 5, 9, 13),
    ),
    (lambda x, y, z: x ^ y ^ z, 0x6ED9EBA1, (0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15), (3, 9, 11, 15)),
)
"""Of each round: how three words are mixed, what is added, in which order the block's words come, and how far they turn."""


def md4(data: bytes) -> bytes:
    """The digest. OpenSSL 3 offers it no more unless it is told to; here it protects nothing, NTLM asks for it."""
    padded = data + b"\x80" + bytes(-(len(data) + 9) % 64) + struct.pack("<Q", 8 * len(data))
    state = _START
    for start in range(0, len(padded), 64):
        words = struct.unpack_from("<16I", padded, start)
        a, b, c, d = state
        for mix, constant, order, turns in _ROUNDS:
            for step, index in enumerate(order):
                total = (a + mix(b, c, d) + words[index] + constant) & _MASK
                turn = turns[step % 4]
                a, b, c, d = d, ((total << turn) | (total >> (32 - turn))) & _MASK, b, c
        state = tuple((old + new) & _MASK for old, new in zip(state, (a, b, c, d), strict=True))  # type: ignore[assignment]  # four words again
    return struct.pack("<4I", *state)


def nt_hash(password: str) -> bytes:
    """The hash of a password."""
    return md4(password.encode("utf-16-le", "surrogatepass"))
