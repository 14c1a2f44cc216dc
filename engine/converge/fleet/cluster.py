"""Workers of a dask cluster: one that is there, or one of processes of this machine that ends with the run.

dask finds the workers, their sites (a worker resource `site:NAME`), and the way to them; who gets which host is decided
here, because dask would repeat what must not be repeated. Every line is TLS with certificates at both ends, by dask's own means.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
import secrets
import signal
import tempfile
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import dask.config
from distributed import Client, LocalCluster, Security

from converge import __version__
from converge.errors import UsageError
from converge.fleet import cluster_worker
from converge.fleet.links import Arrived, Inbox, Link, Lost
from converge.fleet.messages import Message, Parcel, pack, unpack

SITE = "site:"
CONNECT_SECONDS = 15.0
POLL = 5.0  # seconds that a worker keeps a question open until it has something to tell
PATIENCE = 20.0  # seconds beyond that until it counts as lost
TRIES = 3  # of reaching a worker before it counts as lost; what came twice counts once
PAUSE = 0.3
DISMISS_SECONDS = 1.0
END_SECONDS = 1.0


class Cluster:
    """Opens lines to the workers of a scheduler. `runner` names the function that opens their shops, as module:name.

    `address` is tls://HOST:PORT, or empty for a cluster of `number` processes of this machine, with certificates of its own.
    """

    def __init__(self, address: str, *, runner: str, number: int = 0) -> None:
        self._address = address
        self._runner = runner
        self._number = number
        self._cluster: LocalCluster | None = None
        self._client: Client | None = None
        self._scratch: tempfile.TemporaryDirectory[str] | None = None  # dask's own is one that everybody may write to
        self._links: list[_DaskLink] = []

    def open(self, inbox: Inbox, *, sites: Collection[str]) -> list[Link]:
        """A line to every worker. Raises UsageError: no scheduler, no worker of a site, another version, a line in clear."""
        if self._address:
            _require_certificates()
        client = self._client = self._connected()
        workers: Mapping[str, Mapping[str, Any]] = client.scheduler_info(n_workers=-1)["workers"]
        if not workers:
            raise UsageError(f"the scheduler {self._address} has no workers", try_="start one: dask worker ADDRESS")
        for address in workers:
            if not address.startswith("tls://"):
                raise _in_clear(address)
        served = {address: _sites_of(worker) for address, worker in workers.items()}
        _require_sites(sites, served)
        sessions = {address: secrets.token_hex(16) for address in workers}
        self._greet(client, sessions)
        self._links = [
            _DaskLink(client, address, inbox=inbox, sites=served[address], session=session)
            for address, session in sessions.items()
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
        if self._scratch is not None:
            self._scratch.cleanup()

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

    def _connected(self) -> Client:
        try:
            if not self._address:
                self._scratch = tempfile.TemporaryDirectory(prefix="converge-workers-", ignore_cleanup_errors=True)
                with _without_interrupts(), _without_pages():
                    self._cluster = LocalCluster(  # type: ignore[no-untyped-call]  # of distributed
                        n_workers=self._number, threads_per_worker=1, processes=True, host="127.0.0.1",
                        security=Security.temporary(),  # type: ignore[no-untyped-call]  # of distributed
                        dashboard_address="127.0.0.1:0", memory_limit=0, silence_logs=logging.CRITICAL,
                        scheduler_kwargs={"dashboard": False}, local_directory=self._scratch.name,
                    )  # fmt: skip
                return Client(self._cluster, set_as_default=False)  # type: ignore[no-untyped-call]  # of distributed
            return Client(  # type: ignore[no-untyped-call]  # of distributed
                self._address, timeout=CONNECT_SECONDS, set_as_default=False,
                security=Security(require_encryption=True),  # type: ignore[no-untyped-call]  # of distributed
            )  # fmt: skip
        except (OSError, TypeError, ValueError, RuntimeError) as error:
            raise UsageError(
                f"no scheduler answers at {self._address or '127.0.0.1'}: {type(error).__name__}: {error}"[:300],
                try_="dask scheduler, with certificates of the authority that dask's configuration names here",
            ) from error

    def _greet(self, client: Client, sessions: Mapping[str, str]) -> None:
        """Open a session at every worker. Raises UsageError for one that does not answer or is of another version."""

        async def all_of_them() -> list[Any]:
            return await asyncio.gather(
                *(
                    _called(client, address, cluster_worker.hello, session, self._runner)
                    for address, session in sessions.items()
                )
            )

        for address, greeting in zip(sessions, _on_loop(client, all_of_them(), seconds=60.0), strict=True):
            if isinstance(greeting, Exception) and "ModuleNotFoundError" in repr(greeting):
                raise _other_version(address, "none, or one that knows no workers")
            if isinstance(greeting, Exception):
                raise UsageError(
                    f"the worker {address} does not answer: {type(greeting).__name__}", try_="look at its log"
                )
            if greeting["version"] != __version__:
                raise _other_version(address, greeting["version"])


class _DaskLink:
    """The line to one worker."""

    def __init__(self, client: Client, address: str, *, inbox: Inbox, sites: Collection[str], session: str) -> None:
        self._client = client
        self._inbox = inbox
        self._sites = sites
        self._session = session
        self._sent = 0
        self._received = 0
        self._outbox: list[Parcel] = []
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
        """Hand it on, numbered: what arrives twice counts once."""
        packed = pack(message)
        with self._lock:
            self._sent += 1
            self._outbox.append(Parcel(self._sent, packed))
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
                parcels, self._outbox = self._outbox, []
            if parcels and not await self._tried(cluster_worker.deliver, self._session, parcels):
                return

    async def _collect(self) -> None:
        while True:
            parcels = await self._tried(cluster_worker.collect, self._session, self._received, POLL)
            if parcels is None:
                return
            for parcel in parcels:
                if parcel.number > self._received:
                    self._received = parcel.number
                    self._inbox.put(Arrived(self, unpack(parcel.content)))

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


CERTIFICATES = {
    "distributed.comm.tls.ca-file": "DASK_DISTRIBUTED__COMM__TLS__CA_FILE",
    "distributed.comm.tls.client.cert": "DASK_DISTRIBUTED__COMM__TLS__CLIENT__CERT",
    "distributed.comm.tls.client.key": "DASK_DISTRIBUTED__COMM__TLS__CLIENT__KEY",
}
"""What dask must be told to log in to a cluster, by its own names for it in files and in the environment."""


def _require_certificates() -> None:
    """Raises UsageError where dask was not told who the cluster is, and who we are."""
    for name, variable in CERTIFICATES.items():
        file = dask.config.get(name, default=None)
        if not file:
            raise UsageError(
                f"dask+tls needs {name}, which is not set",
                why="A cluster lets in who has a certificate of its authority, and must have one itself.",
                try_=f"{variable}=FILE, and likewise {', '.join(set(CERTIFICATES.values()) - {variable})}",
            )
        if "-----BEGIN" not in file and not os.access(file, os.R_OK):
            raise UsageError(f"{name}: {file} cannot be read", try_=f"{variable}=FILE, a file in PEM that is there")


@contextmanager
def _without_pages() -> Iterator[None]:
    """dask serves pages beside its lines, to whoever asks: there is nothing on those of what is started here."""
    with dask.config.set({"distributed.scheduler.http.routes": [], "distributed.worker.http.routes": []}):
        yield


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


def _in_clear(worker: str) -> UsageError:
    return UsageError(
        f"the line of the worker {worker} is not encrypted",
        why="Who can reach a worker without certificates can have it run anything.",
        try_="dask worker tls://HOST:PORT --tls-ca-file FILE --tls-cert FILE --tls-key FILE",
    )


def _other_version(address: str, version: str) -> UsageError:
    return UsageError(
        f"the worker {address} has converge {version}; this is {__version__}",
        try_="install the same version where the workers run, and restart them",
    )
