"""The steps of `doctor` towards a host, in their order: what each asks, and what it costs where a shell is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from converge.errors import ConvergeError, HostUnreachable, Undecided
from converge.model.query import OperatingSystem, RegistryKey, Service
from converge.model.registry import Hive, RegistryPath
from converge.windows.commands import ReadingCommand
from converge.winrm import probes
from converge.winrm.answering import refused
from converge.winrm.connection import Connection, Login
from converge.winrm.exchange import Faulted
from converge.winrm.observer import WinRMObserver
from converge.winrm.session import Reader

Stage = tuple[str, Callable[[], str]]

_NAMES: Final[dict[Login | None, str]] = {Login.NEGOTIATE: "NTLM", Login.KERBEROS: "Kerberos", Login.CREDSSP: "CredSSP"}
_WINDOWS: Final = RegistryPath(Hive.LOCAL_MACHINE, r"SOFTWARE\Microsoft\Windows NT\CurrentVersion")
_SERVICE: Final = Service("EventLog")
_WITHOUT_A_SHELL: Final = (
    "Without one, checks still work: only searches of the registry take longer, and texts with variables are compared "
    "expanded. What needs one (commands, writing files, new folders) is undecided."
)


class ShellRefused(ConvergeError):
    """The account may open no shell: most of converge works without."""

    code = "shell-refused"


def before_login(connection: Connection) -> Iterator[Stage]:
    """The steps that send no name and no password."""
    yield "name", lambda: probes.resolve(connection)
    yield "port", lambda: probes.knock(connection)
    if connection.is_https:
        yield "TLS", lambda: probes.shake_hands(connection)
    yield "HTTP", lambda: probes.greet(connection)


def after_login(connection: Connection, reader: Reader) -> Iterator[Stage]:
    """The login, and what the account may do once it is in."""
    observer = WinRMObserver(connection, reader=reader)
    told: list[str] = []

    def authenticate() -> str:
        try:
            identity = reader.identify()
        except Faulted as faulted:
            answer = refused(faulted)
            remedy = f"grant the account {answer.missing_right}" if answer.missing_right else ""
            raise Undecided(f"the login is good, and WinRM refuses it: {answer.text.strip()}", try_=remedy) from faulted
        told.append(f"{identity.product_vendor}, {identity.product_version}")
        return f"{connection.username or 'the account'} is let in by {_NAMES.get(reader.login, reader.login)}"

    yield "authentication", authenticate
    yield "Identify", lambda: told[0]
    yield "WMI read", lambda: _system(observer)
    yield "registry read", lambda: _registry(observer)
    yield "service read", lambda: _service(observer)
    yield "shell", lambda: _shell(reader)


def _system(observer: WinRMObserver) -> str:
    system = observer.ask((OperatingSystem(),)).value(OperatingSystem())
    assert system is not None
    return f"{system.caption} {system.version} ({system.architecture}), host {system.host_name}"


def _registry(observer: WinRMObserver) -> str:
    key = RegistryKey(_WINDOWS)
    found = observer.ask((key,)).value(key)
    return f"{_WINDOWS} can be read" if found else f"{_WINDOWS} can be looked up and does not exist"


def _service(observer: WinRMObserver) -> str:
    found = observer.ask((_SERVICE,)).value(_SERVICE)
    return f"{_SERVICE.name} is {found.state}" if found else f"{_SERVICE.name} can be looked up and does not exist"


def _shell(reader: Reader) -> str:
    try:
        finished = reader.run_reading(ReadingCommand.query_registry_key(_WINDOWS))
    except Faulted as faulted:
        answer = refused(faulted)
        remedy = (
            f"grant the account {answer.missing_right}" if answer.missing_right else "look at AllowRemoteShellAccess"
        )
        raise ShellRefused(f"no shell: {answer.text.strip()}", why=_WITHOUT_A_SHELL, try_=remedy) from faulted
    except HostUnreachable as error:
        raise ShellRefused(f"no shell: {error.what}", why=_WITHOUT_A_SHELL, try_=error.try_) from error
    finally:
        reader.close_shell()
    return f"commands can be run; reg.exe ended with {finished.exit_code}"
