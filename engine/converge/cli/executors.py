"""Which executor `--executor` means. What it needs is loaded only when it is asked for."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from converge.cli.options import RunOptions
from converge.errors import UsageError
from converge.fleet.executor import Executor, Threads
from converge.model.extras import how_to_install

if TYPE_CHECKING:
    from converge.fleet.links import Links

MOST_PROCESSES = 256
SHOP = "converge.cli.working:open_shop"
_LOCAL = re.compile(r"(processes|dask)(?::([0-9]{1,4}))?")
_CLUSTER = re.compile(r"dask(\+tls|\+insecure)?://([^/@\s]+:[0-9]{1,5})/?")


def require_known(words: str) -> None:
    """Raises UsageError for words that name no executor, and for more processes than any machine has use for."""
    if words == "threads":
        return
    if _CLUSTER.fullmatch(words):
        return
    if (found := _LOCAL.fullmatch(words)) is None:
        raise UsageError(
            f"{words!r} names no executor",
            try_="threads, processes, dask (:N for so many processes), dask://HOST:PORT or dask+tls://HOST:PORT",
        )
    _number(found[2])


def executor_for(options: RunOptions) -> Executor:
    """The executor of a run, by words that name one. Raises UsageError where its libraries are not there."""
    if options.executor == "threads":
        return Threads()
    from converge.fleet.remote import Remote

    return Remote(_links(options.executor), login_forks=options.login_forks)


def _links(words: str) -> Links:
    local, cluster = _LOCAL.fullmatch(words), _CLUSTER.fullmatch(words)
    if local is not None and local[1] == "processes":
        from converge.cli.working import open_shop
        from converge.fleet.processes import Processes

        return Processes(_number(local[2]), open_shop=open_shop)
    try:
        from converge.fleet.cluster import Cluster
    except ImportError as error:
        raise UsageError(
            f"--executor {words} needs dask.distributed, which is not installed", try_=how_to_install("cluster")
        ) from error
    if cluster is None:
        return Cluster("", shop=SHOP, number=_number(local[2] if local else None))
    scheme = "tls" if cluster[1] == "+tls" else "tcp"
    return Cluster(f"{scheme}://{cluster[2]}", shop=SHOP, in_clear=cluster[1] == "+insecure")


def _number(word: str | None) -> int:
    number = int(word) if word is not None else os.cpu_count() or 1
    if not 0 < number <= MOST_PROCESSES:
        raise UsageError(
            f"{number} worker processes are not between 1 and {MOST_PROCESSES}", try_="as many as there are cores"
        )
    return number
