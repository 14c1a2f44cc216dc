"""Reads what users wrote from disk: bounded, UTF-8, with the place of the first byte that is not."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from converge.inventory.values import Place
from converge.model.opening import doubt, has_no_owners, read_bounded

if TYPE_CHECKING:
    from converge.inventory.values import Findings

MAX_BYTES = 64 * 1024 * 1024
"""An inventory of 100,000 hosts with a dozen variables each has a third of this."""

_UTF16 = (b"\xff\xfe", b"\xfe\xff")


def read_text(path: str, findings: Findings, *, comments: bytes = b"#") -> str | None:
    """The text of a file, or None once its problem is noted. Lines starting with one of `comments` may hold any bytes."""
    try:
        data = read_bounded(path, most=MAX_BYTES)
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        reason = error.strerror if isinstance(error, OSError) else str(error)
        findings.error(Place(path), f"cannot be read: {reason}")
        return None
    if not is_own(path, findings):
        return None
    if len(data) > MAX_BYTES:
        findings.error(Place(path), f"is larger than {MAX_BYTES >> 20} MiB", hint="split it into a folder of files")
        return None
    return _decode(data, path, findings=findings, comments=comments)


def is_own(path: str, findings: Findings) -> bool:
    """Whether no other account may change a file; the problem is noted, or a warning where no file has an owner."""
    if not (words := doubt(path)):
        return True
    if has_no_owners(path):
        findings.warn(Place(path), "lies on a file system without owners: other accounts may change it")
        return True
    findings.error(Place(path), "is not read: another account may change it", hint=words)
    return False


def is_regular(path: str) -> bool:
    """Whether a path found in a folder is an ordinary file: a pipe or device there would be waited on forever."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return True  # reading it tells what is wrong


def _decode(data: bytes, path: str, *, findings: Findings, comments: bytes) -> str | None:
    if data.startswith(_UTF16):
        findings.error(Place(path, 1, 1), "is UTF-16", expected="UTF-8", hint="save it as UTF-8")
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
            stripped = line.lstrip()
            if stripped[:1] and stripped[:1] in comments:
                lines.append("#")
                continue
            broken = True
            column = len(line[: error.start].decode("utf-8", "replace")) + 1
            findings.error(
                Place(path, number, column), f"byte 0x{line[error.start]:02x} is not UTF-8", expected="UTF-8"
            )
    return None if broken else "\n".join(lines)
