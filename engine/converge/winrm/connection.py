"""How one host is reached: settings, checked when they are made. Nothing here opens anything."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

from converge.errors import UsageError
from converge.model.secret import Secret

NO_PASSWORD: Final = Secret("")
MAX_ANSWER: Final = 1024 * 1024
TLS_VERSIONS: Final = ("1.0", "1.1", "1.2", "1.3")
LONGEST_OPERATION: Final = 60.0
"""Seconds; hosts give no operation more (MaxTimeoutms)."""


class Login(StrEnum):
    """How the account proves itself."""

    NEGOTIATE = "negotiate"
    BASIC = "basic"
    CERTIFICATE = "certificate"
    KERBEROS = "kerberos"
    CREDSSP = "credssp"

    @classmethod
    def named(cls, text: str) -> Login:
        """The login of an inventory's word: Ansible's transports and their aliases. Raises UsageError."""
        word = text.strip().lower()
        found = _ALIASES.get(word) or next((login for login in cls if login.value == word), None)
        if found is None:
            known = ", ".join([*cls, *_ALIASES])
            raise UsageError(f"{text!r} is no WinRM transport", try_=f"one of {known}")
        return found


_ALIASES: Final = {"ntlm": Login.NEGOTIATE, "plaintext": Login.BASIC, "ssl": Login.BASIC}


class MessageSealing(StrEnum):
    """Whether messages are encrypted beneath HTTP. Over http `auto` is `always`, over https TLS does it."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Connection:
    """How to reach one host.

    `host` is its name in the inventory; `endpoint` its URL. Times are in seconds: `operation_timeout` is what the host
    is given for one operation, `read_timeout` what the line is given for its answer (by the wall clock, however slowly
    bytes arrive), `longest_operation` what a long operation may be
    given, `host_timeout` what the whole conversation may take. `max_answer` is in bytes.
    `..._from` is the variable of the inventory that set a time, with its value.
    Raises UsageError for settings that cannot be meant, or that would show a password to whoever listens.
    """

    host: str
    endpoint: str
    username: str = ""
    password: Secret = NO_PASSWORD
    login: Login = Login.NEGOTIATE
    sealing: MessageSealing = MessageSealing.AUTO
    validate_certificate: bool = True
    tls_minimum: str = "1.2"
    ca_trust_path: str | None = None
    certificate: str | None = None
    certificate_key: str | None = None
    kerberos_delegation: bool = False
    operation_timeout: float = 20.0
    read_timeout: float = 30.0
    read_timeout_from: str = ""
    operation_timeout_from: str = ""
    longest_operation: float = LONGEST_OPERATION
    host_timeout: float = 7200.0
    max_answer: int = MAX_ANSWER

    def __post_init__(self) -> None:
        parts = urlsplit(self.endpoint)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
            raise UsageError(
                f"{self.host}: {self.endpoint!r} is no WinRM address", try_="such as https://name:5986/wsman"
            )
        if self.tls_minimum not in TLS_VERSIONS:
            raise UsageError(
                f"{self.host}: {self.tls_minimum!r} is no version of TLS", try_=f"one of {', '.join(TLS_VERSIONS)}"
            )
        if not 0 < self.operation_timeout < self.read_timeout <= self.host_timeout:
            raise UsageError(
                f"{self.host}: the operation timeout must be shorter than the read timeout",
                why=f"they are {self.operation_timeout:g} s and {self.read_timeout:g} s",
            )
        self._check_login()

    def _check_login(self) -> None:
        if self.login is Login.CERTIFICATE:
            if not self.is_https or not self.certificate or not self.certificate_key:
                raise UsageError(f"{self.host}: a login by certificate needs https, a certificate and its key")
        elif not self.username and self.login is not Login.KERBEROS:
            raise UsageError(f"{self.host}: no user name", try_="set ansible_user")
        elif self.login is Login.KERBEROS and "\\" in self.username:
            raise UsageError(f"{self.host}: Kerberos knows no {self.username}", try_="write it as user@REALM")
        elif not self.password and not self._may_have_ticket:
            raise UsageError(f"{self.host}: no password", try_="set ansible_password or converge_password_command")
        if self.login in (Login.BASIC, Login.CERTIFICATE) and not self.is_https and self.sealing is not MessageSealing.NEVER:
            raise UsageError(
                f"{self.host}: Basic over http would send the password readable by anyone on the way",
                try_="use https or the negotiate transport, or set ansible_winrm_message_encryption: never",
            )
        if self.login in (Login.BASIC, Login.CERTIFICATE) and self.sealing is MessageSealing.ALWAYS:
            raise UsageError(f"{self.host}: {self.login} cannot encrypt messages", try_="use the negotiate transport")

    @property
    def _may_have_ticket(self) -> bool:
        """Whether a ticket may stand for the password."""
        return self.login is Login.KERBEROS or (self.login is Login.NEGOTIATE and "@" in self.username)

    @property
    def is_https(self) -> bool:
        """Whether TLS protects the line."""
        return urlsplit(self.endpoint).scheme == "https"

    @property
    def seals(self) -> bool:
        """Whether messages are encrypted beneath HTTP."""
        return self.sealing is MessageSealing.ALWAYS or (self.sealing is MessageSealing.AUTO and not self.is_https)

    @property
    def address(self) -> str:
        """The host part of the endpoint."""
        return urlsplit(self.endpoint).hostname or ""

    @property
    def port(self) -> int:
        """The port of the endpoint."""
        return urlsplit(self.endpoint).port or (443 if self.is_https else 80)
