"""Workers of a dask cluster: one that is there, or one of processes of this machine that ends with the run.

dask finds the workers, their sites (a worker resource `site:NAME`), and the way to them; who gets which host is decided
here, because a message is sealed for the one worker that needs it and because dask would repeat what must not be repeated.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
import secrets
import signal
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from distributed import Client, LocalCluster, Security

from converge import __version__
from converge.errors import RemoteProtocolError, UsageError
from converge.fleet import cluster_worker
from converge.fleet.channel import Channel
from converge.fleet.links import Arrived, Inbox, Link, Lost
from converge.fleet.messages import Message, pack, unpack

SITE = "site:"
CONNECT_SECONDS = 15.0
POLL = 5.0  # seconds that a worker keeps a question open until it has something to tell
PATIENCE = 20.0  # seconds beyond that until it counts as lost
TRIES = 3  # of reaching a worker before it counts as lost; what came twice counts once
PAUSE = 0.3
DISMISS_SECONDS = 1.0
END_SECONDS = 1.0


class Cluster:
    """Opens lines to the workers of a scheduler. `shop` names the function that opens their shops, as module:name.

    `address` is tcp://HOST:PORT or tls://HOST:PORT, or empty for a cluster of `number` processes of this machine.
    `in_clear` says aloud that a line without TLS may leave this machine.
    """

    def __init__(self, address: str, *, shop: str, number: int = 0, in_clear: bool = False) -> None:
        self._address = address
        self._shop = shop
        self._number = number
        self._in_clear = in_clear
        self._cluster: LocalCluster | None = None
        self._client: Client | None = None
        self._links: list[_DaskLink] = []

    def open(self, inbox: Inbox, *, sites: Collection[str]) -> list[Link]:
        """A line to every worker. Raises UsageError: no scheduler, no worker of a site, another version, a line in clear."""
        if self._address and not self._is_trusted(self._address):
            raise _in_clear(f"the scheduler {self._address}")
        client = self._client = self._connected()
        workers: Mapping[str, Mapping[str, Any]] = client.scheduler_info(n_workers=-1)["workers"]
        if not workers:
            raise UsageError(f"the scheduler {self._address} has no workers", try_="start one: dask worker ADDRESS")
        for address in workers:
            if not self._is_trusted(address):
                raise _in_clear(f"the worker {address}")
        served = {address: _sites_of(worker) for address, worker in workers.items()}
        _require_sites(sites, served)
        lines = {address: (secrets.token_hex(16), X25519PrivateKey.generate()) for address in workers}
        greetings = self._greetings(client, lines)
        self._links = [
            _DaskLink(client, address, inbox=inbox, sites=served[address], line=line, greeting=greetings[address])
            for address, line in lines.items()
        ]
        return list(self._links)

    @property
    def _busy(self) -> bool:
        return any(link.left_busy for link in self._links)

    def close(self) -> None:
        """Leave the scheduler; end the processes that were started."""
        wait([link.farewell for link in self._links if link.farewell is not None], timeout=DISMISS_SECONDS)
        with suppress(TimeoutError, OSError):
            if self._client is not None:
                self._client.close(timeout=DISMISS_SECONDS)  # type: ignore[no-untyped-call]  # of distributed
        if self._cluster is not None:
            self._end(self._cluster)

    def _end(self, cluster: LocalCluster) -> None:
        """End the processes: by themselves if they are idle, or else by force, as threads end with their process."""
        try:
            cluster.close(timeout=END_SECONDS if self._busy else CONNECT_SECONDS)
        except TimeoutError:
            cluster.shutdown_on_close = False  # or dask would wait ten seconds for them when this process ends
            for nanny in list(cluster.workers.values()):
                nanny.auto_restart = False
                if nanny.pid:
                    with suppress(ProcessLookupError):
                        os.kill(nanny.pid, signal.SIGKILL)

    def _is_trusted(self, address: str) -> bool:
        return self._in_clear or address.startswith("tls://") or is_loopback(address)

    def _connected(self) -> Client:
        try:
            if not self._address:
                with _without_interrupts():
                    self._cluster = LocalCluster(  # type: ignore[no-untyped-call]  # of distributed
                        n_workers=self._number, threads_per_worker=1, processes=True, host="127.0.0.1",
                        dashboard_address=None, memory_limit=0, silence_logs=logging.CRITICAL,
                    )  # fmt: skip
                return Client(self._cluster, set_as_default=False)  # type: ignore[no-untyped-call]  # of distributed
            return Client(  # type: ignore[no-untyped-call]  # of distributed
                self._address, security=_security(self._address), timeout=CONNECT_SECONDS, set_as_default=False
            )
        except (OSError, TypeError, ValueError, RuntimeError) as error:
            raise UsageError(
                f"no scheduler answers at {self._address or '127.0.0.1'}: {type(error).__name__}: {error}"[:300],
                try_="dask scheduler; for TLS set distributed.comm.tls in dask's configuration",
            ) from error

    def _greetings(
        self, client: Client, lines: Mapping[str, tuple[str, X25519PrivateKey]]
    ) -> Mapping[str, Mapping[str, Any]]:
        async def all_of_them() -> list[Any]:
            return await asyncio.gather(
                *(
                    _called(
                        client, address, cluster_worker.hello, session, key.public_key().public_bytes_raw(), self._shop
                    )
                    for address, (session, key) in lines.items()
                )
            )

        greetings = dict(zip(lines, _on_loop(client, all_of_them(), seconds=60.0), strict=True))
        for address, greeting in greetings.items():
            if isinstance(greeting, Exception) and "ModuleNotFoundError" in repr(greeting):
                raise _other_version(address, "none, or one that knows no workers")
            if isinstance(greeting, Exception):
                raise UsageError(
                    f"the worker {address} does not answer: {type(greeting).__name__}", try_="look at its log"
                )
            if greeting["version"] != __version__:
                raise _other_version(address, greeting["version"])
        return greetings


class _DaskLink:
    """The line to one worker."""

    def __init__(
        self, client: Client, address: str, *, inbox: Inbox, sites: Collection[str],
        line: tuple[str, X25519PrivateKey], greeting: Mapping[str, Any],
    ) -> None:  # fmt: skip
        self._client = client
        self._inbox = inbox
        self._sites = sites
        self._session, own = line
        self._channel = Channel(own, greeting["key"], session=self._session, asks=True)
        self._outbox: list[bytes] = []
        self._lock = threading.Lock()
        self._closed = False
        self.left_busy = False
        self.farewell: Future[object] | None = None  # once it was dismissed
        self.name = address
        self.is_elsewhere = not is_loopback(address)
        self._loop = _loop_of(client)
        self._something = asyncio.Event()
        self._steps = [asyncio.run_coroutine_threadsafe(step(), self._loop) for step in (self._deliver, self._collect)]

    def serves(self, site: str) -> bool:
        """Hosts without a site, and those of its own."""
        return not site or site in self._sites

    def send(self, message: Message) -> None:
        """Hand it on, sealed for this worker."""
        packed = pack(message)
        with self._lock:
            self._outbox.append(self._channel.seal(packed))
        self._loop.call_soon_threadsafe(self._something.set)

    def close(self, *, at_once: bool) -> None:
        """Dismiss it. What it does is never broken off: it comes to its next boundary by itself."""
        self.left_busy = self.left_busy or at_once
        if self._closed:
            return
        self._closed = True
        for step in self._steps:
            step.cancel()
        farewell = _called(self._client, self.name, cluster_worker.dismiss, self._session)
        self.farewell = asyncio.run_coroutine_threadsafe(farewell, self._loop)

    async def _deliver(self) -> None:
        while True:
            await self._something.wait()
            self._something.clear()
            with self._lock:
                sealed, self._outbox = self._outbox, []
            if sealed and not await self._tried(cluster_worker.deliver, self._session, sealed):
                return

    async def _collect(self) -> None:
        while True:
            sealed = await self._tried(cluster_worker.collect, self._session, self._channel.received, POLL)
            if sealed is None:
                return
            try:
                for each in sealed:
                    if (message := self._channel.open(each)) is not None:
                        self._inbox.put(Arrived(self, unpack(message)))
            except RemoteProtocolError as error:
                self._lost(error.what)
                return

    async def _tried(self, function: Callable[..., Any], *given: object) -> Any:
        """What the worker answers; None where it is lost, which is then told. Numbers keep a second try from counting twice."""
        why = ""
        for _ in range(TRIES):
            answer = await _called(self._client, self.name, function, *given)
            if not isinstance(answer, Exception):
                if answer is None or answer is False:
                    self._lost("It knows nothing of this run: it was started anew, or heard nothing for too long.")
                    return None
                return answer
            why = type(answer).__name__
            await asyncio.sleep(PAUSE)
        self._lost(f"It cannot be reached: {why}.")
        return None

    def _lost(self, why: str) -> None:
        if not self._closed:
            self._inbox.put(Arrived(self, Lost(why)))


def _security(address: str) -> Any:
    """As dask is configured (distributed.comm.tls), and with no line in clear where TLS is meant."""
    return Security(require_encryption=True) if address.startswith("tls://") else None  # type: ignore[no-untyped-call]  # of distributed


def _loop_of(client: Client) -> asyncio.AbstractEventLoop:
    loop: Any = client.loop
    found: asyncio.AbstractEventLoop = loop.asyncio_loop
    return found


async def _called(client: Client, address: str, function: Callable[..., Any], *given: object) -> Any:
    """What a function returns on one worker, or the exception that was met."""
    try:
        call = client.run(function, *given, workers=[address], on_error="return")
        answers = await asyncio.wait_for(call, POLL + PATIENCE)
        return answers[address]
    except Exception as error:  # noqa: BLE001  # dask raises whatever the other end did; whoever asked decides
        return error


def _on_loop(client: Client, step: Any, *, seconds: float) -> Any:
    return asyncio.run_coroutine_threadsafe(step, _loop_of(client)).result(seconds)


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Processes that are started here hear no Ctrl-C: it reaches the control node, which says what to do."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are set by the main thread alone; where it has work of its own no terminal is read
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _sites_of(worker: Mapping[str, Any]) -> frozenset[str]:
    resources = worker.get("resources") or {}
    return frozenset(name.removeprefix(SITE) for name in resources if name.startswith(SITE))


def _require_sites(wanted: Collection[str], served: Mapping[str, Collection[str]]) -> None:
    missing = sorted(site for site in wanted if site and not any(site in sites for sites in served.values()))
    if missing:
        raise UsageError(
            f"no worker serves the site {', '.join(missing)}",
            why=f"{len(served)} workers are there; they serve {', '.join(sorted(set().union(*served.values()))) or 'no site'}.",
            try_=f'dask worker ADDRESS --resources "{SITE}{missing[0]}=1"',
        )


def is_loopback(address: str) -> bool:
    """Whether an address such as tcp://127.0.0.1:8786 cannot be reached from elsewhere."""
    host = urlsplit(address).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _in_clear(what: str) -> UsageError:
    return UsageError(
        f"{what} is not on this machine, and its line is not encrypted",
        why="Who can reach a scheduler can have its workers run anything.",
        try_="dask+tls://HOST:PORT with certificates in dask's configuration; dask+insecure:// says aloud that it may be",
    )


def _other_version(address: str, version: str) -> UsageError:
    return UsageError(
        f"the worker {address} has converge {version}; this is {__version__}",
        try_="install the same version where the workers run, and restart them",
    )
