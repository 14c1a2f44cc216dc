"""Which executor `--executor` means. What it needs is loaded only when it is asked for."""

from __future__ import annotations

import os
import re

from converge.cli.options import RunOptions
from converge.errors import UsageError
from converge.fleet.executor import Executor, Threads

MOST_PROCESSES = 256
_LOCAL = re.compile(r"(processes)(?::([0-9]{1,4}))?")


def require_known(words: str) -> None:
    """Raises UsageError for words that name no executor, and for more processes than any machine has use for."""
    if words == "threads":
        return
    if (found := _LOCAL.fullmatch(words)) is None:
        raise UsageError(
            f"{words!r} names no executor", try_="threads, processes, or processes:N for so many processes"
        )
    _number(found[2])


def executor_for(options: RunOptions) -> Executor:
    """The executor of a run, by words that name one."""
    found = _LOCAL.fullmatch(options.executor)
    if found is None:
        return Threads()
    from converge.cli.working import open_shop
    from converge.fleet.processes import Processes
    from converge.fleet.remote import Remote

    return Remote(Processes(_number(found[2]), open_shop=open_shop), login_forks=options.login_forks)


def _number(word: str | None) -> int:
    number = int(word) if word is not None else os.cpu_count() or 1
    if not 0 < number <= MOST_PROCESSES:
        raise UsageError(
            f"{number} worker processes are not between 1 and {MOST_PROCESSES}", try_="as many as there are cores"
        )
    return number
