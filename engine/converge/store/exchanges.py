"""Exchanges with a host kept as files, a pair each, without secrets: evidence to look at, and ready to become a test."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from converge.errors import UsageError
from converge.model.redaction import HIDDEN, Redaction
from converge.model.secret import Secret

MOST: Final = 10_000  # pairs; nobody reads more
_PASSWORD_ELEMENT: Final = re.compile(
    rb"(<(?:[\w.-]+:)?[\w.-]*(?:password|passwd|passphrase|secret)[\w.-]*(?:\s[^<>]*)?(?<!/)>)[^<]*", re.IGNORECASE
)
_PASSWORD_ARGUMENT: Final = re.compile(rb"(\b(?:password|passwd|passphrase|pwd)\b\s*[=:]\s*)[^\s<&]+", re.IGNORECASE)


class ExchangeFolder:
    """Writes each exchange as NUMBER-request.xml and NUMBER-answer.STATUS.xml (mode 0600), NUMBER counting from 0001.

    What is written are the messages themselves, as they are before they are sealed: no HTTP header, so no login. `secrets`
    are cut out of them in every spelling, and so is what stands in elements and arguments that are called passwords.
    """

    def __init__(self, folder: Path, *, secrets: Iterable[Secret]) -> None:
        """Make the folder. Raises UsageError where it cannot be made, or holds something already."""
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if any(folder.iterdir()):
                raise UsageError(f"the folder {folder} holds something already", try_="name one that is new")
        except OSError as error:
            raise UsageError(f"the folder {folder} cannot be made: {error.strerror or error}") from error
        self._folder = folder
        self._redaction = Redaction(secrets)
        self.count = 0

    def exchanged(self, request: bytes, answer: bytes | None, *, status: int = 0) -> None:
        """Keep one exchange; an `answer` of None never came. Raises UsageError when it cannot be written."""
        if self.count >= MOST:
            return
        self.count += 1
        self._write(f"{self.count:04}-request.xml", request)
        if answer is not None:
            self._write(f"{self.count:04}-answer.{status}.xml", answer)

    def _write(self, name: str, message: bytes) -> None:
        path = self._folder / name
        try:
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(self.without_secrets(message))
        except OSError as error:
            raise UsageError(f"{path} cannot be written: {error.strerror or error}") from error

    def without_secrets(self, message: bytes) -> bytes:
        """A message with every secret replaced by asterisks."""
        message = self._redaction.of_bytes(message)
        message = _PASSWORD_ELEMENT.sub(rb"\1" + HIDDEN.encode(), message)
        return _PASSWORD_ARGUMENT.sub(rb"\1" + HIDDEN.encode(), message)
