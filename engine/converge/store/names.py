"""Names of runs, and host names as file names."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from urllib.parse import quote, unquote

LONGEST_FILE_NAME = 200  # bytes; file systems take 255, and a suffix follows


def new_run_id(now: datetime | None = None) -> str:
    """A run's id, `2026-11-20T220107Z-1f3a`: its second, and which 65,536th part of it. Sorts by time."""
    moment = (now or datetime.now(UTC)).astimezone(UTC)
    return f"{moment:%Y-%m-%dT%H%M%SZ}-{moment.microsecond * 0x10000 // 1_000_000:04x}"


def file_name(host: str) -> str:
    """A host's name as a file name without separators: one host, one name, and `host_name` reads it back.

    A name too long for a file system keeps its beginning and is told apart by its SHA-256; that one is not read back.
    """
    quoted = quote(host, safe=" []()+,=@", errors="surrogatepass").replace("~", "%7E")
    if quoted.startswith("."):
        quoted = "%2E" + quoted[1:]
    quoted = quoted or "%"
    if len(quoted) <= LONGEST_FILE_NAME:
        return quoted
    digest = hashlib.sha256(host.encode(errors="surrogatepass")).hexdigest()
    return f"{quoted[:100]}~{digest}"


def host_name(name: str) -> str:
    """The host whose file name this is."""
    return "" if name == "%" else unquote(name, errors="surrogatepass")
