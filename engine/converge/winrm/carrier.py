"""Envelopes to a host and back: login, sealing, HTTP. The only file that knows pywinrm.

pywinrm brings the logins and the sealing (`winrm.transport.Transport`, `winrm.encryption.Encryption`). What it leaves
open is settled here: nothing is taken from the environment, no redirect is followed, no answer is larger or later than
allowed, an answer in the clear is refused where answers are sealed, and a transport is never used again after its line broke.
"""

from __future__ import annotations

import struct
import time
from dataclasses import dataclass
from typing import Any, Final

import requests
from requests.auth import HTTPBasicAuth
from requests.exceptions import ConnectionError as LineError
from requests.exceptions import ConnectTimeout, ReadTimeout, RequestException, SSLError
from spnego.exceptions import SpnegoError
from urllib3.exceptions import HTTPError
from winrm.encryption import Encryption
from winrm.exceptions import WinRMError
from winrm.transport import Transport

from converge.errors import HostUnreachable, LoginRefused, RemoteProtocolError
from converge.winrm import refusals
from converge.winrm.connection import Connection, Login
from converge.winrm.line import Line, LineClosed, WatchedAdapter
from converge.wsman import seal

CONNECT_SECONDS: Final = 15.0
_PYWINRM_NAMES: Final = {
    Login.NEGOTIATE: "ntlm",
    Login.BASIC: "basic",
    Login.CERTIFICATE: "certificate",
    Login.KERBEROS: "kerberos",
    Login.CREDSSP: "credssp",
}
_SAYS_NOTHING: Final = frozenset({200, 400, 411, 415, 500})
"""Statuses of an empty message that only say that it is empty, or in the clear: the login was good."""
_BAD_SEAL = (SpnegoError, WinRMError, ValueError, LookupError, AttributeError, struct.error)


class Cut(Exception):
    """The line broke under a request. `sent`: whether the host may have received it. `why`: what was seen of it."""

    def __init__(self, why: str, *, sent: bool, expired: bool = False) -> None:
        super().__init__(why)
        self.why = why
        self.sent = sent
        self.expired = expired


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back with a message in it: HTTP status 200 or 500, and the message."""

    status: int
    body: bytes


@dataclass(slots=True)
class _Transport:
    """An authenticated transport and the line under it."""

    session: requests.Session
    line: Line
    encryption: Encryption | None


class Carrier:
    """Sends envelopes to one host, one at a time, over one authenticated connection.

    Not for several threads at once: sealing counts its messages. After a refused login it never tries another.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._transport: _Transport | None = None
        self._refused: LoginRefused | None = None
        self._ends = time.monotonic() + connection.host_timeout
        self.logins = 0

    def send(self, envelope: bytes, *, seconds: float) -> Reply:
        """The host's answer to one envelope, within `seconds` by the wall clock.

        Raises LoginRefused, DeadlineExceeded (before anything was sent) and HostUnreachable where there is no
        conversation; Cut where the line broke under this request; RemoteProtocolError for an answer that is none.
        """
        if self.remaining <= 0:
            self.drop()
            raise refusals.host_deadline(self._connection)
        transport = self._transport or self._open(seconds)
        try:
            response = self._posted(transport, envelope, seconds=seconds)
            return self._read(transport, response)
        except BaseException:
            self.drop()
            raise

    def drop(self) -> None:
        """Forget the transport: the next request logs in anew on a new connection."""
        transport, self._transport = self._transport, None
        if transport:
            transport.session.close()
            transport.line.close()

    @property
    def remaining(self) -> float:
        """Seconds left of what the whole conversation may take."""
        return self._ends - time.monotonic()

    def _open(self, seconds: float) -> _Transport:
        if self._refused:
            raise self._refused
        line = Line()
        try:
            pywinrm = self._pywinrm()
            session = self._hardened(pywinrm, line)
        except (WinRMError, OSError) as error:
            raise refusals.transport_unavailable(self._connection, str(error)) from error
        encryption = None
        try:
            if self._connection.login not in (Login.BASIC, Login.CERTIFICATE):
                self._log_in(session, line, seconds=seconds)
                if self._connection.seals:
                    encryption = Encryption(session, _PYWINRM_NAMES[self._connection.login])
        except BaseException:
            session.close()
            line.close()
            raise
        line.settle()
        self._transport = _Transport(session, line, encryption)
        return self._transport

    def _pywinrm(self) -> Transport:
        connection = self._connection
        return Transport(
            connection.endpoint,
            username=connection.username or None,
            password=connection.password.reveal(),
            ca_trust_path=connection.ca_trust_path,  # type: ignore[arg-type]  # None: no file of ours, and none of the environment
            cert_pem=connection.certificate,
            cert_key_pem=connection.certificate_key,
            server_cert_validation="validate" if connection.validate_certificate else "ignore",
            kerberos_delegation=connection.kerberos_delegation,
            auth_method=_PYWINRM_NAMES[connection.login],  # type: ignore[arg-type]  # one of its literals
            # Otherwise it would send while it is being built, before the session is made safe.
            message_encryption="never",
            proxy=None,
        )

    def _hardened(self, pywinrm: Transport, line: Line) -> requests.Session:
        session = pywinrm.build_session()
        session.trust_env = False
        session.proxies = {}
        session.headers["Accept-Encoding"] = "identity"
        if self._connection.login is Login.BASIC:
            # requests would send names and passwords in Latin-1; Windows reads UTF-8.
            secret = self._connection.password.reveal().encode()
            session.auth = HTTPBasicAuth(self._connection.username.encode(), secret)
        adapter = WatchedAdapter(line, limit=self._connection.max_answer)
        for scheme in ("http://", "https://"):
            session.mount(scheme, adapter)
        return session

    def _log_in(self, session: requests.Session, line: Line, *, seconds: float) -> None:
        """The whole handshake with empty messages, so that no request is sent before its account is known to be good."""
        prepared = session.prepare_request(requests.Request("POST", self._connection.endpoint))
        self.logins += 1
        try:
            response = self._exchanged(session, line, prepared, seconds=seconds)
            if response.status_code not in _SAYS_NOTHING | {401}:
                refusals.check_status(self._connection, response.status_code, sealed=True, empty=False)
        except Cut as cut:
            raise refusals.cut_in_login(self._connection, cut.why, expired=cut.expired) from cut
        except PermissionError as error:
            raise self._remember(refusals.login_refused(self._connection, offered="")) from error
        except (RemoteProtocolError, *_BAD_SEAL) as error:
            raise refusals.odd_login(self._connection, str(error)) from error
        if response.status_code == 401:
            raise self._remember(refusals.login_refused(self._connection, offered=_offered(response)))

    def _remember(self, refused: LoginRefused) -> LoginRefused:
        self._refused = refused
        return refused

    def _posted(self, transport: _Transport, envelope: bytes, *, seconds: float) -> requests.Response:
        endpoint = self._connection.endpoint
        if transport.encryption:
            prepared = transport.encryption.prepare_encrypted_request(transport.session, endpoint, envelope)
        else:
            prepared = transport.session.prepare_request(requests.Request("POST", endpoint, data=envelope))
        if self._connection.login is Login.NEGOTIATE:
            # A 401 now means that the login is lost. The hook would log in again and repeat the body under the old seal.
            prepared.hooks = {"response": []}
        return self._exchanged(transport.session, transport.line, prepared, seconds=seconds)

    def _exchanged(
        self, session: requests.Session, line: Line, prepared: requests.PreparedRequest, *, seconds: float
    ) -> requests.Response:
        """One HTTP exchange, its body read. Raises Cut, and HostUnreachable where no connection came about."""
        seconds = max(min(seconds, self.remaining), 0.001)
        with line.watched(seconds):
            try:
                response = session.send(
                    prepared, timeout=(min(CONNECT_SECONDS, seconds), seconds), allow_redirects=False
                )
                _ = response.content
            except (RequestException, HTTPError, LineClosed, OSError) as error:
                if isinstance(error, PermissionError):
                    raise
                self._raise_broken(line, error, seconds=seconds)
        if line.expired:
            raise _late(line, seconds)
        return response

    def _raise_broken(self, line: Line, error: Exception, *, seconds: float) -> None:
        reason = refusals.reason_of(error)
        if line.expired or isinstance(error, ReadTimeout):
            raise _late(line, seconds) from error
        if line.sent or isinstance(error, LineClosed):
            raise Cut(reason, sent=line.sent) from error
        if isinstance(error, SSLError):
            raise refusals.certificate_refused(self._connection, reason) from error
        if isinstance(error, (ConnectTimeout, LineError)):
            raise refusals.not_reached(self._connection, error) from error
        raise HostUnreachable(f"{self._connection.endpoint} cannot be asked", why=reason) from error

    def _read(self, transport: _Transport, response: requests.Response) -> Reply:
        status, content = response.status_code, response.content
        if status == 401:
            if self._connection.login in (Login.BASIC, Login.CERTIFICATE):
                raise self._remember(refusals.login_refused(self._connection, offered=_offered(response)))
            raise Cut("the host no longer knows the login", sent=False)
        if status == 400 and transport.encryption:
            raise Cut("the host could not open the sealed message", sent=False)
        refusals.check_status(self._connection, status, sealed=transport.encryption is not None, empty=not content)
        if transport.encryption:
            content = self._opened(transport, transport.encryption, response)
        return Reply(status, content)

    def _opened(self, transport: _Transport, encryption: Encryption, response: requests.Response) -> bytes:
        if not seal.is_sealed(response.headers.get("Content-Type", "")):
            raise RemoteProtocolError("an answer in the clear where answers are sealed", why="it may be forged")
        auth: Any = transport.session.auth  # of requests_ntlm or of pywinrm

        def unwrap(signature: bytes, sealed: bytes) -> bytes:
            if self._connection.login is Login.NEGOTIATE:
                return bytes(auth.session_security.unwrap(sealed, signature))
            return bytes(auth.unwrap_winrm(self._connection.address, sealed, signature))

        try:
            if self._connection.login is Login.CREDSSP:
                return encryption.parse_encrypted_response(response)
            return seal.unseal(response.content, unwrap=unwrap, limit=self._connection.max_answer)
        except _BAD_SEAL as error:
            raise RemoteProtocolError("a sealed answer that does not open", why=str(error)[:200]) from error


def _late(line: Line, seconds: float) -> Cut:
    return Cut(f"no whole answer came within {seconds:.3g} s", sent=line.sent, expired=True)


def _offered(response: requests.Response) -> str:
    return response.headers.get("WWW-Authenticate", "")
