"""What is left of a bug: a file with its traceback, and a sentence that names it. No values of variables, so no secrets."""

from __future__ import annotations

import os
import platform
import tempfile
import traceback
from datetime import UTC, datetime
from pathlib import Path

from converge import __version__
from converge.model.change import Problem
from converge.model.opening import make_state_folder


def keep(error: BaseException, *, folder: Path, where: str = "") -> Problem:
    """Write the traceback down, below `folder` or where temporary files go, and put the bug into words."""
    what = f"a bug in converge: {type(error).__name__}"
    try_ = "report it with that file; it holds no values of variables"
    for place in (folder / "bugs", Path(tempfile.gettempdir())):
        try:
            path = _write(place, _describe(error, where))
        except OSError:
            continue
        return Problem("internal", what, f"Its traceback is in {path}.", try_)
    return Problem("internal", what, "Its traceback could not be written anywhere.", "run again with -vvv to see it")


def trace(error: BaseException) -> str:
    """The traceback, for a person who asks for it."""
    return "".join(traceback.format_tb(error.__traceback__)) + type(error).__name__ + "\n"


def _describe(error: BaseException, where: str) -> str:
    # The message of an unexpected exception can quote any value, a password among them: only its type is kept.
    chain: list[str] = []
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        chain.append("".join(traceback.format_tb(current.__traceback__)) + type(current).__name__)
        current = current.__cause__ or current.__context__
    head = f"converge {__version__}, Python {platform.python_version()}, {platform.platform()}\n{where}\n"
    return head + "\ncaused by:\n".join(chain) + "\n"


def _write(folder: Path, text: str) -> Path:
    make_state_folder(folder)
    moment = datetime.now(UTC)
    descriptor, name = tempfile.mkstemp(prefix=f"converge-{moment:%Y-%m-%dT%H%M%SZ}-", suffix=".txt", dir=folder)
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(text)
    return Path(name)
