"""What users wrote, from disk: bounded, UTF-8, with the place of the first byte of a line that is not."""

from __future__ import annotations

import os
import stat

from converge.model.opening import doubt, read_bounded
from converge.model.position import Position
from converge.reading.problems import Problems

_UTF16 = (b"\xff\xfe", b"\xfe\xff")


def read_bytes(path: str, *, limit: int, problems: Problems) -> bytes | None:
    """What an ordinary file holds that no other account may change, or None once its problem is noted. `limit` is in bytes."""
    try:
        data = read_bounded(path, most=limit)
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        reason = error.strerror if isinstance(error, OSError) else str(error)
        problems.error(Position(path), f"the file cannot be read: {reason}")
        return None
    if not is_own(path, problems):
        return None
    if len(data) > limit:
        problems.error(Position(path), f"the file is larger than {limit >> 20} MiB", hint="split it")
        return None
    return data


def read_text(path: str, *, limit: int, problems: Problems, comments: bytes = b"") -> str | None:
    """The text of such a file, or None once its problems are noted. Lines starting with one of `comments` may hold any bytes."""
    data = read_bytes(path, limit=limit, problems=problems)
    return None if data is None else decoded(data, file=path, problems=problems, comments=comments)


def is_regular(path: str) -> bool:
    """Whether a path found in a folder is an ordinary file: a pipe or device there would be waited on forever."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return True  # reading it tells what is wrong


def is_own(path: str, problems: Problems) -> bool:
    """Whether no other account may change a file; the problem is noted."""
    if not (remedy := doubt(path)):
        return True
    problems.error(Position(path), "the file is not read: another account may change it", hint=remedy)
    return False


def decoded(data: bytes, *, file: str, problems: Problems, comments: bytes = b"") -> str | None:
    """The text of a file, or None once its problems are noted. Lines starting with one of `comments` may hold any bytes."""
    if data.startswith(_UTF16):
        problems.error(Position(file), "the file is UTF-16", expected="UTF-8", hint="save it again as UTF-8")
        return None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    lines: list[str] = []
    broken = False
    for number, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        try:
            lines.append(line.decode())
        except UnicodeDecodeError as error:
            first = line.lstrip()[:1]
            if first and first in comments:
                lines.append("#")
                continue
            broken = True
            position = Position(file, number, len(line[: error.start].decode("utf-8", "replace")) + 1)
            message = f"the byte 0x{line[error.start]:02x} is not UTF-8"
            problems.error(position, message, expected="UTF-8", hint="save the file again as UTF-8")
    return None if broken else "\n".join(lines)
