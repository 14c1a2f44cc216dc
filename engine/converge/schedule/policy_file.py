"""The policy file as a daemon lives with it: looked at again when it changes, and never let in unless it is right."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from converge.errors import ConvergeError
from converge.schedule.policy import Policy, parse_policy, read_content

REVISION = 12  # hexadecimal digits of the SHA-256 of the file's content


class PolicyFile:
    """The policy in force, and its revision. A version that is wrong is refused: the one before stays in force.

    `check` raises ConvergeError for a policy whose playbooks or hosts cannot be found.
    """

    def __init__(self, path: Path, check: Callable[[Policy], None]) -> None:
        """Raises InputErrors, UsageError."""
        self._path = path
        self._check = check
        self._stamp = _stamp(path)
        self.policy, self.revision = self._read()
        self.problem: ConvergeError | None = None
        """Why a newer version of the file is not in force."""

    def look(self, *, anew: bool = False) -> bool:
        """Look at the file, and read it if it was written since or `anew`; whether there is something new to tell."""
        stamp = _stamp(self._path)
        if stamp == self._stamp and not anew:
            return False
        self._stamp = stamp
        told, revision = self.problem, self.revision
        try:
            self.policy, self.revision = self._read()
            self.problem = None
        except ConvergeError as error:
            self.problem = error
        return anew or self.revision != revision or str(self.problem) != str(told)

    def _read(self) -> tuple[Policy, str]:
        content = read_content(self._path)
        policy = parse_policy(content, path=self._path)
        self._check(policy)
        return policy, hashlib.sha256(content).hexdigest()[:REVISION]


def _stamp(path: Path) -> tuple[int, int, int]:
    try:
        found = os.stat(path)
    except OSError:
        return (0, 0, 0)
    return (found.st_mtime_ns, found.st_ino, found.st_size)
