"""How to reach one host: the settings that its variables add up to, safe unless they explicitly say otherwise."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, cast

from converge.errors import InputErrors
from converge.inventory.known import KNOWN, LAB_CONNECTION, WINRM_CONNECTIONS, Wrong
from converge.inventory.passwords import Origin, PasswordSource, PasswordStore
from converge.model.backup import BackupSettings
from converge.model.opening import doubt, require_ordinary
from converge.model.position import Position
from converge.model.secret import Locked, Secret
from converge.reading.problems import Problems

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

HTTP_PORT: Final = 5985
HTTPS_PORT: Final = 5986
OPERATION_TIMEOUT: Final = 20
READ_AFTER_OPERATION: Final = 10

Scheme = Literal["http", "https"]
Encryption = Literal["auto", "always", "never"]


@dataclass(frozen=True, slots=True)
class HostSettings:
    """Everything needed to open a conversation with one host. Times are in seconds."""

    name: str
    connection: str
    """`winrm` or `lab`; anything else comes with a reason to skip the host."""
    address: str
    port: int = HTTPS_PORT
    scheme: Scheme = "https"
    path: str = "/wsman"
    user: str = ""
    transports: tuple[str, ...] = ()
    """In the order in which to try them: negotiate, ntlm, kerberos, credssp, certificate or basic."""
    message_encryption: Encryption = "auto"
    """Over http never `auto`."""
    server_cert_validation: Literal["validate", "ignore"] = "validate"
    ca_trust_path: str | None = None
    tls_minimum: str = "1.2"
    operation_timeout: int = OPERATION_TIMEOUT
    read_timeout: int = OPERATION_TIMEOUT + READ_AFTER_OPERATION
    operation_timeout_from: str = ""
    read_timeout_from: str = ""
    """The variable of the inventory that sets a timeout, with its value; empty for none. Where one is set, no question and no
    write is given longer."""
    cert_pem: str | None = None
    cert_key_pem: str | None = None
    kerberos_delegation: bool = False
    site: str | None = None
    site_forks: int = 0
    lab_image: str | None = None
    backup: BackupSettings = field(default_factory=BackupSettings)
    skip: str = ""
    """Why this host is not to be reached at all; empty for those that are."""
    password_source: PasswordSource = field(default_factory=PasswordSource, repr=False)

    def password(self) -> Secret | None:
        """The password, fetched now; None if the inventory names none. Raises HostUnreachable when it cannot be had."""
        return self.password_source.fetch()

    @property
    def endpoint(self) -> str:
        """The URL of the WinRM service."""
        shown = f"[{self.address}]" if ":" in self.address else self.address
        return f"{self.scheme}://{shown}:{self.port}{self.path}"


def settings_of(
    host: str,
    variables: Mapping[str, object],
    *,
    place_of: Callable[[str], Position],
    passwords: PasswordStore,
) -> HostSettings:
    """The settings of a host. Raises InputErrors with every value that cannot be meant."""
    reader = _ConnectionReader(host, variables, place_of=place_of)
    connection = reader.text("ansible_connection") or "winrm"
    connection = "winrm" if connection in WINRM_CONNECTIONS else connection
    if connection not in ("winrm", LAB_CONNECTION):
        reader.problems.raise_if_any()
        return _skipped(host, connection)
    scheme, port = _scheme_and_port(reader)
    operation, read = _timeouts(reader)
    cert, key = (reader.path(f"ansible_winrm_cert_{name}") for name in ("pem", "key_pem"))
    transports, encryption = _login(reader, scheme=scheme, has_certificate=cert is not None)
    if "certificate" in transports and not (cert and key):
        reader.error(
            "ansible_winrm_transport",
            "transport certificate without a certificate",
            expected="ansible_winrm_cert_pem and ansible_winrm_cert_key_pem",
        )
    validation = reader.text("ansible_winrm_server_cert_validation") or "validate"
    settings = HostSettings(
        name=host,
        connection=connection,
        address=reader.text("ansible_winrm_host", "ansible_host") or host,
        port=port,
        scheme=scheme,
        path=reader.text("ansible_winrm_path") or "/wsman",
        user=reader.text("ansible_winrm_user", "ansible_user") or "",
        transports=transports,
        message_encryption=encryption,
        server_cert_validation=cast("Literal['validate', 'ignore']", validation),
        ca_trust_path=reader.path("ansible_winrm_ca_trust_path"),
        tls_minimum=reader.text("converge_tls_minimum") or "1.2",
        operation_timeout=operation,
        read_timeout=read,
        operation_timeout_from=_set_by(reader, *_TIMEOUTS[1::-1]),
        read_timeout_from=_set_by(reader, *_TIMEOUTS[::-1]),
        cert_pem=cert,
        cert_key_pem=key,
        kerberos_delegation=bool(reader.get("ansible_winrm_kerberos_delegation")),
        site=reader.text("converge_site"),
        site_forks=int(str(reader.get("converge_site_forks") or 0)),
        lab_image=reader.text("converge_lab_image"),
        backup=BackupSettings(
            reader.text("converge_backup_directory") or "",
            cast("timedelta | None", reader.get("converge_backup_retention")),
        ),
        password_source=_password(reader, passwords),
    )
    reader.problems.raise_if_any()
    return settings


class _ConnectionReader:
    """Reads known variables, noting what is wrong with them."""

    def __init__(self, host: str, variables: Mapping[str, object], *, place_of: Callable[[str], Position]) -> None:
        self.host = host
        self.problems = Problems()
        self._variables = variables
        self._given = {name for name in variables if name in KNOWN}
        self._place_of = place_of

    def get(self, *names: str) -> object:
        """The value of the first of these variables that is set. None if none is, or if it is wrong."""
        for name in names:
            if name not in self._given:
                continue
            try:
                value = self._variables[name]
            except InputErrors as error:
                self.problems.extend(error.problems)
                return None
            if value is None:
                continue
            return self._read(name, value)
        return None

    def text(self, *names: str) -> str | None:
        """Like get, for variables that are read as texts."""
        return cast("str | None", self.get(*names))

    def path(self, name: str) -> str | None:
        """Like get, for the path of a file on the control node, or a folder; what is not there is told by whoever opens it."""
        if (found := self.text(name)) is None:
            return None
        path = os.path.expanduser(found)
        if os.path.exists(path) and not os.path.isdir(path):
            try:
                require_ordinary(path)
            except OSError as error:
                self.error(name, f"{name} cannot be read: {error.strerror}")
        if words := doubt(path):
            self.error(name, f"{name} is not read: another account may change it", hint=words)
        return path

    def _read(self, name: str, value: object) -> object:
        if isinstance(value, Locked):
            self.error(name, f"{name} cannot be read: {value.why}", hint=_unlock(name))
            return None
        try:
            return KNOWN[name].read(value)
        except Wrong as error:
            self.error(name, f"{name} of host {self.host} is wrong", expected=str(error), hint=error.hint)
            return None

    def given(self, name: str) -> bool:
        """Whether a variable is set to something, without rendering it."""
        return name in self._given

    def place(self, name: str) -> Position:
        return self._place_of(name)

    def error(self, name: str, message: str, *, expected: str = "", hint: str = "") -> None:
        """Note a problem where the variable stands."""
        self.problems.error(self._place_of(name), message, expected=expected, hint=hint)


def _unlock(name: str) -> str:
    if name in _INLINE_PASSWORDS:
        return "set converge_password_command, converge_password_env or converge_password_file for this host"
    return "pass it with -e, or take it from the environment: {{ lookup('env', 'NAME') }}"


def _skipped(host: str, connection: str) -> HostSettings:
    return HostSettings(
        name=host,
        connection=connection,
        address=host,
        skip=f"ansible_connection is {connection}: converge speaks WinRM only",
    )


def _scheme_and_port(reader: _ConnectionReader) -> tuple[Scheme, int]:
    """A port of 5985 means http, and the scheme http means port 5985. Otherwise it is https on 5986."""
    scheme = cast("Scheme | None", reader.get("ansible_winrm_scheme"))
    port = cast("int | None", reader.get("ansible_winrm_port", "ansible_port"))
    if scheme is None:
        scheme = "http" if port == HTTP_PORT else "https"
    return scheme, port or (HTTP_PORT if scheme == "http" else HTTPS_PORT)


_TIMEOUTS: Final = tuple(
    f"ansible_winrm_{name}" for name in ("connection_timeout", "operation_timeout_sec", "read_timeout_sec")
)


def _timeouts(reader: _ConnectionReader) -> tuple[int, int]:
    both = cast("int | None", reader.get("ansible_winrm_connection_timeout"))
    given = cast("int | None", reader.get("ansible_winrm_operation_timeout_sec"))
    operation = given or both or OPERATION_TIMEOUT
    read = cast("int | None", reader.get("ansible_winrm_read_timeout_sec")) or operation + READ_AFTER_OPERATION
    if read <= operation:
        reader.error(
            "ansible_winrm_read_timeout_sec",
            f"the read timeout of {read} s ends before the operation timeout of {operation} s",
            expected="a read timeout longer than the operation timeout",
            hint=f"ansible_winrm_read_timeout_sec: {operation + READ_AFTER_OPERATION}",
        )
    return operation, read


def _set_by(reader: _ConnectionReader, *names: str) -> str:
    """The first of these variables that is set, with its value; empty where none is."""
    return next((f"{name}: {reader.get(name)}" for name in names if reader.get(name) is not None), "")


def _login(reader: _ConnectionReader, *, scheme: Scheme, has_certificate: bool) -> tuple[tuple[str, ...], Encryption]:
    """Transports and encryption. Over http nothing leaves in the clear unless `never` says so explicitly."""
    given = cast("tuple[str, ...] | None", reader.get("ansible_winrm_transport")) or ("negotiate",)
    over_tls = "certificate" if has_certificate else "basic"
    transports = tuple(dict.fromkeys(over_tls if word == "ssl" else word for word in given))
    encryption = cast("Encryption", reader.get("ansible_winrm_message_encryption") or "auto")
    if scheme == "https":
        return transports, encryption
    for word in ("ssl", "certificate"):
        if word in given:
            reader.error("ansible_winrm_transport", f"transport {word} needs https", hint="ansible_winrm_scheme: https")
            return transports, encryption
    if "basic" in transports and encryption != "never":
        reader.error(
            "ansible_winrm_transport",
            "Basic over http sends the password and every message in the clear",
            expected="https, or a transport that encrypts: negotiate, ntlm, kerberos, credssp",
            hint="to do so all the same, set ansible_winrm_message_encryption: never",
        )
    return transports, "always" if encryption == "auto" else encryption


_INLINE_PASSWORDS: Final = ("ansible_winrm_password", "ansible_winrm_pass", "ansible_password")
_FETCHED_PASSWORDS: Final[Sequence[tuple[str, Origin]]] = (
    ("converge_password_command", "command"),
    ("converge_password_env", "env"),
    ("converge_password_file", "file"),
)


def _password(reader: _ConnectionReader, store: PasswordStore) -> PasswordSource:
    """converge's own variables are stronger than Ansible's: they are there for inventories that both use."""
    fetched = [(name, origin) for name, origin in _FETCHED_PASSWORDS if reader.given(name)]
    values = [(name, origin, found) for name, origin in fetched if (found := reader.text(name)) is not None]
    if len(values) > 1:
        names = " and ".join(name for name, _, _ in values)
        reader.error(values[1][0], f"{names} are both set", expected="one of them")
    if values:
        name, origin, text = values[0]
        if origin == "file":
            folder = os.path.dirname(reader.place(name).file)
            text = os.path.join(folder, os.path.expanduser(text))
        return PasswordSource(origin, text, store=store)
    inline = reader.text(*_INLINE_PASSWORDS)
    return PasswordSource() if inline is None else PasswordSource("inventory", secret=Secret(inline))
