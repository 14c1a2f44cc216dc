"""From a target to a machine: through the endpoint of a simulated host, or over the network."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from converge.errors import ConvergeError
from converge.fleet.logins import Guard, GuardedMachine, GuardedObserver, LoginGuard
from converge.inventory import HostSettings
from converge.model.machine import Machine, Observer
from converge.model.secret import Secret
from converge.runs.selection import Selection
from converge.winrm.connection import LONGEST_OPERATION, Connection, Login, MessageSealing

if TYPE_CHECKING:
    from converge.runs.lab_hosts import LabHosts


class Reach:
    """Finds the way to hosts. Simulated ones are served from their first use to the end of this context."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._lab: LabHosts | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._lab is not None:
            self._lab.close()

    def connection(self, host: str, settings: HostSettings) -> Connection:
        """How to talk to a host; its password is fetched now. Raises HostUnreachable, UsageError, InputErrors."""
        if settings.connection != "lab":
            return connection_of(settings)
        from converge.runs.lab_hosts import LabHosts, Wanted

        with self._lock:
            self._lab = self._lab or LabHosts(self._folder / "lab")
        served = self._lab.serve(Wanted(host, settings.lab_image, settings.user, settings.password()))
        return Connection(host, served.endpoint, username=served.username, password=served.password)


class Hosts(Reach):
    """The hosts of one run, with one guard over the logins that are made from this process."""

    def __init__(self, selection: Selection, folder: Path, *, login_forks: int = 0) -> None:
        super().__init__(folder)
        self._selection = selection
        self.guard = LoginGuard(at_once=login_forks)

    def to(self, host: str) -> Connection:
        """How to talk to a host of the selection. Raises HostUnreachable, UsageError, InputErrors."""
        return self.connection(host, self._selection.targets[host].settings)


@contextmanager
def observing(connection: Connection, guard: Guard) -> Iterator[Observer]:
    """A host to be asked only."""
    from converge.winrm.observer import WinRMObserver

    with closing(WinRMObserver(connection)) as observer:
        yield GuardedObserver(observer, account=_account(connection), guard=guard)


@contextmanager
def acting(connection: Connection, guard: Guard) -> Iterator[Machine]:
    """A host to be asked and acted on."""
    from converge.winrm.machine import WinRMMachine

    with closing(WinRMMachine(connection)) as machine:
        yield GuardedMachine(machine, account=_account(connection), guard=guard)


def account_of(settings: HostSettings) -> str:
    """The account of a host, told without fetching its password. Simulated hosts without one have that of their image."""
    return settings.user or settings.cert_pem or f"the account of the image {settings.lab_image}"


def connection_of(settings: HostSettings) -> Connection:
    """The settings of an inventory as those of a WinRM connection; the password is fetched now."""
    login = _login(settings)
    return Connection(
        host=settings.name,
        endpoint=settings.endpoint,
        username=settings.user,
        password=settings.password() or Secret(""),
        login=login,
        sealing=MessageSealing(settings.message_encryption),
        validate_certificate=settings.server_cert_validation == "validate",
        ca_trust_path=settings.ca_trust_path,
        tls_minimum=settings.tls_minimum,
        certificate=settings.cert_pem,
        certificate_key=settings.cert_key_pem,
        kerberos_delegation=settings.kerberos_delegation,
        operation_timeout=settings.operation_timeout,
        read_timeout=settings.read_timeout,
        read_timeout_from=settings.read_timeout_from,
        operation_timeout_from=settings.operation_timeout_from,
        longest_operation=settings.operation_timeout if settings.read_timeout_from else LONGEST_OPERATION,
    )


def _login(settings: HostSettings) -> Login:
    """The first of the transports named. More than one is never tried: each refusal counts towards locking the account."""
    if not settings.transports:
        raise ConvergeError(
            f"{settings.name} has no transport", try_="set ansible_winrm_transport", code="no-transport"
        )
    return Login.named(settings.transports[0])


def _account(connection: Connection) -> str:
    return connection.username or f"certificate {connection.certificate}"
