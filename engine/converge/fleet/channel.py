"""A sealed line between two processes over machines in between: X25519 for the key, ChaCha20-Poly1305 for each message.

Who carries the messages sees their sizes and nothing else, and one that comes twice counts once. Who carries the public
keys could put its own in their place: the line below must say who is at its other end (TLS, as dask is configured).
"""

from __future__ import annotations

import threading

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from converge.errors import RemoteProtocolError

_PURPOSE = b"converge worker line 1"
_COUNTER = 8  # bytes
_NONCE = 12


class Channel:
    """One end of a line. `asks` is the end that opened it: each direction has a key of its own. From many threads."""

    def __init__(self, own: X25519PrivateKey, other: bytes, *, session: str, asks: bool) -> None:
        """`other` is the public key of the other end. Raises ValueError for bytes that are none."""
        shared = own.exchange(X25519PublicKey.from_public_bytes(other))
        ours = own.public_key().public_bytes_raw()
        asking, answering = (ours, other) if asks else (other, ours)
        info = b"|".join((_PURPOSE, session.encode(), asking, answering))
        keys = HKDF(hashes.SHA256(), length=64, salt=None, info=info).derive(shared)
        first, second = ChaCha20Poly1305(keys[:32]), ChaCha20Poly1305(keys[32:])
        self._out, self._in = (first, second) if asks else (second, first)
        self._sent = 0
        self.received = 0
        self._lock = threading.Lock()

    def seal(self, message: bytes) -> bytes:
        """The message, sealed and numbered from 1. Messages must arrive in the order in which they were sealed."""
        with self._lock:
            self._sent += 1
            number = self._sent.to_bytes(_COUNTER, "big")
            return number + self._out.encrypt(number.rjust(_NONCE, b"\0"), message, None)

    def open(self, sealed: bytes) -> bytes | None:
        """The message; None for one that came before. Raises RemoteProtocolError for one that was not sealed for this end."""
        number = sealed[:_COUNTER]
        with self._lock:
            if int.from_bytes(number, "big") <= self.received:
                return None
            try:
                message = self._in.decrypt(number.rjust(_NONCE, b"\0"), sealed[_COUNTER:], None)
            except InvalidTag:
                raise RemoteProtocolError("a message that was not sealed for this end of the line") from None
            self.received = int.from_bytes(number, "big")
            return message


def number_of(sealed: bytes) -> int:
    """The number that a sealed message bears."""
    return int.from_bytes(sealed[:_COUNTER], "big")
