"""Sensitive values, encrypted with a key that the operator holds (`CONVERGE_JOURNAL_KEY`) and the store does not."""

from __future__ import annotations

import base64
import hashlib
import threading
from functools import cached_property
from typing import TYPE_CHECKING

from converge.errors import JournalUnavailable
from converge.model.secret import Secret

if TYPE_CHECKING:
    from cryptography.fernet import Fernet

SCRYPT_COST = 2**15  # 32 MiB and about 0.1 s for each guess at the key's text


class Sealing:
    """Seals and opens texts with one key, of whatever text it was made. Its cost is paid at the first use."""

    def __init__(self, key: Secret, *, salt: bytes) -> None:
        self._key = key
        self._salt = salt
        self._deriving = threading.Lock()

    def seal(self, secret: Secret) -> str:
        """The encrypted text (Fernet: AES-128-CBC with HMAC-SHA256)."""
        return self._cipher().encrypt(secret.reveal().encode("utf-8", "surrogatepass")).decode("ascii")

    def open(self, sealed: str) -> Secret:
        """What was sealed. Raises JournalUnavailable for another key, or a text that was changed."""
        from cryptography.fernet import InvalidToken

        try:
            return Secret(self._cipher().decrypt(sealed.encode("ascii", "replace")).decode("utf-8", "surrogatepass"))
        except InvalidToken as error:
            raise JournalUnavailable(
                "a sensitive value of the journal cannot be opened",
                why="It was encrypted with another CONVERGE_JOURNAL_KEY, or it was changed.",
                try_="set CONVERGE_JOURNAL_KEY to what it was in that run",
                code="journal-key",
            ) from error

    def _cipher(self) -> Fernet:
        with self._deriving:
            return self._derived

    @cached_property
    def _derived(self) -> Fernet:
        from cryptography.fernet import Fernet

        raw = hashlib.scrypt(
            self._key.reveal().encode("utf-8", "surrogatepass"), salt=self._salt, n=SCRYPT_COST, r=8, p=1,
            maxmem=64 * 1024 * 1024, dklen=32,
        )  # fmt: skip
        return Fernet(base64.urlsafe_b64encode(raw))
