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
from converge.winrm import kerberos, refusals
from converge.winrm.connection import Connection, Login
from converge.winrm.line import Line, LineClosed, WatchedAdapter
from converge.wsman import seal

CONNECT_SECONDS: Final = 15.0
_PYWINRM_NAMES: Final = {
    Login.NEGOTIATE: "ntlm",
    Login.BASIC: "basic",
    Login.CERTIFICATE: "certificate",
    Login.KERBEROS: "basic",  # a place for `kerberos.KerberosAuth` to take
    Login.CREDSSP: "credssp",
}
_SEALED_AS: Final = {Login.NEGOTIATE: "ntlm", Login.KERBEROS: "kerberos", Login.CREDSSP: "credssp"}
_WITH_EVERY_REQUEST: Final = frozenset({Login.BASIC})
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
    login: Login
    encryption: Encryption | None = None


class Carrier:
    """Sends envelopes to one host, one at a time, over one authenticated connection.

    Not for several threads at once: sealing counts its messages. After a refused login it never tries another.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._transport: _Transport | None = None
        self._refused: LoginRefused | None = None
        self._no_ticket: kerberos.TicketRefused | None = None
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
        login = self._connection.login
        if login is Login.NEGOTIATE and not self._no_ticket and kerberos.suits(self._connection):
            try:
                return self._opened_by(Login.KERBEROS, seconds=seconds)
            except kerberos.TicketRefused as refused:
                # A refused account is not tried in a second way: each refusal counts towards locking it.
                if refused.is_of_account or not self._connection.password:
                    raise self._remember(refusals.ticket_refused(self._connection, refused)) from refused
                self._no_ticket = refused
        try:
            return self._opened_by(login, seconds=seconds)
        except kerberos.TicketRefused as refused:
            raise self._remember(refusals.ticket_refused(self._connection, refused)) from refused

    def _opened_by(self, login: Login, *, seconds: float) -> _Transport:
        line = Line()
        try:
            session = self._session(login, line)
        except (WinRMError, OSError) as error:
            raise refusals.transport_unavailable(self._connection, str(error)) from error
        transport = _Transport(session, line, login)
        try:
            if login not in _WITH_EVERY_REQUEST:
                self._log_in(transport, seconds=seconds)
                if self._connection.seals:
                    transport.encryption = _encryption(transport)
        except BaseException:
            session.close()
            line.close()
            raise
        line.settle()
        self._transport = transport
        return transport

    def _session(self, login: Login, line: Line) -> requests.Session:
        """A session of pywinrm's for this login, made safe."""
        connection = self._connection
        if login is Login.KERBEROS and not kerberos.is_installed():
            raise WinRMError("the libraries gssapi and krb5 are not installed")
        pywinrm = Transport(
            connection.endpoint,
            username=connection.username or "-",
            password=connection.password.reveal(),
            ca_trust_path=connection.ca_trust_path,  # type: ignore[arg-type]  # None: no file of ours, and none of the environment
            cert_pem=connection.certificate,
            cert_key_pem=connection.certificate_key,
            server_cert_validation="validate" if connection.validate_certificate else "ignore",
            auth_method=_PYWINRM_NAMES[login],  # type: ignore[arg-type]  # one of its literals
            # Otherwise it would send while it is being built, before the session is made safe.
            message_encryption="never",
            proxy=None,
        )
        session = pywinrm.build_session()
        session.trust_env = False
        session.proxies = {}
        session.headers["Accept-Encoding"] = "identity"
        if login is Login.BASIC:
            # requests would send names and passwords in Latin-1; Windows reads UTF-8.
            session.auth = HTTPBasicAuth(connection.username.encode(), connection.password.reveal().encode())
        if login is Login.KERBEROS:
            session.auth = kerberos.KerberosAuth(connection, line)
        adapter = WatchedAdapter(line, limit=connection.max_answer)
        for scheme in ("http://", "https://"):
            session.mount(scheme, adapter)
        return session

    def _log_in(self, transport: _Transport, *, seconds: float) -> None:
        """The whole handshake with empty messages, so that no request is sent before its account is known to be good."""
        prepared = transport.session.prepare_request(requests.Request("POST", self._connection.endpoint))
        self.logins += 1
        try:
            response = self._exchanged(transport, prepared, seconds=seconds)
            if response.status_code not in _SAYS_NOTHING | {401}:
                refusals.check_status(self._connection, response.status_code, sealed=True, empty=False)
        except Cut as cut:
            if transport.login is Login.CERTIFICATE and not cut.expired:
                # With TLS 1.3 a host looks at the client's certificate only after the client has begun to send.
                raise refusals.own_certificate_refused(self._connection, cut.why) from cut
            raise refusals.cut_in_login(self._connection, cut.why, expired=cut.expired) from cut
        except PermissionError as error:
            raise self._unwelcome(transport, "") from error
        except (RemoteProtocolError, *_BAD_SEAL) as error:
            raise refusals.odd_login(self._connection, str(error)) from error
        if response.status_code == 401:
            raise self._unwelcome(transport, _offered(response))

    def _unwelcome(self, transport: _Transport, offered: str) -> HostUnreachable:
        return self._remember(
            refusals.login_refused(self._connection, offered=offered, login=transport.login, ticket=self._no_ticket)
        )

    def _remember(self, refused: HostUnreachable) -> HostUnreachable:
        """An account is never tried again after it was refused; what else stands in the way may pass."""
        if isinstance(refused, LoginRefused):
            self._refused = refused
        return refused

    def _posted(self, transport: _Transport, envelope: bytes, *, seconds: float) -> requests.Response:
        endpoint = self._connection.endpoint
        if transport.encryption:
            prepared = transport.encryption.prepare_encrypted_request(transport.session, endpoint, envelope)
        else:
            prepared = transport.session.prepare_request(requests.Request("POST", endpoint, data=envelope))
        if transport.login not in _WITH_EVERY_REQUEST:
            # A 401 now means that the login is lost. The hook would log in again and repeat the body under the old seal.
            prepared.hooks = {"response": []}
        return self._exchanged(transport, prepared, seconds=seconds)

    def _exchanged(
        self, transport: _Transport, prepared: requests.PreparedRequest, *, seconds: float
    ) -> requests.Response:
        """One HTTP exchange, its body read. Raises Cut, and HostUnreachable where no connection came about."""
        line = transport.line
        seconds = max(min(seconds, self.remaining), 0.001)
        with line.watched(seconds):
            try:
                response = transport.session.send(
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
            if transport.login in _WITH_EVERY_REQUEST:
                raise self._unwelcome(transport, _offered(response))
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
        auth: Any = transport.session.auth  # of requests_ntlm, or ours

        def unwrap(signature: bytes, sealed: bytes) -> bytes:
            if transport.login is Login.NEGOTIATE:
                return bytes(auth.session_security.unwrap(sealed, signature))
            return bytes(auth.unwrap_winrm(self._connection.address, sealed, signature))

        try:
            if transport.login is Login.CREDSSP:
                return encryption.parse_encrypted_response(response)
            return seal.unseal(response.content, unwrap=unwrap, limit=self._connection.max_answer)
        except _BAD_SEAL as error:
            raise RemoteProtocolError("a sealed answer that does not open", why=str(error)[:200]) from error


def _encryption(transport: _Transport) -> Encryption:
    encryption = Encryption(transport.session, _SEALED_AS[transport.login])
    auth = transport.session.auth
    if isinstance(auth, kerberos.KerberosAuth) and auth.scheme == "Kerberos":
        encryption.protocol_string = seal.KERBEROS.encode()
    return encryption


def _late(line: Line, seconds: float) -> Cut:
    return Cut(f"no whole answer came within {seconds:.3g} s", sent=line.sent, expired=True)


def _offered(response: requests.Response) -> str:
    return response.headers.get("WWW-Authenticate", "")
