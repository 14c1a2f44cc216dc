"""Reads what users wrote from disk, as inventories are bounded."""

from __future__ import annotations

import os
import stat

from converge.reading.files import decoded, read_bytes
from converge.reading.problems import Problems

MAX_BYTES = 64 * 1024 * 1024
"""An inventory of 100,000 hosts with a dozen variables each has a third of this."""


def read_text(path: str, problems: Problems, *, comments: bytes = b"#") -> str | None:
    """The text of a file, or None once its problem is noted. Lines starting with one of `comments` may hold any bytes."""
    data = read_bytes(path, limit=MAX_BYTES, problems=problems)
    return None if data is None else decoded(data, file=path, problems=problems, comments=comments)


def is_regular(path: str) -> bool:
    """Whether a path found in a folder is an ordinary file: a pipe or device there would be waited on forever."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return True  # reading it tells what is wrong
