"""From a target to a machine: through the endpoint of a simulated host, or over the network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from converge.cli.selection import Selection, Target
from converge.errors import ConvergeError
from converge.fleet.logins import GuardedMachine, GuardedObserver, LoginGuard
from converge.inventory import HostSettings
from converge.model.machine import Machine, Observer
from converge.model.secret import Secret
from converge.winrm.connection import Connection, Login, Sealing

if TYPE_CHECKING:
    from converge.cli.lab_hosts import LabHosts


class Hosts:
    """Opens the hosts of one run. Simulated ones are served from their first use to the end of this context."""

    def __init__(self, selection: Selection, folder: Path) -> None:
        self._selection = selection
        self._guard = LoginGuard()
        self._folder = folder
        self._lab: LabHosts | None = None

    def __enter__(self) -> Hosts:
        if any(target.settings.connection == "lab" for target in self._selection.targets.values()):
            from converge.cli.lab_hosts import LabHosts

            self._lab = LabHosts(self._folder / "lab")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._lab is not None:
            self._lab.close()

    @contextmanager
    def observer(self, host: str) -> Iterator[Observer]:
        """A host to be asked only. Raises HostUnreachable, InputErrors."""
        from converge.winrm.observer import WinRMObserver

        connection = self._connection(self._selection.targets[host])
        with closing(WinRMObserver(connection)) as observer:
            yield GuardedObserver(observer, account=_account(connection), guard=self._guard)

    @contextmanager
    def machine(self, host: str) -> Iterator[Machine]:
        """A host to be asked and acted on. Raises HostUnreachable, InputErrors."""
        from converge.winrm.machine import WinRMMachine

        connection = self._connection(self._selection.targets[host])
        with closing(WinRMMachine(connection)) as machine:
            yield GuardedMachine(machine, account=_account(connection), guard=self._guard)

    def _connection(self, target: Target) -> Connection:
        settings = target.settings
        if settings.connection == "lab":
            from converge.cli.lab_hosts import Wanted

            assert self._lab is not None
            wanted = Wanted(target.host, settings.lab_image, settings.user, settings.password())
            served = self._lab.serve(wanted)
            return Connection(target.host, served.endpoint, username=served.username, password=served.password)
        return connection_of(settings)


def connection_of(settings: HostSettings) -> Connection:
    """The settings of an inventory as those of a WinRM connection; the password is fetched now."""
    login = _login(settings)
    return Connection(
        host=settings.name,
        endpoint=settings.endpoint,
        username=settings.user,
        password=settings.password() or Secret(""),
        login=login,
        sealing=Sealing(settings.message_encryption),
        validate_certificate=settings.server_cert_validation == "validate",
        ca_trust_path=settings.ca_trust_path,
        certificate=settings.cert_pem,
        certificate_key=settings.cert_key_pem,
        kerberos_delegation=settings.kerberos_delegation,
        operation_timeout=settings.operation_timeout,
        read_timeout=settings.read_timeout,
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
