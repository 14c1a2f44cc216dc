"""Who may speak on a connection: Basic, and NTLM under Negotiate with the sealing of its messages ([MS-WSMV] 2.2.9.1)."""

from __future__ import annotations

import base64
import binascii
import hmac
import struct
from dataclasses import dataclass

import spnego
from spnego.exceptions import SpnegoError

SEALED = 'multipart/encrypted;protocol="application/HTTP-SPNEGO-session-encrypted";boundary="Encrypted Boundary"'
_BOUNDARY = b"--Encrypted Boundary"


@dataclass
class Login:
    """The login of one connection. `known` says whether the client has proved who it is."""

    username: str
    password: str
    basic: bool
    known: bool = False
    context: spnego.ContextProxy | None = None

    def challenges(self) -> list[str]:
        """What a client may try."""
        return ["Negotiate", 'Basic realm="WSMAN"'] if self.basic else ["Negotiate"]

    @property
    def seals(self) -> bool:
        """Whether messages can be sealed."""
        return self.known and self.context is not None

    def step(self, authorization: str) -> str | None:
        """Take an Authorization header; the challenge to answer with while more is needed."""
        scheme, _, token = authorization.partition(" ")
        try:
            data = base64.b64decode(token, validate=True)
        except binascii.Error:
            return None
        if scheme.lower() == "basic" and self.basic:
            self.known = hmac.compare_digest(data, f"{self.username}:{self.password}".encode())
        elif scheme.lower() == "negotiate":
            return self._negotiate(data)
        return None

    def _negotiate(self, token: bytes) -> str | None:
        if self.context is None or token[8:12] == b"\1\0\0\0":
            self.context = spnego.server(protocol="ntlm", options=spnego.NegotiateOptions.use_ntlm)
            self.known = False
        try:
            answered = self.context.step(token)
        except SpnegoError:
            self.context = None
            return None
        self.known = self.context.complete
        return None if self.known else f"Negotiate {base64.b64encode(answered or b'').decode()}"

    def opened(self, body: bytes) -> bytes:
        """The message in a sealed body. Raises ValueError where it was not sealed for this connection."""
        if self.context is None:
            raise ValueError("nothing to open it with")
        head, mark, rest = body.partition(b"\tContent-Type: application/octet-stream\r\n")
        end = rest.rfind(_BOUNDARY + b"--")
        if not mark or end < 4 or b"Length=" not in head:
            raise ValueError("not framed as a sealed message")
        length = int(head.rpartition(b"Length=")[2].split(b"\r\n")[0])
        (size,) = struct.unpack("<I", rest[:4])
        try:
            plain = self.context.unwrap_winrm(rest[4 : 4 + size], rest[4 + size : end])
        except SpnegoError as error:
            raise ValueError("the seal is broken") from error
        if len(plain) != length:
            raise ValueError("another length than stated")
        return plain

    def sealed(self, plain: bytes) -> bytes:
        """A message, sealed."""
        assert self.context is not None
        wrapped = self.context.wrap_winrm(plain)
        head = (
            "--Encrypted Boundary\r\n\tContent-Type: application/HTTP-SPNEGO-session-encrypted\r\n"
            f"\tOriginalContent: type=application/soap+xml;charset=UTF-8;Length={len(plain)}\r\n"
            "--Encrypted Boundary\r\n\tContent-Type: application/octet-stream\r\n"
        )
        size = struct.pack("<I", len(wrapped.header))
        return head.encode() + size + wrapped.header + wrapped.data + b"--Encrypted Boundary--\r\n"
