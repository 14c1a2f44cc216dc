"""Which executor `--executor` means. What it needs is loaded only when it is asked for."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from converge.errors import UsageError
from converge.fleet.executor import Executor, Threads
from converge.model.extras import how_to_install
from converge.runs.options import RunOptions

if TYPE_CHECKING:
    from converge.fleet.links import Links

MOST_PROCESSES = 256
RUNNER = "converge.runs.stage_worker:open_runner"
_LOCAL = re.compile(r"dask(?::([0-9]{1,4}))?")
_CLUSTER = re.compile(r"dask\+tls://([^/@\s]+:[0-9]{1,5})/?")


def require_known(words: str) -> None:
    """Raises UsageError for words that name no executor, and for more processes than any machine has use for."""
    if words == "threads":
        return
    if _CLUSTER.fullmatch(words):
        return
    if (found := _LOCAL.fullmatch(words)) is None:
        raise UsageError(
            f"{words!r} names no executor",
            try_="threads, dask (dask:N for so many processes of this machine) or dask+tls://HOST:PORT",
        )
    _number(found[1])


def executor_for(options: RunOptions) -> Executor:
    """The executor of a run, by words that name one. Raises UsageError where its libraries are not there."""
    if options.executor == "threads":
        return Threads()
    from converge.fleet.remote import Remote

    return Remote(_links(options.executor), login_forks=options.login_forks)


def _links(words: str) -> Links:
    local, cluster = _LOCAL.fullmatch(words), _CLUSTER.fullmatch(words)
    try:
        from converge.fleet.cluster import Cluster
    except ImportError as error:
        raise UsageError(
            f"--executor {words} needs dask.distributed, which is not installed", try_=how_to_install("cluster")
        ) from error
    if cluster is None:
        return Cluster("", runner=RUNNER, number=_number(local[1] if local else None))
    return Cluster(f"tls://{cluster[1]}", runner=RUNNER)


def _number(word: str | None) -> int:
    number = int(word) if word is not None else os.cpu_count() or 1
    if not 0 < number <= MOST_PROCESSES:
        raise UsageError(
            f"{number} worker processes are not between 1 and {MOST_PROCESSES}", try_="as many as there are cores"
        )
    return number
