r"""Framing of sealed messages ([MS-WSMV] 2.2.9.1); the cryptography is the caller's.

    --Encrypted Boundary\r\n
    \tContent-Type: application/HTTP-SPNEGO-session-encrypted\r\n
    \tOriginalContent: type=application/soap+xml;charset=UTF-8;Length=N\r\n
    --Encrypted Boundary\r\n
    \tContent-Type: application/octet-stream\r\n
    <uint32, little endian: length of signature><signature><sealed bytes>--Encrypted Boundary--\r\n

The data has neither a blank line before it nor a line end after it, and may itself contain the boundary. So messages
are split by position, and a part ends where the next header or the end of the message begins.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import Final

from converge.errors import RemoteProtocolError

SPNEGO: Final = "application/HTTP-SPNEGO-session-encrypted"
KERBEROS: Final = "application/HTTP-Kerberos-session-encrypted"
CREDSSP: Final = "application/HTTP-CredSSP-session-encrypted"
MAX_PARTS: Final = 1024
MAX_SIGNATURE: Final = 4096
PIECE: Final = 16 * 1024
"""CredSSP seals so many bytes at once, in as many parts as that takes ([MS-WSMV] 2.2.9.1.3)."""

# Exchange writes `-- Encrypted Boundary`.
_HEADER = re.compile(
    rb"-- ?Encrypted Boundary\r\n"
    rb"\tContent-Type: (?P<protocol>application/HTTP-[A-Za-z]{1,16}-session-encrypted)\r\n"
    rb"\tOriginalContent: type=[^;\r\n]{1,80};charset=[A-Za-z0-9-]{1,20};Length=(?P<length>\d{1,9})\r\n"
    rb"-- ?Encrypted Boundary\r\n"
    rb"\tContent-Type: application/octet-stream\r\n"
)
_END = re.compile(rb"-- ?Encrypted Boundary--(?:\r\n)?\Z")

Wrap = Callable[[bytes], tuple[bytes, bytes]]
"""Seals plain bytes: the signature, and the sealed bytes."""
Unwrap = Callable[[bytes, bytes], bytes]
"""Opens sealed bytes, given the signature and them."""


def content_type(protocol: str = SPNEGO, *, size: int = 0) -> str:
    """The Content-Type of a sealed message; `size` is how long it was before."""
    kind = "x-multi-encrypted" if protocol == CREDSSP and size > PIECE else "encrypted"
    return f'multipart/{kind};protocol="{protocol}";boundary="Encrypted Boundary"'


def is_sealed(header: str) -> bool:
    """Whether a Content-Type is that of a sealed message."""
    return header.lower().startswith(("multipart/encrypted", "multipart/x-multi-encrypted"))


def seal(plain: bytes, *, wrap: Wrap, protocol: str = SPNEGO) -> bytes:
    """The body that carries a message sealed."""
    piece = PIECE if protocol == CREDSSP else max(len(plain), 1)
    parts = [_sealed(plain[at : at + piece], wrap, protocol) for at in range(0, max(len(plain), 1), piece)]
    return b"".join(parts) + b"--Encrypted Boundary--\r\n"


def _sealed(plain: bytes, wrap: Wrap, protocol: str) -> bytes:
    signature, sealed = wrap(plain)
    head = (
        f"--Encrypted Boundary\r\n\tContent-Type: {protocol}\r\n"
        f"\tOriginalContent: type=application/soap+xml;charset=UTF-8;Length={len(plain)}\r\n"
        "--Encrypted Boundary\r\n\tContent-Type: application/octet-stream\r\n"
    )
    return head.encode() + struct.pack("<I", len(signature)) + signature + sealed


def unseal(body: bytes, *, unwrap: Unwrap, limit: int) -> bytes:
    """The message a sealed body carries. Raises RemoteProtocolError when its framing or its stated length is wrong."""
    plain = b""
    for length, signature, sealed in split(body):
        opened = unwrap(signature, sealed)
        if len(opened) != length:
            raise RemoteProtocolError(f"a sealed message of {len(opened)} bytes that states {length}")
        plain += opened
        if len(plain) > limit:
            raise RemoteProtocolError(f"a sealed message of more than the {limit} bytes that are accepted")
    return plain


def split(body: bytes) -> list[tuple[int, bytes, bytes]]:
    """The parts of a sealed body: stated length, signature, sealed bytes. Raises RemoteProtocolError."""
    parts = []
    head = _HEADER.match(body)
    while head:
        # No shorter than stated: sealing pads, it never shrinks. So nothing within that span can end the part.
        least = head.end() + 4 + int(head["length"])
        following = _HEADER.search(body, least)
        end = following.start() if following else _end_of_message(body, least)
        parts.append((int(head["length"]), *_signed(body[head.end() : end])))
        if len(parts) > MAX_PARTS:
            raise RemoteProtocolError(f"a sealed message of more than {MAX_PARTS} parts")
        if following is None:
            return parts
        head = following
    raise RemoteProtocolError("a sealed message that does not begin with its boundary")


def _end_of_message(body: bytes, least: int) -> int:
    end = _END.search(body, least)
    if end is None:
        raise RemoteProtocolError("a sealed message that is cut off")
    return end.start()


def _signed(payload: bytes) -> tuple[bytes, bytes]:
    if len(payload) < 4:
        raise RemoteProtocolError("a sealed message without a signature")
    (length,) = struct.unpack("<I", payload[:4])
    if length > min(MAX_SIGNATURE, len(payload) - 4):
        raise RemoteProtocolError(f"a sealed message whose signature claims {length} bytes")
    return payload[4 : 4 + length], payload[4 + length :]
